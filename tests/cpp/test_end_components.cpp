// End components, against all subsets of the states of small models, and at 10^6 states.
#include <doctest/doctest.h>

#include <random>
#include <vector>

#include "models.hpp"
#include "rlcore/planning/end_components.hpp"

using namespace rlcore;
using tests::Model;

namespace {

std::vector<char> every_pair(const Mdp& mdp) { return std::vector<char>(at(mdp.num_pairs()), 1); }

EndComponents components_of(const Mdp& mdp, const std::vector<char>& marked, int threads = 1) {
  Team team(threads);
  Monitor monitor;
  return end_components(mdp, marked, team, monitor);
}

/// Whether the states of a set, with all marked pairs that do not leave it, are an end component.
bool is_end_component(const Mdp& mdp, const std::vector<char>& marked, unsigned set) {
  const auto within = [&](Index state) { return (set >> state & 1u) != 0; };
  const auto size = at(mdp.num_states());
  std::vector<std::vector<char>> leads(size, std::vector<char>(size, 0));
  for (Index state = 0; state < mdp.num_states(); ++state) {
    if (!within(state)) continue;
    bool has_pair = false;
    for (Index pair = mdp.first_pair(state); pair < mdp.first_pair(state + 1); ++pair) {
      const Row row = mdp.row(pair);
      bool stays = marked[at(pair)] != 0 && (mdp.termination().empty() || mdp.termination()[at(pair)] == 0.0);
      for (Index k = 0; k < row.length; ++k) stays = stays && (within(row.column[k]) || row.probability[k] == 0.0);
      if (!stays) continue;
      has_pair = true;
      for (Index k = 0; k < row.length; ++k) {
        if (row.probability[k] > 0.0) leads[at(state)][at(row.column[k])] = 1;
      }
    }
    if (!has_pair) return false;
  }
  for (std::size_t via = 0; via < size; ++via) {
    for (auto& from : leads) {
      for (std::size_t to = 0; to < size; ++to) {
        if (from[via] != 0 && leads[via][to] != 0) from[to] = 1;
      }
    }
  }
  for (std::size_t i = 0; i < size; ++i) {
    for (std::size_t j = 0; j < size; ++j) {
      if (within(static_cast<Index>(i)) && within(static_cast<Index>(j)) && i != j && leads[i][j] == 0) return false;
    }
  }
  return true;
}

/// For each state, the largest end component that holds it, as a set; 0 for none.
std::vector<unsigned> largest_sets(const Mdp& mdp, const std::vector<char>& marked) {
  std::vector<unsigned> largest(at(mdp.num_states()), 0);
  for (unsigned set = 1; set < 1u << mdp.num_states(); ++set) {
    if (!is_end_component(mdp, marked, set)) continue;
    for (std::size_t s = 0; s < largest.size(); ++s) {
      if ((set >> s & 1u) != 0) largest[s] |= set;  // two that meet make up one
    }
  }
  return largest;
}

std::vector<unsigned> sets_of(const EndComponents& found) {
  std::vector<unsigned> sets(found.of.size(), 0);
  for (Index c = 0; c < found.count(); ++c) {
    unsigned set = 0;
    for (const Column state : found.states(c)) set |= 1u << state;
    for (const Column state : found.states(c)) sets[at(state)] = set;
  }
  return sets;
}

/// A walk on states 0, 1, ...: each goes to either neighbour with probability 1/2, or back to itself with a second
/// action if it may rest. At 0 it stays; at the far end it ends, if it does.
Model corridor(Index size, bool ends, bool rests) {
  Model model;
  const Index last = size - 1;
  for (Index state = 0; state < size; ++state) {
    const bool stops_here = ends && state == last;
    model.add_entry(std::max<Index>(state - 1, 0), stops_here ? 0.5 : (state == 0 && last == 0 ? 1.0 : 0.5));
    if (!stops_here && last > 0) model.add_entry(std::min(state + 1, last), 0.5);
    model.end_pair(0.0);
    model.termination.push_back(stops_here ? 0.5 : 0.0);
    if (rests) {
      model.add_entry(state, 1.0);
      model.end_pair(0.0);
      model.termination.push_back(0.0);
    }
    model.end_state();
  }
  return model;
}

/// Twins that lead to each other, and by a second action to the twins of the next level as well: only the last level
/// may take that without leaving, and each level is a component of its own.
Model chained_twins(Index depth) {
  Model model;
  for (Index state = 0; state < 2 * depth; ++state) {
    model.add_entry(state % 2 == 0 ? state + 1 : state - 1, 1.0);
    model.end_pair(0.0);
    const bool innermost = state / 2 + 1 == depth;
    model.add_entry(state, innermost ? 1.0 : 0.5);
    if (!innermost) model.add_entry(state + 2, 0.5);
    model.end_pair(0.0);
    model.end_state();
  }
  return model;
}

}  // namespace

TEST_CASE("end components of random models are those of all subsets of states") {
  std::mt19937_64 random(3);
  const auto below = [&](Index n) { return static_cast<Index>(random() % static_cast<std::uint64_t>(n)); };
  int with_component = 0;
  for (int trial = 0; trial < 2000; ++trial) {
    const Index size = 1 + below(6);
    Model model;
    for (Index state = 0; state < size; ++state) {
      for (Index action = 0; action <= below(3); ++action) {
        std::vector<Index> successors{below(size), below(size)};
        std::sort(successors.begin(), successors.end());
        const bool ends = below(8) == 0;
        if (successors[0] == successors[1]) {
          model.add_entry(successors[0], ends ? 0.5 : 1.0);
        } else {  // an entry of probability zero leads nowhere
          const double p = below(6) == 0 ? 0.0 : 0.5;
          model.add_entry(successors[0], ends ? 0.5 * p : p);
          model.add_entry(successors[1], ends ? 0.5 - 0.5 * p : 1.0 - p);
        }
        model.termination.push_back(ends ? 0.5 : 0.0);
        model.end_pair(0.0);
      }
      model.end_state();
    }
    const Mdp mdp = model.mdp();
    std::vector<char> marked = every_pair(mdp);
    for (char& mark : marked) mark = below(8) > 0 ? 1 : 0;
    const EndComponents found = components_of(mdp, marked, 1 + trial % 2);
    CHECK(sets_of(found) == largest_sets(mdp, marked));
    with_component += found.count() > 0 ? 1 : 0;
    for (Index pair = 0; pair < mdp.num_pairs(); ++pair) {
      const auto state =
          std::upper_bound(model.pair_start.begin(), model.pair_start.end(), pair) - model.pair_start.begin() - 1;
      const Column component = found.of[at(state)];
      bool stays = marked[at(pair)] != 0 && model.termination[at(pair)] == 0.0 && component >= 0;
      const Row row = mdp.row(pair);
      for (Index k = 0; k < row.length; ++k) {
        stays = stays && (row.probability[k] == 0.0 || found.of[at(row.column[k])] == component);
      }
      CHECK((found.stays[at(pair)] != 0) == stays);
    }
  }
  CHECK(with_component > 500);
}

TEST_CASE("large end components") {
  constexpr Index kLarge = 1000000;
  SUBCASE("a corridor without an end is one") {
    const Model model = corridor(kLarge, false, false);
    const Mdp mdp = model.mdp();
    CHECK(components_of(mdp, every_pair(mdp)).is_whole_model());
  }
  SUBCASE("a corridor that ends has none, and falls from its end") {
    const Model model = corridor(kLarge, true, false);
    const Mdp mdp = model.mdp();
    CHECK(components_of(mdp, every_pair(mdp)).count() == 0);
  }
  SUBCASE("a corridor with rests falls apart into them from its end") {
    const Model model = corridor(kLarge, true, true);
    const Mdp mdp = model.mdp();
    const EndComponents found = components_of(mdp, every_pair(mdp));
    // A walk may lead to the state behind, from which, once its own walk is struck, no step leads back.
    CHECK(found.count() == kLarge);
    CHECK(found.states(kLarge - 1).front() == kLarge - 1);
  }
  SUBCASE("twins that are chained one way") {
    const Model model = chained_twins(kLarge / 2);
    const Mdp mdp = model.mdp();
    const EndComponents found = components_of(mdp, every_pair(mdp));
    CHECK(found.count() == kLarge / 2);
    CHECK(found.states(3)[1] == 7);
  }
}

TEST_CASE("a search for end components can be stopped") {
  const Model model = corridor(2000000, true, false);
  const Mdp mdp = model.mdp();
  Team team(1);
  Monitor monitor([](const Progress&) { throw 1; }, std::chrono::milliseconds(0));
  CHECK_THROWS_AS(end_components(mdp, every_pair(mdp), team, monitor), int);
}
