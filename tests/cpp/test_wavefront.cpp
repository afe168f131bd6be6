// Sweeps from a sparse right-hand side read only what they have come to, and miss nothing.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "models.hpp"
#include "rlcore/evaluation.hpp"
#include "rlcore/linear/wavefront.hpp"
#include "rlcore/occupancy.hpp"

using namespace rlcore;
using linear::Wavefront;
using tests::Model;
using tests::UniformChain;

namespace {

constexpr Index kSide = 120;

/// One in a few states.
Doubles few_ones(Index size, unsigned seed) {
  std::mt19937_64 random(seed);
  Doubles b(at(size));
  for (int k = 0; k < 3; ++k) b[random() % b.size()] = 1.0;
  return b;
}

/// The states of the strips that a front has come to.
std::vector<char> states_of(const Wavefront& front, Index size, Team& team) {
  std::vector<char> found(at(size), 0);
  front.for_strips(team, [&](Index first, Index last, Index) {
    for (Index state = first; state < last; ++state) found[at(state)] = 1;
  });
  return found;
}

Index count(const std::vector<char>& states) { return std::count(states.begin(), states.end(), 1); }

}  // namespace

TEST_CASE("what sweeps change lies where the front has come to") {
  for (const Model& model : {tests::torus(kSide), tests::ring(kSide * kSide, 0.5), tests::random_model(8000, 1, 2)}) {
    UniformChain setup(model);
    const CsrMatrix matrix = setup.chain.transition(setup.team);
    const Doubles b = few_ones(matrix.size, 1);
    Wavefront front(matrix, ConstVector(b), ConstVector(b), setup.team);
    REQUIRE(!front.is_everywhere());
    Doubles x = b;
    for (int sweep = 0; sweep < 30; ++sweep) {
      front.advance(ConstVector(x));
      const std::vector<char> come_to = states_of(front, matrix.size, setup.team);
      Doubles next = b;
      for (Index row = 0; row < matrix.size; ++row) next[at(row)] += 0.9 * matrix.row_product(row, x.data());
      for (std::size_t state = 0; state < x.size(); ++state) {
        REQUIRE((come_to[state] != 0 || (next[state] == 0.0 && x[state] == 0.0)));
      }
      x = std::move(next);
    }
  }
}

TEST_CASE("the front goes as slowly as what it reads lets it") {
  UniformChain setup(tests::torus(kSide));
  const CsrMatrix matrix = setup.chain.transition(setup.team);
  Doubles x(at(matrix.size));
  x[0] = 1.0;
  Wavefront front(matrix, ConstVector(x), ConstVector(x), setup.team);
  front.advance(ConstVector(x));
  // Two strips of at most 256 states hold the rows around the first, and one each those at the seam.
  CHECK(count(states_of(front, matrix.size, setup.team)) <= 4 * 256);
  for (int again = 0; again < 10; ++again) front.advance(ConstVector(x));
  CHECK(count(states_of(front, matrix.size, setup.team)) <= 4 * 256);
}

TEST_CASE("it is everywhere at once where b is not sparse, and where states read others far and wide") {
  for (const bool is_sparse : {false, true}) {
    UniformChain setup(is_sparse ? tests::random_model(20000, 1, 2) : tests::torus(kSide));
    const CsrMatrix matrix = setup.chain.transition(setup.team);
    const Doubles b = is_sparse ? few_ones(matrix.size, 1) : Doubles(at(matrix.size), 1.0);
    const Wavefront front(matrix, ConstVector(b), ConstVector(b), setup.team);
    CHECK(front.is_everywhere());
    CHECK(count(states_of(front, matrix.size, setup.team)) == matrix.size);
  }
}

TEST_CASE("what is added with each sweep counts as much as what the sweeps begin with") {
  UniformChain setup(tests::torus(kSide));
  const CsrMatrix matrix = setup.chain.transition(setup.team);
  const Doubles nothing(at(matrix.size));
  Doubles b = nothing;
  b[5000] = 1.0;
  for (const bool swapped : {false, true}) {
    Wavefront front(matrix, ConstVector(swapped ? nothing : b), ConstVector(swapped ? b : nothing), setup.team);
    CHECK(states_of(front, matrix.size, setup.team)[5000] == 1);
  }
}

TEST_CASE("answers are the same to the last bit beside others that are not sparse, and for every team") {
  struct Swept {
    const char* method;
    double drift, discount;
  };
  for (const auto& [method, drift, discount] : {Swept{"Chebyshev iteration", 0.0, 0.9}, {"span iteration", 0.1, 0.5}}) {
    const Model model = tests::torus(kSide, drift);
    const Mdp mdp = model.mdp();
    const std::vector<double> policy = model.uniform_policy();
    const std::vector<ConstVector> policies{policy};
    const Doubles sparse = few_ones(mdp.num_states(), 2);
    Doubles start = sparse;
    for (double& probability : start) probability /= 3.0;
    const Doubles dense(sparse.size(), 1.0 / static_cast<double>(sparse.size()));
    const auto values = [&, discount = discount](const std::vector<ConstVector>& rewards, int num_threads) {
      Monitor monitor;
      return evaluate(mdp, policies, rewards, discount, {.tolerance = 1e-8, .num_threads = num_threads}, monitor)
          .front();
    };
    const auto visits = [&, discount = discount](const std::vector<ConstVector>& starts, int num_threads) {
      Monitor monitor;
      return occupancy(mdp, policies, starts, discount, {.tolerance = 1e-8, .num_threads = num_threads}, monitor)
          .front();
    };
    const Evaluation value = values({sparse}, 1);
    const Occupancy visit = visits({start}, 1);
    CHECK(value.certificate.method == method);
    CHECK(visit.certificate.method == method);
    CHECK(values({sparse, dense}, 1).value == value.value);
    CHECK(values({sparse}, 2).value == value.value);
    CHECK(visits({start, dense}, 1).visits == visit.visits);
    CHECK(visits({start}, 2).visits == visit.visits);
    // eta = sum_s rho(s) r(s).
    double eta = 0.0, found = 0.0;
    for (std::size_t state = 0; state < sparse.size(); ++state) {
      eta += start[state] * value.value[state];
      found += visit.visits[state] * sparse[state];
    }
    CHECK(std::fabs(eta - found) <= value.bounds.value + visit.certificate.error_bound);
  }
}
