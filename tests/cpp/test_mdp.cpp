// Models are checked by the library itself, not only by its Python facade.
#include <doctest/doctest.h>

#include <cmath>
#include <string>

#include "models.hpp"
#include "rlcore/errors.hpp"
#include "rlcore/policy.hpp"

using namespace rlcore;
using tests::Model;

namespace {

std::string message_of(const Model& model) {
  try {
    model.mdp();
  } catch (const ModelError& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("a sound model keeps its numbers") {
  const Model model = tests::forest();
  const Mdp mdp = model.mdp();
  CHECK(mdp.num_states() == 3);
  CHECK(mdp.num_pairs() == 6);
  CHECK(mdp.uniform_num_actions() == 2);
  CHECK_FALSE(mdp.can_end());
  CHECK(mdp.row_sum().lower <= 1.0);
  CHECK(mdp.row_sum().upper >= 1.0);
  CHECK(mdp.row(0).probability == model.probability.data());  // borrowed, not copied
}

TEST_CASE("every fault has its own sentence and place") {
  Model model = tests::forest();
  SUBCASE("sum") {
    model.probability[1] = 0.8;
    CHECK(message_of(model) ==
          "transition, state 0, action 0: expected probabilities that sum to 1 within 1e-9, got 0.9; correct the row, "
          "declare what is missing as termination, or pass normalize=True");
  }
  SUBCASE("successor") {
    model.column[4] = 7;
    CHECK(message_of(model) == "transition, state 1, action 0: expected successors in 0 .. 2, got 7");
  }
  SUBCASE("order") {
    model.column[3] = 2;
    model.column[4] = 1;
    CHECK(message_of(model) == "transition, state 1, action 0: expected increasing successors, got 1 out of order");
  }
  SUBCASE("negative") {
    model.probability[0] = -0.1;
    CHECK(message_of(model) ==
          "transition, state 0, action 0: expected a probability in [0, 1] for successor 0, got -0.1");
  }
  SUBCASE("not a number") {
    model.probability[0] = std::nan("");
    CHECK(message_of(model) ==
          "transition, state 0, action 0: expected a probability in [0, 1] for successor 0, got nan");
  }
  SUBCASE("reward") {
    model.reward[3] = INFINITY;
    CHECK(message_of(model) == "reward, state 1, action 1: expected a finite number, got inf");
  }
  SUBCASE("huge reward") {
    model.reward[3] = -1e300;
    CHECK(message_of(model) == "reward, state 1, action 1: expected at most 1e200 in magnitude, got -1e+300; rescale");
  }
  SUBCASE("termination") {
    model.termination.assign(6, 0.0);
    model.termination[2] = 2.0;
    CHECK(message_of(model) == "termination, state 1, action 0: expected a probability in [0, 1], got 2");
  }
  SUBCASE("initial") {
    model.initial[0] = 0.0;
    CHECK(message_of(model).starts_with("initial: expected probabilities that sum to 1 within 1e-9"));
  }
  SUBCASE("no action") {
    model.pair_start[1] = 0;
    CHECK(message_of(model) == "pair_start, state 0: expected at least one action, got 0");
  }
  SUBCASE("sizes") {
    model.reward.pop_back();
    CHECK(message_of(model) == "reward: expected 6 numbers, one for each pair, got 5");
  }
  SUBCASE("offsets") {
    model.row_start[2] = 100;
    CHECK(message_of(model).starts_with("transition: expected row offsets that grow"));
  }
}

TEST_CASE("of many faults in a large model the first is reported") {
  Model model = tests::random_model(3 * kBlock, 2, 5);
  for (const std::size_t pair : {21000u, 9000u, 15000u}) model.reward[pair] = NAN;
  CHECK(message_of(model) == "reward, state 4500, action 0: expected a finite number, got nan");
}

TEST_CASE("policies are checked") {
  const Model model = tests::forest();
  const Mdp mdp = model.mdp();
  std::vector<double> policy = model.uniform_policy();
  const Interval sum = check_policy(mdp, policy);
  CHECK(sum.lower <= 1.0);
  CHECK(sum.upper >= 1.0);
  policy[3] = 0.6;
  CHECK_THROWS_WITH_AS(check_policy(mdp, policy),
                       "policy, state 1: expected probabilities that sum to 1 within 1e-9, got a sum of 1.1; divide "
                       "the row by its sum",
                       PolicyError);
  policy[3] = NAN;
  CHECK_THROWS_WITH_AS(check_policy(mdp, policy, 2),
                       "policy[2], state 1, action 1: expected a probability in [0, 1], got nan", PolicyError);
  policy.pop_back();
  CHECK_THROWS_AS(check_policy(mdp, policy), PolicyError);
}
