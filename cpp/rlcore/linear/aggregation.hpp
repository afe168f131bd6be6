// Aggregation: neighbouring states are joined, and the matrix of the aggregates is the Galerkin product with
// piecewise constants. That is exact on constants, the slow mode of I - discount P_pi.
#pragma once

#include <vector>

#include "rlcore/linear/system.hpp"

namespace rlcore::linear {

using Floats = std::vector<float, LargeAllocator<float>>;
using Columns = std::vector<Column, LargeAllocator<Column>>;

/// The matrix of one level of a multigrid cycle, in single precision: it serves a preconditioner. The diagonal
/// stands apart. The rest of a row comes in three parts: what is left of the diagonal within the row's block of
/// kBlock states, what is right of it within the block, and what is in other blocks.
class LevelMatrix {
 public:
  struct Entry {
    Column column;
    float value;
  };

  /// I - discount M
  explicit LevelMatrix(const System& system);

  Index size() const { return static_cast<Index>(diagonal_.size()); }
  Index num_entries() const { return size() + start_.back(); }
  double diagonal(Index row) const { return diagonal_[at(row)]; }
  float inverse_diagonal(Index row) const { return inverse_diagonal_[at(row)]; }

  std::span<const Entry> row(Index row) const { return part(row, 0, start_[at(row + 1)] - start_[at(row)]); }
  std::span<const Entry> left(Index row) const { return part(row, 0, left_[at(row)]); }
  std::span<const Entry> right(Index row) const { return part(row, left_[at(row)], in_block_[at(row)]); }
  std::span<const Entry> outside(Index row) const {
    return part(row, in_block_[at(row)], start_[at(row + 1)] - start_[at(row)]);
  }
  std::span<const Entry> all_but_left(Index row) const {
    return part(row, left_[at(row)], start_[at(row + 1)] - start_[at(row)]);
  }

 private:
  friend class Aggregation;
  LevelMatrix() = default;

  /// Builds the rows, ranges of them in parallel: make_filler() gives a function that fills the off-diagonal
  /// entries of a row into a vector and returns the diagonal.
  template <class MakeFiller>
  void fill(Index size, Team& team, MakeFiller&& make_filler);

  std::span<const Entry> part(Index row, Index begin, Index end) const {
    const Entry* const first = entry_.data() + start_[at(row)];
    return {first + begin, first + end};
  }

  Doubles diagonal_;
  Floats inverse_diagonal_;
  std::vector<Index, LargeAllocator<Index>> start_{0};
  std::vector<std::uint16_t, LargeAllocator<std::uint16_t>> left_;      // how many entries
  std::vector<std::uint16_t, LargeAllocator<std::uint16_t>> in_block_;  // left and right
  Buffer<Entry> entry_;
};

/// Which aggregate each state belongs to.
class Aggregation {
 public:
  static constexpr Column kNone = -1;

  /// Pairs each state with the most strongly coupled free neighbour (Notay 2010). Rows whose diagonal dominates
  /// by far need no coarser level and stay out.
  Aggregation(const LevelMatrix& fine, Team& team);

  Index count() const { return count_; }
  Column of(Index state) const { return of_[at(state)]; }
  std::span<const Column> members(Index aggregate) const {
    const Column* const all = member_.data();
    return {all + first_member_[at(aggregate)], all + first_member_[at(aggregate + 1)]};
  }

  /// Joins the aggregates themselves.
  void join(const Aggregation& of_aggregates, Team& team);

  /// The matrix of the aggregates.
  LevelMatrix coarse(const LevelMatrix& fine, Team& team) const;

 private:
  /// Pairs the states of a range, and numbers the pairs from zero on. Returns how many there are.
  Column match_range(const LevelMatrix& a, Index first, Index last);
  void list_members();

  Columns of_;
  Index count_ = 0;
  Columns first_member_;
  Columns member_;
};

}  // namespace rlcore::linear
