#include "rlcore/planning/flat_parts.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

namespace rlcore {
namespace {

/// Sets that are joined one by one (union-find), each known by its smallest state.
class DisjointSets {
 public:
  explicit DisjointSets(Index size) : parent_(at(size)) { std::iota(parent_.begin(), parent_.end(), Column{0}); }

  Column smallest(Column state) {
    while (parent_[at(state)] != state) {
      state = parent_[at(state)] = parent_[at(parent_[at(state)])];
    }
    return state;
  }
  void join(Column a, Column b) {
    const std::pair<Column, Column> ends = std::minmax(smallest(a), smallest(b));
    parent_[at(ends.second)] = ends.first;
  }

 private:
  EndComponents::Columns parent_;
};

template <class Body>
void for_pairs(const Mdp& mdp, Body&& body) {
  for (Index state = 0; state < mdp.num_states(); ++state) {
    for (Index pair = mdp.first_pair(state); pair < mdp.first_pair(state + 1); ++pair) {
      body(static_cast<Column>(state), pair, mdp.row(pair));
    }
  }
}

}  // namespace

EndComponents flat_parts(const Mdp& mdp, const TwofoldVector& value, double flat) {
  DisjointSets sets(mdp.num_states());
  for_pairs(mdp, [&](Column state, Index, const Row& row) {
    for (Index k = 0; k < row.length; ++k) {
      const Column next = row.column[k];
      if (row.probability[k] > 0.0 && std::fabs((value[at(next)] - value[at(state)]).hi) <= flat)
        sets.join(state, next);
    }
  });

  EndComponents parts;
  parts.of.assign(at(mdp.num_states()), EndComponents::kNone);
  parts.stays.assign(at(mdp.num_pairs()), 0);
  std::vector<Column> size(at(mdp.num_states()), 0);
  for (Column state = 0; state < mdp.num_states(); ++state) ++size[at(sets.smallest(state))];
  for_pairs(mdp, [&](Column state, Index pair, const Row& row) {
    const Column part = sets.smallest(state);
    bool stays = mdp.termination().empty() || mdp.termination()[at(pair)] == 0.0;
    for (Index k = 0; k < row.length; ++k) stays = stays && sets.smallest(row.column[k]) == part;
    parts.stays[at(pair)] = stays ? 1 : 0;
    if (stays && mdp.reward()[at(pair)] > 0.0) size[at(part)] = 0;
  });

  // Numbered by their smallest states.
  std::vector<Column> number(size.size(), EndComponents::kNone);
  for (std::size_t part = 0; part < size.size(); ++part) {
    if (size[part] < 2) continue;
    number[part] = static_cast<Column>(parts.count());
    parts.start.push_back(parts.start.back() + size[part]);
  }
  parts.members.resize(at(parts.start.back()));
  std::vector<Index> next(parts.start.begin(), parts.start.end() - 1);
  for (Column state = 0; state < mdp.num_states(); ++state) {
    const Column part = parts.of[at(state)] = number[at(sets.smallest(state))];
    if (part != EndComponents::kNone) {
      parts.members[at(next[at(part)]++)] = state;
      continue;
    }
    for (Index pair = mdp.first_pair(state); pair < mdp.first_pair(state + 1); ++pair) parts.stays[at(pair)] = 0;
  }
  return parts;
}

}  // namespace rlcore
