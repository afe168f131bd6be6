// Breadth-first relabelling: neighbours get numbers that are near each other.
//
// Smoothers within blocks, incomplete factors and caches all live on locality, which shuffled labels destroy.
#pragma once

#include <optional>
#include <vector>

#include "rlcore/csr_matrix.hpp"
#include "rlcore/linear/method.hpp"
#include "rlcore/state_order.hpp"

namespace rlcore::linear {

class Relabelling {
 public:
  /// The breadth-first order of the undirected graph of a matrix; nothing, if its columns are near their rows
  /// already, or would not come much nearer (random graphs have no good order).
  static std::optional<Relabelling> breadth_first(const CsrMatrix& matrix, Team& team);

  /// The same order, whatever it is worth.
  static Relabelling by_breadth(const CsrMatrix& matrix, Team& team);

  CsrMatrix apply(const CsrMatrix& matrix) const;
  System apply(const System& system) const;

  /// y in the new order, from x in the old one; and back.
  void apply(ConstVector x, Vector y) const { order_.apply(x, y, *team_); }
  void undo(ConstVector y, Vector x) const { order_.undo(y, x, *team_); }

  /// Lets solve(lanes) solve for the same lanes in the new order.
  template <class Solve>
  std::vector<Outcome> under_new_labels(std::span<const Lane> lanes, Solve&& solve) const {
    std::vector<Doubles> b, x;
    std::vector<Lane> relabelled;
    for (const Lane& lane : lanes) {
      apply(lane.b, b.emplace_back(unset<Doubles>(ssize(lane.b))));
      relabelled.push_back({b.back(), x.emplace_back(unset<Doubles>(ssize(lane.x))), lane.goal});
    }
    std::vector<Outcome> outcomes = solve(std::span<const Lane>(relabelled));
    for (std::size_t k = 0; k < lanes.size(); ++k) undo(x[k], lanes[k].x);
    return outcomes;
  }

 private:
  Relabelling(StateOrder::Columns old_of_new, Team& team) : team_(&team), order_(std::move(old_of_new), team) {}

  void fetch_ahead(const CsrMatrix& matrix, Index row) const;

  Team* team_;
  StateOrder order_;
};

/// Systems under labels that bring neighbours together, where there are such; for the methods that need them.
class LocalSystems {
 public:
  /// Looks for an order of the system of one direction; it serves both.
  LocalSystems(Systems& original, Direction direction);

  Systems& systems() { return relabelling_ ? relabelled_ : original_; }

  /// Lets a method that was made for `systems()` solve the original system.
  std::vector<Outcome> solve(Method& method, Direction direction, std::span<const Lane> lanes, Monitor& monitor);

 private:
  Systems& original_;
  std::optional<Relabelling> relabelling_;
  Systems relabelled_;
};

}  // namespace rlcore::linear
