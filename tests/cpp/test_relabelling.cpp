// Relabelling brings neighbours together, changes nothing else, and knows when it is of no use.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <numeric>

#include "models.hpp"
#include "rlcore/chain.hpp"
#include "rlcore/linear/relabelling.hpp"
#include "rlcore/policy.hpp"

using namespace rlcore;
using linear::Relabelling;

namespace {

/// A ring whose states have shuffled labels; one entry a row.
CsrMatrix shuffled_ring(Index size) {
  std::vector<Column> label(at(size));
  std::iota(label.begin(), label.end(), 0);
  std::shuffle(label.begin(), label.end(), std::mt19937_64(3));
  CsrMatrix matrix(size, size);
  matrix.num_entries = size;
  for (Index i = 0; i < size; ++i) {
    const Index row = label[at(i)];
    matrix.first[row] = row;
    matrix.length[row] = 1;
    matrix.column[row] = label[at((i + 1) % size)];
    matrix.value[row] = static_cast<double>(row);
  }
  return matrix;
}

}  // namespace

TEST_CASE("a shuffled ring becomes local") {
  const CsrMatrix matrix = shuffled_ring(5000);
  Team team(2);
  const std::optional<Relabelling> relabelling = Relabelling::breadth_first(matrix, team);
  REQUIRE(relabelling);
  const CsrMatrix renamed = relabelling->apply(matrix);
  Index furthest = 0;
  for (Index row = 0; row < renamed.size; ++row) {
    furthest = std::max(furthest, std::abs(row - Index{renamed.column[renamed.first[row]]}));
  }
  CHECK(furthest <= 2);

  // The product of the renamed matrix with the renamed vector is the renamed product.
  Doubles x(5000), renamed_x(5000), y(5000), expected(5000);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<double>(i % 17);
  relabelling->apply(x, renamed_x);
  Doubles renamed_y(5000);
  for (Index row = 0; row < 5000; ++row) {
    renamed_y[at(row)] = renamed.row_product(row, renamed_x.data());
    expected[at(row)] = matrix.row_product(row, x.data());
  }
  relabelling->undo(renamed_y, y);
  CHECK(y == expected);
}

TEST_CASE("what is local already, or has no good order, is left alone") {
  Team team(1);
  for (const tests::Model& model : {tests::ring(5000, 0.5), tests::random_model(5000, 2, 5)}) {
    const Mdp mdp(model.arrays());
    const std::vector<double> policy = model.uniform_policy();
    const Chain chain(mdp, policy, check_policy(mdp, policy));
    CHECK_FALSE(Relabelling::breadth_first(chain.transition(team), team));
  }
}
