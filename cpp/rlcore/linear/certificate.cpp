#include "rlcore/linear/certificate.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "rlcore/extent.hpp"

namespace rlcore::linear {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// Covers the few roundings of forming a bound from numbers that are bounds already.
constexpr double kOutward = 1.0 + 16.0 * kUnitRoundoff;

/// The largest lower and the smallest upper multiple of w that enclose a residual.
double lower_multiple(double residual, Interval w) { return residual / (residual < 0.0 ? w.lower : w.upper); }
double upper_multiple(double residual, Interval w) { return residual / (residual > 0.0 ? w.lower : w.upper); }

Proof prove_values(const Extent& residual, double rounding, Interval w) {
  const double slack = rounding + kUnitRoundoff * residual.largest();
  const double lower = lower_multiple(residual.lower - slack, w);
  const double upper = upper_multiple(residual.upper + slack, w);
  const double shift = lower / 2.0 + upper / 2.0;
  const double roundings = 4.0 * kUnitRoundoff * (std::fabs(lower) + std::fabs(upper));
  return {std::max(upper - shift, shift - lower) * kOutward + roundings, shift, residual.largest() + slack,
          rounding / w.lower};
}

Proof prove_occupancies(const Extent& residual, double rounding, Interval w, Index size) {
  const double summation = 1.0 + static_cast<double>(size + 2) * kUnitRoundoff;
  const double total = (residual.l1 * summation + rounding) * kOutward;
  return {total / w.lower * kOutward, 0.0, total, rounding / w.lower};
}

}  // namespace

Proof prove(const Chain& chain, double discount, Direction direction, const RightSide& b, const TwofoldVector& x,
            Vector residual, Team& team) {
  const Interval w = chain.deficit(discount);
  const Extent of_b = extent_of(b.value, team);
  const Extent of_x = extent_of(x, team);
  Proof proof;
  bool finite = of_b.finite() && of_x.finite();
  if (direction == Direction::kForward) {
    chain.residual(discount, b.value, x, residual, team);
    const Extent found = extent_of(residual, team);
    finite = finite && found.finite();
    proof = prove_values(found, chain.residual_error(of_b.largest() + of_x.largest()) + b.error, w);
  } else {
    chain.residual_transposed(discount, b.value, x, residual, team);
    const Extent found = extent_of(residual, team);
    finite = finite && found.finite();
    proof = prove_occupancies(found, chain.residual_error_transposed(of_b.l1 + of_x.l1) + b.error, w, chain.size());
  }
  if (!finite || !(w.lower > 0.0) || !std::isfinite(proof.error)) return {kInfinity, 0.0, kInfinity, 0.0};
  return proof;
}

}  // namespace rlcore::linear
