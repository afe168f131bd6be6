// Multigrid by smoothed aggregation (Vanek, Mandel & Brezina 1996) for I - P of a chain that never ends, which is
// singular: constants are its null vector, and the stationary distribution that of its transpose.
//
// States are joined with all that they are strongly coupled to. The piecewise constants over the aggregates are
// smoothed once by a damped Jacobi step of I - P, and the sums over them, for the other side, by one of its transpose.
// So levels have a ninth of the states, constants are still exact, and one coarsening serves both directions.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "rlcore/linear/system.hpp"

namespace rlcore::linear {

/// The rows of a sparse matrix, rectangular maybe, in single precision: it serves a preconditioner.
class SparseRows {
 public:
  struct Entry {
    Column column;
    float value;
  };

  SparseRows() = default;

  /// fill(row, entries), which make_filler() gives, appends a row's entries; ranges of rows are filled side by side.
  template <class MakeFiller>
  SparseRows(Index rows, Index columns, Team& team, MakeFiller&& make_filler);

  Index rows() const { return static_cast<Index>(start_.size()) - 1; }
  Index columns() const { return columns_; }
  Index num_entries() const { return start_.back(); }
  std::span<const Entry> row(Index row) const {
    return {entry_.data() + start_[at(row)], at(start_[at(row + 1)] - start_[at(row)])};
  }

  /// (M x)(row)
  double product(Index row, ConstVector x) const { return product(this->row(row), x); }
  static double product(std::span<const Entry> entries, ConstVector x) {
    double sum = 0.0;
    for (const auto& [column, value] : entries) sum += value * x[at(column)];
    return sum;
  }

  SparseRows transposed() const;

 private:
  Index columns_ = 0;
  std::vector<Index, LargeAllocator<Index>> start_{0};
  Buffer<Entry> entry_;
};

/// The levels of a chain for both directions.
class SmoothedAggregation {
 public:
  /// `reason` tells if the levels do not become small fast enough.
  SmoothedAggregation(const CsrMatrix& forward, const CsrMatrix& transposed, Team& team, Monitor& monitor,
                      std::string& reason);
  ~SmoothedAggregation();

  /// x = an approximate solution of (I - P) x = b less a constant, or of (I - P)' x = b for a b that sums to zero.
  void cycle(Direction direction, ConstVector b, Vector x) { cycle(direction, 0, b, x); }

 private:
  /// One direction of a level: the matrix, ordered for smoothing, and the way to the next level and back.
  struct Side {
    SparseRows matrix;  // each row: left of the diagonal within its block, the diagonal, right of it, other blocks
    std::vector<std::uint16_t, LargeAllocator<std::uint16_t>> left;      // how many entries
    std::vector<std::uint16_t, LargeAllocator<std::uint16_t>> in_block;  // left, diagonal and right
    SparseRows prolongation;
    SparseRows restriction;
  };
  struct Level {
    std::array<Side, 2> sides;
    std::vector<float, LargeAllocator<float>> inverse_diagonal;
    Doubles smoothed, residual;
    Doubles left_over, more;  // between the two cycles that solve a coarse level
    Doubles coarse_residual, coarse_correction;

    Index size() const { return sides[0].matrix.rows(); }
  };

  static std::size_t index(Direction direction) { return direction == Direction::kForward ? 0 : 1; }
  void add_level(SparseRows forward, SparseRows transposed);
  bool coarsen(std::string& reason);
  void factorise_coarsest();
  void cycle(Direction direction, std::size_t number, ConstVector b, Vector x);
  void solve_coarse(Direction direction, std::size_t number, ConstVector b, Vector x);
  void smooth_down(const Level& level, const Side& side, ConstVector b, Vector x);
  void smooth_up(const Level& level, const Side& side, ConstVector b, ConstVector x, Vector y);
  void apply(const SparseRows& matrix, ConstVector x, Vector y);

  template <class Body>
  void for_rows(Index size, Body&& body) {
    team_.for_blocks(size, kBlock, [&](Index first, Index last, Index) {
      for (Index row = first; row < last; ++row) body(row);
    });
  }

  Team& team_;
  std::vector<Level> levels_;
  class Factors;
  std::array<std::unique_ptr<Factors>, 2> coarsest_;  // of the smallest level, by direction
};

}  // namespace rlcore::linear
