// Banded LU: chains, queues and cycles, whose states have neighbours with near numbers only, or would have in
// breadth-first order. One pass up and one pass down, at the cost of a few sweeps.
//
// I - discount P_pi is a diagonally dominant M-matrix by rows: no pivoting is needed, and the band does not widen.
#include <algorithm>
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

/// The number of diagonals below and above the main one, as far as they hold entries.
struct Band {
  Index below = 0;
  Index above = 0;

  bool is_narrow() const { return below <= kWidest && above <= kWidest; }
};

/// The band of a matrix; stops as soon as it is not narrow.
Band band_of(const CsrMatrix& m) {
  Band band;
  for (Index row = 0; row < m.size && band.is_narrow(); ++row) {
    for (Index k = m.first[row]; k < m.first[row] + m.length[row]; ++k) {
      band.below = std::max(band.below, row - m.column[k]);
      band.above = std::max(band.above, m.column[k] - row);
    }
  }
  return band;
}

/// Whether the first few thousand states that are reached from state 0 come a few at a time. From a state within a band
/// the process comes to no more than the width of the band.
bool looks_narrow(const Moves& moves) {
  std::vector<char> seen(at(moves.size()), 0);
  std::vector<Column> level{0};
  std::vector<Column> next;
  seen[0] = 1;
  for (Index found = 1; found < kSample && !level.empty(); found += std::ssize(level)) {
    if (std::ssize(level) > 2 * kWidest) return false;
    next.clear();
    for (const Column state : level) {
      moves.for_each(state, [&](Column column, double) {
        if (std::exchange(seen[at(column)], 1) == 0) next.push_back(column);
      });
    }
    std::swap(level, next);
  }
  return true;
}

class BandedLu final : public LaneMethod {
 public:
  BandedLu(const System& forward, Band band, std::optional<Relabelling> relabelling)
      : team_(*forward.team), band_(band), relabelling_(std::move(relabelling)), row_(at(forward.size() * width())) {
    load(forward);
    eliminate();
  }

  std::vector<Outcome> solve_together(Direction direction, std::span<const Lane> lanes, Monitor&) override {
    const auto solve_lanes = [&](std::span<const Lane> in_order) {
      return solve_in_place(in_order, team_, [&](auto x) { overwrite(direction, x); });
    };
    return relabelling_ ? relabelling_->under_new_labels(lanes, solve_lanes) : solve_lanes(lanes);
  }

  bool is_direct() const override { return true; }

 private:
  Index width() const { return band_.below + 1 + band_.above; }
  Index size() const { return std::ssize(row_) / width(); }

  /// The entry of a column, both counted from the first state; row and column must be within the band.
  double& entry(Index row, Index column) { return row_[at(row * width() + band_.below + column - row)]; }
  double entry(Index row, Index column) const { return row_[at(row * width() + band_.below + column - row)]; }

  Index first_column(Index row) const { return std::max<Index>(0, row - band_.below); }
  Index last_column(Index row) const { return std::min(size() - 1, row + band_.above); }

  void load(const System& forward) {
    const CsrMatrix& m = forward.matrix;
    forward.team->for_blocks(m.size, kBlock, [&](Index first, Index last, Index) {
      for (Index row = first; row < last; ++row) {
        entry(row, row) += 1.0;
        for (Index k = m.first[row]; k < m.first[row] + m.length[row]; ++k) {
          entry(row, m.column[k]) -= forward.discount * m.value[k];
        }
      }
    });
  }

  /// Leaves the multipliers below the diagonal, the inverse pivots on it, and the upper factor above.
  void eliminate() {
    for (Index row = 0; row < size(); ++row) {
      for (Index left = first_column(row); left < row; ++left) {
        const double multiplier = entry(row, left) *= entry(left, left);
        if (multiplier == 0.0) continue;
        for (Index column = left + 1; column <= last_column(left); ++column) {
          entry(row, column) -= multiplier * entry(left, column);
        }
      }
      entry(row, row) = 1.0 / entry(row, row);
    }
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
    for (Index row = 0; row < size(); ++row) {
      Number known = x[at(row)];
      for (Index left = first_column(row); left < row; ++left) known -= entry(row, left) * x[at(left)];
      x[at(row)] = known;
    }
    for (Index row = size() - 1; row >= 0; --row) {
      Number known = x[at(row)];
      for (Index right = row + 1; right <= last_column(row); ++right) known -= entry(row, right) * x[at(right)];
      x[at(row)] = entry(row, row) * known;
    }
  }

  template <class Number>
  void solve_transposed(std::span<Number> x) const {
    for (Index row = 0; row < size(); ++row) {
      const Number known = x[at(row)] *= entry(row, row);
      for (Index right = row + 1; right <= last_column(row); ++right) x[at(right)] -= entry(row, right) * known;
    }
    for (Index row = size() - 1; row >= 0; --row) {
      const Number known = x[at(row)];
      for (Index left = first_column(row); left < row; ++left) x[at(left)] -= entry(row, left) * known;
    }
  }

  Team& team_;
  Band band_;
  std::optional<Relabelling> relabelling_;
  Doubles row_;  // the band, row by row
};

}  // namespace

Candidate make_banded_lu(Systems& systems, Direction wanted, Monitor&) {
  if (!looks_narrow(Moves(systems, wanted))) return {nullptr, "its states have no narrow order"};
  const System& forward = systems[Direction::kForward];
  const Band band = band_of(forward.matrix);
  if (band.is_narrow()) return {std::make_unique<BandedLu>(forward, band, std::nullopt), {}};
  Relabelling relabelling = Relabelling::by_breadth(forward.matrix, systems.team());
  const System relabelled = relabelling.apply(forward);
  const Band narrowed = band_of(relabelled.matrix);
  if (!narrowed.is_narrow()) return {nullptr, "its states have no narrow order"};
  return {std::make_unique<BandedLu>(relabelled, narrowed, std::move(relabelling)), {}};
}

}  // namespace rlcore::linear
