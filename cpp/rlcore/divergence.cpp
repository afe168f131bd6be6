#include "rlcore/divergence.hpp"

#include "rlcore/policy.hpp"

namespace rlcore {

Divergences divergences(const Mdp& mdp, ConstVector policy, ConstVector candidate) {
  mdp.ensure_checked();
  check_policy(mdp, policy);
  check_policy(mdp, candidate);
  Divergences found{Doubles(at(mdp.num_states())), Doubles(at(mdp.num_states()))};
  for (Index state = 0; state < mdp.num_states(); ++state) {
    const Index first = mdp.first_pair(state);
    const RowDivergence apart =
        row_divergence(policy.data() + first, candidate.data() + first, mdp.first_pair(state + 1) - first);
    found.tv[at(state)] = apart.tv;
    found.kl[at(state)] = apart.kl;
  }
  return found;
}

}  // namespace rlcore
