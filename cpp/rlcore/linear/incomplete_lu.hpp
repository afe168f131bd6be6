// Incomplete LU factorisation of I - discount P_pi with two thresholds (ILUT: Saad 1994), on request with the
// dropped entries added to the diagonal (MILUT: Gustafsson 1978).
//
// I - discount P_pi is a diagonally dominant M-matrix by rows, so no pivoting is needed and every pivot stays
// positive. Constants are its slow mode: factors that keep row sums act rightly on them, and may then drop nearly
// everything else, as long as the discount leaves the rest well conditioned.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "rlcore/linear/system.hpp"

namespace rlcore::linear {

class IncompleteLu {
 public:
  struct Thresholds {
    double drop;          // what is smaller than this times its row's mean magnitude is dropped
    Index fill;           // entries a row in each factor beyond those that the matrix has
    bool keeps_row_sums;  // whether what is dropped is added to the diagonal
    double most_work;     // multiplications a row, on average, at which the factorisation is given up
  };

  /// Nothing, if eliminating takes too much work: rows of random graphs fill up before anything can be dropped.
  static std::optional<IncompleteLu> factorise(const System& forward, const Thresholds& thresholds, Monitor& monitor);

  /// x = (L U)^-1 b, or (L U)^-T b, in every lane.
  template <class Number>
  void solve(Direction direction, std::span<const Number> b, std::span<Number> x) const;

  /// x = (L U)^-1 b, where b(row) is asked for when its turn comes, in order.
  template <class Number, class RightSide>
  void solve_by_rows(RightSide&& b, std::span<Number> x) const {
    for (std::size_t row = 0; row < x.size(); ++row) x[row] = lower_.less_row<Number>(row, b(row), x.data());
    for (std::size_t row = x.size(); row-- > 0;) {
      x[row] = upper_.less_row<Number>(row, x[row], x.data()) * static_cast<RealOf<Number>>(inverse_pivot_[row]);
    }
  }

 private:
  /// Rows of a triangle without its diagonal.
  struct Triangle {
    std::vector<Index, LargeAllocator<Index>> start{0};
    std::vector<Column, LargeAllocator<Column>> column;
    Doubles value;

    /// b less the row's product with x.
    template <class Number>
    RLCORE_INLINE Number less_row(std::size_t row, Number b, const Number* x) const {
      for (auto entry = at(start[row]); entry < at(start[row + 1]); ++entry) {
        b -= static_cast<RealOf<Number>>(value[entry]) * x[column[entry]];
      }
      return b;
    }
  };

  class Elimination;

  template <class Number>
  void solve_transposed(std::span<Number> x) const;

  Triangle lower_;
  Triangle upper_;
  Doubles inverse_pivot_;
};

}  // namespace rlcore::linear
