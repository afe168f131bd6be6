// Lines and rings under any labels are put in order, and anything else is seen to be something else.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <numeric>
#include <random>
#include <utility>
#include <vector>

#include "rlcore/linear/lines.hpp"

using namespace rlcore;
using linear::order_along_lines;

namespace {

using Moves = std::vector<std::pair<Column, Column>>;

CsrMatrix matrix_of(Index size, Moves moves) {
  std::sort(moves.begin(), moves.end());
  CsrMatrix matrix(size, std::ssize(moves));
  matrix.num_entries = std::ssize(moves);
  Index entry = 0;
  for (Index row = 0; row < size; ++row) {
    matrix.first[row] = entry;
    for (; entry < std::ssize(moves) && moves[at(entry)].first == row; ++entry) {
      matrix.column[entry] = moves[at(entry)].second;
      matrix.value[entry] = 1.0;
    }
    matrix.length[row] = static_cast<std::int32_t>(entry - matrix.first[row]);
  }
  return matrix;
}

/// Lines and rings of random lengths, moves forwards, backwards, both ways and in place, and shuffled labels.
Moves lines_and_rings(Index size, bool with_rings, std::mt19937_64& random) {
  std::vector<Column> label(at(size));
  std::iota(label.begin(), label.end(), 0);
  std::shuffle(label.begin(), label.end(), random);
  Moves moves;
  for (Index begin = 0; begin < size;) {
    const Index length = 1 + static_cast<Index>(random() % at(size - begin));
    const bool ring = with_rings && random() % 2 == 0;
    for (Index i = 0; i + (ring ? 0 : 1) < length; ++i) {
      const Column here = label[at(begin + i)];
      const Column next = label[at(begin + (i + 1) % length)];
      const auto kind = random() % 3;
      if (kind != 0) moves.emplace_back(here, next);
      if (kind != 1) moves.emplace_back(next, here);
      if (random() % 4 == 0) moves.emplace_back(here, here);
    }
    begin += length;
  }
  return moves;
}

/// How far apart neighbours are; -1 if the order misses a state.
Index furthest(Index size, const Moves& moves, const StateOrder::Columns& order) {
  std::vector<Index> number(at(size), -1);
  for (std::size_t i = 0; i < order.size(); ++i) number[at(order[i])] = static_cast<Index>(i);
  if (std::ssize(order) != size || std::find(number.begin(), number.end(), -1) != number.end()) return -1;
  Index most = 0;
  for (const auto& [from, to] : moves) most = std::max(most, std::abs(number[at(from)] - number[at(to)]));
  return most;
}

}  // namespace

TEST_CASE("neighbours on lines become neighbours, on rings nearly so") {
  std::mt19937_64 random(7);
  for (int trial = 0; trial < 2000; ++trial) {
    const Index size = trial < 1000 ? 1 + trial % 12 : 1 + static_cast<Index>(random() % 1000);
    for (const bool with_rings : {false, true}) {
      const Moves moves = lines_and_rings(size, with_rings, random);
      const auto order = order_along_lines(matrix_of(size, moves));
      REQUIRE(order);
      const Index found = furthest(size, moves, *order);
      CHECK(found >= 0);
      CHECK(found <= (with_rings ? 2 : 1));
    }
  }
}

TEST_CASE("a state with three neighbours is on no line") {
  CHECK_FALSE(order_along_lines(matrix_of(4, {{0, 1}, {2, 0}, {0, 3}})));
  CHECK_FALSE(order_along_lines(matrix_of(4, {{0, 1}, {0, 2}, {0, 3}})));
  CHECK(order_along_lines(matrix_of(4, {{0, 1}, {1, 0}, {0, 0}, {0, 3}})));
}
