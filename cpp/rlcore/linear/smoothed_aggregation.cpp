#include "rlcore/linear/smoothed_aggregation.hpp"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace rlcore::linear {
namespace {

using Entry = SparseRows::Entry;
using Columns = std::vector<Column, LargeAllocator<Column>>;

constexpr double kStrong = 0.25;          // of the strongest coupling of a state
constexpr double kDamping = 2.0 / 3.0;    // of the Jacobi step
constexpr Index kCoarsest = 300;          // solved densely
constexpr double kLeastCoarsening = 0.5;  // a level must have at most this share of the states above it
constexpr double kMostComplexity = 2.5;   // entries of all levels beside those of the first

/// Sums entries of one row after the other by column.
class RowSums {
 public:
  explicit RowSums(Index columns) : place_(at(columns), -1), row_of_(at(columns), -1) {}

  void add(Index row, Column column, float value, std::vector<Entry>& entries) {
    if (row_of_[at(column)] == row) {
      entries[at(place_[at(column)])].value += value;
      return;
    }
    row_of_[at(column)] = static_cast<Column>(row);
    place_[at(column)] = static_cast<Column>(entries.size());
    entries.push_back({column, value});
  }

 private:
  Columns place_;
  Columns row_of_;
};

/// I - P
SparseRows identity_less(const CsrMatrix& p, Team& team) {
  return {p.size, p.size, team, [&] {
            return [&](Index row, std::vector<Entry>& entries) {
              double diagonal = 1.0;
              for (Index k = p.first[row]; k < p.first[row] + p.length[row]; ++k) {
                if (p.column[k] == row) {
                  diagonal -= p.value[k];
                } else {
                  entries.push_back({p.column[k], static_cast<float>(-p.value[k])});
                }
              }
              entries.push_back({static_cast<Column>(row), static_cast<float>(diagonal)});
            };
          }};
}

SparseRows product(const SparseRows& left, const SparseRows& right, Team& team) {
  return {left.rows(), right.columns(), team, [&] {
            return [&, sums = RowSums(right.columns())](Index row, std::vector<Entry>& entries) mutable {
              for (const auto& [middle, factor] : left.row(row)) {
                for (const auto& [column, value] : right.row(middle)) sums.add(row, column, factor * value, entries);
              }
            };
          }};
}

/// The same rows, each ordered for the sweeps of a smoother.
SparseRows ordered_for_smoothing(const SparseRows& a, Team& team) {
  const auto part = [](Index row, Column column) {
    if (column / kBlock != row / kBlock) return 3;
    return column < row ? 0 : (column == row ? 1 : 2);
  };
  return {a.rows(), a.columns(), team, [&] {
            return [&](Index row, std::vector<Entry>& entries) {
              for (int wanted = 0; wanted < 4; ++wanted) {
                for (const Entry& entry : a.row(row)) {
                  if (part(row, entry.column) == wanted) entries.push_back(entry);
                }
              }
            };
          }};
}

/// The aggregate of each state, by the strong couplings of the rows of I - P.
class Aggregates {
 public:
  explicit Aggregates(const SparseRows& a) : a_(a), of_(at(a.rows()), kFree), least_(at(a.rows())) {
    for (Index state = 0; state < a.rows(); ++state) {
      float strongest = 0.0F;
      for (const auto& [column, value] : a.row(state)) strongest = std::max(strongest, column == state ? 0.0F : -value);
      least_[at(state)] = std::max(static_cast<float>(kStrong) * strongest, std::numeric_limits<float>::min());
    }
    for (Index state = 0; state < a.rows(); ++state) {
      if (is_free_with_neighbours(state)) found_with_neighbours(state);
    }
    const Columns roots_only = of_;
    for (Index state = 0; state < a.rows(); ++state) join_strongest(state, roots_only);
    for (Index state = 0; state < a.rows(); ++state) {
      if (of_[at(state)] == kFree) found_with_neighbours(state);
    }
  }

  Index count() const { return count_; }
  Column of(Index state) const { return of_[at(state)]; }

 private:
  static constexpr Column kFree = -1;

  bool is_strong(Index state, const Entry& entry) const {
    return entry.column != state && -entry.value >= least_[at(state)];
  }

  bool is_free_with_neighbours(Index state) const {
    if (of_[at(state)] != kFree) return false;
    const auto row = a_.row(state);
    return std::all_of(row.begin(), row.end(),
                       [&](const Entry& entry) { return !is_strong(state, entry) || of_[at(entry.column)] == kFree; });
  }

  void found_with_neighbours(Index state) {
    of_[at(state)] = count_;
    for (const Entry& entry : a_.row(state)) {
      if (is_strong(state, entry) && of_[at(entry.column)] == kFree) of_[at(entry.column)] = count_;
    }
    ++count_;
  }

  void join_strongest(Index state, const Columns& aggregate) {
    if (of_[at(state)] != kFree) return;
    float strongest = 0.0F;
    for (const auto& [column, value] : a_.row(state)) {
      if (column == state || aggregate[at(column)] == kFree || -value <= strongest) continue;
      strongest = -value;
      of_[at(state)] = aggregate[at(column)];
    }
  }

  const SparseRows& a_;
  Columns of_;
  std::vector<float, LargeAllocator<float>> least_;
  Column count_ = 0;
};

/// Piecewise constants, less a damped Jacobi step: (I - omega D^-1 A) T.
SparseRows smoothed(const SparseRows& a, std::span<const float> inverse_diagonal, const Aggregates& aggregates,
                    Team& team) {
  return {a.rows(), aggregates.count(), team, [&] {
            return [&, sums = RowSums(aggregates.count())](Index row, std::vector<Entry>& entries) mutable {
              const float step = static_cast<float>(kDamping) * inverse_diagonal[at(row)];
              sums.add(row, aggregates.of(row), 1.0F, entries);
              for (const auto& [column, value] : a.row(row)) {
                sums.add(row, aggregates.of(column), -step * value, entries);
              }
            };
          }};
}

}  // namespace

template <class MakeFiller>
SparseRows::SparseRows(Index rows, Index columns, Team& team, MakeFiller&& make_filler)
    : columns_(columns), start_(at(rows + 1), 0) {
  constexpr Index kMostRanges = 16;
  const Index num_ranges = std::max<Index>(1, std::min(kMostRanges, num_blocks(rows)));
  std::vector<std::vector<Entry, LargeAllocator<Entry>>> found(at(num_ranges));
  const auto begin_of = [&](Index range) { return rows * range / num_ranges; };
  team.for_blocks(num_ranges, 1, [&](Index range, Index, Index) {
    auto fill = make_filler();
    std::vector<Entry> entries;
    auto& all = found[at(range)];
    for (Index row = begin_of(range); row < begin_of(range + 1); ++row) {
      entries.clear();
      fill(row, entries);
      all.insert(all.end(), entries.begin(), entries.end());
      start_[at(row + 1)] = std::ssize(all);
    }
  });
  std::vector<Index> offset{0};
  for (const auto& entries : found) offset.push_back(offset.back() + std::ssize(entries));
  entry_ = Buffer<Entry>(offset.back());
  team.for_blocks(num_ranges, 1, [&](Index range, Index, Index) {
    std::copy(found[at(range)].begin(), found[at(range)].end(), entry_.data() + offset[at(range)]);
    for (Index row = begin_of(range); row < begin_of(range + 1); ++row) start_[at(row + 1)] += offset[at(range)];
  });
}

SparseRows SparseRows::transposed() const {
  SparseRows result;
  result.columns_ = rows();
  result.start_.assign(at(columns_ + 1), 0);
  for (Index k = 0; k < num_entries(); ++k) ++result.start_[at(entry_[k].column + 1)];
  for (std::size_t i = 1; i < result.start_.size(); ++i) result.start_[i] += result.start_[i - 1];
  result.entry_ = Buffer<Entry>(num_entries());
  std::vector<Index, LargeAllocator<Index>> next(result.start_.begin(), result.start_.end() - 1);
  for (Index from = 0; from < rows(); ++from) {
    for (const auto& [column, value] : row(from)) {
      result.entry_[next[at(column)]++] = {static_cast<Column>(from), value};
    }
  }
  return result;
}

class SmoothedAggregation::Factors {
 public:
  explicit Factors(const Eigen::MatrixXd& matrix) : lu_(matrix) {}

  void solve(ConstVector b, Vector x) const {
    const Eigen::Map<const Eigen::VectorXd> right(b.data(), ssize(b));
    Eigen::Map<Eigen::VectorXd>(x.data(), ssize(x)) = lu_.solve(right);
  }

 private:
  Eigen::PartialPivLU<Eigen::MatrixXd> lu_;
};

SmoothedAggregation::~SmoothedAggregation() = default;

SmoothedAggregation::SmoothedAggregation(const CsrMatrix& forward, const CsrMatrix& transposed, Team& team,
                                         Monitor& monitor, std::string& reason)
    : team_(team) {
  add_level(identity_less(forward, team), identity_less(transposed, team));
  const auto first = static_cast<double>(levels_.front().sides[0].matrix.num_entries());
  double entries = first;
  while (levels_.back().size() > kCoarsest) {
    monitor.poll({"smoothed aggregation", static_cast<Index>(levels_.size()), 0.0, 0.0});
    if (!coarsen(reason)) return;
    entries += static_cast<double>(levels_.back().sides[0].matrix.num_entries());
    if (entries > kMostComplexity * first) reason = "its levels would fill";
    if (!reason.empty()) return;
  }
  factorise_coarsest();
}

void SmoothedAggregation::add_level(SparseRows forward, SparseRows transposed) {
  Level& level = levels_.emplace_back();
  level.sides[0].matrix = ordered_for_smoothing(forward, team_);
  level.sides[1].matrix = ordered_for_smoothing(transposed, team_);
  const auto size = at(level.size());
  level.inverse_diagonal.resize(size);
  level.smoothed.resize(size);
  level.residual.resize(size);
  if (levels_.size() > 1) {
    level.left_over.resize(size);
    level.more.resize(size);
  }
  for (Side& side : level.sides) {
    side.left.resize(size);
    side.in_block.resize(size);
    for_rows(level.size(), [&](Index row) {
      for (const auto& [column, value] : side.matrix.row(row)) {
        if (column / kBlock != row / kBlock) continue;
        ++side.in_block[at(row)];
        if (column < row) ++side.left[at(row)];
        if (column == row) level.inverse_diagonal[at(row)] = 1.0F / value;
      }
    });
  }
}

bool SmoothedAggregation::coarsen(std::string& reason) {
  Level& fine = levels_.back();
  auto& [forward, transposed] = fine.sides;
  const Aggregates aggregates(forward.matrix);
  if (static_cast<double>(aggregates.count()) > kLeastCoarsening * static_cast<double>(fine.size())) {
    reason = "its states do not aggregate";
    return false;
  }
  forward.prolongation = smoothed(forward.matrix, fine.inverse_diagonal, aggregates, team_);
  transposed.prolongation = smoothed(transposed.matrix, fine.inverse_diagonal, aggregates, team_);
  forward.restriction = transposed.prolongation.transposed();
  transposed.restriction = forward.prolongation.transposed();
  fine.coarse_residual.resize(at(aggregates.count()));
  fine.coarse_correction.resize(at(aggregates.count()));
  SparseRows coarse = product(forward.restriction, product(forward.matrix, forward.prolongation, team_), team_);
  SparseRows coarse_transposed = coarse.transposed();
  add_level(std::move(coarse), std::move(coarse_transposed));
  return true;
}

/// A + alpha u 1': regular, and what it solves is A x = b less a multiple of u, the constant of the finest level.
void SmoothedAggregation::factorise_coarsest() {
  Doubles u(at(levels_.front().size()), 1.0);
  for (std::size_t i = 0; i + 1 < levels_.size(); ++i) {
    Doubles coarse(at(levels_[i + 1].size()));
    apply(levels_[i].sides[0].restriction, u, coarse);
    u = std::move(coarse);
  }
  const SparseRows& a = levels_.back().sides[0].matrix;
  Eigen::MatrixXd dense = Eigen::MatrixXd::Zero(a.rows(), a.rows());
  for (Index row = 0; row < a.rows(); ++row) {
    for (const auto& [column, value] : a.row(row)) dense(row, column) += value;
  }
  const double total = std::max(extent_of(u, team_).l1, std::numeric_limits<double>::min());
  const double alpha = dense.diagonal().sum() / total / static_cast<double>(a.rows());
  for (Index row = 0; row < a.rows(); ++row) dense.row(row).array() += alpha * u[at(row)];
  coarsest_[0] = std::make_unique<Factors>(dense);
  coarsest_[1] = std::make_unique<Factors>(dense.transpose());
}

/// Smooths down, corrects from the level below, smooths up.
void SmoothedAggregation::cycle(Direction direction, std::size_t number, ConstVector b, Vector x) {
  if (number + 1 == levels_.size()) return coarsest_[index(direction)]->solve(b, x);
  Level& level = levels_[number];
  const Side& side = level.sides[index(direction)];
  Vector smoothed = level.smoothed;
  smooth_down(level, side, b, smoothed);
  // (D + L) x = b: of the residual, what is behind the diagonal is left.
  for_rows(level.size(), [&](Index row) {
    level.residual[at(row)] = -SparseRows::product(side.matrix.row(row).subspan(side.left[at(row)] + 1U), smoothed);
  });
  apply(side.restriction, level.residual, level.coarse_residual);
  solve_coarse(direction, number + 1, level.coarse_residual, level.coarse_correction);
  for_rows(level.size(),
           [&](Index row) { smoothed[at(row)] += side.prolongation.product(row, level.coarse_correction); });
  smooth_up(level, side, b, smoothed, x);
}

/// Two cycles: a level costs a ninth of the one above, and its errors would add up.
void SmoothedAggregation::solve_coarse(Direction direction, std::size_t number, ConstVector b, Vector x) {
  cycle(direction, number, b, x);
  if (number + 1 == levels_.size()) return;
  Level& level = levels_[number];
  const SparseRows& matrix = level.sides[index(direction)].matrix;
  for_rows(level.size(), [&](Index row) { level.left_over[at(row)] = b[at(row)] - matrix.product(row, x); });
  cycle(direction, number, level.left_over, level.more);
  for_rows(level.size(), [&](Index row) { x[at(row)] += level.more[at(row)]; });
}

/// x = (D + L)^-1 b, L the part of the matrix left of the diagonal within blocks.
void SmoothedAggregation::smooth_down(const Level& level, const Side& side, ConstVector b, Vector x) {
  for_rows(level.size(), [&](Index row) {
    const double sum = b[at(row)] - SparseRows::product(side.matrix.row(row).first(side.left[at(row)]), x);
    x[at(row)] = sum * level.inverse_diagonal[at(row)];
  });
}

/// y = x + (D + U)^-1 (b - A x), U the part right of the diagonal within blocks: row by row the y that solves its
/// equation, with y where that is known already.
void SmoothedAggregation::smooth_up(const Level& level, const Side& side, ConstVector b, ConstVector x, Vector y) {
  team_.for_blocks(level.size(), kBlock, [&](Index first, Index last, Index) {
    for (Index row = last - 1; row >= first; --row) {
      const auto entries = side.matrix.row(row);
      const auto in_block = entries.first(side.in_block[at(row)]);
      const auto left = in_block.first(side.left[at(row)]);
      const auto right = in_block.subspan(left.size() + 1);
      const double known =
          b[at(row)] - SparseRows::product(left, x) - SparseRows::product(entries.subspan(in_block.size()), x);
      y[at(row)] = (known - SparseRows::product(right, y)) * level.inverse_diagonal[at(row)];
    }
  });
}

void SmoothedAggregation::apply(const SparseRows& matrix, ConstVector x, Vector y) {
  for_rows(matrix.rows(), [&](Index row) { y[at(row)] = matrix.product(row, x); });
}

}  // namespace rlcore::linear
