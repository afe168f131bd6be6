// What a residual proves about the error of an answer.
//
// Let t >= 0 with w = (I - K) t between w_lower > 0 and w_upper. (I - K)^-1 is nonnegative, so if
// alpha w <= residual <= beta w in every state, then alpha t <= v - x <= beta t: a residual counts as much as the
// time that remains. And ||e - x||_1 <= sum |residual| t / w_lower, transposed.
//
// Discounted: t = 1, w = 1 - gamma times the row sum. Adding the midpoint to x leaves half the width: without
// termination only the residual's span counts (MacQueen 1966; Puterman 1994, 6.6). Undiscounted: t is about the
// expected remaining time, found by a solve and verified by its own residual.
#pragma once

#include <array>
#include <limits>
#include <span>
#include <vector>

#include "rlcore/linear/kernel.hpp"
#include "rlcore/linear/system.hpp"

namespace rlcore::linear {

struct Proof {
  double error = 0.0;     // the proven bound after adding `shift`: per state, or in sum, transposed
  double shift = 0.0;     // the constant to add to every value; 0 but for discounted values
  double residual = 0.0;  // the largest residual, or its sum, transposed
  double floor = 0.0;     // the part of `error` that is due to arithmetic: no better x could lower it
};

/// A right-hand side, and how far each of its entries (their sum, transposed) may be from what is meant.
struct RightSide {
  TwofoldVector value;
  double error = 0.0;
  bool wants_ahead = false;  // values: sum_s' P(s'|s,a) x(s') of every pair is of use, if proofs are formed in doubles
};

/// A test function t and what (I - K) t lies between.
struct Horizon {
  Interval w;
  TwofoldVector remaining;  // t; empty: 1
  double most = 1.0;        // max t

  /// Bounds the row sums of (I - K)^-1; infinite where t proves nothing.
  double amplification() const { return w.lower > 0.0 ? most / w.lower : std::numeric_limits<double>::infinity(); }
  bool is_constant() const { return remaining.empty(); }
};

/// An answer that is to be judged.
struct Claim {
  const RightSide& b;
  const TwofoldVector& x;
  Vector residual;
  Vector ahead = {};  // where sum_s' P(s'|s,a) x(s') is to be left, which residuals in doubles come by
};

/// What residuals are formed in. Doubles serve discounted kernels alone.
enum class Arithmetic { kTwofold, kDoubles };

/// Forms the residuals of up to kMostLanes answers in one pass over the model, and derives a proof of each. A residual
/// that is not finite proves nothing: the error is then infinite.
std::vector<Proof> prove(const Kernel& kernel, const Horizon& horizon, Direction direction, Arithmetic arithmetic,
                         std::span<const Claim> claims, Team& team);

inline Proof prove(const Kernel& kernel, const Horizon& horizon, Direction direction, Arithmetic arithmetic,
                   const RightSide& b, const TwofoldVector& x, Vector residual, Team& team) {
  const std::array claims{Claim{b, x, residual}};
  return prove(kernel, horizon, direction, arithmetic, claims, team).front();
}

/// The horizon that t proves; its w.lower is not positive if t proves none.
Horizon horizon_of(const Kernel& kernel, TwofoldVector t, Vector residual, Team& team);

}  // namespace rlcore::linear
