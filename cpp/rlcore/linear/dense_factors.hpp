// Dense LU factors with partial pivoting, substituted in lanes: Eigen's own solves round differently for several
// columns than for one.
#pragma once

#include <span>
#include <vector>

#include "rlcore/lanes.hpp"

namespace rlcore::linear {

class DenseFactors {
 public:
  DenseFactors() = default;

  /// From a factorisation as Eigen's PartialPivLU leaves it.
  template <class Factorisation>
  explicit DenseFactors(const Factorisation& factorisation)
      : size_(factorisation.matrixLU().rows()), columns_(at(size_ * size_)), rows_(at(size_ * size_)) {
    for (Index column = 0; column < size_; ++column) {
      for (Index row = 0; row < size_; ++row) {
        const double entry = factorisation.matrixLU()(row, column);
        columns_[at(column * size_ + row)] = rows_[at(row * size_ + column)] = entry;
        if (row == column) inverse_pivot_.push_back(1.0 / entry);
      }
      place_.push_back(factorisation.permutationP().indices()[column]);
    }
  }

  /// x = A^-1 x = U^-1 L^-1 P x
  template <class Number>
  void solve(std::span<Number> x) const {
    const Numbers<Number> b(x.begin(), x.end());
    for (Index row = 0; row < size(); ++row) x[at(place_[at(row)])] = b[at(row)];
    for (Index column = 0; column < size(); ++column) {
      const Number known = x[at(column)];
      for (Index row = column + 1; row < size(); ++row) x[at(row)] -= by_columns(row, column) * known;
    }
    for (Index column = size() - 1; column >= 0; --column) {
      const Number known = x[at(column)] *= inverse_pivot_[at(column)];
      for (Index row = 0; row < column; ++row) x[at(row)] -= by_columns(row, column) * known;
    }
  }

  /// x = A^-T x = P' L^-T U^-T x
  template <class Number>
  void solve_transposed(std::span<Number> x) const {
    for (Index row = 0; row < size(); ++row) {
      const Number known = x[at(row)] *= inverse_pivot_[at(row)];
      for (Index column = row + 1; column < size(); ++column) x[at(column)] -= by_rows(row, column) * known;
    }
    for (Index row = size() - 1; row >= 0; --row) {
      const Number known = x[at(row)];
      for (Index column = 0; column < row; ++column) x[at(column)] -= by_rows(row, column) * known;
    }
    const Numbers<Number> permuted(x.begin(), x.end());
    for (Index row = 0; row < size(); ++row) x[at(row)] = permuted[at(place_[at(row)])];
  }

 private:
  Index size() const { return size_; }
  double by_columns(Index row, Index column) const { return columns_[at(column * size_ + row)]; }
  double by_rows(Index row, Index column) const { return rows_[at(row * size_ + column)]; }

  Index size_ = 0;
  Doubles columns_;  // L, but for its diagonal of ones, and U
  Doubles rows_;     // the same, to be read along rows
  Doubles inverse_pivot_;
  std::vector<Index> place_;  // of each row after the exchanges
};

}  // namespace rlcore::linear
