#include "rlcore/reachability.hpp"

namespace rlcore {

std::vector<char> reachable(const Chain& chain, const TwofoldVector& initial) {
  const Mdp& mdp = chain.mdp();
  std::vector<char> reached(initial.size(), 0);
  std::vector<Column> found;  // in order of discovery; those before `next` have been followed
  for (std::size_t state = 0; state < initial.size(); ++state) {
    if (initial[state].hi == 0.0) continue;
    reached[state] = 1;
    found.push_back(static_cast<Column>(state));
  }
  for (std::size_t next = 0; next < found.size() && found.size() < initial.size(); ++next) {
    for (Index pair = mdp.first_pair(found[next]); pair < mdp.first_pair(found[next] + 1); ++pair) {
      if (chain.policy()[at(pair)] == 0.0) continue;
      const Row row = mdp.row(pair);
      for (Index k = 0; k < row.length; ++k) {
        prefetch(&reached[at(row.upcoming(k))]);
        char& seen = reached[at(row.column[k])];
        if (seen != 0 || row.probability[k] == 0.0) continue;
        seen = 1;
        found.push_back(row.column[k]);
      }
    }
  }
  return reached;
}

}  // namespace rlcore
