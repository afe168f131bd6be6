#include "rlcore/linear/incomplete_lu.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <queue>

namespace rlcore::linear {
namespace {

/// Rows between two looks at the monitor.
constexpr Index kRowsPerPoll = 1000;

/// One row being eliminated: dense values, the list of its nonzero columns, and a queue of those left
/// of the diagonal, which elimination must meet in increasing order.
class WorkRow {
 public:
  explicit WorkRow(Index size) : value_(at(size)), present_(at(size)) {}

  void begin(Column diagonal) {
    for (const Column column : columns_) present_[at(column)] = 0;
    columns_.clear();
    diagonal_ = diagonal;
  }

  void add(Column column, double value) {
    const std::size_t i = at(column);
    if (present_[i] == 0) {
      present_[i] = 1;
      value_[i] = 0.0;
      columns_.push_back(column);
      if (column < diagonal_) left_.push(column);
    }
    value_[i] += value;
  }

  bool next_left(Column& column) {
    if (left_.empty()) return false;
    column = left_.top();
    left_.pop();
    return true;
  }

  double& operator[](Column column) { return value_[at(column)]; }
  const double* values() const { return value_.data(); }
  const std::vector<Column>& columns() const { return columns_; }

 private:
  Doubles value_;
  std::vector<char> present_;
  std::vector<Column> columns_;
  std::priority_queue<Column, std::vector<Column>, std::greater<>> left_;
  Column diagonal_ = 0;
};

/// Loads row i of I - discount M; returns its mean magnitude, the measure of what is small.
double load_row(const System& system, Index row, WorkRow& work) {
  const CsrMatrix& m = system.matrix;
  const Index begin = m.first[row];
  const Index length = m.length[row];
  double norm = 1.0;
  work.begin(static_cast<Column>(row));
  work.add(static_cast<Column>(row), 1.0);
  for (Index entry = begin; entry < begin + length; ++entry) {
    const double value = -system.discount * m.value[entry];
    work.add(m.column[entry], value);
    norm += std::fabs(value);
  }
  return norm / static_cast<double>(length + 1);
}

/// Keeps the `most` largest of the candidates that exceed `threshold`, in increasing column order.
void keep_largest(std::vector<Column>& kept, WorkRow& work, double threshold, Index most) {
  std::erase_if(kept, [&](Column column) { return !(std::fabs(work[column]) > threshold); });
  if (std::ssize(kept) > most) {
    const auto larger = [&](Column a, Column b) {
      const double of_a = std::fabs(work[a]);
      const double of_b = std::fabs(work[b]);
      return of_a != of_b ? of_a > of_b : a < b;
    };
    std::nth_element(kept.begin(), kept.begin() + most, kept.end(), larger);
    kept.resize(at(most));
  }
  std::sort(kept.begin(), kept.end());
}

}  // namespace

void IncompleteLu::Triangle::append(const std::vector<Column>& columns, const double* values) {
  for (const Column kept : columns) {
    column.push_back(kept);
    value.push_back(values[kept]);
  }
  start.push_back(static_cast<Index>(column.size()));
}

std::optional<IncompleteLu> IncompleteLu::factorise(const System& system, double drop, Index fill, double most_work,
                                                    Monitor& monitor) {
  IncompleteLu factors;
  WorkRow work(system.size());
  std::vector<Column> lower;
  std::vector<Column> upper;
  double multiplications = 0.0;
  for (Index row = 0; row < system.size(); ++row) {
    if (row % kRowsPerPoll == 0) monitor.poll({"incomplete LU", row, 0.0, 0.0});
    const double threshold = drop * load_row(system, row, work);
    lower.clear();
    upper.clear();
    for (Column left = 0; work.next_left(left);) {
      const double multiplier = work[left] * factors.inverse_pivot_[at(left)];
      work[left] = multiplier;
      if (!(std::fabs(multiplier) > threshold)) continue;
      lower.push_back(left);
      const Index end = factors.upper_.start[at(left + 1)];
      for (Index entry = factors.upper_.start[at(left)]; entry < end; ++entry) {
        work.add(factors.upper_.column[at(entry)], -multiplier * factors.upper_.value[at(entry)]);
        multiplications += 1.0;
      }
    }
    if (multiplications > most_work * static_cast<double>(row + kRowsPerPoll)) return std::nullopt;
    for (const Column column : work.columns()) {
      if (column > row) upper.push_back(column);
    }
    const Index most = system.matrix.length[row] + fill;
    keep_largest(lower, work, threshold, most);
    keep_largest(upper, work, threshold, most);
    factors.lower_.append(lower, work.values());
    factors.upper_.append(upper, work.values());
    // Dropping cannot make a pivot negative, but rounding near discount 1 could make it vanish.
    factors.inverse_pivot_.push_back(1.0 / std::max(work[static_cast<Column>(row)], 1e-15));
  }
  return factors;
}

void IncompleteLu::solve(ConstVector b, Vector x) const {
  const Index size = ssize(b);
  const auto subtract_row = [](const Triangle& triangle, std::size_t row, const double* known, double sum) {
    for (Index entry = triangle.start[row]; entry < triangle.start[row + 1]; ++entry) {
      const std::size_t i = at(entry);
      sum -= triangle.value[i] * known[triangle.column[i]];
    }
    return sum;
  };
  for (Index row = 0; row < size; ++row) {
    const auto i = at(row);
    x[i] = subtract_row(lower_, i, x.data(), b[i]);
  }
  for (Index row = size - 1; row >= 0; --row) {
    const auto i = at(row);
    x[i] = subtract_row(upper_, i, x.data(), x[i]) * inverse_pivot_[i];
  }
}

}  // namespace rlcore::linear
