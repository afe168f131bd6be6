// The levels of multigrid: sums of rows, and what one cycle leaves of a residual.
#include <doctest/doctest.h>

#include <cmath>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "models.hpp"
#include "rlcore/chain.hpp"
#include "rlcore/linear/hierarchy.hpp"
#include "rlcore/policy.hpp"

using namespace rlcore;
using namespace rlcore::tests;
using linear::Direction;
using linear::SparseRows;

namespace {

/// Sums to zero, so that singular systems have answers.
Doubles balanced_vector(Index size) {
  std::mt19937_64 random(3);
  std::normal_distribution<double> normal;
  Doubles x(at(size));
  double mean = 0.0;
  for (double& number : x) mean += (number = normal(random)) / static_cast<double>(size);
  for (double& number : x) number -= mean;
  return x;
}

double length(const Doubles& x) {
  double squares = 0.0;
  for (const double number : x) squares += number * number;
  return std::sqrt(squares);
}

}  // namespace

TEST_CASE("rows are summed by column, each on its own") {
  std::mt19937_64 random(1);
  linear::RowSums sums(50);
  for (Index row = 0; row < 200; ++row) {
    sums.begin(row);
    std::map<Column, float> expected;
    for (Index k = 0; k < row % 23; ++k) {
      std::vector<SparseRows::Entry> other;
      for (Index j = 0; j < k % 5; ++j) other.push_back({static_cast<Column>(random() % 50), 1.0F});
      sums.add(2.0F, other);
      for (const auto& [column, value] : other) expected[column] += 2.0F * value;
      const auto column = static_cast<Column>(random() % 50);
      sums.add(column, 0.5F);
      expected[column] += 0.5F;
    }
    std::map<Column, float> found;
    for (const auto& [column, value] : sums.row()) CHECK(found.emplace(column, value).second);
    CHECK(found == expected);
  }
}

TEST_CASE("a cycle takes most of a residual away, at any discount and in both directions") {
  const Model model = torus(150);
  UniformChain setup(model);
  const Doubles b = balanced_vector(setup.chain.size());
  for (const double discount : {0.9, 0.999, 0.9999999, 1.0}) {
    linear::Coarsening coarsening;
    for (const Direction direction : {Direction::kForward, Direction::kTransposed}) {
      const linear::System system = setup.system(direction, discount);
      std::string reason;
      linear::Hierarchy hierarchy(system, coarsening, reason, setup.monitor);
      REQUIRE(reason.empty());
      Doubles x(b.size());
      Doubles left(b.size());
      hierarchy.cycle<double>(b, x);
      system.residual(b, x, left);
      system.remove_free_part<double>(left);
      CHECK(length(left) <= 0.4 * length(b));
    }
    CHECK(coarsening.size() >= 2);
  }
}

TEST_CASE("the lanes of a cycle are those that go alone, to the last bit") {
  const Model model = torus(70);
  UniformChain setup(model);
  const linear::System system = setup.system(Direction::kForward, 0.99);
  linear::Coarsening coarsening;
  std::string reason;
  linear::Hierarchy hierarchy(system, coarsening, reason, setup.monitor);
  const Doubles b = balanced_vector(system.size());
  Doubles alone(b.size());
  hierarchy.cycle<double>(b, alone);
  Numbers<LaneArray<2>> both(b.size());
  Numbers<LaneArray<2>> together(b.size());
  for (std::size_t i = 0; i < b.size(); ++i) both[i].lane = {3.0, b[i]};
  hierarchy.cycle<LaneArray<2>>(both, together);
  for (std::size_t i = 0; i < b.size(); ++i) REQUIRE(together[i].lane[1] == alone[i]);
}

TEST_CASE("levels that fill leave nothing behind: the other direction is refused too") {
  const Model model = random_model(20000, 2, 2);
  UniformChain setup(model);
  linear::Coarsening coarsening;
  for (const Direction direction : {Direction::kForward, Direction::kTransposed}) {
    std::string reason;
    const linear::Hierarchy hierarchy(setup.system(direction, 0.999), coarsening, reason, setup.monitor);
    CHECK(!reason.empty());
    CHECK(coarsening.empty());
  }
}
