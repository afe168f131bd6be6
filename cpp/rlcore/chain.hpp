// The Markov reward process that a policy makes of a model: P_pi and r_pi (theory 1).
//
// It exists in two forms. The *assembled* matrix is merged, rounded and fast: solvers sweep over it.
// The *stored* numbers, P(s'|s,a) and pi(a|s) as they are, are applied in twofold precision:
// certificates trust only these.
#pragma once

#include <span>
#include <vector>

#include "rlcore/csr_matrix.hpp"
#include "rlcore/lanes.hpp"
#include "rlcore/mdp.hpp"
#include "rlcore/twofold.hpp"

namespace rlcore {

class Chain {
 public:
  /// Borrows both; `policy_sum` encloses the sums of the policy's rows: what check_policy returned.
  Chain(const Mdp& mdp, ConstVector policy, Interval policy_sum);

  Index size() const { return mdp_.num_states(); }
  const Mdp& mdp() const { return mdp_; }
  ConstVector policy() const { return policy_; }

  /// Calls body(pair, weight) for the actions that the policy takes in a state.
  template <class Body>
  void for_chosen_pairs(Index state, Body&& body) const {
    for (Index pair = mdp_.first_pair(state); pair < mdp_.first_pair(state + 1); ++pair) {
      const double weight = policy_[at(pair)];
      if (weight != 0.0) body(pair, weight);
    }
  }

  /// Whether every row of P_pi sums to one up to the tolerance of the model: nothing ends, and the weights of the
  /// actions, which need not be a policy's (theory 6), sum to one.
  bool conserves() const { return !mdp_.can_end() && policy_sum_.lower >= 1.0 - 2.0 * kRowTolerance; }

  /// Encloses 1 - discount * sum_s' P_pi(s'|s) over all states. The inverse of its lower end bounds
  /// the row sums of (I - discount P_pi)^-1.
  Interval deficit(double discount) const;

  /// P_pi, rows merged.
  CsrMatrix transition(Team& team) const;

  /// The transpose of P_pi, never by way of P_pi itself.
  CsrMatrix transposed_transition(Team& team) const;

  /// sum_a pi(a|s) x(s,a), for r_pi and its kin; and a bound on each one's error when |x| <= scale.
  TwofoldVector mean_over_actions(ConstVector pair_values, Team& team) const;
  double mean_error(double scale) const;

  /// sum_s' P_pi(s'|s) x(s'), of every lane.
  template <class Number>
  TwofoldOf<Number> mean_ahead(Index state, const TwofoldOf<Number>* x) const;

  /// The same in doubles.
  template <class Number>
  Number mean_ahead_in_doubles(Index state, const Number* x) const {
    Number over_actions{};
    for (Index pair = mdp_.first_pair(state); pair < mdp_.first_pair(state + 1); ++pair) {
      const double weight = policy_[at(pair)];
      if (weight != 0.0) over_actions += weight * mdp_.row(pair).dot(x);
    }
    return over_actions;
  }

  /// discount P_pi^T x, of every lane.
  template <class Number>
  Numbers<TwofoldOf<Number>> arrivals(double discount, std::span<const TwofoldOf<Number>> x, Team& team) const;
  TwofoldVector arrivals(double discount, const TwofoldVector& x, Team& team) const {
    return arrivals<double>(discount, x, team);
  }

  /// The same in doubles, and what its additions can be wrong by in sum over all states.
  template <class Number>
  struct RoundedArrivals {
    Numbers<Number> value;
    Number error{};
  };
  template <class Number>
  RoundedArrivals<Number> arrivals_in_doubles(double discount, std::span<const Number> x, Team& team) const;

  /// P_pi^T x: where the process is one step later.
  TwofoldVector step(const TwofoldVector& x, Team& team) const { return arrivals(1.0, x, team); }

  /// Bounds what the arithmetic of a residual b - (I - K) x can be wrong by beyond its last rounding: per state
  /// when `scale` is max|b| + max|x|; in sum over all states, transposed, when it is ||b||_1 + ||x||_1.
  double residual_error(double scale) const;
  double residual_error_transposed(double scale) const { return residual_error_transposed(scale, mdp_.num_entries()); }

  /// The same, if no state has more than so many entries that lead to it.
  double residual_error_transposed(double scale, Index most_arrivals) const;

  /// The same of residuals that are formed in doubles, from the high parts of b and x, if no row of K sums to more
  /// than one; transposed, besides the error of the arrivals.
  double residual_error_in_doubles(double scale) const;
  double residual_error_in_doubles_transposed(double scale) const;

 private:
  template <class Sum, class Scatter>
  std::vector<Numbers<Sum>> arrivals_in_parts(Team& team, Scatter&& scatter) const;

  const Mdp& mdp_;
  ConstVector policy_;
  Interval policy_sum_;
};

}  // namespace rlcore
