// The singular systems of a running chain: what is left of their residuals, and that both directions are one.
#include <doctest/doctest.h>

#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "models.hpp"
#include "rlcore/linear/running_chain.hpp"
#include "rlcore/policy.hpp"

using namespace rlcore;
using namespace rlcore::tests;
using linear::Direction;

namespace {

/// A walk on a torus of side x side states, a little faster to one side than to the other.
Model torus(Index side) {
  Model model;
  for (Index state = 0; state < side * side; ++state) {
    const Index row = state / side;
    const Index column = state % side;
    std::vector<std::pair<Index, double>> moves{{(row + 1) % side * side + column, 0.25},
                                                {(row + side - 1) % side * side + column, 0.25},
                                                {row * side + (column + 1) % side, 0.3125},
                                                {row * side + (column + side - 1) % side, 0.1875}};
    std::sort(moves.begin(), moves.end());
    for (const auto& [next, probability] : moves) model.add_entry(next, probability);
    model.end_pair(0.0);
    model.end_state();
  }
  return model;
}

Doubles random_vector(Index size, unsigned seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal;
  Doubles x(at(size));
  for (double& number : x) number = normal(random);
  return x;
}

double product(ConstVector x, ConstVector y) {
  double sum = 0.0;
  for (std::size_t i = 0; i < x.size(); ++i) sum += x[i] * y[i];
  return sum;
}

struct Setup {
  Mdp mdp;
  std::vector<double> policy;
  Chain chain;
  Team team{2};
  Monitor monitor;

  explicit Setup(const Model& model)
      : mdp(model.mdp()), policy(model.uniform_policy()), chain(mdp, policy, check_policy(mdp, policy)) {}
};

}  // namespace

TEST_CASE("a cycle of one direction is the transpose of the other's") {
  const Model model = torus(40);
  Setup setup(model);
  const CsrMatrix forward = setup.chain.transition(setup.team);
  const CsrMatrix transposed = setup.chain.transposed_transition(setup.team);
  std::string reason;
  linear::SmoothedAggregation multigrid(forward, transposed, setup.team, setup.monitor, reason);
  REQUIRE(reason.empty());
  const Doubles x = random_vector(forward.size, 1);
  const Doubles y = random_vector(forward.size, 2);
  Doubles cycle_x(x.size());
  Doubles cycle_y(y.size());
  multigrid.cycle(Direction::kForward, x, cycle_x);
  multigrid.cycle(Direction::kTransposed, y, cycle_y);
  const double size = std::sqrt(product(cycle_x, cycle_x) * product(y, y));
  CHECK(std::fabs(product(y, cycle_x) - product(cycle_y, x)) <= 1e-10 * size);
}

TEST_CASE("running systems are solved by sweeps where the chain mixes and by multigrid where it is local") {
  for (const bool mixes : {true, false}) {
    const Model model = mixes ? random_model(5000, 2, 5) : torus(90);
    Setup setup(model);
    linear::RunningChain running(setup.chain, setup.chain.transition(setup.team), setup.team, setup.monitor);
    for (const Direction direction : {Direction::kForward, Direction::kTransposed}) {
      Doubles b = random_vector(setup.chain.size(), 3);
      double mean = 0.0;
      for (const double number : b) mean += number / static_cast<double>(b.size());
      for (double& number : b) number -= mean;
      Doubles x(b.size());
      Doubles left(b.size());
      const linear::System& system = running.system(direction);
      const double enough = 1e-9 * system.residual_norm(b);
      REQUIRE(running.solve(direction, b, enough, x));
      system.residual(b, x, left);
      CHECK(system.residual_norm(left) <= 1.01 * enough);
      CHECK(running.count_iterations() <= 40);
    }
    CHECK(running.method() == (mixes ? "renewal sweeps" : "renewal multigrid"));
  }
}
