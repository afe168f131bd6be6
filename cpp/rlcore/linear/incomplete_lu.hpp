// Incomplete LU factorisation of I - discount M with two thresholds (ILUT, Saad 1994).
//
// I - discount M is a diagonally dominant M-matrix by rows or by columns, so no pivoting is needed and
// every pivot stays positive.
#pragma once

#include <optional>
#include <vector>

#include "rlcore/linear/system.hpp"

namespace rlcore::linear {

class IncompleteLu {
 public:
  /// Drops what is smaller than `drop` times its row's norm, and keeps at most `fill` entries a row
  /// in each factor beyond those the matrix has. Nothing, if eliminating takes more than `most_work`
  /// multiplications a row on average: on random graphs rows fill up before anything can be dropped.
  static std::optional<IncompleteLu> factorise(const System& system, double drop, Index fill, double most_work,
                                               Monitor& monitor);

  /// x = (L U)^-1 b
  void solve(ConstVector b, Vector x) const;

 private:
  IncompleteLu() = default;

  struct Triangle {
    std::vector<Index> start{0};
    std::vector<Column> column;
    Doubles value;

    /// Adds a row: the values at the given columns.
    void append(const std::vector<Column>& columns, const double* values);
  };

  Triangle lower_;  // unit diagonal left out
  Triangle upper_;  // diagonal left out
  Doubles inverse_pivot_;
};

}  // namespace rlcore::linear
