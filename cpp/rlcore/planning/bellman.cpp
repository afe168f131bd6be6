#include "rlcore/planning/bellman.hpp"

#include "rlcore/errors.hpp"
#include "rlcore/format.hpp"
#include "rlcore/twofold_rows.hpp"

namespace rlcore {
namespace {

constexpr double kOutward = 8.0 * kUnitRoundoff;

double rounded_down(double x) { return x - kOutward * std::fabs(x); }
double rounded_up(double x) { return x + kOutward * std::fabs(x); }

}  // namespace

/// A product of the sum is rounded at most once for every entry of its row, and some four times besides: by itself, by
/// gamma, as r is added, and as the two sums of a row are joined.
double bellman_error_in_doubles(const Mdp& mdp, double scale) {
  if (scale == 0.0) return 0.0;
  const double roundings = static_cast<double>(mdp.max_row_length()) + 8.0;
  return roundings * kUnitRoundoff * (1.0 + 2.0 * roundings * kUnitRoundoff) * scale +
         underflow_error(mdp.max_row_length());
}

double bellman_error(const Mdp& mdp, double scale) { return arithmetic_error(mdp.max_row_length(), scale); }

Twofold twofold_action_value(const Mdp& mdp, double discount, Index pair, const Twofold* v) {
  return twofold_rows().dot(mdp.row(pair), v) * discount + mdp.reward()[at(pair)];
}

Interval discount_deficit(const Mdp& mdp, double discount) {
  if (!(discount >= 0.0 && discount < 1.0)) {
    throw SettingError("gamma", {}, "expected 0 <= gamma < 1, got " + format(discount));
  }
  const Interval sum = mdp.row_sum();
  const Interval w{rounded_down(1.0 - rounded_up(discount * sum.upper)),
                   rounded_up(1.0 - rounded_down(discount * sum.lower))};
  if (!(w.lower > 0.0)) {
    throw SettingError("gamma", {},
                       "expected gamma times the largest sum of a row below 1, got gamma = " + format(discount) +
                           " with a sum of " + format(sum.upper) + "; pass normalize=True to MDP");
  }
  return w;
}

/// v + c is above its image under T as soon as c w >= T v - v for every w; then it is above V*, too.
Interval distance_to_fixed_point(Interval residual, Interval w) {
  return {rounded_down(residual.lower / (residual.lower < 0.0 ? w.lower : w.upper)),
          rounded_up(residual.upper / (residual.upper > 0.0 ? w.lower : w.upper))};
}

/// V* = T V* <= T (v + c) <= T v + (1 - w) c.
Interval distance_after_sweep(Interval distance, Interval w) {
  const auto least = [&](double w_end) { return std::max(1.0 - w_end, 0.0); };
  return {rounded_down(distance.lower * least(distance.lower < 0.0 ? w.lower : w.upper)),
          rounded_up(distance.upper * least(distance.upper > 0.0 ? w.lower : w.upper))};
}

}  // namespace rlcore
