// Strongly connected components, against hand-made graphs and the transitive closure of random ones.
#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "rlcore/components.hpp"

using namespace rlcore;

namespace {

struct Arc {
  Index from;
  Index to;
  double value = 0.5;
};

CsrMatrix matrix_of(Index size, const std::vector<Arc>& arcs) {
  const auto count = static_cast<Index>(arcs.size());
  CsrMatrix matrix(size, count);
  matrix.num_entries = count;
  Index place = 0;
  for (Index row = 0; row < size; ++row) {
    matrix.first[row] = place;
    for (const Arc& arc : arcs) {
      if (arc.from != row) continue;
      matrix.column[place] = static_cast<Column>(arc.to);
      matrix.value[place++] = arc.value;
    }
    matrix.length[row] = static_cast<std::int32_t>(place - matrix.first[row]);
  }
  return matrix;
}

/// Each state once, in the component that it is said to be in.
void check_partition(const Components& components, Index size) {
  std::vector<int> times(at(size), 0);
  for (Index component = 0; component < components.count(); ++component) {
    CHECK_FALSE(components.states(component).empty());
    for (const Column state : components.states(component)) {
      CHECK(components.of(state) == component);
      ++times[at(state)];
    }
  }
  CHECK(times == std::vector<int>(at(size), 1));
}

/// Which states lead to which in any number of steps, zero included.
std::vector<std::vector<char>> transitive_closure(Index size, const std::vector<Arc>& arcs) {
  std::vector<std::vector<char>> leads(at(size), std::vector<char>(at(size), 0));
  for (std::size_t i = 0; i < leads.size(); ++i) leads[i][i] = 1;
  for (const Arc& arc : arcs) {
    if (arc.value != 0.0) leads[at(arc.from)][at(arc.to)] = 1;
  }
  for (std::size_t via = 0; via < leads.size(); ++via) {
    for (auto& from : leads) {
      for (std::size_t to = 0; to < leads.size(); ++to) {
        if (from[via] != 0 && leads[via][to] != 0) from[to] = 1;
      }
    }
  }
  return leads;
}

/// A path of states 0, 1, ..., and perhaps back to the first.
CsrMatrix path(Index size, bool closed) {
  CsrMatrix matrix(size, size);
  matrix.num_entries = size;
  for (Index row = 0; row < size; ++row) {
    const bool last = row + 1 == size;
    matrix.first[row] = row;
    matrix.length[row] = last && !closed ? 0 : 1;
    matrix.column[row] = static_cast<Column>(last ? 0 : row + 1);
    matrix.value[row] = 1.0;
  }
  return matrix;
}

}  // namespace

TEST_CASE("components of graphs made by hand") {
  SUBCASE("no state") { CHECK(strong_components(CsrMatrix(0, 0))->count() == 0); }
  SUBCASE("one state, alone or with itself") {
    CHECK(strong_components(matrix_of(1, {}))->count() == 1);
    CHECK(strong_components(matrix_of(1, {{0, 0}}))->count() == 1);
  }
  SUBCASE("two cycles joined one way") {
    const auto components =
        strong_components(matrix_of(6, {{0, 1}, {1, 2}, {2, 0}, {1, 3}, {3, 4}, {4, 5}, {5, 3}, {5, 5}}));
    check_partition(*components, 6);
    CHECK(components->count() == 2);
    CHECK(components->of(0) == 1);
    CHECK(components->of(3) == 0);
    CHECK(components->states(0).size() == 3);
  }
  SUBCASE("a cross entry to a closed component joins nothing") {
    CHECK(strong_components(matrix_of(4, {{0, 1}, {0, 2}, {2, 1}, {2, 3}, {3, 0}}))->count() == 2);
  }
  SUBCASE("an entry of value zero leads nowhere") {
    CHECK(strong_components(matrix_of(2, {{0, 1}, {1, 0, 0.0}}))->count() == 2);
    CHECK(strong_components(matrix_of(2, {{0, 1}, {1, 0}}))->count() == 1);
  }
}

TEST_CASE("components of random graphs are the classes of the transitive closure, in topological order") {
  std::mt19937_64 random(5);
  for (int trial = 0; trial < 300; ++trial) {
    const auto size = static_cast<Index>(1 + random() % 25);
    const auto any = [&] { return static_cast<Index>(random() % static_cast<std::uint64_t>(size)); };
    std::vector<Arc> arcs;
    for (auto count = random() % static_cast<std::uint64_t>(2 * size + 1); count > 0; --count) {
      arcs.push_back({any(), any(), random() % 8 == 0 ? 0.0 : 0.5});
    }
    const CsrMatrix matrix = matrix_of(size, arcs);
    const auto components = strong_components(matrix);
    check_partition(*components, size);
    const auto leads = transitive_closure(size, arcs);
    std::size_t largest = 0;
    for (Index i = 0; i < size; ++i) {
      largest = std::max(largest, components->states(components->of(i)).size());
      for (Index j = 0; j < size; ++j) {
        const bool both = leads[at(i)][at(j)] != 0 && leads[at(j)][at(i)] != 0;
        CHECK((components->of(i) == components->of(j)) == both);
        if (leads[at(i)][at(j)] != 0) CHECK(components->of(j) <= components->of(i));
      }
    }
    CHECK(strong_components(matrix, static_cast<Index>(largest)).has_value());
    CHECK_FALSE(strong_components(matrix, static_cast<Index>(largest) - 1).has_value());
  }
}

TEST_CASE("graphs that hang together are seen as one, and others are searched") {
  std::mt19937_64 random(6);
  Monitor monitor;
  for (const int threads : {1, 2}) {
    Team team(threads);
    int whole = 0;
    for (int trial = 0; trial < 300; ++trial) {
      const auto size = static_cast<Index>(1 + random() % 25);
      const auto any = [&] { return static_cast<Index>(random() % static_cast<std::uint64_t>(size)); };
      std::vector<Arc> arcs;
      for (auto count = random() % static_cast<std::uint64_t>(4 * size + 1); count > 0; --count) {
        arcs.push_back({any(), any(), random() % 8 == 0 ? 0.0 : 0.5});
      }
      const CsrMatrix matrix = matrix_of(size, arcs);
      const Components components = all_strong_components(matrix, team, monitor);
      const auto searched = strong_components(matrix);
      check_partition(components, size);
      CHECK(components.count() == searched->count());
      for (Index i = 0; i < size; ++i) CHECK(components.of(i) == searched->of(i));
      whole += components.count() == 1 ? 1 : 0;
    }
    CHECK(whole > 30);
    CHECK(whole < 270);
    CHECK(all_strong_components(CsrMatrix(0, 0), team, monitor).count() == 0);
    CHECK(all_strong_components(path(100000, true), team, monitor).count() == 1);
    CHECK(all_strong_components(path(100000, false), team, monitor).count() == 100000);
  }
}

TEST_CASE("large random graphs are searched side by side, and what nobody leads to is missed by none") {
  constexpr Index kSize = 50000;
  std::mt19937_64 random(7);
  Monitor monitor;
  for (const Index never_entered : {Index{0}, Index{1}}) {
    CsrMatrix matrix(kSize, 8 * kSize);
    matrix.num_entries = 8 * kSize;
    for (Index row = 0; row < kSize; ++row) {
      matrix.first[row] = 8 * row;
      matrix.length[row] = 8;
      for (Index entry = 8 * row; entry < 8 * row + 8; ++entry) {
        const auto any = static_cast<Index>(random() % static_cast<std::uint64_t>(kSize - never_entered));
        matrix.column[entry] = static_cast<Column>(entry == 8 * row && row + 1 < kSize - never_entered ? row + 1 : any);
        matrix.value[entry] = entry % 8 == 7 && row % 2 == 0 ? 0.0 : 0.125;
      }
    }
    const auto searched = strong_components(matrix);
    for (const int threads : {1, 2}) {
      Team team(threads);
      const Components components = all_strong_components(matrix, team, monitor);
      CHECK(components.count() == searched->count());
      CHECK(components.count() >= 1 + never_entered);
    }
  }
}

TEST_CASE("a path of a million states does not exhaust the stack") {
  constexpr Index kSize = 1000000;
  const auto open = strong_components(path(kSize, false));
  CHECK(open->count() == kSize);
  CHECK(open->of(0) == kSize - 1);
  CHECK(strong_components(path(kSize, true))->count() == 1);
  CHECK_FALSE(strong_components(path(kSize, true), kSize - 1).has_value());
}
