// The Krylov methods of the portfolio: BiCGSTAB plain, and preconditioned by incomplete LU factors.
#include <optional>
#include <utility>
#include <vector>

#include "rlcore/linear/bicgstab.hpp"
#include "rlcore/linear/local_traits.hpp"

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

}  // namespace

Candidate make_milut_at_once(Systems& systems, Direction wanted, Monitor& monitor) {
  if (!is_near(systems, wanted)) return {nullptr, "what is far away counts"};
  return make_preconditioned(systems, "MILUT-BiCGSTAB", kRoughFactors, monitor);
}

Candidate make_milut_bicgstab(Systems& systems, Direction wanted, Monitor& monitor) {
  const System& system = systems[wanted];
  if (system.conserves && system.amplification > kFarthestForRough)
    return {nullptr, "too long a horizon for rough factors"};
  if (is_near(systems, wanted)) return {nullptr, "it was tried before"};
  return make_preconditioned(systems, "MILUT-BiCGSTAB", kRoughFactors, monitor);
}

Candidate make_ilut_bicgstab(Systems& systems, Direction, Monitor& monitor) {
  return make_preconditioned(systems, "ILUT-BiCGSTAB", kFineFactors, monitor);
}

Candidate make_bicgstab(Systems& systems, Direction, Monitor&) {
  return {std::make_unique<BicgstabMethod>(systems, "BiCGSTAB", std::nullopt), {}};
}

}  // namespace rlcore::linear
