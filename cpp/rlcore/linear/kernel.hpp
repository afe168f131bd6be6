// The substochastic kernel K of a setting (theory: every setting is the resolvent (I - K)^-1 of one).
//
// Discounted: K = gamma P_pi. Undiscounted: K = P_pi with the diagonal defined as one minus the rest of the row
// minus its termination (Grassmann, Taksar & Heyman 1985), so that no row has a rounding defect: whether and when
// the process ends is decided by termination alone. An undiscounted kernel may also stop on entering chosen
// states; the columns of those states are then zero.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <vector>

#include "rlcore/chain.hpp"
#include "rlcore/linear/system.hpp"

namespace rlcore::linear {

class SharedFronts;

/// An answer x to a right-hand side b, and where its residual is to be written.
struct Attempt {
  const TwofoldVector& b;
  const TwofoldVector& x;
  Vector residual;
  Vector ahead = {};  // and sum_s' P(s'|s,a) x(s') of every pair, if it is wanted
};

class Kernel {
 public:
  /// gamma P_pi. Throws SettingError if gamma is not a discount factor for rows that sum to what they do.
  Kernel(const Chain& chain, double discount);

  /// P_pi, stopped on entering the states that are marked; none are if `stops` is empty. An elimination takes its order
  /// from `fronts`, if there are some for many policies of the model.
  Kernel(const Chain& chain, std::vector<char> stops, Team& team, SharedFronts* fronts = nullptr);

  const Chain& chain() const { return chain_; }
  SharedFronts* shared_fronts() const { return fronts_; }
  Index size() const { return chain_.size(); }
  bool is_discounted() const { return leaving_.empty(); }
  double discount() const { return discount_; }

  /// The state that stops the process, if it is one alone.
  std::optional<Index> only_stop() const;

  /// Discounted: encloses 1 - gamma sum_s' P_pi(s'|s) over all states.
  Interval deficit() const { return chain_.deficit(discount_); }

  /// residual = b - (I - K) x, or with K transposed, in twofold arithmetic and rounded once at the end. The model is
  /// read once for all attempts, of which there are up to kMostLanes.
  void residuals(Direction direction, std::span<const Attempt> attempts, Team& team) const;
  void residual(Direction direction, const TwofoldVector& b, const TwofoldVector& x, Vector residual,
                Team& team) const {
    const std::array attempts{Attempt{b, x, residual}};
    residuals(direction, attempts, team);
  }

  /// Bounds what the arithmetic of one residual can be wrong by beyond its last rounding: per state when `scale`
  /// is max|b| + max|x|; in sum over all states, transposed, when it is ||b||_1 + ||x||_1.
  double residual_error(Direction direction, double scale) const;

  /// The residuals of a discounted kernel in doubles, from the high parts of b and x: several times faster, and good
  /// enough where the error of an answer is far above its rounding. Returns for each attempt, whose scale is that of
  /// residual_error, the same bound.
  std::vector<double> residuals_in_doubles(Direction direction, std::span<const Attempt> attempts,
                                           std::span<const double> scales, Team& team) const;

  /// The assembled system, rounded, for solvers; and the same without its matrix. An undiscounted system is that
  /// of the jump chain, which never stays where it is: I - K = D (I - J), D the probability of leaving.
  System assemble(Direction direction, Team& team) const;
  System frame(Direction direction, Team& team) const;

  /// D of each state; empty, if the system is not that of a jump chain.
  const Doubles& leaving() const { return leaving_rounded_; }

  /// Undiscounted: the probability that a state's jump ends the process or stops it, formed without subtraction.
  Doubles ending(Team& team) const;

 private:
  bool stops_at(Index state) const { return !stops_.empty() && stops_[at(state)] != 0; }
  template <class Number>
  void residuals_forward(std::span<const Attempt> attempts, Team& team) const;
  template <class Number>
  void residuals_transposed(std::span<const Attempt> attempts, Team& team) const;
  template <class Number>
  std::vector<double> forward_in_doubles(std::span<const Attempt> attempts, std::span<const double> scales,
                                         Team& team) const;
  template <class Number>
  std::vector<double> transposed_in_doubles(std::span<const Attempt> attempts, std::span<const double> scales,
                                            Team& team) const;
  /// Undiscounted: the sum of a state's row, termination included.
  template <class Number>
  TwofoldOf<Number> whole_row(std::size_t state) const {
    return in_every_lane<Number>(leaving_[state]);
  }

  template <class Number>
  std::span<const TwofoldOf<Number>> entered(std::span<const TwofoldOf<Number>> x, Buffer<TwofoldOf<Number>>& storage,
                                             Team& team) const;
  void sum_rows(Team& team);
  void count_arrivals(Team& team);
  CsrMatrix jumps(Direction direction, Team& team) const;

  const Chain& chain_;
  SharedFronts* fronts_ = nullptr;
  double discount_ = 1.0;
  std::vector<char> stops_;
  TwofoldVector leaving_;    // undiscounted: the sum of the row as it is stored, termination included
  Doubles leaving_rounded_;  // the same without the diagonal
  Index most_arrivals_ = 0;  // undiscounted: entries that lead to any one state
};

}  // namespace rlcore::linear
