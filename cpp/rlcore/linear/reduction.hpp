// A process reduced state by state: the factors of I - J that state reduction leaves (Grassmann, Taksar & Heyman 1985).
//
// A state is given by where it leads and by its probability of ending (the "excess" of Alfa, Xue & Ye 2002), and is cut
// out: who led to it leads where it led, and ends where it ended. Nothing is ever subtracted, so that every probability
// is right to nearly all digits, and with it what is solved for, however long the process lasts. In other words these
// are LU factors without pivoting, whose pivots are what the rest of their row and the ending add up to.
//
// The factors are doubles, but the pivots and what is solved for are twofold. Then what the factors are wrong by acts
// on differences of values and on endings alone: an error that long stays have made large is smooth where they stay,
// and the next correction takes it away. In doubles the rounding of pivots would act on the error itself.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "rlcore/linear/fronts.hpp"
#include "rlcore/linear/system.hpp"
#include "rlcore/mdp.hpp"
#include "rlcore/twofold.hpp"

namespace rlcore::linear {

class Reduction {
 public:
  /// Of a process that jumps by J = discount M, and ends as often as `ending` says. Nothing, if some states are left so
  /// rarely that their probabilities underflow.
  static std::optional<Reduction> of(const System& forward, ConstVector ending, std::shared_ptr<const Fronts> fronts,
                                     Monitor& monitor);

  /// Overwrites x, which stands in the order of the fronts, with (I - J)^-1 x or (I - J)^-T x.
  template <class Number>
  void solve(Direction direction, std::span<TwofoldOf<Number>> x, Team& team) const;

  const Fronts& fronts() const { return *fronts_; }

 private:
  class Elimination;

  explicit Reduction(std::shared_ptr<const Fronts> fronts);

  // The factors have a row for each place that a front knows of. Behind the diagonal stand the rates at which a place
  // leads on when it is cut out; before it, and in the rows of places beyond the front, the shares of what is passed on
  // by those cut out before.
  Row before(Index front, Index i) const;
  Row behind(Index front, Index i) const;

  template <class Number>
  void solve_forward(std::span<TwofoldOf<Number>> x, Team& team) const;
  template <class Number>
  void solve_transposed(std::span<TwofoldOf<Number>> x, Team& team) const;

  template <class Body>
  void for_branches(Team& team, Body&& body) const;
  template <class Body>
  void ascend(Body&& body) const;
  template <class Body>
  void descend(Team& team, Body&& body) const;
  Index own(Index front) const { return fronts_->first(front + 1) - fronts_->first(front); }

  std::shared_ptr<const Fronts> fronts_;
  std::vector<Index> start_{0};  // of each front's rows: of its own places, then of those beyond
  Buffer<double> factor_;
  TwofoldVector inverse_pivot_;  // 1 / what leads out of a place as it is cut out
};

}  // namespace rlcore::linear
