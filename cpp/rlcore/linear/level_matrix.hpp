// The matrix of one level of a multigrid cycle, as its smoother reads it.
#pragma once

#include <vector>

#include "rlcore/linear/sparse_rows.hpp"
#include "rlcore/linear/system.hpp"

namespace rlcore::linear {

/// The diagonal stands apart. The rest of a row begins with what is left of the diagonal within the row's block of
/// kBlock states.
class LevelMatrix {
 public:
  using Entry = SparseRows::Entry;
  using Entries = SparseRows::Entries;

  /// I - discount M
  explicit LevelMatrix(const System& system);

  /// fill(row, entries), which make_filler() gives, appends what a row holds off the diagonal, about so many
  /// entries in all, and returns what is on it.
  template <class MakeFiller>
  LevelMatrix(Index size, Index expected, Team& team, MakeFiller&& make_filler)
      : diagonal_(at(size)), inverse_diagonal_(at(size)), left_(at(size)), off_diagonal_(size, expected, team, [&] {
          return [this, fill = make_filler()](Index row, Entries& entries) mutable {
            const Index begin = std::ssize(entries);
            set_diagonal(row, fill(row, entries));
            put_left_first(row, std::span(entries).subspan(at(begin)));
          };
        }) {}

  Index size() const { return off_diagonal_.size(); }
  Index num_entries() const { return size() + off_diagonal_.num_entries(); }
  double diagonal(Index row) const { return diagonal_[at(row)]; }
  float inverse_diagonal(Index row) const { return inverse_diagonal_[at(row)]; }

  RLCORE_INLINE std::span<const Entry> row(Index row) const { return off_diagonal_.row(row); }
  RLCORE_INLINE std::span<const Entry> left(Index row) const { return off_diagonal_.part(row, 0, left_[at(row)]); }
  RLCORE_INLINE std::span<const Entry> all_but_left(Index row) const {
    return off_diagonal_.part(row, left_[at(row)], off_diagonal_.length(row));
  }

  RLCORE_INLINE void fetch_ahead(Index row) const { off_diagonal_.fetch_ahead(row); }

 private:
  void set_diagonal(Index row, double value) {
    diagonal_[at(row)] = value;
    inverse_diagonal_[at(row)] = static_cast<float>(1.0 / value);
  }
  void put_left_first(Index row, std::span<Entry> entries);

  Doubles diagonal_;
  Floats inverse_diagonal_;
  std::vector<std::uint16_t, LargeAllocator<std::uint16_t>> left_;  // how many entries
  SparseRows off_diagonal_;
};

}  // namespace rlcore::linear
