#include "rlcore/planning/choice.hpp"

#include <algorithm>

namespace rlcore {

Doubles policy_of(const Mdp& mdp, std::span<const Index> choice) {
  Doubles policy(at(mdp.num_pairs()), 0.0);
  for (Index state = 0; state < mdp.num_states(); ++state) {
    const Index pair = choice[at(state)];
    policy[at(pair == kNoPair ? mdp.first_pair(state) : pair)] = 1.0;
  }
  return policy;
}

Doubles uniform_policy(const Mdp& mdp) {
  Doubles policy(at(mdp.num_pairs()));
  for (Index state = 0; state < mdp.num_states(); ++state) {
    const Index first = mdp.first_pair(state);
    const Index last = mdp.first_pair(state + 1);
    std::fill(policy.begin() + first, policy.begin() + last, 1.0 / static_cast<double>(last - first));
  }
  return policy;
}

}  // namespace rlcore
