#include "rlcore/planning/proof.hpp"

#include <algorithm>
#include <cmath>

namespace rlcore::planning {
namespace {

/// A shift this small beside the values is lost in their own rounding.
constexpr double kBelowRounding = kUnitRoundoff / 64.0;

/// What adding a shift to a twofold number can cost.
constexpr double kTwofoldRounding = 0x1p-100;

}  // namespace

Proof proof_of(const Problem& problem, const BellmanSweep& sweep, double rounding) {
  const Interval w = problem.w;
  if (!sweep.value.finite() || !sweep.change.finite()) return {};
  const double slack = rounding + kUnitRoundoff * sweep.change.largest();
  const Interval distance = distance_to_fixed_point({sweep.change.lower - slack, sweep.change.upper + slack}, w);
  const Interval rest = distance_after_sweep(distance, w);
  const double middle = rest.lower / 2.0 + rest.upper / 2.0;
  // Where the process can end a shift would leave a residual of its own. One that is lost in rounding would only turn
  // exact zeros into dust.
  const bool shifts = !problem.mdp.can_end() && std::fabs(middle) > kBelowRounding * sweep.value.largest();
  const double shift = shifts ? middle : 0.0;
  const double width = std::max(rest.upper - shift, shift - rest.lower);
  const double norm = std::max(std::fabs(sweep.value.lower + shift), std::fabs(sweep.value.upper + shift));
  return {(width + rounding + kTwofoldRounding * norm) * kOutward,
          shift,
          norm,
          sweep.change.largest() + slack,
          rounding / w.lower * kOutward,
          norm > 0.0 ? norm : problem.largest_reward};
}

Proof sweep_and_prove(const Problem& problem, ConstVector v, Vector image, Choice& choice) {
  const BellmanSweep sweep = bellman_sweep(problem.mdp, problem.discount, v, image, choice, problem.team);
  const double scale = problem.largest_reward + extent_of(v, problem.team).largest();
  return proof_of(problem, sweep, bellman_error_in_doubles(problem.mdp, scale));
}

}  // namespace rlcore::planning
