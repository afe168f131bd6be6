// Trust-region steps: a row whose best distribution is known in closed form, far points of its path, and the duals.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "models.hpp"
#include "rlcore/kl_ball.hpp"
#include "rlcore/logarithm.hpp"
#include "rlcore/trust_region.hpp"

using namespace rlcore;
using namespace rlcore::tests;

namespace {

constexpr double kUlp = std::numeric_limits<double>::epsilon();

/// KL(p || q) as it is defined.
double kl_of(const std::vector<double>& p, const std::vector<double>& q) {
  double kl = 0.0;
  for (std::size_t a = 0; a < p.size(); ++a) {
    if (p[a] > 0.0) kl += p[a] * (std::log(p[a]) - std::log(q[a]));  // the quotient may be too large
  }
  return kl;
}

/// States that lead nowhere, with so many actions each.
Model states_with(Index num_states, Index num_actions) {
  Model model;
  for (Index state = 0; state < num_states; ++state) {
    for (Index action = 0; action < num_actions; ++action) {
      model.add_entry(state, 1.0);
      model.end_pair(0.0);
    }
    model.end_state();
  }
  return model;
}

}  // namespace

TEST_CASE("logarithms without a branch are those of the library") {
  std::mt19937_64 random(1);
  std::uniform_real_distribution<double> exponent(-700.0, 700.0);
  std::uniform_real_distribution<double> tiny(-1e-3, 1e-3);
  for (int i = 0; i < 20000; ++i) {
    const double x = std::exp(exponent(random));
    CHECK(std::fabs(logarithm(x) - std::log(x)) <= 8.0 * kUlp * std::fabs(std::log(x)));
    const double c = tiny(random);
    CHECK(std::fabs(log_one_plus(c, 1.0 + c) - std::log1p(c)) <= 8.0 * kUlp * std::fabs(std::log1p(c)));
    // c^2/2 - c^3/3 + c^4/4 - c^5/5, and what is left is below c^6/6.
    const double series = c * c * (0.5 - c * (1.0 / 3.0 - c * (0.25 - c / 5.0)));
    CHECK(std::fabs(phi(c, 1.0 + c) - series) <= 32.0 * kUlp * series + c * c * c * c * c * c / 5.0);
  }
}

TEST_CASE("two even actions go to 1/2 + sqrt(1 - exp(-2 KL)) / 2") {
  const std::vector<double> p{0.5, 0.5};
  const std::vector<double> advantage{1.0, -1.0};
  KlBall ball;
  ball.read(p, advantage, 0.0);
  REQUIRE(ball.moves());
  std::vector<double> q(2);
  for (const double level : {1e-12, 1e-6, 0.01, 0.3, 1.0, 10.0, 30.0}) {
    const KlPoint point = ball.at_level(level, 0.0);
    ball.write(point, q);
    const double half_root = 0.5 * std::sqrt(-std::expm1(-2.0 * level));
    CHECK(std::fabs(q[0] - 0.5 - half_root) <= 1e-14);
    CHECK(point.kl == doctest::Approx(level).epsilon(1e-12));
    // The price by its own path leads to the same point.
    const KlPoint again = ball.at_price(ball.log_price(point), 0.0);
    CHECK(again.kl == doctest::Approx(level).epsilon(1e-10));
    // What is gained is what the dual allows, and no more.
    const double gain = (q[0] - p[0]) * 1.0 - (q[1] - p[1]);
    const double bound = ball.dual_bound(point, ball.price(point)) + ball.price(point) * level;
    CHECK(bound >= gain - 4.0 * kUlp);
    CHECK(bound - gain <= 1e-12);
  }
}

TEST_CASE("an action outside the support gets what the barrier leaves") {
  const std::vector<double> p{0.25, 0.75, 0.0};
  const std::vector<double> advantage{0.0, 0.0, 2.0};
  KlBall ball;
  ball.read(p, advantage, 0.0);
  std::vector<double> q(3);
  ball.write(ball.at_level(0.5, 0.0), q);
  CHECK(q[0] == doctest::Approx(0.25 * std::exp(-0.5)).epsilon(1e-14));
  CHECK(q[2] == doctest::Approx(-std::expm1(-0.5)).epsilon(1e-14));
  CHECK(ball.outside_lead() == 2.0);
  ball.write_greedy(q);
  CHECK(q == std::vector<double>{0.0, 0.0, 1.0});
}

TEST_CASE("a path goes on where x is too small for a double") {
  const double tiny = 1e-13;
  const std::vector<double> p{1.0 - tiny, tiny};
  const std::vector<double> advantage{1.0, 0.0};
  KlBall ball;
  ball.read(p, advantage, 0.0);
  for (const double level : {1e-3, 1.0, 100.0}) {
    const KlPoint point = ball.at_level(level, 0.0);
    CHECK(point.is_far);
    CHECK(point.kl == doctest::Approx(level).epsilon(1e-12));
    CHECK(ball.log_price(point) == doctest::Approx(-level / tiny).epsilon(1e-2));
    std::vector<double> q(2);
    ball.write(point, q);
    CHECK(q[1] > 0.0);
    CHECK(kl_of(p, q) <= level);
  }
}

TEST_CASE("steps keep their region and meet their dual") {
  const Index num_states = 5000;  // more than a block
  const Model model = states_with(num_states, 3);
  const Mdp mdp = model.mdp();
  std::mt19937_64 random(2);
  std::uniform_real_distribution<double> uniform(0.01, 1.0);
  std::vector<double> policy, advantage, weight;
  for (Index state = 0; state < num_states; ++state) {
    std::vector<double> row{uniform(random), uniform(random), uniform(random)};
    const double sum = row[0] + row[1] + row[2];
    for (const double p : row) policy.push_back(p / sum);
    for (int action = 0; action < 3; ++action) advantage.push_back(uniform(random));
    weight.push_back(state % 7 == 0 ? 0.0 : uniform(random));
  }
  const OldPolicy old{mdp, policy, advantage, weight, 0.0};
  Monitor monitor;
  Team one(1), two(2);
  double total = 0.0;
  for (const double w : weight) total += w;

  const TrustRegionStep most = max_kl_step(old, 0.1, one, monitor);
  const TrustRegionStep mean = mean_kl_step(old, 1.0 / total, 0.1, one, monitor);
  const TrustRegionStep paid = kl_penalty_step(old, 100.0, one, monitor);
  double mean_kl = 0.0, shares = 0.0;
  for (Index state = 0; state < num_states; ++state) {
    CHECK(most.kl[at(state)] <= 0.1);
    CHECK((weight[at(state)] > 0.0) == (most.kl[at(state)] > 0.0));
    mean_kl += weight[at(state)] / total * mean.kl[at(state)];
    shares += paid.multiplier[at(state)];
  }
  CHECK(mean_kl == doctest::Approx(0.1).epsilon(1e-12));
  CHECK(shares == doctest::Approx(100.0).epsilon(1e-12));
  for (const TrustRegionStep* step : {&most, &mean, &paid}) {
    CHECK(step->dual_gap > 0.0);
    CHECK(step->dual_gap <= 1e-9);
  }
  // With two threads to the last bit the same.
  CHECK(max_kl_step(old, 0.1, two, monitor).policy == most.policy);
  CHECK(mean_kl_step(old, 1.0 / total, 0.1, two, monitor).policy == mean.policy);
  CHECK(kl_penalty_step(old, 100.0, two, monitor).policy == paid.policy);
}

TEST_CASE("nothing moves at radius 0, and all becomes greedy without a limit") {
  const Model model = states_with(1, 2);
  const Mdp mdp = model.mdp();
  const std::vector<double> policy{0.5, 0.5}, advantage{0.0, 1.0}, weight{1.0};
  const OldPolicy old{mdp, policy, advantage, weight, 0.0};
  Monitor monitor;
  Team team(1);
  const double infinity = std::numeric_limits<double>::infinity();
  CHECK(max_kl_step(old, 0.0, team, monitor).policy == Doubles{0.5, 0.5});
  CHECK(max_kl_step(old, 0.0, team, monitor).multiplier == Doubles{infinity});
  CHECK(mean_kl_step(old, 1.0, 0.0, team, monitor).price == infinity);
  CHECK(kl_penalty_step(old, infinity, team, monitor).policy == Doubles{0.5, 0.5});
  for (const TrustRegionStep& step :
       {max_kl_step(old, infinity, team, monitor), mean_kl_step(old, 1.0, infinity, team, monitor),
        kl_penalty_step(old, 0.0, team, monitor)}) {
    CHECK(step.policy == Doubles{0.0, 1.0});
    CHECK(step.kl == Doubles{infinity});
    CHECK(step.dual_gap <= 32.0 * kUlp);
  }
}
