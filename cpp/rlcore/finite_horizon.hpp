// A number of steps that is known beforehand, with a policy and a discount for each of them (theory 2.8).
//
// Values are found backwards in time and distributions forwards, in twofold precision from the stored model: there is
// nothing to iterate, and the error bound of a step follows from that of the step before.
#pragma once

#include <optional>
#include <vector>

#include "rlcore/evaluation.hpp"
#include "rlcore/mdp.hpp"
#include "rlcore/monitor.hpp"

namespace rlcore {

/// How the steps follow one another.
struct Schedule {
  std::span<const ConstVector> policies;  // one for each step, or one for all
  ConstVector discounts;                  // what a reward loses by coming after each step

  Index steps() const { return ssize(discounts); }
  bool changes() const { return policies.size() > 1; }
  ConstVector policy(Index time) const { return policies[changes() ? at(time) : 0]; }
};

struct FiniteHorizonEvaluation {
  /// Absolute bounds on the error in the sup norm, for each time.
  struct Bounds {
    Doubles value;
    Doubles action_value;
    Doubles advantage;
    double start_value = 0.0;
  };

  Doubles value;                      // V, (steps + 1, num_states), from each time on; 0 when no step is left
  Doubles action_value;               // Q, (steps, num_pairs), if asked for
  Doubles advantage;                  // A = Q - V, likewise
  std::optional<double> start_value;  // rho0^T V at time 0, if the model has a start distribution
  Bounds bounds;
  linear::Certificate certificate;
};

/// Throws PolicyError.
FiniteHorizonEvaluation evaluate_finite_horizon(const Mdp& mdp, const Schedule& schedule, bool with_actions,
                                                const Options& options, Monitor& monitor);

struct FiniteHorizonOccupancy {
  /// Absolute bounds on the error in the L1 norm.
  struct Bounds {
    Doubles distribution;  // for each time
    double visits = 0.0;
    double state = 0.0;
    double pair = 0.0;
  };

  Doubles distribution;  // Pr(s_t = .), (steps + 1, num_states)
  Doubles visits;        // discounted visits at the times before `steps`, (num_states)
  Doubles state;         // the same, divided by the sum of the discounts
  Doubles pair;          // the share of each pair, (num_pairs)
  Bounds bounds;
  linear::Certificate certificate;
};

/// Throws PolicyError, ModelError.
FiniteHorizonOccupancy occupancy_finite_horizon(const Mdp& mdp, const Schedule& schedule, ConstVector initial,
                                                const Options& options, Monitor& monitor);

}  // namespace rlcore
