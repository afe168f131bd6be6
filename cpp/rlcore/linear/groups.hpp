// Groups of strongly coupled states: what hangs together by entries that are not small.
//
// In a nearly decomposable chain (Simon & Ando 1961) the process settles within such a group long before it leaves.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "rlcore/linear/moves.hpp"
#include "rlcore/linear/system.hpp"

namespace rlcore::linear {

class Groups {
 public:
  /// Whether a group of more than `most_states` shows around a few states: where all hang together, the search of the
  /// whole is spared.
  static bool hang_together(const Moves& moves, double threshold, Index most_states);

  /// The components, direction ignored, of the entries of discount M above `threshold`; nothing as soon as one is known
  /// to have more than `most_states`.
  static std::optional<Groups> find(const System& system, double threshold, Index most_states);

  Index count() const { return static_cast<Index>(start_.size()) - 1; }

  /// The states of one group.
  std::span<const Column> states(Index group) const {
    return {state_.data() + start_[at(group)], at(start(group + 1) - start(group))};
  }

  /// Where they begin, when all states are listed group by group.
  Index start(Index group) const { return start_[at(group)]; }

  /// The state at a position of that list, and the position of a state.
  Index state(Index position) const { return state_[at(position)]; }
  Index position(Index state) const { return position_[at(state)]; }

  /// The group of a state.
  Column of(Index state) const { return of_[at(state)]; }

 private:
  using Columns = std::vector<Column, LargeAllocator<Column>>;

  /// From the first state of each one's group.
  explicit Groups(const Columns& first_of_group);

  Columns start_{0};
  Columns state_;
  Columns position_;
  Columns of_;
};

}  // namespace rlcore::linear
