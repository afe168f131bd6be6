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

  /// The same order, whatever it is worth.
  static Relabelling by_breadth(const CsrMatrix& matrix);

  CsrMatrix apply(const CsrMatrix& matrix) const;
  System apply(const System& system) const;

  /// y in the new order, from x in the old one; and back.
  void apply(ConstVector x, Vector y) const;
  void undo(ConstVector y, Vector x) const;

  /// Calls solve(b, x) with both in the new order.
  template <class Solve>
  void under_new_labels(ConstVector b, Vector x, Solve&& solve) const {
    Doubles new_b(b.size());
    Doubles new_x(x.size());
    apply(b, new_b);
    solve(ConstVector(new_b), Vector(new_x));
    undo(new_x, x);
  }

 private:
  std::vector<Column, LargeAllocator<Column>> old_of_new_;
  std::vector<Column, LargeAllocator<Column>> new_of_old_;
};

/// Systems under labels that bring neighbours together, where there are such; for the methods that need them.
class LocalSystems {
 public:
  /// Looks for an order of the system of one direction; it serves both.
  LocalSystems(Systems& original, Direction direction);

  Systems& systems() { return relabelling_ ? relabelled_ : original_; }

  /// Lets a method that was made for `systems()` solve the original system.
  Outcome solve(Method& method, Direction direction, ConstVector b, Vector x, const Goal& goal, Monitor& monitor);

 private:
  Systems& original_;
  std::optional<Relabelling> relabelling_;
  Systems relabelled_;
};

}  // namespace rlcore::linear
