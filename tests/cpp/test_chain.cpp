// The assembled matrices hold what the stored model says, whatever the team.
#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <map>
#include <random>

#include "models.hpp"
#include "rlcore/chain.hpp"
#include "rlcore/extent.hpp"
#include "rlcore/linear/kernel.hpp"
#include "rlcore/policy.hpp"

using namespace rlcore;
using tests::Model;

namespace {

using Entries = std::map<std::pair<Index, Index>, double>;

/// P_pi by definition.
Entries by_definition(const Model& model, const std::vector<double>& policy) {
  Entries entries;
  for (Index state = 0; state < model.num_states(); ++state) {
    for (Index pair = model.pair_start[at(state)]; pair < model.pair_start[at(state + 1)]; ++pair) {
      for (auto k = model.row_start[at(pair)]; k < model.row_start[at(pair + 1)]; ++k) {
        if (policy[at(pair)] == 0.0) continue;
        entries[{state, model.column[at(k)]}] += policy[at(pair)] * model.probability[at(k)];
      }
    }
  }
  return entries;
}

Entries entries_of(const CsrMatrix& matrix, bool transposed) {
  Entries entries;
  for (Index row = 0; row < matrix.size; ++row) {
    for (Index k = matrix.first[row]; k < matrix.first[row] + matrix.length[row]; ++k) {
      const Index column = matrix.column[k];
      const auto key = transposed ? std::pair{column, row} : std::pair{row, column};
      CHECK(entries.count(key) == 0);
      entries[key] = matrix.value[k];
    }
  }
  CHECK(static_cast<Index>(entries.size()) == matrix.num_entries);
  return entries;
}

}  // namespace

TEST_CASE("P_pi and its transpose are assembled and merged") {
  for (const Index size : {Index{1}, Index{7}, kBlock - 1, 2 * kBlock + 3}) {
    const Model model = tests::random_model(size, 3, std::min<Index>(size, 4), 0.1, 5);
    const Mdp mdp = model.mdp();
    std::vector<double> policy = model.uniform_policy();
    // Half of the states are deterministic: actions that are not taken leave no entry.
    for (Index state = 0; state < size; state += 2) {
      const std::size_t first = at(model.pair_start[at(state)]);
      policy[first] = 1.0;
      policy[first + 1] = policy[first + 2] = 0.0;
    }
    const Chain chain(mdp, policy, check_policy(mdp, policy));
    const Entries expected = by_definition(model, policy);
    for (const int threads : {1, 2, 3}) {
      Team team(threads);
      CHECK(entries_of(chain.transition(team), false) == expected);
      CHECK(entries_of(chain.transposed_transition(team), true) == expected);
    }
  }
}

TEST_CASE("residuals by hand") {
  const Model model = tests::forest();
  const Mdp mdp = model.mdp();
  const std::vector<double> policy = model.uniform_policy();
  const Chain chain(mdp, policy, check_policy(mdp, policy));
  Team team(1);
  const TwofoldVector b{{1.0}, {2.0}, {3.0}};
  const TwofoldVector x{{10.0}, {20.0}, {30.0}};
  std::vector<double> residual(3);
  // P_pi = [[.55, .45, 0], [.55, 0, .45], [.55, 0, .45]]
  linear::Kernel(chain, 0.5).residual(linear::Direction::kForward, b, x, residual, team);
  CHECK(residual[0] == doctest::Approx(1.0 + 0.5 * (5.5 + 9.0) - 10.0));
  CHECK(residual[1] == doctest::Approx(2.0 + 0.5 * (5.5 + 13.5) - 20.0));
  linear::Kernel(chain, 0.5).residual(linear::Direction::kTransposed, b, x, residual, team);
  CHECK(residual[0] == doctest::Approx(1.0 + 0.5 * 0.55 * 60.0 - 10.0));
  CHECK(residual[2] == doctest::Approx(3.0 + 0.5 * 0.45 * 50.0 - 30.0));
  CHECK(chain.step(x, team)[1].rounded() == doctest::Approx(4.5));
}

TEST_CASE("the deficit encloses 1 - gamma * row sum") {
  const Model model = tests::random_model(50, 2, 3, 0.25);
  const Mdp mdp = model.mdp();
  const std::vector<double> policy = model.uniform_policy();
  const Interval deficit = Chain(mdp, policy, check_policy(mdp, policy)).deficit(0.8);
  CHECK(deficit.lower <= 0.4);
  CHECK(deficit.upper >= 0.4);
  CHECK(deficit.upper - deficit.lower < 1e-14);
}

namespace {

/// Numbers of both signs and of many sizes, with low parts.
TwofoldVector wild_vector(Index size, double share_negative, unsigned seed) {
  std::mt19937_64 random(seed);
  std::uniform_real_distribution<double> uniform;
  TwofoldVector x(at(size));
  for (Twofold& number : x) {
    const double sign = uniform(random) < share_negative ? -1.0 : 1.0;
    number = two_sum(sign * std::exp2(-8.0 * uniform(random)), 0x1p-54 * uniform(random));
  }
  return x;
}

/// Every state moves to state 0 with probability 1/3, which so has as many arrivals as there are states.
Model hub(Index size) {
  Model model;
  for (Index state = 0; state < size; ++state) {
    model.add_entry(0, 1.0 / 3.0);
    model.add_entry(1 + state % (size - 1), 2.0 / 3.0);
    model.end_pair(0.1 * static_cast<double>(state % 7));
    model.end_state();
  }
  return model;
}

}  // namespace

TEST_CASE("residuals in doubles are wrong by no more than they say") {
  constexpr double kDiscount = 0.99;
  for (const Model& model : {tests::random_model(2 * kBlock + 3, 3, 4, 0.1, 5), hub(2 * kBlock)}) {
    const Mdp mdp = model.mdp();
    const std::vector<double> policy = model.uniform_policy();
    const Chain chain(mdp, policy, check_policy(mdp, policy));
    const linear::Kernel kernel(chain, kDiscount);
    Team team(2);
    for (const double share_negative : {0.0, 0.01, 0.5}) {
      const TwofoldVector b = wild_vector(chain.size(), share_negative, 1);
      const TwofoldVector x = wild_vector(chain.size(), share_negative, 2);
      std::vector<double> in_doubles(x.size());
      std::vector<double> in_twofold(x.size());
      const auto form_in_doubles = [&](linear::Direction direction, double scale) {
        const std::array attempts{linear::Attempt{b, x, in_doubles}};
        return kernel.residuals_in_doubles(direction, attempts, std::array{scale}, team).front();
      };

      const double largest = extent_of(b, team).largest() + extent_of(x, team).largest();
      const double bound = form_in_doubles(linear::Direction::kForward, largest);
      kernel.residual(linear::Direction::kForward, b, x, in_twofold, team);
      double worst = 0.0;
      for (std::size_t i = 0; i < x.size(); ++i) {
        // Both are rounded once at the end.
        const double last = kUnitRoundoff * (std::fabs(in_doubles[i]) + std::fabs(in_twofold[i]));
        worst = std::max(worst, std::fabs(in_doubles[i] - in_twofold[i]) - last);
      }
      CHECK(worst <= bound + chain.residual_error(largest));
      CHECK(bound <= 100.0 * kUnitRoundoff * largest);

      const double sum = extent_of(b, team).l1 + extent_of(x, team).l1;
      const double bound_of_sum = form_in_doubles(linear::Direction::kTransposed, sum);
      kernel.residual(linear::Direction::kTransposed, b, x, in_twofold, team);
      double total = 0.0;
      for (std::size_t i = 0; i < x.size(); ++i) {
        const double last = kUnitRoundoff * (std::fabs(in_doubles[i]) + std::fabs(in_twofold[i]));
        total += std::max(0.0, std::fabs(in_doubles[i] - in_twofold[i]) - last);
      }
      CHECK(total <= bound_of_sum + chain.residual_error_transposed(sum));
      CHECK(total > 0.0);
      if (share_negative == 0.0) CHECK(bound_of_sum <= 2e4 * kUnitRoundoff * sum);
    }
  }
}

TEST_CASE("rows with distant columns are merged too") {
  // Columns a power of two apart, each met by both actions.
  constexpr Index kSize = 1 << 14;
  Model model;
  for (Index state = 0; state < kSize; ++state) {
    for (int action = 0; action < 2; ++action) {
      for (Index k = 0; k < 16; ++k) model.add_entry(k * (kSize / 16) + state % 3, 1.0 / 16.0);
      model.end_pair(0.0);
    }
    model.end_state();
  }
  const Mdp mdp = model.mdp();
  const std::vector<double> policy = model.uniform_policy();
  const Chain chain(mdp, policy, check_policy(mdp, policy));
  Team team(2);
  const CsrMatrix matrix = chain.transition(team);
  CHECK(matrix.num_entries == 16 * kSize);
  CHECK(entries_of(matrix, false) == by_definition(model, policy));
}

TEST_CASE("arrivals are the same for every team, alone and in lanes") {
  const Model model = tests::random_model(3 * kBlock, 2, 3, 0.1, 7);
  const Mdp mdp = model.mdp();
  const std::vector<double> policy = model.uniform_policy();
  const Chain chain(mdp, policy, check_policy(mdp, policy));
  // What one lane holds throughout, the other has in one state alone.
  Team alone(1);
  const Doubles x = rounded(wild_vector(chain.size(), 0.1, 3), alone);
  Doubles rare(x.size());
  rare[5] = 1.0;
  const auto arrivals_of = [&]<class Number>(std::span<const Number> visits, int threads) {
    Team team(threads);
    return chain.arrivals_in_doubles<Number>(0.9, visits, team);
  };
  Numbers<LaneArray<4>> lanes(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) lanes[i] = {{x[i], rare[i], -x[i]}};
  const auto together = arrivals_of(std::span<const LaneArray<4>>(lanes), 2);
  for (const Doubles* const visits : {&x, static_cast<const Doubles*>(&rare)}) {
    const std::size_t k = visits == &x ? 0 : 1;
    const auto expected = arrivals_of(ConstVector(*visits), 1);
    for (const int threads : {2, 3, 5}) {
      const auto found = arrivals_of(ConstVector(*visits), threads);
      CHECK(found.value == expected.value);
      CHECK(found.error == expected.error);
    }
    CHECK(lane(together.error, k) == expected.error);
    Doubles of_lane(x.size());
    for (std::size_t i = 0; i < x.size(); ++i) of_lane[i] = lane(together.value[i], k);
    CHECK(of_lane == expected.value);
  }
}
