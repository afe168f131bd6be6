// Q and A of undiscounted settings, and the parts that the episodic and the average setting share.
#pragma once

#include "rlcore/evaluation.hpp"
#include "rlcore/linear/kernel.hpp"
#include "rlcore/linear/resolvent.hpp"

namespace rlcore {

/// Values of an undiscounted setting: x with its proven error, NaN in hi where it does not exist.
struct UndiscountedValues {
  const TwofoldVector& value;
  double error;
  double relative_error;                // but for a constant, which advantages do not see
  const TwofoldVector* gain = nullptr;  // of each state, subtracted from its rewards; none for episodes
  double gain_error = 0.0;
};

/// V, Q and A with their bounds (theory 3.1, 3.2): A(s,a) = r(s,a) - g + sum_s' P(s'|s,a) (V(s') - V(s)) -
/// termination(s,a) V(s), so that what is lost to rounding in a row's sum stays where the process is.
Evaluation undiscounted_evaluation(const Mdp& mdp, ConstVector reward, const UndiscountedValues& values,
                                   bool remainders, Team& team);

}  // namespace rlcore
