#include "rlcore/linear/aggregation.hpp"

#include <algorithm>
#include <cmath>

namespace rlcore::linear {
namespace {

constexpr double kDominant = 5.0;  // rows whose diagonal exceeds the rest so far need no coarse level
constexpr Column kFree = -2;

/// States are dealt with in ranges of whole blocks, whose number depends on the size alone: aggregates never
/// reach from one range to another, so that ranges can be worked on side by side.
constexpr Index kMostRanges = 16;

Index num_ranges(Index size) { return std::min(kMostRanges, num_blocks(size)); }

Index range_begin(Index range, Index size) {
  return std::min(num_blocks(size) * range / num_ranges(size) * kBlock, size);
}

template <class Body>
void for_ranges(Index size, Team& team, Body&& body) {
  team.for_blocks(num_ranges(size), 1, [&](Index range, Index, Index) {
    body(range, range_begin(range, size), range_begin(range + 1, size));
  });
}

}  // namespace

template <class MakeFiller>
void LevelMatrix::fill(Index size, Team& team, MakeFiller&& make_filler) {
  diagonal_.resize(at(size));
  inverse_diagonal_.resize(at(size));
  left_.resize(at(size));
  in_block_.resize(at(size));
  start_.assign(at(size + 1), 0);
  std::vector<std::vector<Entry, LargeAllocator<Entry>>> found(at(num_ranges(size)));
  for_ranges(size, team, [&](Index range, Index first, Index last) {
    auto fill_row = make_filler();
    auto& entries = found[at(range)];
    std::vector<Entry> row_entries;
    for (Index row = first; row < last; ++row) {
      row_entries.clear();
      const double diagonal = fill_row(row, row_entries);
      diagonal_[at(row)] = diagonal;
      inverse_diagonal_[at(row)] = static_cast<float>(1.0 / diagonal);
      const Index block = row / kBlock;
      const auto begin = row_entries.begin();
      const auto block_end =
          std::partition(begin, row_entries.end(), [&](const Entry& entry) { return entry.column / kBlock == block; });
      const auto left_end = std::partition(begin, block_end, [&](const Entry& entry) { return entry.column < row; });
      left_[at(row)] = static_cast<std::uint16_t>(left_end - begin);
      in_block_[at(row)] = static_cast<std::uint16_t>(block_end - begin);
      entries.insert(entries.end(), row_entries.begin(), row_entries.end());
      start_[at(row + 1)] = std::ssize(entries);
    }
  });
  std::vector<Index> offset{0};
  for (const auto& entries : found) offset.push_back(offset.back() + std::ssize(entries));
  entry_ = Buffer<Entry>(offset.back());
  for_ranges(size, team, [&](Index range, Index first, Index last) {
    std::copy(found[at(range)].begin(), found[at(range)].end(), entry_.data() + offset[at(range)]);
    for (Index row = first; row < last; ++row) start_[at(row + 1)] += offset[at(range)];
  });
}

LevelMatrix::LevelMatrix(const System& system) {
  const CsrMatrix& m = system.matrix;
  fill(m.size, *system.team, [&] {
    return [&](Index row, std::vector<Entry>& off_diagonal) {
      double diagonal = 1.0;
      for (Index k = m.first[row]; k < m.first[row] + m.length[row]; ++k) {
        const double value = -system.discount * m.value[k];
        if (m.column[k] == row) {
          diagonal += value;
        } else {
          off_diagonal.push_back({m.column[k], static_cast<float>(value)});
        }
      }
      return diagonal;
    };
  });
}

Column Aggregation::match_range(const LevelMatrix& a, Index first, Index last) {
  Column count = 0;
  for (Index row = first; row < last; ++row) {
    if (of_[at(row)] != kFree) continue;
    double coupling = 0.0;
    float strongest = 0.0F;
    float strongest_free = 0.0F;
    Column neighbour = kNone;
    Column partner = kNone;
    for (const auto& [column, value] : a.row(row)) {
      coupling += std::fabs(value);
      if (column < first || column >= last) continue;
      if (-value > strongest && of_[at(column)] >= 0) {
        strongest = -value;
        neighbour = column;
      }
      if (-value > strongest_free && of_[at(column)] == kFree) {
        strongest_free = -value;
        partner = column;
      }
    }
    if (a.diagonal(row) > kDominant * coupling) {
      of_[at(row)] = kNone;
    } else if (partner == kNone && neighbour != kNone) {
      of_[at(row)] = of_[at(neighbour)];  // better a third in a pair than alone
    } else {
      of_[at(row)] = count;
      if (partner != kNone) of_[at(partner)] = count;
      ++count;
    }
  }
  return count;
}

Aggregation::Aggregation(const LevelMatrix& fine, Team& team) : of_(at(fine.size()), kFree) {
  std::vector<Column> start(at(num_ranges(fine.size())) + 1, 0);
  for_ranges(fine.size(), team,
             [&](Index range, Index first, Index last) { start[at(range + 1)] = match_range(fine, first, last); });
  for (std::size_t i = 1; i < start.size(); ++i) start[i] += start[i - 1];
  count_ = start.back();
  for_ranges(fine.size(), team, [&](Index range, Index first, Index last) {
    for (Index state = first; state < last; ++state) {
      if (of_[at(state)] >= 0) of_[at(state)] += start[at(range)];
    }
  });
  list_members();
}

/// By counting, those of each aggregate in increasing order.
void Aggregation::list_members() {
  first_member_.assign(at(count() + 1), 0);
  for (const Column aggregate : of_) {
    if (aggregate >= 0) ++first_member_[at(aggregate + 1)];
  }
  for (std::size_t i = 1; i < first_member_.size(); ++i) first_member_[i] += first_member_[i - 1];
  member_.resize(at(first_member_.back()));
  Columns next(first_member_.begin(), first_member_.end() - 1);
  for (Index state = 0; state < ssize(of_); ++state) {
    if (of(state) >= 0) member_[at(next[at(of(state))]++)] = static_cast<Column>(state);
  }
}

void Aggregation::join(const Aggregation& of_aggregates, Team& team) {
  team.for_blocks(ssize(of_), kBlock, [&](Index first, Index last, Index) {
    for (Index state = first; state < last; ++state) {
      if (of(state) >= 0) of_[at(state)] = of_aggregates.of(of(state));
    }
  });
  count_ = of_aggregates.count();
  list_members();
}

LevelMatrix Aggregation::coarse(const LevelMatrix& fine, Team& team) const {
  LevelMatrix coarse;
  coarse.fill(count(), team, [&] {
    return [&, place = Columns(at(count()), -1), row_of = Columns(at(count()), -1)](
               Index row, std::vector<LevelMatrix::Entry>& off_diagonal) mutable {
      double diagonal = 0.0;
      for (const Column state : members(row)) {
        diagonal += fine.diagonal(state);
        for (const auto& [column, value] : fine.row(state)) {
          const Column target = of(column);
          if (target == row) {
            diagonal += value;
          } else if (target >= 0 && row_of[at(target)] == row) {
            off_diagonal[at(place[at(target)])].value += value;
          } else if (target >= 0) {
            row_of[at(target)] = static_cast<Column>(row);
            place[at(target)] = static_cast<Column>(off_diagonal.size());
            off_diagonal.push_back({target, value});
          }
        }
      }
      return diagonal;
    };
  });
  return coarse;
}

}  // namespace rlcore::linear
