// The assembled matrices hold what the stored model says, whatever the team.
#include <doctest/doctest.h>

#include <map>

#include "models.hpp"
#include "rlcore/chain.hpp"
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
