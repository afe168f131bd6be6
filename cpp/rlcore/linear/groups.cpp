#include "rlcore/linear/groups.hpp"

#include <algorithm>
#include <utility>

namespace rlcore::linear {
namespace {

using Columns = std::vector<Column, LargeAllocator<Column>>;

/// Calls body(column) for the entries of a row that couple strongly.
template <class Body>
void for_strong_entries(const System& system, double threshold, Index row, Body&& body) {
  const CsrMatrix& m = system.matrix;
  for (Index k = m.first[row]; k < m.first[row] + m.length[row]; ++k) {
    if (system.discount * m.value[k] > threshold) body(m.column[k]);
  }
}

/// Whether more than `most_states` can be reached from a state by strong entries: its group is then as large. `seen` is
/// 0 for every state, and is left so.
bool reaches_many(const Moves& moves, double threshold, Index most_states, Column state, std::vector<char>& seen) {
  std::vector<Column> found;
  const auto see = [&](Column other) {
    if (seen[at(other)] != 0) return;
    seen[at(other)] = 1;
    found.push_back(other);
  };
  see(state);
  for (std::size_t next = 0; next < found.size() && std::ssize(found) <= most_states; ++next) {
    moves.for_each(found[next], [&](Column column, double value) {
      if (value > threshold) see(column);
    });
  }
  for (const Column other : found) seen[at(other)] = 0;
  return std::ssize(found) > most_states;
}

/// Disjoint sets of states (Galler & Fischer 1964), each known by its first state.
class DisjointSets {
 public:
  explicit DisjointSets(Index count) : parent_(at(count)), size_(at(count), 1) {
    for (std::size_t i = 0; i < parent_.size(); ++i) parent_[i] = static_cast<Column>(i);
  }

  /// The first state of a state's set. On the way, states are hung higher.
  Column find(Column state) {
    while (parent_[at(state)] != state) {
      const Column above = parent_[at(parent_[at(state)])];
      parent_[at(state)] = above;
      state = above;
    }
    return state;
  }

  /// Joins the sets of two first states.
  Column join(Column one, Column other) {
    if (one == other) return one;
    const auto [first, second] = std::minmax(one, other);
    parent_[at(second)] = first;
    size_[at(first)] += size_[at(second)];
    return first;
  }

  Index size(Column first) const { return size_[at(first)]; }

 private:
  Columns parent_;
  Columns size_;  // of the sets, by first state
};

}  // namespace

bool Groups::hang_together(const Moves& moves, double threshold, Index most_states) {
  constexpr Index kSamples = 8;
  std::vector<char> seen(at(moves.size()), 0);
  for (Index i = 0; i < kSamples; ++i) {
    const auto state = static_cast<Column>(moves.size() * i / kSamples);
    if (reaches_many(moves, threshold, most_states, state, seen)) return true;
  }
  return false;
}

std::optional<Groups> Groups::find(const System& system, double threshold, Index most_states) {
  DisjointSets sets(system.size());
  for (Index row = 0; row < system.size(); ++row) {
    Column first = sets.find(static_cast<Column>(row));
    for_strong_entries(system, threshold, row, [&](Column column) { first = sets.join(first, sets.find(column)); });
    if (sets.size(first) > most_states) return std::nullopt;
  }
  Columns first_of_group(at(system.size()));
  for (std::size_t i = 0; i < first_of_group.size(); ++i) first_of_group[i] = sets.find(static_cast<Column>(i));
  return Groups(first_of_group);
}

Groups::Groups(const Columns& first_of_group)
    : state_(first_of_group.size()), position_(first_of_group.size()), of_(first_of_group.size()) {
  for (std::size_t i = 0; i < of_.size(); ++i) {
    const auto first = at(first_of_group[i]);
    if (first == i) {
      of_[i] = static_cast<Column>(count());
      start_.push_back(0);
    } else {
      of_[i] = of_[first];
    }
    ++start_[at(of_[i] + 1)];
  }
  for (std::size_t g = 1; g < start_.size(); ++g) start_[g] += start_[g - 1];
  Columns next(start_.begin(), start_.end() - 1);
  for (std::size_t i = 0; i < of_.size(); ++i) {
    position_[i] = next[at(of_[i])]++;
    state_[at(position_[i])] = static_cast<Column>(i);
  }
}

}  // namespace rlcore::linear
