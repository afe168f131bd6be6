#include "rlcore/long_run/cesaro_limit.hpp"

#include <cmath>

#include "rlcore/batch.hpp"
#include "rlcore/long_run/long_run.hpp"

namespace rlcore {
namespace {

Occupancy occupancy_of(LongRun& run, ConstVector initial) {
  const Chain& chain = run.chain();
  const ChainStructure& structure = run.structure();
  const TwofoldVector start = twofold(initial, run.team());
  run.ensure_goes_on_from(initial);
  double error = 0.0;
  const std::vector<Twofold> weights = run.class_weights(start, error);
  const StationaryDistributions& stationary = run.stationary();
  linear::Solution shares{twofold_vector(run.size()), {}};
  for (Index c = 0; c < structure.num_classes(); ++c) {
    if (!(weights[at(c)].hi > 0.0)) continue;
    for (const Column state : structure.states(c))
      shares.x[at(state)] = stationary.probability[at(state)] * weights[at(c)];
  }
  shares.certificate = run.certificate();
  shares.certificate.error_bound = error + stationary.error + 0x1p-96;
  Occupancy out = scaled_occupancy(chain, {1.0}, 0.0, std::move(shares), run.team());
  out.visits.clear();
  out.bounds.visits = out.bounds.state;
  out.certificate.converged = std::isfinite(out.bounds.state) &&
                              (run.options().tolerance == 0.0 || out.bounds.state <= run.options().tolerance);
  return out;
}

}  // namespace

std::vector<Occupancy> occupancy_average(const Mdp& mdp, std::span<const ConstVector> policies,
                                         std::span<const ConstVector> initials, const Options& options,
                                         Monitor& monitor) {
  mdp.ensure_checked(options.num_threads);
  check_initials(mdp, initials);
  std::vector<Occupancy> results(policies.size() * initials.size());
  for_policies(mdp, policies.size(), options.num_threads, monitor, [&](std::size_t i, Team& team, Monitor& watch) {
    LongRun run(mdp, policies[i], policies.size() > 1 ? static_cast<Index>(i) : -1, options, team, watch);
    for (std::size_t j = 0; j < initials.size(); ++j) {
      results[i * initials.size() + j] = occupancy_of(run, initials[j]);
    }
  });
  return results;
}

}  // namespace rlcore
