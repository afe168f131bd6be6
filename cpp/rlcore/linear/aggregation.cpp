#include "rlcore/linear/aggregation.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace rlcore::linear {
namespace {

constexpr double kStrong = 0.25;   // of the strongest coupling of a state
constexpr double kDominant = 5.0;  // a diagonal that exceeds the rest of its row so far is enough in itself
constexpr Column kFree = -2;

/// Aggregates of a range of states, numbered from zero on: they never reach from one range to another, so that ranges
/// can be worked on side by side.
class RangeAggregation {
 public:
  RangeAggregation(const LevelMatrix& a, Index first, Index last, Columns& of)
      : a_(a), first_(first), last_(last), of_(of), least_(at(last - first)) {}

  /// Returns how many there are.
  Column run() {
    for (Index state = first_; state < last_; ++state) measure(state);
    for (Index state = first_; state < last_; ++state) {
      if (is_free_with_neighbours(state)) found_with_neighbours(state);
    }
    // Who joins looks for those that were there before, so that no aggregate grows into a snake.
    const Columns founded(of_.begin() + first_, of_.begin() + last_);
    for (Index state = first_; state < last_; ++state) {
      if (of_[at(state)] == kFree) join_strongest(state, founded);
    }
    for (Index state = first_; state < last_; ++state) {
      if (of_[at(state)] == kFree) found_with_neighbours(state);
    }
    return count_;
  }

 private:
  /// What a coupling must have to be strong; states that need no aggregate are left out.
  void measure(Index state) {
    double coupling = 0.0;
    float strongest = 0.0F;
    for (const auto& [column, value] : a_.row(state)) {
      coupling += std::fabs(value);
      strongest = std::max(strongest, -value);
    }
    least_[at(state - first_)] = std::max(static_cast<float>(kStrong) * strongest, std::numeric_limits<float>::min());
    if (a_.diagonal(state) > kDominant * coupling) of_[at(state)] = Aggregation::kNone;
  }

  bool is_here(Column column) const { return column >= first_ && column < last_; }

  bool is_strong(Index state, const LevelMatrix::Entry& entry) const {
    return is_here(entry.column) && -entry.value >= least_[at(state - first_)];
  }

  bool is_free_with_neighbours(Index state) const {
    if (of_[at(state)] != kFree) return false;
    const auto row = a_.row(state);
    return std::none_of(row.begin(), row.end(), [&](const LevelMatrix::Entry& entry) {
      return is_strong(state, entry) && of_[at(entry.column)] >= 0;
    });
  }

  void found_with_neighbours(Index state) {
    of_[at(state)] = count_;
    for (const LevelMatrix::Entry& entry : a_.row(state)) {
      if (is_strong(state, entry) && of_[at(entry.column)] == kFree) of_[at(entry.column)] = count_;
    }
    ++count_;
  }

  void join_strongest(Index state, const Columns& founded) {
    float strongest = 0.0F;
    for (const auto& [column, value] : a_.row(state)) {
      if (!is_here(column) || founded[at(column - first_)] < 0 || -value <= strongest) continue;
      strongest = -value;
      of_[at(state)] = founded[at(column - first_)];
    }
  }

  const LevelMatrix& a_;
  Index first_;
  Index last_;
  Columns& of_;
  Floats least_;  // of the range
  Column count_ = 0;
};

}  // namespace

Aggregation::Aggregation(const LevelMatrix& fine, Team& team) : of_(at(fine.size()), kFree) {
  const Ranges ranges(fine.size());
  std::vector<Column> start(at(ranges.count()) + 1, 0);
  ranges.for_each(team, [&](Index range, Index first, Index last) {
    start[at(range + 1)] = RangeAggregation(fine, first, last, of_).run();
  });
  for (std::size_t i = 1; i < start.size(); ++i) start[i] += start[i - 1];
  ranges.for_each(team, [&](Index range, Index first, Index last) {
    for (Index state = first; state < last; ++state) {
      if (of_[at(state)] >= 0) of_[at(state)] += start[at(range)];
    }
  });
  list_members(start.back());
}

/// By counting, those of each aggregate in increasing order.
void Aggregation::list_members(Index count) {
  first_member_.assign(at(count + 1), 0);
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

}  // namespace rlcore::linear
