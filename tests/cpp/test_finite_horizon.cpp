// Values and visits over a number of steps: known answers, both sides of the return, the same bits for every team.
#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "models.hpp"
#include "rlcore/finite_horizon.hpp"

using namespace rlcore;
using namespace rlcore::tests;

namespace {

struct Answers {
  FiniteHorizonEvaluation values;
  FiniteHorizonOccupancy visits;
};

Answers answers(const Model& model, const std::vector<std::vector<double>>& policies,
                const std::vector<double>& discounts, int num_threads = 1) {
  const Mdp mdp = model.mdp();
  const std::vector<ConstVector> rows(policies.begin(), policies.end());
  const Schedule schedule{rows, discounts};
  Monitor monitor;
  const Options options{0.0, num_threads};
  return {evaluate_finite_horizon(mdp, schedule, true, options, monitor),
          occupancy_finite_horizon(mdp, schedule, mdp.initial(), options, monitor)};
}

}  // namespace

TEST_CASE("a ring earns one reward a round") {
  const Model model = ring(3, 1.0);
  const Answers found = answers(model, {model.uniform_policy()}, std::vector<double>(7, 1.0));
  CHECK(found.values.value[0] == 3.0);
  CHECK(found.values.value[1] == 2.0);
  CHECK(*found.values.start_value == 3.0);
  CHECK(found.values.certificate.error_bound < 1e-25);
  CHECK(found.visits.visits[0] == 3.0);
  CHECK(found.visits.distribution[3 * 7 + 1] == 1.0);
}

TEST_CASE("the last discount weighs nothing that comes") {
  const Model model = forest();
  const Answers one = answers(model, {model.uniform_policy()}, {0.5, 0.5, 1.0});
  const Answers other = answers(model, {model.uniform_policy()}, {0.5, 0.5, 0.0});
  CHECK(one.values.value == other.values.value);
  CHECK(one.visits.visits == other.visits.visits);
}

TEST_CASE("the return from both sides, with policies that change") {
  const Model model = random_model(60, 3, 4, 0.01);
  std::vector<std::vector<double>> policies(5, model.uniform_policy());
  for (std::size_t t = 0; t < policies.size(); ++t) {
    for (std::size_t s = 0; s < 60; ++s) {
      policies[t][3 * s] = 1.0 - 0.1 * static_cast<double>(t);
      policies[t][3 * s + 1] = 0.1 * static_cast<double>(t);
      policies[t][3 * s + 2] = 0.0;
    }
  }
  const std::vector<double> discounts{1.0, 0.5, 0.75, 1.0, 0.25};
  const Answers found = answers(model, policies, discounts);
  const double horizon = 1.0 + 1.0 + 0.5 + 0.375 + 0.375;
  double earned = 0.0;
  for (std::size_t i = 0; i < model.reward.size(); ++i) earned += found.visits.pair[i] * model.reward[i] * horizon;
  CHECK(std::fabs(earned - *found.values.start_value) < 1e-14);
}

TEST_CASE("finite horizons are bitwise the same for every number of threads") {
  const Model model = random_model(20000, 2, 3);
  const std::vector<double> discounts(4, 0.9);
  const Answers one = answers(model, {model.uniform_policy()}, discounts, 1);
  const Answers three = answers(model, {model.uniform_policy()}, discounts, 3);
  CHECK(one.values.value == three.values.value);
  CHECK(one.values.advantage == three.values.advantage);
  CHECK(one.values.bounds.value == three.values.bounds.value);
  CHECK(one.visits.distribution == three.visits.distribution);
  CHECK(one.visits.pair == three.visits.pair);
}
