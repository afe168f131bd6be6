#include "rlcore/policy.hpp"

#include <algorithm>
#include <cmath>

#include "rlcore/errors.hpp"
#include "rlcore/format.hpp"
#include "rlcore/twofold.hpp"

namespace rlcore {

Interval check_policy(const Mdp& mdp, ConstVector policy, Index item) {
  if (ssize(policy) != mdp.num_pairs()) {
    throw PolicyError("policy", {.item = item},
                      "expected one probability for each of the " + std::to_string(mdp.num_pairs()) + " pairs, got " +
                          std::to_string(policy.size()));
  }
  double least = 2.0;
  double most = 0.0;
  for (Index state = 0; state < mdp.num_states(); ++state) {
    const Index first = mdp.first_pair(state);
    const Index last = mdp.first_pair(state + 1);
    double sum = 0.0;
    for (Index pair = first; pair < last; ++pair) {
      const double probability = policy[at(pair)];
      if (!(probability >= 0.0 && std::isfinite(probability))) {
        throw PolicyError("policy", {state, pair - first, item},
                          "expected a probability in [0, 1], got " + format(probability));
      }
      sum += probability;
    }
    if (!(std::fabs(sum - 1.0) <= kRowTolerance)) {
      throw PolicyError("policy", {.state = state, .item = item},
                        "expected probabilities that sum to 1 within 1e-9, got a sum of " + format(sum) +
                            "; divide the row by its sum");
    }
    least = std::min(least, sum);
    most = std::max(most, sum);
  }
  const double rounding = 2.0 * static_cast<double>(mdp.max_num_actions()) * kUnitRoundoff;
  return {least * (1.0 - rounding), most * (1.0 + rounding)};
}

}  // namespace rlcore
