// Classes, periods and proper states: against the powers of small random chains, and where products underflow.
#include <doctest/doctest.h>

#include <numeric>
#include <random>
#include <vector>

#include "models.hpp"
#include "rlcore/chain_structure.hpp"
#include "rlcore/policy.hpp"

using namespace rlcore;
using namespace rlcore::tests;

namespace {

ChainStructure structure_of(const Model& model, const std::vector<double>& policy) {
  Monitor monitor;
  return chain_structure(model.mdp(), policy, 1, monitor);
}

ChainStructure structure_of(const Model& model) { return structure_of(model, model.uniform_policy()); }

/// One action; each state leads to some states alike, and may end.
Model random_chain(std::mt19937_64& random) {
  const auto size = static_cast<Index>(1 + random() % 9);
  const bool can_end = random() % 2 == 0;
  Model model;
  for (Index state = 0; state < size; ++state) {
    const double ending = can_end && random() % 4 == 0 ? 0.5 : 0.0;
    std::vector<Index> successors;
    for (Index next = 0; next < size; ++next) {
      if (random() % 4 == 0) successors.push_back(next);
    }
    if (successors.empty()) successors.push_back(static_cast<Index>(random() % static_cast<std::uint64_t>(size)));
    for (const Index next : successors) {
      model.add_entry(next, (1.0 - ending) / static_cast<double>(successors.size()));
    }
    model.termination.push_back(ending);
    model.end_pair(0.0);
    model.end_state();
  }
  return model;
}

using Relation = std::vector<std::vector<char>>;

Relation steps_of(const Model& model) {
  const auto size = at(model.num_states());
  Relation steps(size, std::vector<char>(size, 0));
  for (std::size_t s = 0; s < size; ++s) {
    for (auto k = at(model.row_start[s]); k < at(model.row_start[s + 1]); ++k) steps[s][at(model.column[k])] = 1;
  }
  return steps;
}

Relation product(const Relation& a, const Relation& b) {
  Relation c(a.size(), std::vector<char>(a.size(), 0));
  for (std::size_t i = 0; i < a.size(); ++i) {
    for (std::size_t k = 0; k < a.size(); ++k) {
      for (std::size_t j = 0; a[i][k] != 0 && j < a.size(); ++j) c[i][j] |= b[k][j];
    }
  }
  return c;
}

void check_against_powers(const Model& model) {
  const ChainStructure found = structure_of(model);
  const auto size = at(model.num_states());
  const Relation steps = steps_of(model);
  Relation leads(size, std::vector<char>(size, 0));
  for (std::size_t i = 0; i < size; ++i) leads[i][i] = 1;
  std::vector<Index> period(size, 0);
  Relation power = steps;
  for (Index time = 1; time <= 3 * static_cast<Index>(size); ++time, power = product(power, steps)) {
    for (std::size_t i = 0; i < size; ++i) {
      if (power[i][i] != 0) period[i] = std::gcd(period[i], time);
      for (std::size_t j = 0; j < size; ++j) leads[i][j] |= power[i][j];
    }
  }
  const auto returns_surely = [&](std::size_t i) {
    for (std::size_t j = 0; j < size; ++j) {
      if (leads[i][j] != 0 && (leads[j][i] == 0 || model.termination[j] > 0.0)) return false;
    }
    return true;
  };
  for (std::size_t i = 0; i < size; ++i) {
    const bool recurrent = returns_surely(i);
    CHECK((found.class_of[i] != ChainStructure::kTransient) == recurrent);
    bool proper = true;
    for (std::size_t j = 0; j < size; ++j) {
      proper = proper && !(leads[i][j] != 0 && returns_surely(j));
      if (recurrent && returns_surely(j)) CHECK((found.class_of[i] == found.class_of[j]) == (leads[i][j] != 0));
    }
    CHECK((found.proper[i] != 0) == proper);
  }
  for (Index number = 0; number < found.num_classes(); ++number) {
    const auto states = found.states(number);
    CHECK(std::is_sorted(states.begin(), states.end()));
    CHECK(found.representative(number) == states[0]);
    for (const Column state : states) CHECK(found.period[at(number)] == period[at(state)]);
    if (number > 0) CHECK(found.representative(number - 1) < states[0]);
  }
  CHECK(found.recurrent.size() + found.transient.size() == size);
}

}  // namespace

TEST_CASE("the structure of random chains is that of their powers") {
  std::mt19937_64 random(11);
  for (int trial = 0; trial < 500; ++trial) check_against_powers(random_chain(random));
}

TEST_CASE("a ring has its length as period, unless a state may stay") {
  CHECK(structure_of(ring(7, 1.0)).period == std::vector<Index>{7});
  CHECK(structure_of(ring(7, 0.5)).period == std::vector<Index>{1});
}

TEST_CASE("a product that underflows is a step, a stored zero is none") {
  Model model;
  model.add_entry(0, 1.0);
  model.end_pair(0.0);
  model.add_entry(0, 1.0);
  model.add_entry(1, 5e-324);
  model.end_pair(0.0);
  model.end_state();
  model.add_entry(0, 0.0);
  model.add_entry(1, 1.0);
  model.end_pair(0.0);
  model.end_state();
  CHECK(structure_of(model, {1.0, 5e-324, 1.0}).num_classes() == 1);
  CHECK(structure_of(model, {1.0, 0.0, 1.0}).num_classes() == 2);
}

TEST_CASE("classes that a start can reach") {
  Model model;
  for (Index state = 0; state < 3; ++state) {
    if (state == 1) model.add_entry(0, 0.5);
    model.add_entry(state, state == 1 ? 0.5 : 1.0);
    model.end_pair(0.0);
    model.end_state();
  }
  const Mdp mdp = model.mdp();
  const std::vector<double> policy(3, 1.0);
  const Chain chain(mdp, policy, check_policy(mdp, policy));
  Monitor monitor;
  const ChainStructure found = chain_structure(mdp, policy, 1, monitor);
  const auto from = [&](std::vector<double> weights) {
    TwofoldVector initial = twofold_vector(3);
    for (std::size_t s = 0; s < 3; ++s) initial[s].hi = weights[s];
    return reachable_classes(found, chain, initial);
  };
  CHECK(from({0.0, 1.0, 0.0}) == std::vector<Index>{0});
  CHECK(from({0.0, 0.0, 1.0}) == std::vector<Index>{1});
  CHECK(from({0.0, 0.5, 0.5}) == std::vector<Index>{0, 1});
}
