// State reduction: an order that is one, factors that are right to nearly all digits in every component, and answers
// that stay so however long the process lasts.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <utility>
#include <vector>

#include "models.hpp"
#include "rlcore/linear/fronts.hpp"
#include "rlcore/linear/reduction.hpp"
#include "rlcore/linear/resolvent.hpp"
#include "rlcore/linear/shared_fronts.hpp"
#include "rlcore/policy.hpp"

using namespace rlcore;
using namespace rlcore::linear;
using tests::Model;

namespace {

/// A walk on a grid of size x size cells, which ends in the first of them alone, and there with a small probability.
Model walk_on_grid(Index size, double ends) {
  Model model;
  for (Index cell = 0; cell < size * size; ++cell) {
    std::vector<Index> next;
    if (cell >= size) next.push_back(cell - size);
    if (cell % size > 0) next.push_back(cell - 1);
    if (cell % size < size - 1) next.push_back(cell + 1);
    if (cell < size * (size - 1)) next.push_back(cell + size);
    const double end = cell == 0 ? ends : 0.0;
    for (const Index other : next) model.add_entry(other, (1.0 - end) / static_cast<double>(next.size()));
    model.end_pair(1.0);
    model.termination.push_back(end);
    model.end_state();
  }
  return model;
}

/// A ladder that is climbed with probability 2^-20 a step, and else fallen off: from the top rung the process ends.
Model ladder(Index rungs) {
  constexpr double kClimbs = 0x1p-20;
  Model model;
  for (Index rung = 0; rung < rungs; ++rung) {
    model.add_entry(0, 1.0 - kClimbs);
    if (rung + 1 < rungs) model.add_entry(rung + 1, kClimbs);
    model.end_pair(1.0);
    model.termination.push_back(rung + 1 < rungs ? 0.0 : kClimbs);
    model.end_state();
  }
  return model;
}

struct Solver {
  Model model;
  Mdp mdp;
  std::vector<double> policy;
  Chain chain;
  Team team{2};
  Kernel kernel;
  System forward;
  Doubles ending;
  Monitor monitor;

  explicit Solver(Model of)
      : model(std::move(of)),
        mdp(model.arrays()),
        policy(model.uniform_policy()),
        chain(mdp, policy, check_policy(mdp, policy)),
        kernel(chain, {}, team),
        forward(kernel.assemble(Direction::kForward, team)),
        ending(kernel.ending(team)) {}

  std::shared_ptr<const Fronts> fronts(double most_work = 1e9) {
    return Fronts::by_minimum_degree(forward.matrix, most_work, monitor);
  }

  /// (I - J)^-1 b or its transpose, by one solve.
  TwofoldVector solve(Direction direction, const Doubles& b) {
    const std::optional<Reduction> reduction = Reduction::of(forward, ending, fronts(), monitor);
    REQUIRE(reduction);
    TwofoldVector x(b.size());
    for (std::size_t s = 0; s < b.size(); ++s) x[at(reduction->fronts().place(static_cast<Index>(s)))] = {b[s]};
    reduction->solve<double>(direction, x, team);
    TwofoldVector found(b.size());
    for (std::size_t s = 0; s < b.size(); ++s) found[s] = x[at(reduction->fronts().place(static_cast<Index>(s)))];
    return found;
  }
};

}  // namespace

TEST_CASE("fronts take every state once, and know wherever it leads when it is taken") {
  for (const Model& model : {walk_on_grid(2, 0.5), walk_on_grid(20, 0.1), ladder(9), tests::ring(50, 0.5)}) {
    Solver solver(model);
    const std::shared_ptr<const Fronts> fronts = solver.fronts();
    REQUIRE(fronts);
    std::vector<Index> front_of;
    for (Index front = 0; front < fronts->count(); ++front) {
      front_of.insert(front_of.end(), at(fronts->first(front + 1) - fronts->first(front)), front);
      const auto places = fronts->places(front);
      CHECK(std::is_sorted(places.begin(), places.end()));
      CHECK(places.front() == fronts->first(front));
    }
    REQUIRE(std::ssize(front_of) == fronts->size());
    const CsrMatrix& m = solver.forward.matrix;
    for (Index state = 0; state < m.size; ++state) {
      CHECK(fronts->state(fronts->place(state)) == state);
      for (Index k = m.first[state]; k < m.first[state] + m.length[state]; ++k) {
        const Column from = fronts->place(state);
        const Column to = fronts->place(m.column[k]);
        const auto places = fronts->places(front_of[at(std::min(from, to))]);
        CHECK(std::binary_search(places.begin(), places.end(), std::max(from, to)));
      }
    }
  }
}

TEST_CASE("branches hold all that leads to them, and most fronts are on one") {
  Solver solver(walk_on_grid(80, 0.1));
  const std::shared_ptr<const Fronts> fronts = solver.fronts();
  REQUIRE(fronts);
  REQUIRE(fronts->branches().size() > 3);
  constexpr std::size_t kTrunk = std::size_t(-1);
  std::vector<std::size_t> branch_of;  // of each place
  const auto add_places = [&](Index first, Index last, std::size_t branch) {
    REQUIRE(std::ssize(branch_of) == fronts->first(first));
    branch_of.resize(at(fronts->first(last)), branch);
  };
  fronts->ascend([&](std::size_t k) { add_places(fronts->branches()[k].first, fronts->branches()[k].last, k); },
                 [&](Index front) { add_places(front, front + 1, kTrunk); });
  REQUIRE(std::ssize(branch_of) == fronts->size());
  CHECK(std::count(branch_of.begin(), branch_of.end(), kTrunk) < fronts->size() / 4);
  for (Index front = 0; front < fronts->count(); ++front) {
    const std::size_t branch = branch_of[at(fronts->first(front))];
    for (const Column place : fronts->places(front)) {
      CHECK((branch_of[at(place)] == branch || branch_of[at(place)] == kTrunk));
    }
  }
}

TEST_CASE("fronts of all policies suit every one of them") {
  Model model;  // two actions on a circle: a step ahead or one back
  constexpr Index kStates = 40;
  for (Index state = 0; state < kStates; ++state) {
    for (const Index step : {Index{1}, kStates - 1}) {
      model.add_entry((state + step) % kStates, 1.0 - 0x1p-10);
      model.end_pair(1.0);
      model.termination.push_back(0x1p-10);
    }
    model.end_state();
  }
  Solver solver(model);
  std::vector<double> ahead(solver.policy.size(), 0.0);
  for (std::size_t pair = 0; pair < ahead.size(); pair += 2) ahead[pair] = 1.0;
  const Chain chain(solver.mdp, ahead, check_policy(solver.mdp, ahead));
  SharedFronts shared(solver.mdp, solver.team);
  const Kernel kernel(chain, {}, solver.team, &shared);
  const System forward = kernel.assemble(Direction::kForward, solver.team);
  const std::shared_ptr<const Fronts> fronts = shared.of(forward.matrix, 1e9, solver.monitor);
  REQUIRE(fronts);
  CHECK(shared.of(solver.forward.matrix, 1e9, solver.monitor) == fronts);
  const std::optional<Reduction> reduction = Reduction::of(forward, kernel.ending(solver.team), fronts, solver.monitor);
  REQUIRE(reduction);
  TwofoldVector time(at(kStates), {1.0});
  reduction->solve<double>(Direction::kForward, time, solver.team);
  for (const Twofold t : time) CHECK(std::fabs(t.hi - 0x1p10) <= 0x1p-38);
}

TEST_CASE("what would take too long is declined") {
  Solver grid(walk_on_grid(30, 0.1));
  CHECK(grid.fronts(1e9));
  CHECK_FALSE(grid.fronts(1e3));
}

TEST_CASE("the factors solve both directions") {
  for (const auto& [size, ends] : {std::pair{25, 0.5}, {25, 1e-9}, {80, 1e-9}}) {
    Solver solver(walk_on_grid(size, ends));
    Doubles b(at(solver.chain.size()));
    for (std::size_t i = 0; i < b.size(); ++i) b[i] = i % 7 == 0 ? 1.0 : 0.25;
    const TwofoldVector v = solver.solve(Direction::kForward, b);
    const TwofoldVector visits = solver.solve(Direction::kTransposed, b);
    // b' (X b) = (X' b)' b, and both are sums of positive numbers.
    double forward = 0.0, transposed = 0.0;
    for (std::size_t i = 0; i < b.size(); ++i) {
      forward += b[i] * v[i].hi;
      transposed += b[i] * visits[i].hi;
    }
    CHECK(forward == doctest::Approx(transposed).epsilon(1e-11));
    Doubles x = rounded(v, solver.team), residual(b.size());
    solver.forward.residual(b, x, residual);
    for (std::size_t i = 0; i < b.size(); ++i) CHECK(std::fabs(residual[i]) <= 1e-14 * x[0]);
  }
}

TEST_CASE("times of 10^60 steps are right to nearly all digits in every component") {
  // From rung k of n the time to the end is q^-n - q^-k at the odds q of a step, over q: T = (1 - q^n) / (q^n (1 - q))
  // from the ground, and the time from the ground to rung k less from there.
  constexpr Index kRungs = 10;
  Solver solver(ladder(kRungs));
  const auto to_rung = [](Index k) {
    double sum = 0.0;  // q^-1 + ... + q^-k
    for (Index i = 1; i <= k; ++i) sum += std::ldexp(1.0, static_cast<int>(20 * i));
    return sum;
  };
  // The jump chain leaves the ground at once: its rewards are the times of stay.
  Doubles b(at(kRungs));
  for (std::size_t s = 0; s < b.size(); ++s) b[s] = 1.0 / solver.kernel.leaving()[s];
  const TwofoldVector t = solver.solve(Direction::kForward, b);
  for (Index rung = 0; rung < kRungs; ++rung) {
    const double exact = to_rung(kRungs) - to_rung(rung);
    CHECK(std::fabs(t[at(rung)].hi / exact - 1.0) <= 100.0 * kUnitRoundoff);
  }
}

TEST_CASE("a resolvent finds and proves times of 10^22 steps") {
  Solver solver(walk_on_grid(15, 1e-20));
  const Resolvent resolvent(solver.kernel, solver.team, solver.monitor);
  CHECK(resolvent.horizon().w.lower >= 0.5);
  CHECK(resolvent.horizon().most > 1e22);
}

TEST_CASE("threads change no bit") {
  Solver solver(walk_on_grid(80, 1e-6));
  std::vector<TwofoldVector> found;
  for (const int threads : {1, 2, 3}) {
    Team team(threads);
    Resolvent resolvent(solver.kernel, team, solver.monitor);
    found.push_back(resolvent.solve({solver.chain.mean_over_actions(solver.mdp.reward(), team)}, 1e-12).x);
  }
  for (std::size_t s = 0; s < found[0].size(); ++s) {
    CHECK(found[1][s].hi == found[0][s].hi);
    CHECK(found[1][s].lo == found[0][s].lo);
    CHECK(found[2][s].hi == found[0][s].hi);
    CHECK(found[2][s].lo == found[0][s].lo);
  }
}

TEST_CASE("threads change no bit of visits") {
  Solver solver(walk_on_grid(80, 1e-6));
  const std::optional<Reduction> reduction =
      Reduction::of(solver.forward, solver.ending, solver.fronts(), solver.monitor);
  REQUIRE(reduction);
  std::vector<TwofoldVector> found;
  for (const int threads : {1, 3}) {
    Team team(threads);
    TwofoldVector& visits = found.emplace_back(at(solver.chain.size()), Twofold{1.0});
    reduction->solve<double>(Direction::kTransposed, visits, team);
  }
  for (std::size_t s = 0; s < found[0].size(); ++s) {
    CHECK(found[1][s].hi == found[0][s].hi);
    CHECK(found[1][s].lo == found[0][s].lo);
  }
}
