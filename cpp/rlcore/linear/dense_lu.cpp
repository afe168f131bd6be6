// Dense LU with partial pivoting: small chains, whatever their structure.
#include <Eigen/Dense>

#include "rlcore/linear/dense_factors.hpp"
#include "rlcore/linear/in_place.hpp"
#include "rlcore/linear/method.hpp"

namespace rlcore::linear {
namespace {

/// Up to here a factorisation costs less than finding out what else would do.
constexpr Index kLargest = 128;

class DenseLu final : public LaneMethod {
 public:
  explicit DenseLu(const System& system)
      : team_(*system.team),
        direction_(system.direction),
        factors_(Eigen::PartialPivLU<Eigen::MatrixXd>(resolvent_matrix(system))) {}

  std::vector<Outcome> solve_together(Direction direction, std::span<const Lane> lanes, Monitor&) override {
    return solve_in_place(lanes, team_, [&](auto x) {
      if (direction == direction_) {
        factors_.solve(x);
      } else {
        factors_.solve_transposed(x);
      }
    });
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

  Team& team_;
  Direction direction_;  // of the factors
  DenseFactors factors_;
};

}  // namespace

Candidate make_dense_lu(Systems& systems, Direction wanted, Monitor&) {
  if (systems.size() > kLargest) return {nullptr, "more than " + std::to_string(kLargest) + " states"};
  return {std::make_unique<DenseLu>(systems[wanted]), {}};
}

}  // namespace rlcore::linear
