// Dense LU with partial pivoting: small chains, whatever their structure.
#include <Eigen/Dense>

#include "rlcore/linear/method.hpp"

namespace rlcore::linear {
namespace {

/// Up to here a factorisation costs less than finding out what else would do.
constexpr Index kLargest = 128;

class DenseLu final : public Method {
 public:
  explicit DenseLu(const System& system) : direction_(system.direction), factors_(resolvent_matrix(system)) {}

  Outcome solve(Direction direction, ConstVector b, Vector x, const Goal&, Monitor&) override {
    const Eigen::Map<const Eigen::VectorXd> right(b.data(), ssize(b));
    Eigen::Map<Eigen::VectorXd> answer(x.data(), ssize(x));
    if (direction == direction_) {
      answer = factors_.solve(right);
    } else {
      answer = factors_.transpose().solve(right);
    }
    return {1};
  }

  bool is_direct() const override { return true; }

 private:
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

  Direction direction_;  // of the factors
  Eigen::PartialPivLU<Eigen::MatrixXd> factors_;
};

}  // namespace

Candidate make_dense_lu(Systems& systems, Direction wanted, Monitor&) {
  if (systems.size() > kLargest) return {nullptr, "more than " + std::to_string(kLargest) + " states"};
  return {std::make_unique<DenseLu>(systems[wanted]), {}};
}

}  // namespace rlcore::linear
