// Breadth-first relabelling: neighbours get numbers that are near each other.
//
// Smoothers within blocks, incomplete factors and caches all live on locality, which shuffled labels destroy.
#pragma once

#include <optional>
#include <vector>

#include "rlcore/csr_matrix.hpp"
#include "rlcore/linear/method.hpp"

namespace rlcore::linear {

class Relabelling {
 public:
  /// The breadth-first order of the undirected graph of a matrix; nothing, if its columns are near their rows
  /// already, or would not come much nearer (random graphs have no good order).
  static std::optional<Relabelling> breadth_first(const CsrMatrix& matrix);

  CsrMatrix apply(const CsrMatrix& matrix) const;

  /// y in the new order, from x in the old one; and back.
  void apply(ConstVector x, Vector y) const;
  void undo(ConstVector y, Vector x) const;

 private:
  std::vector<Column, LargeAllocator<Column>> old_of_new_;
  std::vector<Column, LargeAllocator<Column>> new_of_old_;
};

/// The method that `factory` makes, at work on the relabelled system where that brings neighbours nearer.
Candidate make_relabelled(const System& system, Monitor& monitor, Factory factory);

}  // namespace rlcore::linear
