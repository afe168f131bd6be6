// Planning: known answers, enclosures that hold on random models, the same bits for every team.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "models.hpp"
#include "rlcore/planning/discounted.hpp"
#include "rlcore/planning/finite_horizon.hpp"
#include "rlcore/planning/ordered_model.hpp"

using namespace rlcore;
using namespace rlcore::tests;

namespace {

Plan solved(const Mdp& mdp, double discount, double tolerance = 1e-6, int num_threads = 1) {
  Monitor monitor;
  return solve_discounted(mdp, discount, {tolerance, num_threads}, monitor);
}

}  // namespace

TEST_CASE("a forest is left alone") {
  const Model model = forest();
  const Mdp mdp = model.mdp();
  const Plan plan = solved(mdp, 0.9);
  const std::vector<double> exact{6561.0 / 250.0, 7371.0 / 250.0, 8371.0 / 250.0};
  for (std::size_t s = 0; s < 3; ++s) {
    CHECK(std::fabs(plan.value[s] - exact[s]) < 1e-13);
    CHECK(plan.choice[s] == mdp.first_pair(static_cast<Index>(s)));
  }
  CHECK(plan.bounds.value < 1e-14);
  CHECK(plan.bounds.policy_value < 1e-14);
}

TEST_CASE("the policy is worth what its bound says") {
  for (const double termination : {0.0, 0.01}) {
    for (const double discount : {0.0, 0.5, 0.99, 0.99999}) {
      const Model model = random_model(700, 3, 4, termination);
      const Mdp mdp = model.mdp();
      const Plan plan = solved(mdp, discount);
      Monitor monitor;
      const Doubles policy = policy_of(mdp, plan.choice);
      const Evaluation own = evaluate(mdp, policy, discount, {0.0, 1});
      double short_by = 0.0;
      double largest = 0.0;
      for (std::size_t s = 0; s < plan.value.size(); ++s) {
        CHECK(own.value[s] <= plan.value[s] + plan.bounds.value + own.bounds.value);
        short_by = std::max(short_by, plan.value[s] - own.value[s]);
        largest = std::max(largest, std::fabs(plan.value[s]));
      }
      CHECK(plan.bounds.value <= 1e-6 * largest);
      CHECK(short_by <= plan.bounds.policy_value + plan.bounds.value + own.bounds.value);
    }
  }
}

TEST_CASE("every team finds the same bits") {
  const Model model = random_model(20000, 3, 4, 0.0);
  const Mdp mdp = model.mdp();
  const Plan one = solved(mdp, 0.999, 1e-8, 1);
  const Plan three = solved(mdp, 0.999, 1e-8, 3);
  CHECK(one.value == three.value);
  CHECK(one.choice == three.choice);
  CHECK(one.bounds.policy_value == three.bounds.policy_value);
}

TEST_CASE("a residual encloses the fixed point") {
  // v = 0, T v between 1 and 3, w between .1 and .5: V* is at least 1 / .5 and at most 3 / .1.
  const Interval distance = distance_to_fixed_point({1.0, 3.0}, {0.1, 0.5});
  CHECK(distance.lower <= 2.0);
  CHECK(distance.lower > 1.999);
  CHECK(distance.upper >= 30.0);
  CHECK(distance.upper < 30.001);
  const Interval below = distance_to_fixed_point({-3.0, -1.0}, {0.1, 0.5});
  CHECK(below.lower == -distance.upper);
  CHECK(below.upper == -distance.lower);
}

TEST_CASE("models are ordered by the distance from their rewards, and keep their rows") {
  const Model model = ring(50, 1.0);
  const Mdp mdp = model.mdp();
  Team team(1);
  Monitor monitor;
  const OrderedModel ordered(mdp, team, monitor);
  Doubles numbers(50);
  for (std::size_t s = 0; s < 50; ++s) numbers[s] = static_cast<double>(s);
  Doubles moved(50);
  ordered.order().apply(numbers, moved, team);
  Doubles back(50);
  ordered.order().undo(moved, back, team);
  CHECK(back == numbers);
  // One sweep in place carries the reward around the whole ring.
  Doubles v(50, 0.0);
  bellman_sweep_in_place(ordered, 0.5, true, v);
  CHECK(*std::min_element(v.begin(), v.end()) > 0.0);
  CHECK(std::is_sorted(v.rbegin(), v.rend()));
}

TEST_CASE("induction over a horizon is iteration from zero") {
  const Model model = random_model(300, 3, 4, 0.02);
  const Mdp mdp = model.mdp();
  const std::vector<double> discounts(6, 0.9);
  Monitor monitor;
  const FiniteHorizonPlan plan = solve_finite_horizon(mdp, discounts, {0.0, 1}, monitor);
  Team team(1);
  Doubles v(300, 0.0);
  Doubles next(300);
  Choice choice(300);
  for (Index step = 0; step < 6; ++step) {
    bellman_sweep(mdp, 0.9, v, next, choice, team);
    std::swap(v, next);
  }
  for (std::size_t s = 0; s < 300; ++s) CHECK(std::fabs(plan.value[s] - v[s]) < 1e-14);
  CHECK(plan.bounds.policy_value[0] < 1e-25);
}
