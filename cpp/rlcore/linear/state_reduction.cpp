// State reduction: processes that end, however late, if their states have few neighbours and these hang together.
#include "rlcore/linear/kernel.hpp"
#include "rlcore/linear/local_traits.hpp"
#include "rlcore/linear/method.hpp"
#include "rlcore/linear/reduction.hpp"
#include "rlcore/linear/shared_fronts.hpp"

namespace rlcore::linear {
namespace {

constexpr double kMostWork = 2e9;  // multiplications: a second or two

class StateReduction final : public LaneMethod {
 public:
  StateReduction(Reduction reduction, Team& team) : reduction_(std::move(reduction)), team_(team) {}

  std::vector<Outcome> solve_together(Direction direction, std::span<const Lane> lanes, Monitor&) override {
    with_lanes(lanes.size(), [&]<class Number>() {
      Numbers<TwofoldOf<Number>> x(at(reduction_.fronts().size()));
      for_states([&](std::size_t state, std::size_t place) {
        for (std::size_t k = 0; k < lanes.size(); ++k) set_lane(x[place], k, {lanes[k].b[state]});
      });
      reduction_.solve<Number>(direction, x, team_);
      for_states([&](std::size_t state, std::size_t place) {
        for (std::size_t k = 0; k < lanes.size(); ++k) {
          const Twofold found = lane(x[place], k);
          lanes[k].x[state] = found.hi;
          if (!lanes[k].rest.empty()) lanes[k].rest[state] = found.lo;
        }
      });
    });
    return std::vector<Outcome>(lanes.size(), Outcome{1});
  }

  bool is_direct() const override { return true; }
  bool is_twofold() const override { return true; }

 private:
  template <class Body>
  void for_states(Body&& body) {
    team_.for_blocks(reduction_.fronts().size(), kBlock, [&](Index first, Index last, Index) {
      for (Index state = first; state < last; ++state) body(at(state), at(reduction_.fronts().place(state)));
    });
  }

  Reduction reduction_;
  Team& team_;
};

std::shared_ptr<const Fronts> fronts_of(const Kernel& kernel, const System& forward, Monitor& monitor) {
  if (SharedFronts* const shared = kernel.shared_fronts()) return shared->of(forward.matrix, kMostWork, monitor);
  return Fronts::by_minimum_degree(forward.matrix, kMostWork, monitor);
}

}  // namespace

Candidate make_state_reduction(Systems& systems, Direction, Monitor& monitor) {
  if (systems.kernel() == nullptr || systems.kernel()->is_discounted()) return {nullptr, "the process is discounted"};
  const System& forward = systems[Direction::kForward];
  if (!has_few_neighbours(forward.matrix)) return {nullptr, "its states have too many neighbours"};
  std::shared_ptr<const Fronts> fronts = fronts_of(*systems.kernel(), forward, monitor);
  if (!fronts) return {nullptr, "its elimination would take too long"};
  const Doubles ending = systems.kernel()->ending(systems.team());
  std::optional<Reduction> reduction = Reduction::of(forward, ending, std::move(fronts), monitor);
  if (!reduction) return {nullptr, "some states are left too rarely for doubles"};
  return {std::make_unique<StateReduction>(std::move(*reduction), systems.team()), {}};
}

}  // namespace rlcore::linear
