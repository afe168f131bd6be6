// Dense LU factors with partial pivoting, substituted in lanes: Eigen's own solves round differently for several
// columns than for one.
#pragma once

#include <Eigen/Dense>
#include <span>

#include "rlcore/lanes.hpp"

namespace rlcore::linear {

class DenseFactors {
 public:
  DenseFactors() = default;
  explicit DenseFactors(const Eigen::MatrixXd& matrix) {
    const Eigen::PartialPivLU<Eigen::MatrixXd> factors(matrix);
    by_columns_ = factors.matrixLU();
    by_rows_ = by_columns_;
    inverse_pivot_ = by_columns_.diagonal().cwiseInverse();
    place_ = factors.permutationP().indices();
  }

  /// x = A^-1 x = U^-1 L^-1 P x
  template <class Number>
  void solve(std::span<Number> x) const {
    const Numbers<Number> b(x.begin(), x.end());
    for (Index row = 0; row < size(); ++row) x[at(place_[row])] = b[at(row)];
    for (Index column = 0; column < size(); ++column) {
      const Number known = x[at(column)];
      for (Index row = column + 1; row < size(); ++row) x[at(row)] -= by_columns_(row, column) * known;
    }
    for (Index column = size() - 1; column >= 0; --column) {
      const Number known = x[at(column)] *= inverse_pivot_[column];
      for (Index row = 0; row < column; ++row) x[at(row)] -= by_columns_(row, column) * known;
    }
  }

  /// x = A^-T x = P' L^-T U^-T x
  template <class Number>
  void solve_transposed(std::span<Number> x) const {
    for (Index row = 0; row < size(); ++row) {
      const Number known = x[at(row)] *= inverse_pivot_[row];
      for (Index column = row + 1; column < size(); ++column) x[at(column)] -= by_rows_(row, column) * known;
    }
    for (Index row = size() - 1; row >= 0; --row) {
      const Number known = x[at(row)];
      for (Index column = 0; column < row; ++column) x[at(column)] -= by_rows_(row, column) * known;
    }
    const Numbers<Number> permuted(x.begin(), x.end());
    for (Index row = 0; row < size(); ++row) x[at(row)] = permuted[at(place_[row])];
  }

 private:
  using ByRows = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

  Index size() const { return by_columns_.rows(); }

  Eigen::MatrixXd by_columns_;  // L, but for its diagonal of ones, and U
  ByRows by_rows_;              // the same, to be read along rows
  Eigen::VectorXd inverse_pivot_;
  Eigen::VectorXi place_;  // of each row after the exchanges
};

}  // namespace rlcore::linear
