#include "rlcore/linear/incomplete_lu.hpp"

#include <algorithm>
#include <cmath>

namespace rlcore::linear {
namespace {

/// Rows between two looks at the monitor.
constexpr Index kRowsPerPoll = 4096;

/// Rounding near discount 1 could make a pivot vanish.
constexpr double kSmallestPivot = 1e-15;

/// One row being eliminated: dense values, the list of its columns, and those left of the diagonal that
/// elimination has not met yet, the next one last.
class WorkRow {
 public:
  explicit WorkRow(Index size) : value_(at(size)), last_row_(at(size), -1) {}

  void begin(Column diagonal) {
    columns_.clear();
    diagonal_ = diagonal;
  }

  void add(Column column, double value) {
    const std::size_t i = at(column);
    if (last_row_[i] == diagonal_) {
      value_[i] += value;
      return;
    }
    last_row_[i] = diagonal_;
    value_[i] = value;
    columns_.push_back(column);
    if (column >= diagonal_) return;
    auto place = left_.end();
    while (place != left_.begin() && *(place - 1) < column) --place;
    left_.insert(place, column);
  }

  bool next_left(Column& column) {
    if (left_.empty()) return false;
    column = left_.back();
    left_.pop_back();
    return true;
  }

  double& operator[](Column column) { return value_[at(column)]; }
  const std::vector<Column>& columns() const { return columns_; }

 private:
  Doubles value_;
  std::vector<Column> last_row_;  // that had an entry in the column
  std::vector<Column> columns_;
  std::vector<Column> left_;  // in decreasing order
  Column diagonal_ = 0;
};

}  // namespace

/// The elimination, row by row.
class IncompleteLu::Elimination {
 public:
  Elimination(const System& system, const Thresholds& thresholds, IncompleteLu& factors)
      : system_(system), thresholds_(thresholds), factors_(factors), work_(system.size()) {
    row_sum_.reserve(at(system.size()));
    factors.inverse_pivot_.reserve(at(system.size()));
    for (Triangle* const triangle : {&factors.lower_, &factors.upper_}) {
      triangle->start.reserve(at(system.size() + 1));
      triangle->column.reserve(at(system.matrix.num_entries));
      triangle->value.reserve(at(system.matrix.num_entries));
    }
  }

  /// False if it took too much work.
  bool run(Monitor& monitor) {
    for (Index row = 0; row < system_.size(); ++row) {
      if (row % kRowsPerPoll == 0) monitor.poll({"incomplete LU", row, 0.0, 0.0});
      eliminate(static_cast<Column>(row));
      if (multiplications_ > thresholds_.most_work * static_cast<double>(row + kRowsPerPoll)) return false;
    }
    return true;
  }

 private:
  void eliminate(Column row) {
    const double threshold = thresholds_.drop * load(row);
    dropped_ = 0.0;
    lower_.clear();
    upper_.clear();
    for (Column left = 0; work_.next_left(left);) eliminate_left(left, threshold);
    for (const Column column : work_.columns()) {
      if (column > row) upper_.push_back(column);
    }
    const Index most = system_.matrix.length[row] + thresholds_.fill;
    keep_largest(lower_, threshold, most, [&](Column column) { dropped_ += work_[column] * row_sum_[at(column)]; });
    keep_largest(upper_, threshold, most, [&](Column column) { dropped_ += work_[column]; });
    const double kept = thresholds_.keeps_row_sums ? work_[row] + dropped_ : work_[row];
    const double pivot = std::max(kept, kSmallestPivot);
    double sum = pivot;
    for (const Column column : upper_) sum += work_[column];
    row_sum_.push_back(sum);
    factors_.inverse_pivot_.push_back(1.0 / pivot);
    append(factors_.lower_, lower_);
    append(factors_.upper_, upper_);
  }

  /// Loads a row of I - discount P; returns its mean magnitude, the measure of what is small.
  double load(Column row) {
    const CsrMatrix& m = system_.matrix;
    const Index begin = m.first[row];
    const Index length = m.length[row];
    double norm = 1.0;
    work_.begin(row);
    work_.add(row, 1.0);
    for (Index entry = begin; entry < begin + length; ++entry) {
      const double value = system_.discount * m.value[entry];
      work_.add(m.column[entry], -value);
      norm += value;
    }
    return norm / static_cast<double>(length + 1);
  }

  /// Subtracts a multiple of an earlier row, unless that would be small.
  void eliminate_left(Column left, double threshold) {
    const double multiplier = work_[left] * factors_.inverse_pivot_[at(left)];
    if (!(std::fabs(multiplier) > threshold)) {
      dropped_ += work_[left];
      return;
    }
    work_[left] = multiplier;
    lower_.push_back(left);
    const Triangle& upper = factors_.upper_;
    const auto end = at(upper.start[at(left) + 1]);
    for (auto entry = at(upper.start[at(left)]); entry < end; ++entry) {
      work_.add(upper.column[entry], -multiplier * upper.value[entry]);
    }
    multiplications_ += static_cast<double>(end - at(upper.start[at(left)]));
  }

  /// Keeps the `most` largest of the columns whose values exceed `threshold`, in increasing order.
  template <class Drop>
  void keep_largest(std::vector<Column>& kept, double threshold, Index most, Drop&& drop) {
    std::erase_if(kept, [&](Column column) {
      const bool small = !(std::fabs(work_[column]) > threshold);
      if (small) drop(column);
      return small;
    });
    if (std::ssize(kept) > most) {
      const auto larger = [&](Column a, Column b) {
        const double of_a = std::fabs(work_[a]);
        const double of_b = std::fabs(work_[b]);
        return of_a != of_b ? of_a > of_b : a < b;
      };
      std::nth_element(kept.begin(), kept.begin() + most, kept.end(), larger);
      std::for_each(kept.begin() + most, kept.end(), drop);
      kept.resize(at(most));
    }
    std::sort(kept.begin(), kept.end());
  }

  void append(Triangle& triangle, const std::vector<Column>& columns) {
    for (const Column column : columns) {
      triangle.column.push_back(column);
      triangle.value.push_back(work_[column]);
    }
    triangle.start.push_back(std::ssize(triangle.column));
  }

  const System& system_;
  const Thresholds& thresholds_;
  IncompleteLu& factors_;
  WorkRow work_;
  Doubles row_sum_;  // of the upper factor
  std::vector<Column> lower_;
  std::vector<Column> upper_;
  double dropped_ = 0.0;
  double multiplications_ = 0.0;
};

std::optional<IncompleteLu> IncompleteLu::factorise(const System& forward, const Thresholds& thresholds,
                                                    Monitor& monitor) {
  std::optional<IncompleteLu> factors(std::in_place);
  if (!Elimination(forward, thresholds, *factors).run(monitor)) factors.reset();
  return factors;
}

template <class Number>
void IncompleteLu::solve(Direction direction, std::span<const Number> b, std::span<Number> x) const {
  if (direction == Direction::kForward) {
    solve_by_rows<Number>([&](std::size_t row) { return b[row]; }, x);
  } else {
    std::copy(b.begin(), b.end(), x.begin());
    solve_transposed(x);
  }
}

/// Column by column of the transposed triangles.
template <class Number>
void IncompleteLu::solve_transposed(std::span<Number> x) const {
  const auto subtract_column = [&](const Triangle& triangle, std::size_t row) {
    const Number known = x[row];
    for (auto entry = at(triangle.start[row]); entry < at(triangle.start[row + 1]); ++entry) {
      x[at(triangle.column[entry])] -= triangle.value[entry] * known;
    }
  };
  for (std::size_t row = 0; row < x.size(); ++row) {
    x[row] *= inverse_pivot_[row];
    subtract_column(upper_, row);
  }
  for (std::size_t row = x.size(); row-- > 0;) subtract_column(lower_, row);
}

template void IncompleteLu::solve(Direction, std::span<const double>, std::span<double>) const;
template void IncompleteLu::solve(Direction, std::span<const LaneArray<2>>, std::span<LaneArray<2>>) const;
template void IncompleteLu::solve(Direction, std::span<const LaneArray<4>>, std::span<LaneArray<4>>) const;
template void IncompleteLu::solve(Direction, std::span<const LaneArray<8>>, std::span<LaneArray<8>>) const;

}  // namespace rlcore::linear
