// Dense LU with partial pivoting: small chains, whatever their structure.
#include <Eigen/Dense>

#include "rlcore/linear/in_place.hpp"
#include "rlcore/linear/method.hpp"

namespace rlcore::linear {
namespace {

/// Up to here a factorisation costs less than finding out what else would do.
constexpr Index kLargest = 128;

class DenseLu final : public LaneMethod {
 public:
  explicit DenseLu(const System& system) : team_(*system.team), direction_(system.direction) {
    const Eigen::PartialPivLU<Eigen::MatrixXd> factors(resolvent_matrix(system));
    by_columns_ = factors.matrixLU();
    by_rows_ = by_columns_;
    inverse_pivot_ = by_columns_.diagonal().cwiseInverse();
    place_ = factors.permutationP().indices();
  }

  std::vector<Outcome> solve_together(Direction direction, std::span<const Lane> lanes, Monitor&) override {
    return solve_in_place(lanes, team_, [&](auto x) {
      if (direction == direction_) {
        solve_as_factorised(x);
      } else {
        solve_transposed(x);
      }
    });
  }

  bool is_direct() const override { return true; }

 private:
  /// x = U^-1 L^-1 P x
  template <class Number>
  void solve_as_factorised(std::span<Number> x) const {
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

  /// x = P' L^-T U^-T x
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

  Index size() const { return by_columns_.rows(); }

  static Eigen::MatrixXd resolvent_matrix(const System& system) {
    const CsrMatrix& m = system.matrix;
    Eigen::MatrixXd dense = Eigen::MatrixXd::Identity(m.size, m.size);
    for (Index row = 0; row < m.size; ++row) {
      const Index begin = m.first[row];
      for (Index entry = begin; entry < begin + m.length[row]; ++entry) {
        const std::size_t i = at(entry);
        dense(row, m.column[i]) -= system.discount * m.value[i];
      }
    }
    return dense;
  }

  using ByRows = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

  Team& team_;
  Direction direction_;         // of the factors
  Eigen::MatrixXd by_columns_;  // L, but for its diagonal of ones, and U
  ByRows by_rows_;              // the same, to be read along rows
  Eigen::VectorXd inverse_pivot_;
  Eigen::VectorXi place_;  // of each row after the exchanges
};

}  // namespace

Candidate make_dense_lu(Systems& systems, Direction wanted, Monitor&) {
  if (systems.size() > kLargest) return {nullptr, "more than " + std::to_string(kLargest) + " states"};
  return {std::make_unique<DenseLu>(systems[wanted]), {}};
}

}  // namespace rlcore::linear
