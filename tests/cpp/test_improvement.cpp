// Candidates beside a base policy: the textbook pair, both forms of candidates, and eta' - L found in two ways.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "models.hpp"
#include "rlcore/discounted_sums.hpp"
#include "rlcore/divergence.hpp"
#include "rlcore/evaluation.hpp"
#include "rlcore/occupancy.hpp"
#include "rlcore/step_shift.hpp"

using namespace rlcore;
using namespace rlcore::tests;

namespace {

/// A base policy of a model, evaluated.
struct Evaluated {
  Evaluated(const Model& of, double gamma) : model(of), mdp(model.mdp()), policy(model.uniform_policy()) {
    const std::vector<ConstVector> policies{policy};
    const std::vector<ConstVector> initials{mdp.initial()};
    Monitor monitor;
    found = evaluate(mdp, policy, gamma, {0.0, 1});
    visits = occupancy(mdp, policies, initials, gamma, {0.0, 1}, monitor).front().visits;
  }
  Base base() const { return {mdp, policy, found.value, found.advantage, visits}; }

  Model model;
  Mdp mdp;
  std::vector<double> policy;
  Evaluation found;
  Doubles visits;
};

/// A walk on a line: each of two actions goes its own way with probability .8, and the other way else.
Model walk(Index num_states) {
  Model model;
  for (Index state = 0; state < num_states; ++state) {
    for (const double right : {0.2, 0.8}) {
      const Index left_end = std::max<Index>(state - 1, 0);
      const Index right_end = std::min(state + 1, num_states - 1);
      model.add_entry(left_end, 1.0 - right);
      model.add_entry(right_end, right);
      model.end_pair(state == num_states / 2 ? 1.0 : 0.0);
    }
    model.end_state();
  }
  model.initial.assign(at(num_states), 1.0 / static_cast<double>(num_states));
  return model;
}

/// A cycle that stays where it is half of the time.
Model lazy_cycle(Index num_states) {
  Model model;
  for (Index state = 0; state < num_states; ++state) {
    const Index next = (state + 1) % num_states;
    model.add_entry(std::min(state, next), 0.5);
    model.add_entry(std::max(state, next), 0.5);
    model.end_pair(state == 0 ? 1.0 : 0.0);
    model.end_state();
  }
  model.initial.assign(at(num_states), 1.0 / static_cast<double>(num_states));
  return model;
}

std::vector<double> random_policy(const Model& model, unsigned seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<double> weight(0.1, 1.0);
  std::vector<double> policy;
  for (Index s = 0; s < model.num_states(); ++s) {
    const auto begin = policy.size();
    double sum = 0.0;
    for (Index pair = model.pair_start[at(s)]; pair < model.pair_start[at(s) + 1]; ++pair) {
      policy.push_back(weight(random));
      sum += policy.back();
    }
    for (auto i = begin; i < policy.size(); ++i) policy[i] /= sum;
  }
  return policy;
}

std::vector<std::vector<double>> random_policies(const Model& model, unsigned count) {
  std::vector<std::vector<double>> policies;
  for (unsigned seed = 0; seed < count; ++seed) policies.push_back(random_policy(model, seed));
  return policies;
}

/// Abar of every candidate, (candidates, num_states).
Doubles mean_advantages(const Evaluated& one, const Candidates& candidates, Team& team, Monitor& monitor) {
  Doubles abar(at(candidates.size() * one.mdp.num_states()));
  compare(one.base(), candidates, team, monitor, abar);
  return abar;
}

/// eta' - L: gamma ((P' - P)^T rho)^T W.
double gap_of(const Evaluated& one, const std::vector<double>& candidate, double gamma, int num_threads) {
  Team team(num_threads);
  Monitor monitor;
  const Candidates candidates(one.mdp, {candidate});
  const Doubles abar = mean_advantages(one, candidates, team, monitor);
  const std::vector<ConstVector> policies{candidate};
  Neighbourhood near(one.mdp, one.policy, gamma);
  const auto sums = discounted_sums(near, policies, abar, {1e-12, num_threads}, monitor);
  const auto shifts = step_shifts(one.base(), candidates, {sums.front().value, {}}, false, team, monitor);
  return gamma * shifts.front().carried;
}

}  // namespace

TEST_CASE("the forest, half and half against six to four") {
  Model model = forest();
  model.initial.assign(3, 1.0 / 3.0);
  const Evaluated one(model, 0.9);
  const std::vector<double> candidate{0.6, 0.4, 0.6, 0.4, 0.6, 0.4};
  Team team(1);
  Monitor monitor;
  const Comparison found = compare(one.base(), Candidates(one.mdp, {candidate}), team, monitor).front();
  CHECK(found.alpha == doctest::Approx(0.1).epsilon(1e-15));
  CHECK(found.kl_max == doctest::Approx(0.020410997260127562).epsilon(1e-14));
  CHECK(*one.found.start_value + found.gain == doctest::Approx(10.34895).epsilon(1e-13));
  const double eta_new = *one.found.start_value + found.gain + gap_of(one, candidate, 0.9, 1);
  CHECK(eta_new == doctest::Approx(10.664688).epsilon(1e-13));
  CHECK(eta_new == doctest::Approx(*evaluate(one.mdp, candidate, 0.9, {0.0, 1}).start_value).epsilon(1e-13));
}

TEST_CASE("large models share their passes and say what evaluation says, with the same bits for every team") {
  for (const bool mixes : {true, false}) {
    const Model model = mixes ? random_model(5000, 3, 5) : walk(5000);
    const Evaluated one(model, 0.99);
    const std::vector<double> candidate = random_policy(model, 3);
    const double gap = gap_of(one, candidate, 0.99, 1);
    CHECK(gap == gap_of(one, candidate, 0.99, 2));
    Team team(2);
    Monitor monitor;
    const Comparison found = compare(one.base(), Candidates(one.mdp, {candidate}), team, monitor).front();
    const Evaluation again = evaluate(one.mdp, candidate, 0.99, {1e-13, 1});
    const double scale = std::fabs(*again.start_value) + std::fabs(found.gain);
    CHECK(std::fabs(*one.found.start_value + found.gain + gap - *again.start_value) < 1e-9 * scale);
  }
}

TEST_CASE("the sums of a policy are the same to the last bit, whatever goes beside it and for every team") {
  for (const bool mixes : {true, false}) {
    const Model model = mixes ? random_model(5000, 3, 5) : walk(30000);
    const Evaluated one(model, 0.99);
    const std::vector<std::vector<double>> candidates = random_policies(model, 21);
    const Candidates all(one.mdp, {candidates.begin(), candidates.end()});
    Team team(1);
    Monitor monitor;
    const Doubles abar = mean_advantages(one, all, team, monitor);
    const auto sums_of = [&](std::size_t first, std::size_t count, int num_threads) {
      const auto size = at(one.mdp.num_states());
      Neighbourhood near(one.mdp, one.policy, 0.99);
      return discounted_sums(near, all.policies().subspan(first, count),
                             ConstVector(abar).subspan(first * size, count * size), {1e-9, num_threads}, monitor);
    };
    const auto together = sums_of(0, 21, 1);
    for (const int num_threads : {2, 3, 9}) {
      const auto again = sums_of(0, 21, num_threads);
      for (std::size_t i = 0; i < 21; ++i) CHECK(again[i].value == together[i].value);
    }
    for (const std::size_t i : {std::size_t{0}, std::size_t{7}, std::size_t{18}}) {
      const auto among_few = sums_of(i, 3, 1).front();
      CHECK(among_few.value == together[i].value);
      CHECK(among_few.bound == together[i].bound);
      CHECK(together[i].certificate.method == (mixes ? "shared sweeps" : "shared BiCGSTAB"));
      const auto alone = sums_of(i, 1, 1).front();
      double largest = 0.0, distance = 0.0;
      for (std::size_t state = 0; state < alone.value.size(); ++state) {
        largest = std::max(largest, std::fabs(alone.value[state]));
        distance = std::max(distance, std::fabs(alone.value[state] - together[i].value[state]));
      }
      CHECK(together[i].bound <= 1e-9 * largest);
      CHECK(distance <= alone.bound + together[i].bound);
    }
  }
}

TEST_CASE("constants in a guess do not cost digits at a long horizon") {
  constexpr std::size_t kCount = 17;
  const Evaluated one(lazy_cycle(2000), 0.9999);
  std::mt19937 random(0);
  std::normal_distribution<double> normal;
  Doubles functions(kCount * at(one.mdp.num_states()));
  for (double& value : functions) value = normal(random);
  Monitor monitor;
  const std::vector<ConstVector> policies(kCount, one.policy);
  Neighbourhood near(one.mdp, one.policy, 0.9999);
  for (const auto& sums : discounted_sums(near, policies, functions, {1e-9, 1}, monitor)) {
    double largest = 0.0;
    for (const double value : sums.value) largest = std::max(largest, std::fabs(value));
    CHECK(sums.bound <= 1e-9 * largest);
  }
}

TEST_CASE("what a candidate changes says the same as the whole of it") {
  const Evaluated one(random_model(600, 3, 4), 0.9);
  std::vector<double> whole = one.policy;
  const std::vector<Index> start{0, 2}, states{17, 400};
  const std::vector<double> rows{0.5, 0.25, 0.25, 1.0, 0.0, 0.0};
  for (std::size_t k = 0; k < 2; ++k) {
    for (std::size_t a = 0; a < 3; ++a) whole[at(one.mdp.first_pair(states[k])) + a] = rows[3 * k + a];
  }
  Team team(1);
  Monitor monitor;
  const Candidates changes(one.mdp, start, states, rows);
  const Comparison by_changes = compare(one.base(), changes, team, monitor).front();
  const Comparison by_whole = compare(one.base(), Candidates(one.mdp, {whole}), team, monitor).front();
  CHECK(by_changes.alpha == by_whole.alpha);
  CHECK(std::isinf(by_changes.kl_max));
  CHECK(by_changes.gain == doctest::Approx(by_whole.gain).epsilon(1e-13));
  const StepShift few = step_shifts(one.base(), changes, {}, false, team, monitor).front();
  const StepShift all = step_shifts(one.base(), Candidates(one.mdp, {whole}), {}, false, team, monitor).front();
  CHECK(few.l1 == doctest::Approx(all.l1).epsilon(1e-12));
  CHECK(std::fabs(few.l1 - all.l1) <= few.error + all.error);
}

TEST_CASE("divergences keep their digits for rows that hardly differ") {
  const double p[] = {0.5, 0.5, 1e-310, 0.25};
  const double q[] = {0.5 + 0x1p-40, 0.5 - 0x1p-40, 2e-310, 0.0};
  double change[4], kl[4];
  divergence_terms(4, p, q, change, kl);
  CHECK(kl[0] + kl[1] == doctest::Approx(0x1p-79).epsilon(1e-14));
  CHECK(kl[2] == doctest::Approx(1e-310 * (1.0 - std::log(2.0))).epsilon(1e-10));
  CHECK(std::isinf(kl[3]));
}

TEST_CASE("what policies share may be kept: the sums have the same bits in a second call") {
  for (const bool mixes : {true, false}) {
    const Model model = mixes ? random_model(5000, 3, 5) : walk(30000);
    const Evaluated one(model, 0.99);
    const std::vector<std::vector<double>> candidates = random_policies(model, 5);
    const std::vector<ConstVector> policies(candidates.begin(), candidates.end());
    Doubles functions(5 * at(one.mdp.num_states()));
    for (std::size_t i = 0; i < functions.size(); ++i) functions[i] = std::sin(static_cast<double>(i));
    Monitor monitor;
    Neighbourhood near(one.mdp, one.policy, 0.99);
    const auto first = discounted_sums(near, policies, functions, {1e-9, 2}, monitor);
    const auto second = discounted_sums(near, policies, functions, {1e-9, 1}, monitor);
    for (std::size_t i = 0; i < 5; ++i) {
      CHECK(first[i].value == second[i].value);
      CHECK(first[i].certificate.method == (mixes ? "shared sweeps" : "shared BiCGSTAB"));
    }
  }
}

TEST_CASE("sums under what is no policy are refused, whatever stands beside it") {
  const Model model = random_model(600, 2, 3);
  const Evaluated one(model, 0.9);
  const Doubles functions(4 * at(one.mdp.num_states()));
  Monitor monitor;
  Neighbourhood near(one.mdp, one.policy, 0.9);
  for (const double wrong : {std::nan(""), -0.25, 2.0, std::numeric_limits<double>::infinity()}) {
    std::vector<double> bad = one.policy;
    bad[700] = wrong;
    const std::vector<ConstVector> policies{one.policy, one.policy, bad, one.policy};
    CHECK_THROWS_AS(discounted_sums(near, policies, functions, {1e-9, 1}, monitor), PolicyError);
  }
  std::vector<double> negative(one.policy.size(), -0.25);
  for (std::size_t pair = 1; pair < negative.size(); pair += 2) negative[pair] = 1.25;  // rows sum to 1
  const std::vector<ConstVector> policies{one.policy, negative, one.policy};
  const ConstVector three = ConstVector(functions).first(3 * at(one.mdp.num_states()));
  CHECK_THROWS_AS(discounted_sums(near, policies, three, {1e-9, 1}, monitor), PolicyError);
  const std::vector<double> too_short(one.policy.size() - 1, 0.5);
  const std::vector<ConstVector> short_ones{one.policy, too_short, one.policy};
  CHECK_THROWS_AS(discounted_sums(near, short_ones, three, {1e-9, 1}, monitor), PolicyError);
}

TEST_CASE("candidates that are no policies are refused") {
  const Evaluated one(forest(), 0.9);
  Team team(1);
  Monitor monitor;
  const std::vector<double> bad{0.6, 0.4, 0.6, 0.5, 0.6, 0.4};
  CHECK_THROWS_AS(compare(one.base(), Candidates(one.mdp, {bad}), team, monitor), PolicyError);
  const std::vector<double> row{1.0, 0.0};
  const std::vector<Index> start{0, 1}, beyond{3}, none{0};
  CHECK_THROWS_AS(Candidates(one.mdp, start, beyond, row), ModelError);
  CHECK_THROWS_AS(Candidates(one.mdp, start, none, bad), ModelError);
}
