#include "rlcore/planning/predecessors.hpp"

#include <numeric>

namespace rlcore {

std::vector<Column, LargeAllocator<Column>> pair_states(const Mdp& mdp) {
  std::vector<Column, LargeAllocator<Column>> state_of(at(mdp.num_pairs()));
  for (Index state = 0; state < mdp.num_states(); ++state) {
    for (Index pair = mdp.first_pair(state); pair < mdp.first_pair(state + 1); ++pair) {
      state_of[at(pair)] = static_cast<Column>(state);
    }
  }
  return state_of;
}

Predecessors::Predecessors(const Mdp& mdp) : state_of_(pair_states(mdp)), start_(at(mdp.num_states()) + 1, 0) {
  const auto for_steps = [&](auto&& body) {
    for (Index pair = 0; pair < mdp.num_pairs(); ++pair) {
      const Row row = mdp.row(pair);
      for (Index k = 0; k < row.length; ++k) {
        if (row.probability[k] > 0.0) body(pair, at(row.column[k]));
      }
    }
  };
  for_steps([&](Index, std::size_t successor) { ++start_[successor + 1]; });
  std::partial_sum(start_.begin(), start_.end(), start_.begin());
  pair_.resize(at(start_.back()));
  auto next = start_;
  for_steps([&](Index pair, std::size_t successor) { pair_[at(next[successor]++)] = pair; });
}

void find_ways(const Predecessors& predecessors, const std::vector<char>& usable, Choice& choice) {
  std::vector<Column, LargeAllocator<Column>> found;  // in order of discovery; those before `next` have been followed
  for (std::size_t state = 0; state < choice.size(); ++state) {
    if (choice[state] != kNoPair) found.push_back(static_cast<Column>(state));
  }
  for (std::size_t next = 0; next < found.size(); ++next) {
    for (const Index pair : predecessors.pairs(found[next])) {
      const Column before = predecessors.state_of(pair);
      if (usable[at(pair)] == 0 || choice[at(before)] != kNoPair) continue;
      choice[at(before)] = pair;
      found.push_back(before);
    }
  }
}

}  // namespace rlcore
