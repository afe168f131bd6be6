// Who leads to a state, by which pair: the model read backwards.
#pragma once

#include <span>
#include <vector>

#include "rlcore/mdp.hpp"
#include "rlcore/planning/choice.hpp"

namespace rlcore {

/// The state of every pair.
std::vector<Column, LargeAllocator<Column>> pair_states(const Mdp& mdp);

class Predecessors {
 public:
  explicit Predecessors(const Mdp& mdp);

  /// The pairs that lead to a state with positive probability, increasing.
  std::span<const Index> pairs(Index state) const {
    const auto begin = at(start_[at(state)]);
    return {pair_.data() + begin, at(start_[at(state) + 1]) - begin};
  }

  Column state_of(Index pair) const { return state_of_[at(pair)]; }

 private:
  std::vector<Column, LargeAllocator<Column>> state_of_;
  std::vector<Index, LargeAllocator<Index>> start_;
  std::vector<Index, LargeAllocator<Index>> pair_;
};

/// Shortest ways by usable pairs: states that have a pair already are where the ways end; every other state from which
/// one of these can be reached is given a usable pair that may lead one step nearer, the rest keep kNoPair. Where
/// usable pairs lead only to states that have ways, a process that follows them arrives with probability 1.
void find_ways(const Predecessors& predecessors, const std::vector<char>& usable, Choice& choice);

}  // namespace rlcore
