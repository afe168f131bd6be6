// The Krylov methods of the portfolio: BiCGSTAB plain, and preconditioned by incomplete LU factors.
#include <algorithm>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "rlcore/linear/bicgstab.hpp"

namespace rlcore::linear {
namespace {

class BicgstabMethod final : public LaneMethod {
 public:
  BicgstabMethod(Systems& systems, const char* name, std::optional<IncompleteLu> preconditioner)
      : systems_(systems), name_(name), preconditioner_(std::move(preconditioner)) {}

  std::vector<Outcome> solve_together(Direction direction, std::span<const Lane> lanes, Monitor& monitor) override {
    const IncompleteLu* const preconditioner = preconditioner_ ? &*preconditioner_ : nullptr;
    return with_lanes(lanes.size(), [&]<class Number>() {
      const System& system = systems_[direction];
      const Operator<Number> a{[&](std::span<const Number> x, std::span<Number> y) { system.apply<Number>(x, y); },
                               [&](std::span<const Number> b, std::span<const Number> x, std::span<Number> r) {
                                 system.residual<Number>(b, x, r);
                               }};
      return Bicgstab<Number>(system, a, name_, preconditioner, lanes).solve(monitor);
    });
  }

 private:
  Systems& systems_;
  const char* name_;
  std::optional<IncompleteLu> preconditioner_;
};

Candidate make_preconditioned(Systems& systems, const char* name, const IncompleteLu::Thresholds& thresholds,
                              Monitor& monitor) {
  std::optional<IncompleteLu> factors = IncompleteLu::factorise(systems[Direction::kForward], thresholds, monitor);
  if (!factors) return {nullptr, "its factors would fill"};
  return {std::make_unique<BicgstabMethod>(systems, name, std::move(factors)), {}};
}

/// Times that remain up to which rough factors are made before anything else that suits local chains.
constexpr double kNear = 150.0;

/// How many steps remain, about: in the block of states from where the process hardly ends or is discounted away. One
/// state alone may be far from every end without those around it being so.
double remaining_time(Systems& systems, Direction wanted) {
  if (systems[wanted].conserves) return 1.0 / (1.0 - systems[wanted].discount);
  const System& system = systems[Direction::kForward];
  const CsrMatrix& m = system.matrix;
  Doubles time(at(num_blocks(m.size)));
  system.team->for_blocks(m.size, kBlock, [&](Index first, Index last, Index block) {
    double lost = 0.0;  // in one step
    for (Index row = first; row < last; ++row) {
      double kept = 0.0;
      for (Index k = m.first[row]; k < m.first[row] + m.length[row]; ++k) kept += m.value[k];
      lost += 1.0 - system.discount * kept;
    }
    time[at(block)] = static_cast<double>(last - first) / std::max(lost, std::numeric_limits<double>::min());
  });
  return *std::max_element(time.begin(), time.end());
}

}  // namespace

Candidate make_milut_at_once(Systems& systems, Direction wanted, Monitor& monitor) {
  if (remaining_time(systems, wanted) > kNear) return {nullptr, "what is far away counts"};
  return make_preconditioned(systems, "MILUT-BiCGSTAB", kRoughFactors, monitor);
}

Candidate make_milut_bicgstab(Systems& systems, Direction wanted, Monitor& monitor) {
  const System& system = systems[wanted];
  if (system.conserves && system.amplification > kFarthestForRough)
    return {nullptr, "too long a horizon for rough factors"};
  if (remaining_time(systems, wanted) <= kNear) return {nullptr, "it was tried before"};
  return make_preconditioned(systems, "MILUT-BiCGSTAB", kRoughFactors, monitor);
}

Candidate make_ilut_bicgstab(Systems& systems, Direction, Monitor& monitor) {
  return make_preconditioned(systems, "ILUT-BiCGSTAB", kFineFactors, monitor);
}

Candidate make_bicgstab(Systems& systems, Direction, Monitor&) {
  return {std::make_unique<BicgstabMethod>(systems, "BiCGSTAB", std::nullopt), {}};
}

}  // namespace rlcore::linear
