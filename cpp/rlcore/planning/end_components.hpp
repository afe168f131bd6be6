// Where a process can be kept for ever: the maximal end components of a model (de Alfaro 1997).
//
// An end component is a set of states with pairs that never leave the set and never end the process, by which each
// of its states can be reached from each other. Whatever policy is followed, the states and pairs that recur for ever
// are an end component; so values that are not finite, and fixpoints that are no values, live on end components alone.
#pragma once

#include <span>
#include <vector>

#include "rlcore/mdp.hpp"
#include "rlcore/monitor.hpp"

namespace rlcore {

struct EndComponents {
  using Columns = std::vector<Column, LargeAllocator<Column>>;
  static constexpr Column kNone = -1;

  Columns of;                   // the maximal component of each state, or kNone
  std::vector<char> stays;      // for each pair, whether it belongs to a component
  Columns members;              // their states by component, increasing within each
  std::vector<Index> start{0};  // where each component begins among them, (count + 1)

  /// Components are numbered by their smallest states.
  Index count() const { return static_cast<Index>(start.size()) - 1; }

  std::span<const Column> states(Index component) const {
    const auto begin = at(start[at(component)]);
    return {members.data() + begin, at(start[at(component + 1)]) - begin};
  }

  /// Whether all states and all pairs of the model make up one component: a communicating model, without an end.
  bool is_whole_model() const;
};

/// The maximal end components of the pairs that are marked and cannot end the process. Structure alone decides: a step
/// is possible if its probability is positive as it is stored. Time grows with the entries of the components that
/// fall apart, summed over the rounds in which they do.
EndComponents end_components(const Mdp& mdp, const std::vector<char>& marked, Team& team, Monitor& monitor);

}  // namespace rlcore
