// Aggregation: states are joined with all that they are strongly coupled to (Vanek, Mandel & Brezina 1996).
#pragma once

#include <span>

#include "rlcore/linear/level_matrix.hpp"

namespace rlcore::linear {

/// Which aggregate each state belongs to.
class Aggregation {
 public:
  static constexpr Column kNone = -1;

  /// Rows whose diagonal dominates by far need no coarser level, and stay out.
  Aggregation(const LevelMatrix& fine, Team& team);

  Index count() const { return std::ssize(first_member_) - 1; }
  Column of(Index state) const { return of_[at(state)]; }
  std::span<const Column> members(Index aggregate) const {
    const Column* const all = member_.data();
    return {all + first_member_[at(aggregate)], all + first_member_[at(aggregate + 1)]};
  }

 private:
  void list_members(Index count);

  Columns of_;
  Columns first_member_;
  Columns member_;
};

}  // namespace rlcore::linear
