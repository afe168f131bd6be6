// Every method of the portfolio solves what it accepts; the judge believes none of them.
#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <span>
#include <stdexcept>

#include "models.hpp"
#include "rlcore/errors.hpp"
#include "rlcore/evaluation.hpp"
#include "rlcore/linear/portfolio.hpp"
#include "rlcore/linear/relabelling.hpp"
#include "rlcore/linear/resolvent.hpp"
#include "rlcore/occupancy.hpp"
#include "rlcore/policy.hpp"

using namespace rlcore;
using namespace rlcore::linear;
using tests::Model;

TEST_CASE("every method that accepts a system reduces its residual") {
  Monitor monitor;
  for (const Model& model : {tests::random_model(100, 2, 4), tests::random_model(100, 2, 4, 0.2),
                             tests::random_model(3000, 2, 5), tests::ring(2000, 0.5)}) {
    const Mdp mdp = model.mdp();
    const std::vector<double> policy = model.uniform_policy();
    const Chain chain(mdp, policy, check_policy(mdp, policy));
    Team team(2);
    Systems systems(chain.size(), team,
                    [&](Direction direction) { return Kernel(chain, 0.95).assemble(direction, team); });
    LocalSystems local(systems, Direction::kForward);
    Doubles b(at(chain.size()));
    for (std::size_t i = 0; i < b.size(); ++i) b[i] = i % 7 == 0 ? 1.0 : 0.25;
    for (const Entry& entry : portfolio()) {
      const Candidate candidate = entry.make(entry.local ? local.systems() : systems, Direction::kForward, monitor);
      if (!candidate.method) {
        CHECK_FALSE(candidate.reason.empty());
        continue;
      }
      // One method serves both directions, whichever it was made for.
      for (const Direction direction : {Direction::kForward, Direction::kTransposed}) {
        const System& system = systems[direction];
        Doubles x(b.size());
        const Goal goal{1e-8, 0.0, system.norm(b), system.amplification};
        const auto solve = [&](std::span<const Lane> lanes) {
          return entry.local ? local.solve(*candidate.method, direction, lanes, monitor)
                             : candidate.method->solve_together(direction, lanes, monitor);
        };
        const Outcome outcome = solve(std::array{Lane{b, x, goal}}).front();
        Doubles residual(b.size());
        system.residual(b, x, residual);
        INFO(entry.name, " on ", model.num_states(), " states");
        // Between unlike neighbours, and with lanes to spare, it finds the same.
        Doubles rare(b.size(), 0.0);
        rare[0] = 1.0;
        Doubles of_rare(b.size()), again(b.size()), of_small(b.size());
        Doubles small(b);
        for (double& number : small) number *= 1e-9;
        const Goal goal_of_rare{1e-3, 0.0, system.norm(rare), system.amplification};
        const Goal goal_of_small{1e-12, 0.0, system.norm(small), system.amplification};
        const std::vector<Outcome> outcomes = solve(
            std::array{Lane{rare, of_rare, goal_of_rare}, Lane{b, again, goal}, Lane{small, of_small, goal_of_small}});
        CHECK(again == x);
        CHECK(outcomes[1].iterations == outcome.iterations);
        CHECK(outcomes[1].gave_up == outcome.gave_up);
        // Whoever gives up says so: span iteration may, on a ring, which hardly mixes.
        if (outcome.gave_up) {
          CHECK(entry.name == "span iteration");
        } else {
          CHECK(system.residual_norm(residual) <= 1e-8 * system.norm(b));
        }
      }
    }
  }
}

TEST_CASE("a vector that is not finite proves nothing") {
  const Model model = tests::forest();
  const Mdp mdp = model.mdp();
  const std::vector<double> policy = model.uniform_policy();
  const Chain chain(mdp, policy, check_policy(mdp, policy));
  Team team(1);
  const RightSide b{{{1.0}, {1.0}, {1.0}}};
  std::vector<double> residual(3);
  for (const Direction direction : {Direction::kForward, Direction::kTransposed}) {
    for (const double bad : {NAN, INFINITY, -INFINITY}) {
      for (std::size_t place = 0; place < 3; ++place) {
        TwofoldVector x{{1.0}, {1.0}, {1.0}};
        x[place].hi = bad;
        for (const Arithmetic arithmetic : {Arithmetic::kTwofold, Arithmetic::kDoubles}) {
          CHECK(std::isinf(prove(Kernel(chain, 0.9), Horizon{.w = Kernel(chain, 0.9).deficit(), .remaining = {}},
                                 direction, arithmetic, b, x, residual, team)
                               .error));
        }
      }
    }
  }
}

TEST_CASE("the proof bounds the error of a wrong answer") {
  // r = 1 everywhere: V = 10. A wrong V must not be proven closer than it is.
  Model model = tests::forest();
  model.reward.assign(6, 1.0);
  const Mdp mdp = model.mdp();
  const std::vector<double> policy = model.uniform_policy();
  const Chain chain(mdp, policy, check_policy(mdp, policy));
  Team team(1);
  const RightSide b{{{1.0}, {1.0}, {1.0}}};
  std::vector<double> residual(3);
  const TwofoldVector x{{9.0}, {10.5}, {10.0}};
  for (const Arithmetic arithmetic : {Arithmetic::kTwofold, Arithmetic::kDoubles}) {
    const Proof proof = prove(Kernel(chain, 0.9), Horizon{.w = Kernel(chain, 0.9).deficit(), .remaining = {}},
                              Direction::kForward, arithmetic, b, x, residual, team);
    CHECK(proof.error >= std::fabs(9.0 + proof.shift - 10.0));
    CHECK(proof.error >= std::fabs(10.5 + proof.shift - 10.0));
  }
}

TEST_CASE("a tolerance below rounding is not claimed") {
  const Model model = tests::forest();
  const Mdp mdp = model.mdp();
  const Evaluation evaluation = evaluate(mdp, model.uniform_policy(), 0.9, {.tolerance = 1e-17});
  CHECK_FALSE(evaluation.certificate.converged);
  CHECK(evaluation.bounds.value < 1e-14);
}

TEST_CASE("rewards of any size that a double holds") {
  for (const double scale : {1e-280, 1e-160, 1e-12, 1e12, 1e160, 1e200}) {
    Model model = tests::forest();
    for (double& reward : model.reward) reward *= scale / 4.0;
    const Mdp mdp = model.mdp();
    const Evaluation evaluation = evaluate(mdp, model.uniform_policy(), 0.9);
    CHECK(evaluation.certificate.converged);
    CHECK(*evaluation.start_value / scale == doctest::Approx(7.9672916667 / 4.0).epsilon(1e-9));
  }
}

TEST_CASE("known answers: forest") {
  const Model model = tests::forest();
  const Mdp mdp = model.mdp();
  const std::vector<double> policy = model.uniform_policy();
  CHECK(*evaluate(mdp, policy, 0.9).start_value == doctest::Approx(7.9672916667).epsilon(1e-10));
  const std::vector<ConstVector> policies{policy};
  const std::vector<ConstVector> initials{mdp.initial()};
  Monitor monitor;
  const Occupancy found = occupancy(mdp, policies, initials, 0.9, {}, monitor).front();
  CHECK(found.visits[0] == doctest::Approx(5.2833333).epsilon(1e-7));
  CHECK(found.visits[1] == doctest::Approx(2.4730833).epsilon(1e-7));
  CHECK(found.visits[2] == doctest::Approx(2.2435833).epsilon(1e-7));
}

TEST_CASE("a gamma that is not a discount factor is refused") {
  const Model model = tests::forest();
  const Mdp mdp = model.mdp();
  for (const double gamma : {-0.1, 1.0, 2.0, static_cast<double>(NAN)}) {
    CHECK_THROWS_AS(evaluate(mdp, model.uniform_policy(), gamma), SettingError);
  }
}

TEST_CASE("a caller that throws from its monitor gets its exception back") {
  struct Cancelled : std::runtime_error {
    using std::runtime_error::runtime_error;
  };
  const Model model = tests::random_model(20000, 2, 5);
  const Mdp mdp = model.mdp();
  const std::vector<double> policy = model.uniform_policy();
  Monitor monitor([](const Progress&) { throw Cancelled("enough"); }, std::chrono::milliseconds(0));
  const std::vector<ConstVector> policies{policy};
  const std::vector<ConstVector> rewards{mdp.reward()};
  CHECK_THROWS_AS(evaluate(mdp, policies, rewards, 0.99, {}, monitor), Cancelled);
}

TEST_CASE("answers have the same bits for every number of threads") {
  for (const double ending : {0.0, 0.01}) {
    const Model model = tests::random_model(30000, 2, 5, ending);
    const Mdp mdp = model.mdp();
    const std::vector<double> policy = model.uniform_policy();
    const std::vector<ConstVector> policies{policy};
    const std::vector<ConstVector> initials{mdp.initial()};
    Monitor monitor;
    const Evaluation one = evaluate(mdp, policy, 0.99, {.num_threads = 1});
    const Occupancy visits = occupancy(mdp, policies, initials, 0.99, {.num_threads = 1}, monitor).front();
    for (const int threads : {2, 3}) {
      const Evaluation many = evaluate(mdp, policy, 0.99, {.num_threads = threads});
      CHECK(many.value == one.value);
      CHECK(many.advantage == one.advantage);
      CHECK(occupancy(mdp, policies, initials, 0.99, {.num_threads = threads}, monitor).front().visits ==
            visits.visits);
    }
  }
}

TEST_CASE("where residuals in doubles prove too little, twofold ones take over") {
  // One state has so many arrivals that their rounding, 1 / (1 - gamma) times, is more than the tolerance.
  constexpr Index kSize = 2 * kBlock;
  Model model;
  for (Index state = 0; state < kSize; ++state) {
    model.add_entry(0, 0.5);
    model.add_entry(1 + state % (kSize - 1), 0.5);
    model.end_pair(1.0);
    model.end_state();
  }
  const Mdp mdp = model.mdp();
  const std::vector<double> policy = model.uniform_policy();
  const Chain chain(mdp, policy, check_policy(mdp, policy));
  Team team(2);
  Monitor monitor;
  const Kernel kernel(chain, 0.999);
  Resolvent resolvent(kernel, team, monitor);
  RightSide start{twofold_vector(kSize)};
  start.value[5].hi = 1.0;
  for (const double tolerance : {1e-6, 1e-9}) {
    const Solution visits = resolvent.solve_transposed(start, tolerance);
    CHECK(visits.certificate.converged);
    CHECK(visits.certificate.error_bound <= tolerance * 1000.0);
    // The mass of all visits is known: 1 / (1 - gamma).
    CHECK(std::fabs(extent_of(visits.x, team).l1 - 1000.0) <= visits.certificate.error_bound + 1e-9);
  }
}
