// The weights of a policy gradient: by hand, without what a policy exceeds 1 by, and the same for any number of
// threads.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "models.hpp"
#include "rlcore/advantage_weights.hpp"
#include "rlcore/errors.hpp"
#include "rlcore/pair_matrix.hpp"

using namespace rlcore;
using namespace rlcore::tests;

namespace {

/// Two states with two actions each; where they lead does not matter here.
Model two_by_two() {
  Model model;
  for (int state = 0; state < 2; ++state) {
    for (int action = 0; action < 2; ++action) {
      model.add_entry(action, 1.0);
      model.end_pair(0.0);
    }
    model.end_state();
  }
  return model;
}

const double kNaN = std::numeric_limits<double>::quiet_NaN();

}  // namespace

TEST_CASE("visits times probability times advantage") {
  const Model model = two_by_two();
  const Mdp mdp = model.mdp();
  Team team(1);
  const std::vector<double> policy{0.25, 0.75, 0.5, 0.5};
  const std::vector<double> advantage{3.0, -1.0, 2.0, -2.0};
  const std::vector<double> visits{4.0, 0.5};
  const AdvantageWeights found = advantage_weights(mdp, policy, {advantage, {}}, {visits, {}}, team);
  CHECK(found.weight == Doubles{3.0, -3.0, 0.5, -0.5});
  CHECK(found.size == 7.0);
  CHECK(found.mean == 0.0);
  CHECK(found.largest_row == 2.0);
  CHECK(found.largest_value == 3.0);
  CHECK(found.undefined == -1);
}

TEST_CASE("the mean is taken out, and told") {
  const Model model = two_by_two();
  const Mdp mdp = model.mdp();
  Team team(1);
  const std::vector<double> policy{0.25, 0.75, 0.5, 0.5};
  const std::vector<double> same{1.0, 1.0, 2.0, 2.0};
  const std::vector<double> visits{4.0, 0.5};
  const AdvantageWeights found = advantage_weights(mdp, policy, {same, {}}, {visits, {}}, team);
  CHECK(found.weight == Doubles{0.0, 0.0, 0.0, 0.0});
  CHECK(found.mean == 5.0);
  CHECK(found.largest_mean == 3.0);
}

TEST_CASE("without a policy visits times values") {
  const Model model = two_by_two();
  const Mdp mdp = model.mdp();
  Team team(1);
  const std::vector<double> value{3.0, -1.0, 2.0, -2.0};
  const std::vector<double> visits{4.0, 0.5};
  CHECK(advantage_weights(mdp, {}, {value, {}}, {visits, {}}, team).weight == Doubles{12.0, -4.0, 1.0, -1.0});
}

TEST_CASE("values that do not exist count only where the policy goes") {
  const Model model = two_by_two();
  const Mdp mdp = model.mdp();
  Team team(1);
  const std::vector<double> visits{4.0, 0.0};
  const std::vector<double> never_taken{0.0, 1.0, 0.5, 0.5};
  const std::vector<double> value{kNaN, 0.0, kNaN, 1.0};
  const AdvantageWeights found = advantage_weights(mdp, never_taken, {value, {}}, {visits, {}}, team);
  CHECK(found.undefined == -1);
  CHECK(found.weight == Doubles{0.0, 0.0, 0.0, 0.0});
  CHECK(advantage_weights(mdp, {}, {value, {}}, {visits, {}}, team).undefined == 0);
  const std::vector<double> too_few{1.0};
  CHECK_THROWS_AS(advantage_weights(mdp, never_taken, {too_few, {}}, {visits, {}}, team), ModelError);
}

TEST_CASE("low parts are kept") {
  const Model model = two_by_two();
  const Mdp mdp = model.mdp();
  Team team(1);
  const std::vector<double> policy{0.25, 0.75, 0.5, 0.5};
  const std::vector<double> advantage{3.0, -1.0, 2.0, -2.0}, advantage_low{0x1p-60, 0.0, 0.0, 0.0};
  const std::vector<double> visits{4.0, 0.5}, visits_low{0.0, 0x1p-60};
  const AdvantageWeights found = advantage_weights(mdp, policy, {advantage, advantage_low}, {visits, visits_low}, team);
  CHECK(found.weight == Doubles{3.0, -3.0, 0.5, -0.5});
  // 4/4 (1 - 1/4) of the low part of A, of which the mean is taken out; and the low part of the visits times one.
  CHECK(found.low == Doubles{0.75 * 0x1p-60, -0.75 * 0x1p-60, 0x1p-60, -0x1p-60});
  CHECK(found.largest_lost == 0x1p-60);
}

TEST_CASE("a product whose large terms cancel") {
  const std::vector<Index> first{0, 2, 3, 4}, column{0, 1, 0, 0};
  const std::vector<double> entry{1.0, 2.0, 1.0, 1.0}, weight{0x1p60, 1.0, -0x1p60}, low{0x1p-10, 0.0, 0.0};
  const TransposedProduct found = transposed_product({first, column, entry, 2}, {weight, low});
  CHECK(found.value == Doubles{1.0 + 0x1p-10, 0x1p61});
  CHECK(found.bound[0] < 1e-9);
  CHECK(found.bound[1] >= 0x1p-9);
}

TEST_CASE("threads do not change a bit") {
  Model model;
  std::vector<double> policy, value, visits;
  const Index num_states = 3 * kBlock + 5;
  for (Index state = 0; state < num_states; ++state) {
    for (int action = 0; action < 3; ++action) {
      model.add_entry(state, 1.0);
      model.end_pair(0.0);
      policy.push_back(1.0 / 3.0);
      value.push_back(std::sin(static_cast<double>(3 * state + action)));
    }
    model.end_state();
    visits.push_back(std::fabs(std::cos(static_cast<double>(state))));
  }
  const Mdp mdp = model.mdp();
  Team alone(1), pair(2);
  const AdvantageWeights one = advantage_weights(mdp, policy, {value, {}}, {visits, {}}, alone);
  const AdvantageWeights two = advantage_weights(mdp, policy, {value, {}}, {visits, {}}, pair);
  CHECK(one.weight == two.weight);
  CHECK(one.size == two.size);
  CHECK(one.mean == two.mean);
  CHECK(one.largest_row == two.largest_row);
}
