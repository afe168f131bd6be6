// Chains that fall apart are solved component by component: to the last digit, with the same bits for every team.
#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <stdexcept>
#include <utility>
#include <vector>

#include "models.hpp"
#include "rlcore/chain.hpp"
#include "rlcore/evaluation.hpp"
#include "rlcore/linear/method.hpp"
#include "rlcore/linear/portfolio.hpp"
#include "rlcore/linear/resolvent.hpp"
#include "rlcore/policy.hpp"

using namespace rlcore;
using namespace rlcore::linear;
using tests::Model;

namespace {

/// Stages of random places: a move stays in its stage with probability `stay`, or goes to the next stage, or ends.
Model stages(Index num_stages, Index width, double stay, unsigned seed = 0) {
  constexpr Index kPlaces = 4;
  std::mt19937_64 random(seed);
  Model model;
  const auto add_places = [&](Index stage, double probability) {
    const Index places = std::min(kPlaces, width);
    const auto offset = static_cast<Index>(random() % static_cast<std::uint64_t>(width));
    std::vector<Index> place;
    for (Index i = 0; i < places; ++i) place.push_back((offset + i * i + i) % width);
    std::sort(place.begin(), place.end());
    place.erase(std::unique(place.begin(), place.end()), place.end());
    for (const Index p : place) model.add_entry(stage * width + p, probability / static_cast<double>(place.size()));
  };
  for (Index state = 0; state < num_stages * width; ++state) {
    const Index stage = state / width;
    const bool last = stage + 1 == num_stages;
    if (stay > 0.0) add_places(stage, stay);
    if (!last) add_places(stage + 1, 1.0 - stay);
    model.end_pair(static_cast<double>(state % 5));
    model.termination.push_back(last ? 1.0 - stay : 0.0);
    model.end_state();
  }
  model.initial.assign(at(num_stages * width), 1.0 / static_cast<double>(num_stages * width));
  return model;
}

/// The same with labels in no order at all.
Model shuffled(const Model& model) {
  const auto size = at(model.num_states());
  std::vector<std::size_t> old(size), label(size);
  for (std::size_t i = 0; i < size; ++i) old[i] = i;
  std::shuffle(old.begin(), old.end(), std::mt19937_64(7));
  for (std::size_t i = 0; i < size; ++i) label[old[i]] = i;
  Model renamed;
  renamed.initial = model.initial;
  for (const std::size_t state : old) {
    std::vector<std::pair<Index, double>> row;
    for (auto k = at(model.row_start[state]); k < at(model.row_start[state + 1]); ++k) {
      row.emplace_back(static_cast<Index>(label[at(model.column[k])]), model.probability[k]);
    }
    std::sort(row.begin(), row.end());
    for (const auto& [successor, probability] : row) renamed.add_entry(successor, probability);
    renamed.end_pair(model.reward[state]);
    renamed.termination.push_back(model.termination[state]);
    renamed.end_state();
  }
  return renamed;
}

const Entry& block_triangular() {
  for (const Entry& entry : portfolio()) {
    if (entry.name == "block triangular") return entry;
  }
  throw std::logic_error("the portfolio has no block triangular method");
}

/// The method on the chain of a model of one action a state.
struct Solver {
  Mdp mdp;
  std::vector<double> policy;
  Chain chain;
  Team team;
  Systems systems;
  Direction direction;
  Monitor monitor;
  Candidate candidate;

  Solver(const Model& model, double discount, Direction wanted, int num_threads = 2)
      : mdp(model.arrays()),
        policy(model.uniform_policy()),
        chain(mdp, policy, check_policy(mdp, policy)),
        team(num_threads),
        systems(chain.size(), team,
                [this, discount](Direction either) { return Kernel(chain, discount).assemble(either, team); }),
        direction(wanted),
        candidate(block_triangular().make(systems, wanted, monitor)) {}

  const System& system() { return systems[direction]; }

  Doubles right_side() {
    Doubles b(at(system().size()));
    for (std::size_t i = 0; i < b.size(); ++i) b[i] = static_cast<double>(i % 7) - 2.0;
    return b;
  }

  Doubles solve(const Doubles& b) {
    Doubles x(b.size(), 1e300);  // what x held before must not matter
    candidate.method->solve(direction, b, x, Goal{}, monitor);
    return x;
  }
};

void check_solve(Solver& solver) {
  const Doubles b = solver.right_side();
  const Doubles x = solver.solve(b);
  Doubles residual(b.size());
  solver.system().residual(b, x, residual);
  CHECK(solver.system().norm(residual) <= 1e-13 * (solver.system().norm(x) + solver.system().norm(b)));
}

/// Made for either direction, it solves both.
void check_solves(const Model& model, double discount) {
  for (const Direction wanted : {Direction::kForward, Direction::kTransposed}) {
    Solver solver(model, discount, wanted);
    INFO(model.num_states(), " states: ", solver.candidate.reason);
    REQUIRE(solver.candidate.method);
    CHECK(solver.candidate.method->is_direct());
    for (const Direction direction : {wanted, Direction::kForward, Direction::kTransposed}) {
      solver.direction = direction;
      check_solve(solver);
    }
  }
}

}  // namespace

TEST_CASE("what falls apart is solved to the last digit, in both directions") {
  for (const double discount : {0.5, 0.99999}) {
    check_solves(stages(200, 20, 0.0), discount);   // no state is seen twice
    check_solves(stages(50, 40, 0.9), discount);    // a stage is a component
    check_solves(stages(6, 401, 0.99), discount);   // large ones
    check_solves(stages(2000, 1, 0.3), discount);   // a state that may stay
    check_solves(stages(2, 30000, 0.0), discount);  // levels that a team shares
    check_solves(shuffled(stages(300, 7, 0.7)), discount);
    check_solves(shuffled(stages(90, 33, 0.0)), discount);
  }
}

TEST_CASE("probabilities of zero are not looked at") {
  // Two states that need each other only by an entry of value zero, and a third.
  Model model;
  for (Index state = 0; state < 3; ++state) {
    model.add_entry(0, state == 0 ? 0.5 : 0.0);
    model.add_entry(1, state == 0 ? 0.5 : 0.0);
    model.add_entry(2, state == 0 ? 0.0 : 0.75);
    model.end_pair(1.0);
    model.termination.push_back(state == 0 ? 0.0 : 0.25);
    model.end_state();
  }
  model.initial.assign(3, 1.0 / 3.0);
  check_solves(model, 0.9);
}

TEST_CASE("answers have the same bits for every team") {
  for (const Model& model : {stages(2, 30000, 0.0), stages(150, 60, 0.8)}) {
    for (const Direction direction : {Direction::kForward, Direction::kTransposed}) {
      Solver one(model, 0.99, direction, 1);
      const Doubles b = one.right_side();
      const Doubles x = one.solve(b);
      for (const int threads : {2, 3}) CHECK(Solver(model, 0.99, direction, threads).solve(b) == x);
    }
  }
}

TEST_CASE("factors that are too many to hold are computed as they are needed") {
  Solver solver(stages(3200, 100, 0.5), 0.999, Direction::kForward);
  REQUIRE(solver.candidate.method);
  check_solve(solver);
}

TEST_CASE("what is one component, or has a large one, is declined") {
  CHECK(Solver(tests::ring(300, 0.5), 0.9, Direction::kForward).candidate.reason == "it is one component");
  CHECK(Solver(tests::ring(3000, 0.5), 0.9, Direction::kForward).candidate.reason ==
        "a component has more than 500 states");
}

TEST_CASE("an evaluation in stages is certified by this method") {
  const Model model = stages(100, 50, 0.9);
  const Mdp mdp = model.mdp();
  const Evaluation evaluation = evaluate(mdp, model.uniform_policy(), 0.99999);
  CHECK(evaluation.certificate.converged);
  CHECK(evaluation.certificate.method == "block triangular");
}
