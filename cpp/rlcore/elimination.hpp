// State reduction (Grassmann, Taksar & Heyman 1985): the stationary distribution of a class without a subtraction, so
// that every component is right to nearly all digits, however weakly states are coupled.
#pragma once

#include <optional>

#include "rlcore/twofold.hpp"

namespace rlcore {

/// The off-diagonal rates of an irreducible chain whose states lead to none that is more than `width` away.
class Rates {
 public:
  Rates(Index size, Index width) : size_(size), width_(width), rate_(at(size * (2 * width + 1))) {}

  Index size() const { return size_; }
  Index width() const { return width_; }
  Twofold& operator()(Index from, Index to) { return rate_[at(from * (2 * width_ + 1) + width_ + to - from)]; }

 private:
  Index size_;
  Index width_;
  TwofoldVector rate_;
};

/// The stationary distribution, in twofold arithmetic; destroys the rates. Nothing, if states are coupled so weakly
/// that numbers leave the range in which twofold arithmetic is exact.
std::optional<TwofoldVector> stationary_by_elimination(Rates& rates);

/// A bound on the relative error of each component that is not below 2^-100, and on the sum of all errors: every one
/// comes from sums, products and quotients of positive numbers only, at most so many after one another (O'Cinneide
/// 1993).
double elimination_error(Index size, Index width);

}  // namespace rlcore
