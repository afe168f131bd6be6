#include "rlcore/policy_lanes.hpp"

#include <algorithm>

namespace rlcore {
namespace {

/// So many states tell whether actions share successors.
constexpr Index kSampled = 1024;

/// Merged rows must have at most this part of the model's entries.
constexpr double kMostLeft = 0.5;

/// The successors of a state, each once and in increasing order.
void find_successors(const Mdp& mdp, Index state, std::vector<Column>& successors) {
  successors.clear();
  for (Index pair = mdp.first_pair(state); pair < mdp.first_pair(state + 1); ++pair) {
    const Row row = mdp.row(pair);
    successors.insert(successors.end(), row.column, row.column + row.length);
  }
  std::sort(successors.begin(), successors.end());
  successors.erase(std::unique(successors.begin(), successors.end()), successors.end());
}

bool share_successors(const Mdp& mdp) {
  const Index sampled = std::min(mdp.num_states(), kSampled);
  double entries = 0.0, left = 0.0;
  std::vector<Column> successors;
  for (Index i = 0; i < sampled; ++i) {
    const Index state = mdp.num_states() * i / sampled;
    find_successors(mdp, state, successors);
    left += static_cast<double>(successors.size());
    entries += static_cast<double>(mdp.first_entry(mdp.first_pair(state + 1)) - mdp.first_entry(mdp.first_pair(state)));
  }
  return left <= kMostLeft * entries;
}

}  // namespace

std::optional<MergedRows> MergedRows::of(const Mdp& mdp, Team& team) {
  if (!share_successors(mdp)) return std::nullopt;
  MergedRows rows;
  rows.start.resize(at(mdp.num_states() + 1));
  rows.place.resize(at(mdp.num_entries()));
  std::vector<std::vector<Column>> parts(at(num_blocks(mdp.num_states())));
  team.for_blocks(mdp.num_states(), kBlock, [&](Index first, Index last, Index block) {
    std::vector<Column> successors;
    std::vector<Column>& part = parts[at(block)];
    for (Index state = first; state < last; ++state) {
      find_successors(mdp, state, successors);
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
