#include "rlcore/reachability.hpp"

#include <numeric>

namespace rlcore {

std::vector<char> reachable(const Chain& chain, const TwofoldVector& initial) {
  return reachable(chain, initial, std::vector<char>(initial.size(), 1));
}

std::vector<char> reachable(const Chain& chain, const TwofoldVector& initial, const std::vector<char>& sought) {
  const Mdp& mdp = chain.mdp();
  std::vector<char> reached(initial.size(), 0);
  std::vector<Column> found;  // in order of discovery; those before `next` have been followed
  Index missing = std::accumulate(sought.begin(), sought.end(), Index{0});
  const auto reach = [&](Column state) {
    reached[at(state)] = 1;
    found.push_back(state);
    missing -= sought[at(state)];
  };
  for (std::size_t state = 0; state < initial.size(); ++state) {
    if (initial[state].hi != 0.0) reach(static_cast<Column>(state));
  }
  for (std::size_t next = 0; next < found.size() && missing > 0; ++next) {
    for (Index pair = mdp.first_pair(found[next]); pair < mdp.first_pair(found[next] + 1); ++pair) {
      if (chain.policy()[at(pair)] == 0.0) continue;
      const Row row = mdp.row(pair);
      for (Index k = 0; k < row.length; ++k) {
        prefetch(&reached[at(row.upcoming(k))]);
        if (reached[at(row.column[k])] == 0 && row.probability[k] != 0.0) reach(row.column[k]);
      }
    }
  }
  return reached;
}

}  // namespace rlcore
