#include "rlcore/long_run/deviation_rows.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "rlcore/long_run/long_run.hpp"

namespace rlcore {
namespace {

/// x - w P*, with a weight for each class.
void subtract_stationary(LongRun& run, const std::vector<Twofold>& weights, TwofoldVector& x) {
  const TwofoldVector& probability = run.stationary().probability;
  for (Index c = 0; c < run.structure().num_classes(); ++c) {
    for (const Column j : run.structure().states(c)) x[at(j)] = x[at(j)] - probability[at(j)] * weights[at(c)];
  }
}

/// A row, and a bound on its L1 error.
struct DeviationRow {
  TwofoldVector row;
  double bound = 0.0;
};

/// e_i (I - P + P*)^-1 - e_i P* is the y with y (I - P) = e_i - e_i P* and y P* = 0. Stopped at the anchors, a solve
/// gives y but for a stationary part, which is taken away.
DeviationRow deviation_row(LongRun& run, Index state, Team& team) {
  TwofoldVector start = twofold_vector(run.size());
  start[at(state)] = {1.0};
  double error = 0.0;
  const std::vector<Twofold> weights = run.class_weights(start, error);
  linear::RightSide b{std::move(start), error + run.stationary().error + 0x1p-96};
  subtract_stationary(run, weights, b.value);
  for (Index c = 0; c < run.structure().num_classes(); ++c) b.value[at(run.anchor(c))] = {};
  linear::Solution visits = run.visits_until_anchor(b, 0.0);

  double sums_error = visits.certificate.error_bound;
  const std::vector<Twofold> sums = run.class_weights(visits.x, sums_error);
  const double l1 = extent_of(visits.x, team).l1;
  subtract_stationary(run, sums, visits.x);
  const double bound = (visits.certificate.error_bound + sums_error + (run.stationary().error + 0x1p-90) * (l1 + 1.0) +
                        rounding_of(visits.x, team).l1) *
                       (1.0 + static_cast<double>(run.size() + 64) * kUnitRoundoff);
  return {std::move(visits.x), bound};
}

}  // namespace

StateRows deviation_rows(const Mdp& mdp, ConstVector policy, std::span<const Index> states, const Options& options,
                         Monitor& monitor) {
  mdp.ensure_checked(options.num_threads);
  check_states(mdp, states, "states");
  Team team(mdp.num_entries() < kParallelEntries ? 1 : options.num_threads);
  LongRun run(mdp, policy, -1, options, team, monitor);
  run.ensure_goes_on_everywhere();
  run.sharpen();
  StateRows out;
  double largest_bound = 0.0;
  bool converged = true;
  for (const Index state : states) {
    const auto [row, bound] = deviation_row(run, state, team);
    for (const Twofold& number : row) out.rows.push_back(number.hi);
    out.bounds.push_back(bound);
    const double scale = std::max(extent_of(row, team).l1, 1.0);
    converged = converged && std::isfinite(bound) && (options.tolerance == 0.0 || bound <= options.tolerance * scale);
    largest_bound = std::max(largest_bound, bound);
  }
  out.certificate = run.certificate();
  out.certificate.error_bound = largest_bound;
  out.certificate.converged = converged;
  return out;
}

}  // namespace rlcore
