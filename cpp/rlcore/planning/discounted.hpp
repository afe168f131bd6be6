// Planning with a discount: the optimal value, and a policy that attains it, with proven bounds (theory 2.9, 2.10).
//
// Methods only guess: what they find is swept over the stored model once more, and its Bellman residual is the proof.
#pragma once

#include <optional>

#include "rlcore/evaluation.hpp"
#include "rlcore/linear/resolvent.hpp"
#include "rlcore/mdp.hpp"
#include "rlcore/monitor.hpp"
#include "rlcore/planning/bellman.hpp"

namespace rlcore {

struct Plan {
  /// Absolute bounds, in the sup norm.
  struct Bounds {
    double value = 0.0;         // on the distance of `value` from V*
    double policy_value = 0.0;  // on what the policy's own value falls short of V*
    double start_value = 0.0;
  };

  Choice choice;                      // the pair that the policy takes in each state
  Doubles value;                      // V*
  std::optional<double> start_value;  // rho0^T V*, if the model has a start distribution
  Bounds bounds;
  linear::Certificate certificate;
};

/// Throws SettingError.
Plan solve_discounted(const Mdp& mdp, double discount, const Options& options, Monitor& monitor);

}  // namespace rlcore
