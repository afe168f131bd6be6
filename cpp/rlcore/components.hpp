// The strongly connected components of a matrix: sets of states that all lead to one another.
//
// They are numbered in topological order: entries lead from a component to itself and to earlier ones only.
// So a system in x = b + M x can be solved component by component; and of a transition matrix the recurrent
// classes are the components that no entry leaves.
#pragma once

#include <limits>
#include <optional>
#include <span>
#include <vector>

#include "rlcore/csr_matrix.hpp"
#include "rlcore/monitor.hpp"

namespace rlcore {

class Components {
 public:
  /// All states in one.
  static Components whole(Index num_states);

  Index count() const { return static_cast<Index>(start_.size()) - 1; }

  /// The states of one component.
  std::span<const Column> states(Index component) const {
    const auto begin = at(start_[at(component)]);
    return {state_.data() + begin, at(start_[at(component + 1)]) - begin};
  }

  /// The component of a state.
  Index of(Index state) const { return of_[at(state)]; }

 private:
  friend class ComponentSearch;
  using Columns = std::vector<Column, LargeAllocator<Column>>;

  Columns start_{0};
  Columns state_;  // all states, grouped by component
  Columns of_;
};

/// The components by the entries that are not zero, in time linear in their number; nothing as soon as a component is
/// known to have more than `most_states`, which in a matrix that is mostly one component happens at once.
std::optional<Components> strong_components(const CsrMatrix& matrix,
                                            Index most_states = std::numeric_limits<Index>::max());

/// All components, of whatever size. Where all states hang together, which is common, two searches from one state
/// prove it, forwards and backwards: they read memory in order and side by side, as a depth-first search cannot.
Components all_strong_components(const CsrMatrix& matrix, Team& team, Monitor& monitor);

}  // namespace rlcore
