// Where one step of a candidate goes that a step of the base policy does not (theory 5.2, 6).
#pragma once

#include <vector>

#include "rlcore/improvement.hpp"

namespace rlcore {

/// y = (P' - P)^T w, and (term' - term)^T w of what ends. Undiscounted, the diagonals of P and P' are one minus the
/// rest of the row and its termination, as in linear/kernel.hpp.
struct StepShift {
  double l1 = 0.0;       // of y, and of what ends
  double mass = 0.0;     // sum y, and what ends: 0 but for rounding in the model and the policies
  double carried = 0.0;  // y^T f, if there is an f
  double error = 0.0;    // bounds the L1 error of y, and the errors of the others relative to max |f|

  // What rounding left over of l1 and y^T f, where they were formed in twofold arithmetic; and the error with it.
  double l1_low = 0.0, carried_low = 0.0;
  double error_with_low = 0.0;
};

/// The shift of every candidate; `functions` holds an f for each, (candidates, num_states), or nothing; where the base
/// is sharp with what rounding left over of them. Whole candidates of a discounted process share passes over the
/// transitions, in doubles; others are dealt with one by one in twofold arithmetic.
std::vector<StepShift> step_shifts(const Base& base, const Candidates& candidates, TwofoldView functions,
                                   bool undiscounted, Team& team, Monitor& monitor);

}  // namespace rlcore
