// Whether rows of one state lead to the same successors, so that P_pi has far fewer entries than they have together.
#pragma once

#include <algorithm>
#include <vector>

#include "rlcore/mdp.hpp"

namespace rlcore {

/// The successors of a state, each once and in increasing order. for_rows(state, body) calls body(row).
template <class ForRows>
void find_successors(Index state, ForRows&& for_rows, std::vector<Column>& successors) {
  successors.clear();
  for_rows(state, [&](const Row& row) { successors.insert(successors.end(), row.column, row.column + row.length); });
  std::sort(successors.begin(), successors.end());
  successors.erase(std::unique(successors.begin(), successors.end()), successors.end());
}

/// Whether merging leaves at most half of the entries, as far as some of the states tell.
template <class ForRows>
bool share_successors(Index num_states, ForRows&& for_rows) {
  constexpr double kMostLeft = 0.5;
  // Little beside a pass over all, in small models too.
  const Index sampled = std::clamp<Index>(num_states / 64, std::min<Index>(num_states, 64), 1024);
  double entries = 0.0, left = 0.0;
  std::vector<Column> successors;
  for (Index i = 0; i < sampled; ++i) {
    const Index state = num_states * i / sampled;
    find_successors(state, for_rows, successors);
    left += static_cast<double>(successors.size());
    for_rows(state, [&](const Row& row) { entries += static_cast<double>(row.length); });
  }
  return left <= kMostLeft * entries;
}

}  // namespace rlcore
