// What a residual proves about the error of an answer.
//
// Values. Let w = (I - K) 1 > 0 lie between w_lower and w_upper. If alpha w <= residual <= beta w in every
// state, then alpha <= v - x <= beta, since (I - K)^-1 is nonnegative and maps w to 1. Adding the midpoint
// to x leaves half the width: without termination w = 1 - gamma, and only the residual's span counts
// (MacQueen 1966; Puterman 1994, 6.6). With termination the same bound holds, less sharply.
//
// Occupancies. ||rho - x||_1 <= ||residual||_1 / w_lower, because the row sums of (I - K)^-1 are at most that.
#pragma once

#include "rlcore/chain.hpp"
#include "rlcore/linear/system.hpp"

namespace rlcore::linear {

struct Proof {
  double error = 0.0;     // the proven bound after adding `shift`: per state, or in sum, transposed
  double shift = 0.0;     // the constant to add to every value; 0 for occupancies
  double residual = 0.0;  // the largest residual, or its sum, transposed
  double floor = 0.0;     // the part of `error` that is due to arithmetic: no better x could lower it
};

/// A right-hand side, and how far each of its entries (their sum, transposed) may be from what is meant.
struct RightSide {
  TwofoldVector value;
  double error = 0.0;
};

/// Forms the residual of x in twofold precision and derives the proof. A residual that is not finite
/// proves nothing: the error is then infinite.
Proof prove(const Chain& chain, double discount, Direction direction, const RightSide& b, const TwofoldVector& x,
            Vector residual, Team& team);

}  // namespace rlcore::linear
