#include "rlcore/reachability.hpp"

#include <numeric>

namespace rlcore {

std::vector<char> reachable(const Chain& chain, const TwofoldVector& initial) {
  return reachable(chain, initial, std::vector<char>(initial.size(), 1));
}

/// States are followed in the order of their numbers, in which the model is read fastest, and after that in the order
/// in which they are found: those that a state with a larger number leads to.
std::vector<char> reachable(const Chain& chain, const TwofoldVector& initial, const std::vector<char>& sought) {
  const Mdp& mdp = chain.mdp();
  std::vector<char> reached(initial.size(), 0);
  std::vector<Column> passed_over;  // before `next` they have been followed
  Index missing = std::accumulate(sought.begin(), sought.end(), Index{0});
  const auto reach = [&](std::size_t state) {
    reached[state] = 1;
    missing -= sought[state];
  };
  const auto follow = [&](Index state, Index all_before) {
    chain.for_chosen_pairs(state, [&](Index pair, double) {
      const Row row = mdp.row(pair);
      for (Index k = 0; k < row.length; ++k) {
        prefetch(&reached[at(row.upcoming(k))]);
        if (reached[at(row.column[k])] != 0 || row.probability[k] == 0.0) continue;
        reach(at(row.column[k]));
        if (row.column[k] < all_before) passed_over.push_back(row.column[k]);
      }
    });
  };
  for (std::size_t state = 0; state < initial.size(); ++state) {
    if (initial[state].hi != 0.0) reach(state);
  }
  for (Index state = 0; state < chain.size() && missing > 0; ++state) {
    if (reached[at(state)] != 0) follow(state, state);
  }
  for (std::size_t next = 0; next < passed_over.size() && missing > 0; ++next) follow(passed_over[next], chain.size());
  return reached;
}

}  // namespace rlcore
