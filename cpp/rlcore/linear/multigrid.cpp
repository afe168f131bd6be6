// Multigrid: GCR around cycles through the levels of smoothed aggregation (hierarchy.hpp), for local chains, such as
// grids, at discounts near 1, where information must travel far.
#include <algorithm>
#include <optional>
#include <utility>

#include "rlcore/linear/hierarchy.hpp"
#include "rlcore/linear/local_traits.hpp"
#include "rlcore/linear/method.hpp"

namespace rlcore::linear {
namespace {

constexpr Index kDirections = 6;  // GCR starts again after so many
constexpr Index kMostIterations = 200;
constexpr double kSlowest = 0.6;  // the reduction a step, or multigrid gives up

/// The share of moves both ways that multigrid needs: where chains drift, what is smooth is no longer what is slow.
constexpr double kBothWays = 0.6;

class Multigrid final : public LaneMethod {
 public:
  explicit Multigrid(Systems& systems) : systems_(systems) {}

  /// Builds the levels of one direction; the reason if they are not suitable.
  std::string build(Direction direction, Monitor& monitor) {
    std::string reason;
    std::optional<Hierarchy>& hierarchy = hierarchies_[direction];
    if (!hierarchy) hierarchy.emplace(systems_[direction], coarsening_, reason, monitor);
    return reason;
  }

  std::vector<Outcome> solve_together(Direction direction, std::span<const Lane> lanes, Monitor& monitor) override {
    build(direction, monitor);
    std::optional<Hierarchy>& hierarchy = hierarchies_[direction];
    return with_lanes(lanes.size(), [&]<class Number>() {
      const auto cycle = [&](std::span<const Number> b, std::span<Number> x) { hierarchy->cycle<Number>(b, x); };
      const GcrSolver<Number> solver{"multigrid", systems_[direction], cycle, kDirections, kMostIterations, kSlowest};
      return solver.solve(lanes, monitor);
    });
  }

 private:
  Systems& systems_;
  Coarsening coarsening_;
  ByDirection<std::optional<Hierarchy>> hierarchies_;
};

}  // namespace

Candidate make_multigrid(Systems& systems, Direction wanted, Monitor& monitor) {
  const System& system = systems[wanted];
  if (!has_few_neighbours(system.matrix)) return {nullptr, "its states have too many neighbours"};
  if (share_both_ways(system.matrix) < kBothWays) return {nullptr, "its moves go one way"};
  auto method = std::make_unique<Multigrid>(systems);
  std::string reason = method->build(wanted, monitor);
  if (!reason.empty()) return {nullptr, std::move(reason)};
  return {std::move(method), {}};
}

}  // namespace rlcore::linear
