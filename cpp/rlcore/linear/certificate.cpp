#include "rlcore/linear/certificate.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "rlcore/extent.hpp"

namespace rlcore::linear {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// Covers the few roundings of forming a bound from numbers that are bounds already.
constexpr double kOutward = 1.0 + 16.0 * kUnitRoundoff;

/// The largest lower and the smallest upper multiple of w that enclose a residual.
double lower_multiple(double residual, Interval w) { return residual / (residual < 0.0 ? w.lower : w.upper); }
double upper_multiple(double residual, Interval w) { return residual / (residual > 0.0 ? w.lower : w.upper); }

Proof prove_values(const Extent& residual, double rounding, const Horizon& horizon) {
  const double slack = rounding + kUnitRoundoff * residual.largest();
  const double lower = lower_multiple(residual.lower - slack, horizon.w);
  const double upper = upper_multiple(residual.upper + slack, horizon.w);
  const double shift = horizon.is_constant() ? lower / 2.0 + upper / 2.0 : 0.0;
  const double roundings = 4.0 * kUnitRoundoff * (std::fabs(lower) + std::fabs(upper));
  const double error = std::max({upper - shift, shift - lower, 0.0}) * kOutward + roundings;
  return {error * horizon.most * kOutward, shift, residual.largest() + slack,
          rounding * horizon.amplification() * kOutward};
}

/// sum |residual| t, each term rounded.
double weighted_l1(ConstVector residual, const Horizon& horizon, Team& team) {
  if (horizon.is_constant()) return extent_of(residual, team).l1;
  const auto weighted = [&](std::size_t i) { return residual[i] * horizon.remaining[i].hi; };
  return extent_over(ssize(residual), team, weighted).l1 * kOutward;
}

Proof prove_occupancies(double l1, double weighted, double rounding, const Horizon& horizon, Index size) {
  const double summation = 1.0 + static_cast<double>(size + 2) * kUnitRoundoff;
  const double total = (weighted * summation + rounding * horizon.most) * kOutward;
  return {total / horizon.w.lower * kOutward, 0.0, (l1 * summation + rounding) * kOutward,
          rounding * horizon.amplification() * kOutward};
}

/// How large the numbers are that make up a residual; not finite if one of them is not.
double scale_of(const Claim& claim, Direction direction, Team& team) {
  const Extent of_b = extent_of(claim.b.value, team);
  const Extent of_x = extent_of(claim.x, team);
  const double sum = of_b.l1 + of_x.l1;
  return direction == Direction::kTransposed || !std::isfinite(sum) ? sum : of_b.largest() + of_x.largest();
}

/// Forms the residuals of claims of the given scales, and returns what their arithmetic can be wrong by.
std::vector<double> form_residuals(const Kernel& kernel, Direction direction, Arithmetic arithmetic,
                                   std::span<const Claim> claims, std::span<const double> scales, Team& team) {
  std::vector<Attempt> attempts;
  for (const auto& [b, x, residual, ahead] : claims) attempts.push_back({b.value, x, residual, ahead});
  if (arithmetic == Arithmetic::kDoubles) return kernel.residuals_in_doubles(direction, attempts, scales, team);
  kernel.residuals(direction, attempts, team);
  std::vector<double> errors;
  for (const double scale : scales) errors.push_back(kernel.residual_error(direction, scale));
  return errors;
}

/// What the residual of a claim proves, whose entries (their sum, transposed) are right to `rounding`.
Proof proof_of(const Claim& claim, double scale, double rounding, const Horizon& horizon, Direction direction,
               Team& team) {
  const Extent found = extent_of(claim.residual, team);
  const Proof proof = direction == Direction::kForward
                          ? prove_values(found, rounding, horizon)
                          : prove_occupancies(found.l1, weighted_l1(claim.residual, horizon, team), rounding, horizon,
                                              ssize(claim.residual));
  if (!std::isfinite(scale) || !found.finite()) return {kInfinity, 0.0, kInfinity, 0.0};
  if (!(horizon.w.lower > 0.0) || !std::isfinite(proof.error)) return {kInfinity, 0.0, proof.residual, 0.0};
  return proof;
}

}  // namespace

std::vector<Proof> prove(const Kernel& kernel, const Horizon& horizon, Direction direction, Arithmetic arithmetic,
                         std::span<const Claim> claims, Team& team) {
  std::vector<double> scales;
  for (const Claim& claim : claims) scales.push_back(scale_of(claim, direction, team));
  const std::vector<double> errors = form_residuals(kernel, direction, arithmetic, claims, scales, team);
  std::vector<Proof> proofs;
  for (std::size_t k = 0; k < claims.size(); ++k) {
    proofs.push_back(proof_of(claims[k], scales[k], errors[k] + claims[k].b.error, horizon, direction, team));
  }
  return proofs;
}

Horizon horizon_of(const Kernel& kernel, TwofoldVector t, Vector residual, Team& team) {
  const TwofoldVector one(t.size(), Twofold{1.0});
  kernel.residual(Direction::kForward, one, t, residual, team);
  const Extent of_t = extent_of(t, team);
  const Extent found = extent_of(residual, team);
  Horizon horizon{{-kInfinity, kInfinity}, std::move(t), of_t.upper * kOutward};
  if (!of_t.finite() || !found.finite() || !(of_t.lower >= 0.0)) return horizon;
  const double slack = kernel.residual_error(Direction::kForward, 1.0 + of_t.largest()) + kUnitRoundoff;
  horizon.w = {(1.0 - found.upper - slack) / kOutward, (1.0 - found.lower + slack) * kOutward};
  return horizon;
}

}  // namespace rlcore::linear
