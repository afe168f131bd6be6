// The singular systems of a running chain: what is left of their residuals.
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

Doubles random_vector(Index size, unsigned seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal;
  Doubles x(at(size));
  for (double& number : x) number = normal(random);
  return x;
}

}  // namespace

TEST_CASE("running systems are solved by sweeps where the chain mixes and by multigrid where it is local") {
  for (const bool mixes : {true, false}) {
    const Model model = mixes ? random_model(5000, 2, 5) : torus(90);
    UniformChain setup(model);
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

TEST_CASE("sweeps find the bias of what they find on their way") {
  const Model model = random_model(5000, 2, 5);  // which the setup borrows
  UniformChain setup(model);
  linear::RunningChain running(setup.chain, setup.chain.transition(setup.team), setup.team, setup.monitor);
  const Doubles b = random_vector(setup.chain.size(), 4);
  Doubles h(b.size());
  Doubles bias_of_h(b.size());
  Doubles left(b.size());
  const linear::System& system = running.system(Direction::kForward);
  const double enough = 1e-9 * system.residual_norm(b);
  REQUIRE(running.solve(Direction::kForward, b, enough, h, bias_of_h));
  const auto sweeps = static_cast<double>(running.count_iterations());
  system.residual(h, bias_of_h, left);
  CHECK(system.residual_norm(left) <= 1.01 * sweeps * enough);
}
