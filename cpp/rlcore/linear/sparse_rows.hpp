// The rows of a sparse matrix, rectangular maybe, in single precision: it serves a preconditioner.
#pragma once

#include <algorithm>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

#include "rlcore/parallel.hpp"
#include "rlcore/storage.hpp"
#include "rlcore/types.hpp"

namespace rlcore::linear {

using Floats = std::vector<float, LargeAllocator<float>>;
using Columns = std::vector<Column, LargeAllocator<Column>>;

/// Ranges of whole blocks, whose number depends on the size alone, to be worked on side by side.
class Ranges {
 public:
  explicit Ranges(Index size) : size_(size) {}

  Index count() const { return std::min(kMost, num_blocks(size_)); }

  /// body(range, first, last)
  template <class Body>
  void for_each(Team& team, Body&& body) const {
    team.for_blocks(count(), 1, [&](Index range, Index, Index) { body(range, begin(range), begin(range + 1)); });
  }

 private:
  static constexpr Index kMost = 16;

  Index begin(Index range) const { return std::min(num_blocks(size_) * range / count() * kBlock, size_); }

  Index size_;
};

class SparseRows {
 public:
  struct Entry {
    Column column;
    float value;
  };
  using Entries = std::vector<Entry, LargeAllocator<Entry>>;

  SparseRows() = default;

  /// fill(row, entries), which make_filler() gives, appends a row's entries, of which about so many are expected in
  /// all; ranges of rows are filled side by side.
  template <class MakeFiller>
  SparseRows(Index rows, Index expected, Team& team, MakeFiller&& make_filler) : start_(at(rows + 1), 0) {
    const Ranges ranges(rows);
    std::vector<Entries> found(at(ranges.count()));
    // A filler may hold something for each column: it is kept for the next range.
    std::vector<decltype(make_filler())> idle;
    std::mutex mutex;
    const auto take_filler = [&] {
      const std::scoped_lock lock(mutex);
      if (idle.empty()) return make_filler();
      auto fill = std::move(idle.back());
      idle.pop_back();
      return fill;
    };
    ranges.for_each(team, [&](Index range, Index first, Index last) {
      auto fill = take_filler();
      Entries& entries = found[at(range)];
      entries.reserve(at(expected / ranges.count() * 5 / 4));
      for (Index row = first; row < last; ++row) {
        fill(row, entries);
        start_[at(row + 1)] = std::ssize(entries);
      }
      const std::scoped_lock lock(mutex);
      idle.push_back(std::move(fill));
    });
    std::vector<Index> offset{0};
    for (const Entries& entries : found) offset.push_back(offset.back() + std::ssize(entries));
    entry_ = Buffer<Entry>(offset.back());
    ranges.for_each(team, [&](Index range, Index first, Index last) {
      std::copy(found[at(range)].begin(), found[at(range)].end(), entry_.data() + offset[at(range)]);
      for (Index row = first; row < last; ++row) start_[at(row + 1)] += offset[at(range)];
    });
  }

  Index size() const { return static_cast<Index>(start_.size()) - 1; }
  Index num_entries() const { return start_.back(); }
  Index length(Index row) const { return start_[at(row + 1)] - start_[at(row)]; }

  RLCORE_INLINE std::span<const Entry> row(Index row) const { return part(row, 0, length(row)); }
  RLCORE_INLINE std::span<const Entry> part(Index row, Index begin, Index end) const {
    const Entry* const first = entry_.data() + start_[at(row)];
    return {first + begin, first + end};
  }

  /// Asks for what a loop over rows will need later.
  RLCORE_INLINE void fetch_ahead(Index row) const { prefetch_at(entry_.data() + start_[at(row)], kStreamAhead); }

 private:
  std::vector<Index, LargeAllocator<Index>> start_{0};
  Buffer<Entry> entry_;
};

/// The sum of the entries' values times the numbers of x at their columns.
template <class Number>
Number product(std::span<const SparseRows::Entry> entries, std::span<const Number> x) {
  Number sum{};
  for (const auto& [column, value] : entries) sum += value * x[at(column)];
  return sum;
}

/// Sums entries of one row after the other by column.
class RowSums {
 public:
  explicit RowSums(Index columns) : seats_(at(columns)) {}

  void begin(Index row) {
    row_ = static_cast<Column>(row);
    count_ = 0;
  }

  void add(Column column, float value) {
    make_room(1);
    put(column, value);
  }

  /// Adds a multiple of another row.
  void add(float factor, std::span<const SparseRows::Entry> entries) {
    make_room(entries.size());
    for (const auto& [column, value] : entries) put(column, factor * value);
  }

  /// The row, in the order in which its columns came.
  std::span<const SparseRows::Entry> row() const { return std::span(sums_).first(at(count_)); }

 private:
  /// Where the last row that had the column keeps its sum.
  struct Seat {
    Column row = -1;
    Column place = -1;
  };

  void make_room(std::size_t count) {
    if (at(count_) + count > sums_.size()) sums_.resize(2 * (at(count_) + count));
  }

  /// Without a branch: whether a column is new cannot be foreseen.
  void put(Column column, float value) {
    Seat& seat = seats_[at(column)];
    const bool is_new = seat.row != row_;
    seat = {row_, is_new ? count_ : seat.place};
    SparseRows::Entry& sum = sums_[at(seat.place)];
    sum = {column, (is_new ? 0.0F : sum.value) + value};
    count_ += is_new ? 1 : 0;
  }

  std::vector<Seat, LargeAllocator<Seat>> seats_;
  std::vector<SparseRows::Entry> sums_;
  Column row_ = -1;
  Column count_ = 0;
};

}  // namespace rlcore::linear
