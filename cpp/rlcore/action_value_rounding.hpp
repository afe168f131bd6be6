// What it costs to form Q and A in doubles, and when that is little enough.
#pragma once

#include "rlcore/mdp.hpp"
#include "rlcore/twofold.hpp"

namespace rlcore {

/// Bounds the rounding of Q and of A of a pair, both in doubles, where `magnitude` is at least 2 max|V| and the largest
/// of what is added to it: a product is rounded once, and by every sum that it is part of; rewards, gains and values
/// are rounded before, differences of values and what they are part of after.
inline double rounding_in_doubles(const Mdp& mdp, double magnitude) {
  return 2.0 * (static_cast<double>(mdp.max_row_length()) + 8.0) * kUnitRoundoff * magnitude +
         underflow_error(mdp.max_row_length());
}

/// Whether a rounding of Q and A is small beside the error of V, from which they have theirs.
inline bool is_small_beside(double error, double rounding) {
  constexpr double kSpare = 0.25;
  return rounding <= kSpare * error;
}

}  // namespace rlcore
