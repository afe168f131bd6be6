// Another numbering of the states, and vectors under it.
#pragma once

#include <utility>
#include <vector>

#include "rlcore/parallel.hpp"
#include "rlcore/storage.hpp"

namespace rlcore {

class StateOrder {
 public:
  using Columns = std::vector<Column, LargeAllocator<Column>>;

  StateOrder() = default;

  /// Takes the old numbers of the states in their new order.
  StateOrder(Columns old_of_new, Team& team) : old_of_new_(std::move(old_of_new)), new_of_old_(old_of_new_.size()) {
    for_states(team, [&](std::size_t i) { new_of_old_[at(old_of_new_[i])] = static_cast<Column>(i); });
  }

  Index size() const { return std::ssize(old_of_new_); }
  Column old_of_new(Index state) const { return old_of_new_[at(state)]; }
  Column new_of_old(Index state) const { return new_of_old_[at(state)]; }

  /// y in the new order, from x in the old one; and back.
  void apply(ConstVector x, Vector y, Team& team) const {
    for_states(team, [&](std::size_t i) { y[i] = x[at(old_of_new_[i])]; });
  }
  void undo(ConstVector y, Vector x, Team& team) const {
    for_states(team, [&](std::size_t i) { x[i] = y[at(new_of_old_[i])]; });
  }

 private:
  template <class Body>
  void for_states(Team& team, Body&& body) const {
    team.for_blocks(size(), kBlock, [&](Index first, Index last, Index) {
      for (auto i = at(first); i < at(last); ++i) body(i);
    });
  }

  Columns old_of_new_;
  Columns new_of_old_;
};

}  // namespace rlcore
