// Planning for a number of steps that is known beforehand (theory 2.8, 2.9): backwards in time, in twofold precision
// from the stored model, as policies are evaluated in `rlcore/finite_horizon.hpp`.
#pragma once

#include <optional>

#include "rlcore/evaluation.hpp"
#include "rlcore/mdp.hpp"
#include "rlcore/monitor.hpp"
#include "rlcore/planning/bellman.hpp"

namespace rlcore {

struct FiniteHorizonPlan {
  /// Absolute bounds in the sup norm, for each time.
  struct Bounds {
    Doubles value;         // (steps + 1)
    Doubles policy_value;  // on what the policy falls short of V* from that time on, (steps + 1)
    double start_value = 0.0;
  };

  Choice choices;                     // the pair taken at each time in each state, (steps, num_states)
  Doubles value;                      // V*, (steps + 1, num_states), from each time on; 0 when no step is left
  std::optional<double> start_value;  // rho0^T V* at time 0, if the model has a start distribution
  Bounds bounds;
  linear::Certificate certificate;
};

FiniteHorizonPlan solve_finite_horizon(const Mdp& mdp, ConstVector discounts, const Options& options, Monitor& monitor);

/// The policies of all times, (steps, num_pairs).
Doubles policies_of(const Mdp& mdp, const FiniteHorizonPlan& plan, Monitor& monitor);

}  // namespace rlcore
