// Random numbers, tables of outcomes, and episodes.
#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "models.hpp"
#include "rlcore/errors.hpp"
#include "rlcore/outcome_tables.hpp"
#include "rlcore/philox.hpp"
#include "rlcore/simulation.hpp"

using namespace rlcore;
using namespace rlcore::tests;

namespace {

using Words = std::array<std::uint32_t, 4>;

Trajectories episodes_of(const Model& model, const Draws& draws, int num_threads = 1) {
  const Mdp mdp = model.mdp();
  Monitor monitor;
  return simulate(mdp, model.uniform_policy(), model.initial, draws, num_threads, monitor);
}

OutcomeTables tables_of(const Mdp& mdp, ConstVector policy, ConstVector initial) {
  Team alone(1);
  Monitor monitor;
  return OutcomeTables(mdp, policy, initial, alone, monitor);
}

constexpr double kTwoTo64 = 18446744073709551616.0;

}  // namespace

TEST_CASE("Philox gives the words that Random123 publishes") {
  constexpr std::uint32_t kOnes = 0xFFFFFFFF;
  CHECK(philox({0, 0, 0, 0}, {0, 0}) == Words{0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8});
  CHECK(philox({kOnes, kOnes, kOnes, kOnes}, {kOnes, kOnes}) == Words{0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD});
  CHECK(philox({0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344}, {0xA4093822, 0x299F31D0}) ==
        Words{0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1});
}

TEST_CASE("times that share a counter have its two halves, and time -1 has one of its own") {
  const Randomness random(0);
  CHECK(random.draw(0, 0) == 0xE169C58D6627E8D5);
  CHECK(random.draw(0, 1) == 0x9B00DBD8BC57AC4C);
  CHECK(random.draw(0, -1) == random.draw_two(0, -1)[1]);
  CHECK(random.draw(0, -1) != random.draw(0, 1));
  CHECK(random.draw(std::uint64_t{1} << 40, 7) != random.draw(0, 7));
  CHECK(Randomness(std::uint64_t{1} << 40).draw(0, 7) != random.draw(0, 7));
}

TEST_CASE("outcomes share the 64-bit numbers out by their probabilities") {
  const Model model = random_model(40, 3, 4, 0.125);
  const Mdp mdp = model.mdp();
  const std::vector<double> policy = model.uniform_policy();
  const OutcomeTables tables = tables_of(mdp, policy, model.initial);
  for (OutcomeTables::Node node = 0; node < 40; ++node) {
    // By bisection, where each outcome begins.
    double begin = 0.0;
    for (const OutcomeTables::Outcome* outcome = &tables.draw(node, 0);; ++outcome) {
      const double end = (static_cast<double>(outcome->last) + 1.0) / kTwoTo64;
      double expected = mdp.termination()[at(outcome->pair)];
      const Row row = mdp.row(outcome->pair);
      for (Index k = 0; k < row.length; ++k) {
        if (static_cast<OutcomeTables::Node>(row.column[k]) == outcome->successor) expected = row.probability[k];
      }
      CHECK(end - begin == doctest::Approx(expected / 3.0).epsilon(1e-14));
      CHECK(&tables.draw(node, outcome->last) == outcome);
      if (outcome->last == std::numeric_limits<std::uint64_t>::max()) break;
      CHECK(&tables.draw(node, outcome->last + 1) == outcome + 1);
      begin = end;
    }
  }
  CHECK(tables.draw(tables.end(), 12345).successor == tables.end());
}

TEST_CASE("outcomes too rare for 64 bits cost the others nothing, and do not break the search") {
  Model model;
  for (Index state = 0; state < 3; ++state) {
    model.add_entry(0, 1e-300);
    model.add_entry(1, 1.0 - 1e-15);
    model.add_entry(2, 1e-25);
    model.end_pair(0.0);
    model.end_state();
  }
  model.initial = {1.0, 0.0, 0.0};
  const Mdp mdp = model.mdp();
  const OutcomeTables tables = tables_of(mdp, model.uniform_policy(), model.initial);
  for (const std::uint64_t bits : {std::uint64_t{1}, std::uint64_t{1} << 63, std::uint64_t{0} - 2}) {
    CHECK(tables.draw(0, bits).successor == 1);
  }
  CHECK(tables.draw(0, std::numeric_limits<std::uint64_t>::max()).successor <= 2);
}

TEST_CASE("episodes do not depend on the threads, nor on the call that draws them") {
  const Model model = random_model(500, 3, 4, 0.01);
  const Draws draws{.seed = 5, .first_episode = 0, .episodes = 300, .steps = 100};
  const Trajectories one = episodes_of(model, draws);
  for (const int num_threads : {2, 3}) {
    const Trajectories many = episodes_of(model, draws, num_threads);
    for (Index i = 0; i < 300 * 101; ++i) REQUIRE(many.states[i] == one.states[i]);
    for (Index i = 0; i < 300 * 100; ++i) REQUIRE(many.pairs[i] == one.pairs[i]);
  }
  const Trajectories part = episodes_of(model, {.seed = 5, .first_episode = 123, .episodes = 7, .steps = 100});
  for (Index i = 0; i < 7 * 101; ++i) REQUIRE(part.states[i] == one.states[123 * 101 + i]);
}

TEST_CASE("after the end there is nothing") {
  const Model model = random_model(20, 2, 3, 0.05);
  const Index steps = 333;
  const Trajectories found = episodes_of(model, {.seed = 1, .first_episode = 0, .episodes = 100, .steps = steps});
  for (Index row = 0; row < 100; ++row) {
    const Index length = found.lengths[row];
    REQUIRE((length >= 1 && length <= steps));
    for (Index t = 0; t < steps; ++t) {
      CHECK((found.pairs[row * steps + t] >= 0) == (t < length));
      CHECK((found.states[row * (steps + 1) + t] >= 0) == (t < length || (t == length && length == steps)));
    }
  }
}

TEST_CASE("what is wrong is refused") {
  const Model model = forest();
  const Mdp mdp = model.mdp();
  Monitor monitor;
  const Draws draws{.seed = 0, .first_episode = 0, .episodes = 2, .steps = 2};
  std::vector<double> policy = model.uniform_policy();
  CHECK_THROWS_AS(simulate(mdp, policy, std::vector<double>{1.0}, draws, 1, monitor), ModelError);
  policy[0] = 0.25;
  CHECK_THROWS_AS(simulate(mdp, policy, model.initial, draws, 1, monitor), PolicyError);
}
