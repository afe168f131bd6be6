// A model under labels that grow with the distance from its rewards: planning's methods work on this copy, and what
// they find is proven on the model itself.
//
// Values spread from the largest rewards to those from where they can be reached. In the order of a breadth-first
// search from there, against the direction of the moves, one sweep in place carries them through the whole model;
// and the matrices of policies that make for the rewards are nearly triangular, so that incomplete factors suit them.
#pragma once

#include <span>
#include <vector>

#include "rlcore/csr_matrix.hpp"
#include "rlcore/mdp.hpp"
#include "rlcore/monitor.hpp"
#include "rlcore/parallel.hpp"
#include "rlcore/state_order.hpp"
#include "rlcore/storage.hpp"

namespace rlcore {

class OrderedModel {
 public:
  OrderedModel(const Mdp& mdp, Team& team, Monitor& monitor);

  Index num_states() const { return order_.size(); }
  Index first_pair(Index state) const { return first_pair_[at(state)]; }
  Index num_entries() const { return first_entry_.back(); }
  Index first_entry(Index pair) const { return first_entry_[at(pair)]; }
  ConstVector reward() const { return reward_; }
  Row row(Index pair) const {
    const Index first = first_entry(pair);
    return {column_.data() + first, probability_.data() + first, first_entry(pair + 1) - first, 0};
  }

  /// What its states are called in the other one.
  const StateOrder& order() const { return order_; }

  /// The rows of one pair for each state, P_pi.
  CsrMatrix policy_rows(std::span<const Index> choice, Team& team) const;

 private:
  using Positions = std::vector<Index, LargeAllocator<Index>>;

  void place_rows(const Mdp& mdp);
  void copy_rows(const Mdp& mdp, Team& team);

  Index max_row_length_;
  StateOrder order_;
  Positions first_pair_;
  Positions first_entry_;
  Doubles reward_;
  Buffer<Column> column_;
  Buffer<double> probability_;
};

}  // namespace rlcore
