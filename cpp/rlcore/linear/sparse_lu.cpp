// Sparse LU (Eigen's SparseLU): chains, queues and cycles, whose factors hardly fill.
//
// The factorisation cannot be interrupted, so it is entered only after its work has been counted: the
// factors of A + A^T without pivoting bound it, and their column counts come from the elimination tree.
#include <Eigen/OrderingMethods>
#include <Eigen/SparseCore>
#include <Eigen/SparseLU>
#include <vector>

#include "rlcore/linear/method.hpp"

namespace rlcore::linear {
namespace {

using SparseMatrix = Eigen::SparseMatrix<double, Eigen::ColMajor, Column>;
using Permutation = Eigen::PermutationMatrix<Eigen::Dynamic, Eigen::Dynamic, Column>;

/// Small systems may fill more; for all of them the count bounds the seconds that cannot be interrupted.
constexpr Index kSmall = 30000;
constexpr double kFillOfSmall = 20.0;
constexpr double kFillOfLarge = 4.0;
constexpr double kMostWork = 1e9;        // multiplications: about a second
constexpr double kWorkPerColumn = 1500;  // what the bookkeeping of a column costs beside them

SparseMatrix resolvent_matrix(const System& system) {
  const CsrMatrix& m = system.matrix;
  std::vector<Eigen::Triplet<double, Column>> entries;
  entries.reserve(at(m.num_entries + m.size));
  for (Index row = 0; row < m.size; ++row) {
    entries.emplace_back(static_cast<Column>(row), static_cast<Column>(row), 1.0);
    const Index begin = m.first[row];
    for (Index entry = begin; entry < begin + m.length[row]; ++entry) {
      const std::size_t i = at(entry);
      entries.emplace_back(static_cast<Column>(row), m.column[i], -system.discount * m.value[i]);
    }
  }
  SparseMatrix matrix(m.size, m.size);
  matrix.setFromTriplets(entries.begin(), entries.end());
  return matrix;
}

/// Whether the Cholesky factor of a symmetric pattern stays within the limits. Counts its columns, row by
/// row along the elimination tree (Liu 1990), and gives up as soon as a limit is passed.
bool factor_is_small(const SparseMatrix& symmetric, double most_fill) {
  const auto size = static_cast<Column>(symmetric.cols());
  const double most_entries = most_fill * static_cast<double>(symmetric.nonZeros()) / 2.0;
  std::vector<Column> parent(at(size), -1);
  std::vector<Column> visited_by(at(size), -1);
  Doubles count(at(size), 1.0);
  double entries = static_cast<double>(size);
  double work = kWorkPerColumn * static_cast<double>(size);
  for (Column row = 0; row < size; ++row) {
    visited_by[at(row)] = row;
    for (SparseMatrix::InnerIterator entry(symmetric, row); entry; ++entry) {
      if (entry.row() >= row) continue;
      // Each column on the tree's path up to the row gets one entry in this row.
      for (auto node = at(entry.row()); visited_by[node] != row;) {
        visited_by[node] = row;
        if (parent[node] < 0) parent[node] = row;
        entries += 1.0;
        work += 2.0 * count[node];
        count[node] += 1.0;
        if (entries > most_entries || work > kMostWork) return false;
        node = at(parent[node]);
      }
    }
  }
  return true;
}

Permutation natural_order(Index size) {
  Permutation order(size);
  order.setIdentity();
  return order;
}

Permutation minimum_degree_order(const SparseMatrix& symmetric) {
  Permutation order;
  Eigen::AMDOrdering<Column>()(symmetric, order);
  return order;
}

class SparseLu final : public Method {
 public:
  SparseLu(const SparseMatrix& matrix, Direction direction, Permutation order)
      : direction_(direction), order_(std::move(order)) {
    // The diagonal dominates: without row exchanges the factors stay as sparse as they were counted.
    factors_.setPivotThreshold(0.0);
    factors_.isSymmetric(true);
    const SparseMatrix permuted = order_.transpose() * matrix * order_;
    factors_.compute(permuted);
  }

  bool ready() const { return factors_.info() == Eigen::Success; }

  Outcome solve(Direction direction, ConstVector b, Vector x, const Goal&, Monitor&) override {
    const Eigen::Map<const Eigen::VectorXd> right(b.data(), ssize(b));
    const Eigen::VectorXd permuted = order_.transpose() * right;
    Eigen::VectorXd answer;
    if (direction == direction_) {
      answer = factors_.solve(permuted);
    } else {
      answer = factors_.transpose().solve(permuted);
    }
    Eigen::Map<Eigen::VectorXd>(x.data(), ssize(x)) = order_ * answer;
    return {1};
  }

  bool is_direct() const override { return true; }

 private:
  Direction direction_;  // of the factors
  Permutation order_;
  Eigen::SparseLU<SparseMatrix, Eigen::NaturalOrdering<Column>> factors_;
};

Candidate factorise(const SparseMatrix& matrix, Direction direction, Permutation order) {
  auto method = std::make_unique<SparseLu>(matrix, direction, std::move(order));
  if (!method->ready()) return {nullptr, "its factorisation broke down"};
  return {std::move(method), {}};
}

}  // namespace

Candidate make_sparse_lu(Systems& systems, Direction wanted, Monitor&) {
  if (static_cast<double>(systems.size()) * kWorkPerColumn > kMostWork) return {nullptr, "too many states"};
  const System& system = systems[wanted];
  const SparseMatrix matrix = resolvent_matrix(system);
  const SparseMatrix symmetric = matrix + SparseMatrix(matrix.transpose());
  if (factor_is_small(symmetric, kFillOfLarge)) return factorise(matrix, wanted, natural_order(system.size()));
  if (system.size() <= kSmall) {
    Permutation order = minimum_degree_order(symmetric);
    if (factor_is_small(order.transpose() * symmetric * order, kFillOfSmall)) return factorise(matrix, wanted, order);
  }
  return {nullptr, "its factors would fill"};
}

}  // namespace rlcore::linear
