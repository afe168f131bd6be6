#include "rlcore/discounted_sums.hpp"

#include "rlcore/batch.hpp"
#include "rlcore/extent.hpp"
#include "rlcore/policy.hpp"

namespace rlcore {

std::vector<DiscountedSums> discounted_sums(const Mdp& mdp, std::span<const ConstVector> policies,
                                            ConstVector functions, double discount, const Options& options,
                                            Monitor& monitor) {
  mdp.ensure_checked(options.num_threads);
  std::vector<DiscountedSums> results(policies.size());
  for_policies(mdp, policies.size(), options.num_threads, monitor, [&](std::size_t i, Team& team, Monitor& watch) {
    const Interval sum = check_policy(mdp, policies[i], policies.size() > 1 ? static_cast<Index>(i) : -1);
    const Chain chain(mdp, policies[i], sum);
    const linear::Kernel kernel(chain, discount);
    linear::Resolvent resolvent(kernel, team, watch);
    const ConstVector f = functions.subspan(i * at(mdp.num_states()), at(mdp.num_states()));
    linear::Solution solution = resolvent.solve({twofold(f), 0.0}, options.tolerance);
    DiscountedSums& result = results[i];
    result.certificate = std::move(solution.certificate);
    result.bound =
        (result.certificate.error_bound + rounding_of(solution.x, team).largest()) * (1.0 + 4.0 * kUnitRoundoff);
    result.value = rounded(solution.x);
  });
  return results;
}

}  // namespace rlcore
