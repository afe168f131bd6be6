// Banded LU: chains, queues and cycles, whose states have neighbours with near numbers only, or would have in
// breadth-first order. One pass up and one pass down, at the cost of a few sweeps.
//
// I - discount P_pi is a diagonally dominant M-matrix by rows: no pivoting is needed, and the band does not widen.
#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "rlcore/linear/in_place.hpp"
#include "rlcore/linear/method.hpp"
#include "rlcore/linear/moves.hpp"
#include "rlcore/linear/relabelling.hpp"

namespace rlcore::linear {
namespace {

/// The widest band, on each side of the diagonal, that is worth its zeros.
constexpr Index kWidest = 8;

/// States that are followed to see whether a chain is narrow.
constexpr Index kSample = 2000;

/// The largest distance of an entry from the diagonal, as far as it is narrow.
Index width_of(const Moves& moves, Team& team) {
  std::vector<Index> widths(at(num_blocks(moves.size())), 0);
  team.for_blocks(moves.size(), kBlock, [&](Index first, Index last, Index block) {
    Index& width = widths[at(block)];
    for (Index row = first; row < last && width <= kWidest; ++row) {
      moves.for_each(row, [&](Column column, double) { width = std::max(width, std::abs(row - column)); });
    }
  });
  return *std::max_element(widths.begin(), widths.end());
}

/// The same of the first few thousand states that are reached from state 0, if they come a few at a time. From a state
/// within a band the process comes to no more than the width of the band.
std::optional<Index> width_in_sample(const Moves& moves) {
  Index width = 0;
  std::vector<char> seen(at(moves.size()), 0);
  std::vector<Column> level{0};
  std::vector<Column> next;
  seen[0] = 1;
  for (Index found = 1; found < kSample && !level.empty(); found += std::ssize(level)) {
    if (std::ssize(level) > 2 * kWidest) return std::nullopt;
    next.clear();
    for (const Column state : level) {
      moves.for_each(state, [&](Column column, double) {
        width = std::max<Index>(width, std::abs(state - column));
        if (std::exchange(seen[at(column)], 1) == 0) next.push_back(column);
      });
    }
    std::swap(level, next);
  }
  return width;
}

/// LU from both ends at once: the first half of the states is eliminated downwards and the second upwards, side by
/// side, and last the few between them that keep them apart.
template <Index kWidth>
class BandedLu final : public LaneMethod {
 public:
  BandedLu(const Moves& forward, Team& team)
      : team_(team),
        size_(forward.size()),
        middle_(std::max<Index>(0, (size_ - kWidth) / 2)),
        second_(std::min(size_, middle_ + kWidth)),
        band_(size_ * (2 * kWidth + 1)) {
    eliminate(forward);
  }

  /// Whether all entries lie within the band.
  bool fits() const { return fits_; }

  std::vector<Outcome> solve_together(Direction direction, std::span<const Lane> lanes, Monitor&) override {
    return solve_in_place(lanes, team_, [&](auto x) { overwrite(direction, x); });
  }

  bool is_direct() const override { return true; }

 private:
  /// Rows and columns are counted from the first state; they must be within the band.
  double& entry(Index row, Index column) { return band_[2 * kWidth * row + kWidth + column]; }
  double entry(Index row, Index column) const { return band_[2 * kWidth * row + kWidth + column]; }

  /// Calls body(state) in the order of elimination.
  template <class Body>
  void in_order(Body&& body) const {
    team_.for_blocks(2, 1, [&](Index half, Index, Index) {
      if (half == 0) {
        for (Index state = 0; state < middle_; ++state) body(state);
      } else {
        for (Index state = size_ - 1; state >= second_; --state) body(state);
      }
    });
    for (Index state = middle_; state < second_; ++state) body(state);
  }

  template <class Body>
  void in_reverse(Body&& body) const {
    for (Index state = second_ - 1; state >= middle_; --state) body(state);
    team_.for_blocks(2, 1, [&](Index half, Index, Index) {
      if (half == 0) {
        for (Index state = middle_ - 1; state >= 0; --state) body(state);
      } else {
        for (Index state = second_; state < size_; ++state) body(state);
      }
    });
  }

  /// Calls body(other) for the states within the band of one that are eliminated before it, in their order.
  template <class Body>
  void for_before(Index state, Body&& body) const {
    if (state >= middle_) {
      const Index last = std::max(state + 1, second_);
      for (Index other = std::min(size_ - 1, state + kWidth); other >= last; --other) body(other);
    }
    if (state < second_) {
      for (Index other = std::max<Index>(0, state - kWidth); other < state; ++other) body(other);
    }
  }

  /// The same for those that are eliminated after it.
  template <class Body>
  void for_after(Index state, Body&& body) const {
    if (state >= second_) {
      for (Index other = state - 1; other >= state - kWidth; --other) body(other);
    } else {
      const Index last = state < middle_ ? state + kWidth : second_ - 1;
      for (Index other = state + 1; other <= last; ++other) body(other);
    }
  }

  /// Leaves multipliers in the columns of states that come before, inverse pivots on the diagonal, and the upper factor
  /// in the columns of states that come after.
  void eliminate(const Moves& forward) {
    in_order([&](Index row) {
      load(forward, row);
      for_before(row, [&](Index pivot) {
        double& multiplier = entry(row, pivot);
        const double inverse = entry(pivot, pivot);  // comes last: it is what all wait for
        for_after(pivot, [&](Index column) { entry(row, column) -= multiplier * entry(pivot, column) * inverse; });
        multiplier *= inverse;
      });
      entry(row, row) = 1.0 / entry(row, row);
    });
  }

  /// A row of I - discount P_pi.
  void load(const Moves& forward, Index row) {
    std::fill_n(&entry(row, row - kWidth), 2 * kWidth + 1, 0.0);
    entry(row, row) = 1.0;
    forward.for_each(row, [&](Column column, double value) {
      if (std::abs(row - column) <= kWidth) {
        entry(row, column) -= value;
      } else {
        fits_ = false;
      }
    });
  }

  template <class Number>
  void overwrite(Direction direction, std::span<Number> x) const {
    if (direction == Direction::kForward) {
      solve_forward(x);
    } else {
      solve_transposed(x);
    }
  }

  template <class Number>
  void solve_forward(std::span<Number> x) const {
    in_order([&](Index row) {
      Number known = x[at(row)];
      for_before(row, [&](Index column) { known -= entry(row, column) * x[at(column)]; });
      x[at(row)] = known;
    });
    in_reverse([&](Index row) {
      Number known = x[at(row)];
      for_after(row, [&](Index column) { known -= entry(row, column) * x[at(column)]; });
      x[at(row)] = entry(row, row) * known;
    });
  }

  template <class Number>
  void solve_transposed(std::span<Number> x) const {
    in_order([&](Index column) {
      Number known = x[at(column)];
      for_before(column, [&](Index row) { known -= entry(row, column) * x[at(row)]; });
      x[at(column)] = entry(column, column) * known;
    });
    in_reverse([&](Index column) {
      Number known = x[at(column)];
      for_after(column, [&](Index row) { known -= entry(row, column) * x[at(row)]; });
      x[at(column)] = known;
    });
  }

  Team& team_;
  Index size_;
  Index middle_;         // the first state between the halves
  Index second_;         // and the first of the second half
  Buffer<double> band_;  // row by row, from the first diagonal to the last
  std::atomic<bool> fits_{true};
};

/// A band of so many diagonals on either side, unless they are too many or too few.
template <Index kWidth = 1>
std::unique_ptr<LaneMethod> eliminated(const Moves& forward, Index width, Team& team) {
  if (width <= kWidth) {
    auto method = std::make_unique<BandedLu<kWidth>>(forward, team);
    if (method->fits()) return method;
  } else if constexpr (kWidth < kWidest) {
    return eliminated<kWidth + 1>(forward, width, team);
  }
  return nullptr;
}

/// A method for a system under other labels.
class Relabelled final : public LaneMethod {
 public:
  Relabelled(std::unique_ptr<LaneMethod> method, Relabelling relabelling)
      : method_(std::move(method)), relabelling_(std::move(relabelling)) {}

  std::vector<Outcome> solve_together(Direction direction, std::span<const Lane> lanes, Monitor& monitor) override {
    return relabelling_.under_new_labels(lanes, [&](std::span<const Lane> relabelled) {
      return method_->solve_together(direction, relabelled, monitor);
    });
  }

  bool is_direct() const override { return method_->is_direct(); }

 private:
  std::unique_ptr<LaneMethod> method_;
  Relabelling relabelling_;
};

}  // namespace

Candidate make_banded_lu(Systems& systems, Direction wanted, Monitor&) {
  const std::optional<Index> width = width_in_sample(Moves(systems, wanted));
  if (!width) return {nullptr, "its states have no narrow order"};
  Team& team = systems.team();
  const Moves forward(systems, Direction::kForward);
  if (auto method = eliminated(forward, *width, team)) return {std::move(method), {}};
  if (auto method = eliminated(forward, width_of(forward, team), team)) return {std::move(method), {}};
  Relabelling relabelling = Relabelling::by_breadth(systems[Direction::kForward].matrix, team);
  const System relabelled = relabelling.apply(systems[Direction::kForward]);
  const Moves in_order(relabelled);
  auto method = eliminated(in_order, width_of(in_order, team), team);
  if (!method) return {nullptr, "its states have no narrow order"};
  return {std::make_unique<Relabelled>(std::move(method), std::move(relabelling)), {}};
}

}  // namespace rlcore::linear
