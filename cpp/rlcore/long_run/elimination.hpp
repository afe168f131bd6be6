// State reduction (Grassmann, Taksar & Heyman 1985): stationary distributions and times without a subtraction, so that
// every component is right to nearly all digits, however weakly states are coupled.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "rlcore/chain.hpp"
#include "rlcore/twofold.hpp"

namespace rlcore {

/// Up to so many states are reduced wherever they lead: the work grows with the cube of their number.
inline constexpr Index kFewStates = 200;

/// The probabilities with which some states of a chain lead to each other and elsewhere. They are numbered anew, so
/// that none leads to another that is more than `width` away.
class Rates {
 public:
  /// `number` is -1 for every state of the chain, and is left so.
  Rates(const Chain& chain, std::span<const Column> states, Index width, std::vector<Column>& number);

  Index size() const { return std::ssize(elsewhere_); }
  Index width() const { return width_; }
  Twofold& operator()(Index from, Index to) { return rate_[at(from * (2 * width_ + 1) + width_ + to - from)]; }
  Twofold& elsewhere(Index from) { return elsewhere_[at(from)]; }

 private:
  Index width_;
  TwofoldVector rate_;
  TwofoldVector elsewhere_;
};

/// The stationary distribution of an irreducible chain, in twofold arithmetic. Nothing, if states are coupled so weakly
/// that numbers leave the range in which twofold arithmetic is exact.
std::optional<TwofoldVector> stationary_by_elimination(Rates rates);

/// The expected number of steps until the process is elsewhere, from each state, in the same way.
std::optional<TwofoldVector> times_by_elimination(Rates rates);

/// A bound on the relative error of each time and of each share that is not below 2^-100, and on the sum of all errors
/// of shares: every one comes from sums, products and quotients of positive numbers only, at most so many after one
/// another (O'Cinneide 1993; Alfa, Xue & Ye 2002).
double elimination_error(Index size, Index width);

}  // namespace rlcore
