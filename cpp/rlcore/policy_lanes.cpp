#include "rlcore/policy_lanes.hpp"

#include <algorithm>

#include "rlcore/shared_successors.hpp"

namespace rlcore {
namespace {

/// Calls body(row) for every action of a state.
auto rows_of(const Mdp& mdp) {
  return [&mdp](Index state, auto&& body) {
    for (Index pair = mdp.first_pair(state); pair < mdp.first_pair(state + 1); ++pair) body(mdp.row(pair));
  };
}

}  // namespace

std::optional<MergedRows> MergedRows::of(const Mdp& mdp, Team& team) {
  if (!share_successors(mdp.num_states(), rows_of(mdp))) return std::nullopt;
  MergedRows rows;
  rows.start.resize(at(mdp.num_states() + 1));
  rows.place.resize(at(mdp.num_entries()));
  std::vector<std::vector<Column>> parts(at(num_blocks(mdp.num_states())));
  team.for_blocks(mdp.num_states(), kBlock, [&](Index first, Index last, Index block) {
    std::vector<Column> successors;
    std::vector<Column>& part = parts[at(block)];
    for (Index state = first; state < last; ++state) {
      find_successors(state, rows_of(mdp), successors);
      part.insert(part.end(), successors.begin(), successors.end());
      rows.start[at(state + 1)] = std::ssize(successors);
      for (Index pair = mdp.first_pair(state); pair < mdp.first_pair(state + 1); ++pair) {
        const Row row = mdp.row(pair);
        for (Index k = 0; k < row.length; ++k) {
          const auto found = std::lower_bound(successors.begin(), successors.end(), row.column[k]);
          rows.place[at(mdp.first_entry(pair) + k)] = static_cast<Column>(found - successors.begin());
        }
      }
    }
  });
  for (Index state = 0; state < mdp.num_states(); ++state) rows.start[at(state + 1)] += rows.start[at(state)];
  rows.successor.reserve(at(rows.start.back()));
  for (const std::vector<Column>& part : parts) {
    rows.successor.insert(rows.successor.end(), part.begin(), part.end());
  }
  return rows;
}

}  // namespace rlcore
