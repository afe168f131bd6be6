// The levels of multigrid by smoothed aggregation (Vanek, Mandel & Brezina 1996) for A = I - discount M, and the cycle
// that goes through them.
//
// From an aggregate's number to those of its states: constants over the aggregates T, smoothed by a damped Jacobi step,
// P = (I - omega D^-1 A) T. The way back is the same of the transpose, R = T' (I - omega A D^-1), so that what is slow
// in either direction, values or visits, is smooth, and the level below is R A P. For that a state needs to know its
// own row of A alone. Levels are in single precision: who asks for a cycle judges what comes of it.
#pragma once

#include <algorithm>
#include <optional>
#include <span>
#include <string>
#include <tuple>
#include <vector>

#include "rlcore/linear/aggregation.hpp"
#include "rlcore/linear/dense_factors.hpp"
#include "rlcore/linear/gcr.hpp"
#include "rlcore/linear/level_matrix.hpp"

namespace rlcore::linear {

/// How states are joined from level to level: one for both directions.
using Coarsening = std::vector<Aggregation>;

/// The levels of one direction.
class Hierarchy {
 public:
  /// Joins states as `coarsening` says; if it is empty, by the couplings of the system, and records how. `reason` tells
  /// if the levels do not become small fast enough, and nothing is recorded then.
  ///
  /// The system of a process that never ends, with a discount of one, is singular, and the coarsest level finds what
  /// solves A x = b less a constant, or A' x = b for a b that sums to zero.
  Hierarchy(const System& system, Coarsening& coarsening, std::string& reason, Monitor& monitor);

  /// x = an approximation of A^-1 b.
  template <class Number>
  void cycle(std::span<const Number> b, std::span<Number> x);

 private:
  struct Level {
    LevelMatrix matrix;
    SparseRows prolongation;
    SparseRows restriction;
  };

  /// What the lanes of one level need while they are at work.
  template <class Number>
  struct Work {
    Numbers<Number> smoothed;
    Numbers<Number> residual;
    Numbers<Number> coarse_residual;
    Numbers<Number> coarse_correction;
    std::optional<Gcr<Number>> gcr;  // that solves this level for the one above
  };
  template <class Number>
  using WorkOfLevels = std::vector<Work<Number>>;

  LevelMatrix coarse_matrix(const Level& fine);
  void factorise_coarsest(bool is_singular, Direction direction);
  Doubles sums_to_coarsest() const;

  const LevelMatrix& matrix(std::size_t number) const { return levels_[number].matrix; }
  bool is_coarsest(std::size_t number) const { return number + 1 == levels_.size(); }
  bool is_dense(std::size_t number) const;

  template <class Number>
  Work<Number>& work(std::size_t number);
  template <class Number>
  void cycle(std::size_t number, std::span<const Number> b, std::span<Number> x, const std::vector<char>& done);
  template <class Number>
  void add_coarse_correction(std::size_t number, std::span<Number> x, const std::vector<char>& done);
  template <class Number>
  void solve_coarse(std::size_t number, std::span<Number> residual, std::span<Number> x, std::vector<char> done);
  template <class Number>
  void smooth_before(const LevelMatrix& a, std::span<const Number> b, std::span<Number> x);
  template <class Number>
  void smooth_after(const LevelMatrix& a, std::span<const Number> b, std::span<const Number> x, std::span<Number> y);

  template <class Body>
  void for_rows(Index size, Body&& body) const {
    team_.for_blocks(size, kBlock, [&](Index first, Index last, Index) {
      for (Index row = first; row < last; ++row) body(row);
    });
  }

  /// The same in increasing order within blocks, two of which go side by side: rows wait for the ones before them.
  template <class Body>
  void for_rows_in_order(Index size, Body&& body) const {
    team_.for_blocks(size, 2 * kBlock, [&](Index first, Index last, Index) {
      const Index pairs = std::clamp<Index>(last - first - kBlock, 0, kBlock);
      for (Index row = first; row < first + pairs; ++row) {
        body(row);
        body(row + kBlock);
      }
      for (Index row = first + pairs; row < std::min(first + kBlock, last); ++row) body(row);
    });
  }

  Team& team_;
  std::vector<Level> levels_;
  DenseFactors coarsest_;
  std::tuple<WorkOfLevels<double>, WorkOfLevels<LaneArray<2>>, WorkOfLevels<LaneArray<4>>, WorkOfLevels<LaneArray<8>>>
      works_;
};

}  // namespace rlcore::linear
