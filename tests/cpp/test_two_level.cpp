// Nearly decomposable chains take a few steps at any discount, with the same bits for every team; others are declined.
#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <stdexcept>
#include <vector>

#include "models.hpp"
#include "rlcore/chain.hpp"
#include "rlcore/evaluation.hpp"
#include "rlcore/linear/groups.hpp"
#include "rlcore/linear/method.hpp"
#include "rlcore/linear/portfolio.hpp"
#include "rlcore/linear/resolvent.hpp"
#include "rlcore/policy.hpp"

using namespace rlcore;
using namespace rlcore::linear;
using tests::Model;

namespace {

/// Which group a state leaves for.
enum class Neighbours { kRing, kAny };

struct Shape {
  Index groups = 300;
  Index size = 10;
  double coupling = 1e-6;
  Neighbours neighbours = Neighbours::kRing;
  double ending = 0.0;
  double moving = 1.0;     // states stay otherwise
  bool scattered = false;  // every so many states belong to one group, rather than the next ones
};

/// Groups in each of which the process moves at random, left with probability `coupling`.
Model nearly_decomposable(const Shape& shape) {
  std::mt19937_64 random(1);
  const auto draw = [&](Index count) { return static_cast<Index>(random() % static_cast<std::uint64_t>(count)); };
  const Index num_states = shape.groups * shape.size;
  const auto group_of = [&](Index s) { return shape.scattered ? s % shape.groups : s / shape.size; };
  const auto state = [&](Index group, Index i) {
    return shape.scattered ? i * shape.groups + group : group * shape.size + i;
  };
  Model model;
  for (Index s = 0; s < num_states; ++s) {
    const Index group = group_of(s);
    const Index step = shape.neighbours == Neighbours::kRing ? 1 : 1 + draw(shape.groups - 1);
    const Index rank = shape.scattered ? s / shape.groups : s % shape.size;
    std::vector<double> row(at(num_states), 0.0);
    row[at(state(group, (rank + 1) % shape.size))] += 0.25 * shape.moving;
    for (const double share : {0.5, 0.25}) row[at(state(group, draw(shape.size)))] += share * shape.moving;
    row[at(s)] += 1.0 - shape.moving;
    for (double& p : row) p *= 1.0 - shape.coupling;
    row[at(state((group + step) % shape.groups, draw(shape.size)))] += shape.coupling;
    for (Index next = 0; next < num_states; ++next) {
      if (row[at(next)] > 0.0) model.add_entry(next, row[at(next)] * (1.0 - shape.ending));
    }
    model.end_pair(static_cast<double>(s % 11) - 4.0);
    if (shape.ending > 0.0) model.termination.push_back(shape.ending);
    model.end_state();
  }
  model.initial.assign(at(num_states), 1.0 / static_cast<double>(num_states));
  return model;
}

const Entry& two_level() {
  for (const Entry& entry : portfolio()) {
    if (entry.name == "two-level aggregation") return entry;
  }
  throw std::logic_error("the portfolio has no two-level aggregation");
}

/// The method on the chain of a model of one action a state.
struct Solver {
  Mdp mdp;
  std::vector<double> policy;
  Chain chain;
  Team team;
  Systems systems;
  Direction direction;
  Monitor monitor;
  Candidate candidate;
  Index iterations = 0;

  Solver(const Model& model, double discount, Direction wanted, int num_threads = 2)
      : mdp(model.arrays()),
        policy(model.uniform_policy()),
        chain(mdp, policy, check_policy(mdp, policy)),
        team(num_threads),
        systems(chain.size(), team,
                [this, discount](Direction either) { return Kernel(chain, discount).assemble(either, team); }),
        direction(wanted),
        candidate(two_level().make(systems, wanted, monitor)) {}

  const System& system() { return systems[direction]; }

  Doubles right_side() {
    Doubles b(at(system().size()));
    for (std::size_t i = 0; i < b.size(); ++i) b[i] = static_cast<double>((i * i) % 7) - 2.0;
    return b;
  }

  Goal goal(ConstVector b) { return {1e-10, 0.0, system().residual_norm(b), system().amplification}; }

  Doubles solve(const Doubles& b) {
    Doubles x(b.size(), 1e300);  // what x held before must not matter
    iterations = candidate.method->solve(direction, b, x, goal(b), monitor).iterations;
    return x;
  }
};

void check_solve(Solver& solver) {
  const Doubles b = solver.right_side();
  const Doubles x = solver.solve(b);
  Doubles residual(b.size());
  solver.system().residual(b, x, residual);
  const double left = solver.system().residual_norm(residual);
  // What rounding a large constant to doubles leaves comes on top.
  CHECK(left <= 2.0 * solver.goal(b).tolerance * solver.system().norm(x) / solver.system().amplification +
                    1e-13 * solver.goal(b).initial + 1e-15 * solver.system().norm(x));
  CHECK(solver.iterations <= 9);
}

/// Made for either direction, it solves both.
void check_solves(const Shape& shape, double discount) {
  INFO(shape.groups, " groups of ", shape.size, ", coupling ", shape.coupling, ", discount ", discount);
  const Model model = nearly_decomposable(shape);
  for (const Direction wanted : {Direction::kForward, Direction::kTransposed}) {
    Solver solver(model, discount, wanted);
    INFO(solver.candidate.reason);
    REQUIRE(solver.candidate.method);
    for (const Direction direction : {Direction::kForward, Direction::kTransposed}) {
      solver.direction = direction;
      check_solve(solver);
    }
  }
}

std::string reason(const Model& model) { return Solver(model, 0.99, Direction::kForward).candidate.reason; }

}  // namespace

TEST_CASE("nearly decomposable chains take a few steps, in both directions") {
  for (const double discount : {0.5, 0.99, 0.99999}) {
    for (const double coupling : {1e-2, 1e-3, 1e-6, 1e-9}) {
      for (const double ending : {0.0, 1e-4}) {
        check_solves({.coupling = coupling, .ending = ending}, discount);
        check_solves({.coupling = coupling, .neighbours = Neighbours::kAny, .ending = ending}, discount);
      }
    }
  }
}

TEST_CASE("groups may have any size") {
  for (const Index size : {2, 3, 70, 450}) check_solves({.groups = size < 10 ? 700 : 4, .size = size}, 0.9999);
}

TEST_CASE("groups need not be neighbours in number") {
  check_solves({.neighbours = Neighbours::kAny, .scattered = true}, 0.99999);
}

TEST_CASE("groups that are never left are solved on their own") { check_solves({.coupling = 0.0}, 0.999); }

TEST_CASE("groups may be slow, if they are left more slowly still") {
  check_solves({.coupling = 1e-9, .moving = 5e-4}, 0.99999);
}

TEST_CASE("answers have the same bits for every team") {
  for (const Neighbours neighbours : {Neighbours::kRing, Neighbours::kAny}) {
    const Model model = nearly_decomposable({.groups = 900, .coupling = 1e-3, .neighbours = neighbours});
    for (const Direction direction : {Direction::kForward, Direction::kTransposed}) {
      Solver one(model, 0.9999, direction, 1);
      const Doubles b = one.right_side();
      const Doubles x = one.solve(b);
      for (const int threads : {2, 3}) CHECK(Solver(model, 0.9999, direction, threads).solve(b) == x);
    }
  }
}

TEST_CASE("what has no groups, or leaves them often, is declined") {
  CHECK(reason(tests::random_model(3000, 2, 5)) == "its states hang together");
  CHECK(reason(tests::ring(3000, 0.5)) == "its states hang together");
  CHECK(reason(tests::ring(3000, 1e-7)) == "its states form no groups");
  CHECK(reason(tests::ring(300, 0.5)) == "its states form no groups");
}

TEST_CASE("groups are the states that strong entries connect") {
  const Model model = nearly_decomposable({.groups = 40, .size = 6, .scattered = true});
  Solver solver(model, 0.9, Direction::kForward);
  const std::optional<Groups> groups = Groups::find(solver.system(), 1e-3, 6);
  REQUIRE(groups);
  CHECK(groups->count() == 40);
  for (Index g = 0; g < groups->count(); ++g) {
    CHECK(std::ranges::is_sorted(groups->states(g)));
    CHECK(groups->states(g).size() == 6);
    for (const Column s : groups->states(g)) {
      CHECK(s % 40 == g);
      CHECK(groups->of(s) == g);
    }
  }
  CHECK_FALSE(Groups::find(solver.system(), 1e-3, 5));
}

TEST_CASE("an evaluation of a nearly decomposable chain is certified by this method") {
  const Model model = nearly_decomposable({.coupling = 1e-4});
  const Evaluation evaluation = evaluate(model.mdp(), model.uniform_policy(), 0.99999);
  CHECK(evaluation.certificate.converged);
  CHECK(evaluation.certificate.method == "two-level aggregation");
}
