#include "rlcore/linear/hierarchy.hpp"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace rlcore::linear {
namespace {

using Entries = SparseRows::Entries;

constexpr float kDamping = 2.0F / 3.0F;   // of the Jacobi step
constexpr double kMostComplexity = 2.0;   // entries of all levels beside those of the first
constexpr double kLeastCoarsening = 0.6;  // a level must have at most this share of the states above it
constexpr Index kUsualNeighbours = 9;     // of an aggregate
constexpr Index kCoarsest = 200;          // solved densely
constexpr double kEnough = 0.25;          // one GCR step on a coarse level suffices if it reduces so much

void append(std::span<const SparseRows::Entry> row, Entries& entries) {
  entries.insert(entries.end(), row.begin(), row.end());
}

/// P = (I - omega D^-1 A) T; the states that stay out of aggregates get nothing.
SparseRows prolongation(const LevelMatrix& a, const Aggregation& aggregation, Team& team) {
  return {a.size(), a.num_entries() * 3 / 5, team, [&] {
            return [&, sums = RowSums(aggregation.count())](Index row, Entries& entries) mutable {
              if (aggregation.of(row) == Aggregation::kNone) return;
              sums.begin(row);
              sums.add(aggregation.of(row), 1.0F - kDamping);
              const float step = kDamping * a.inverse_diagonal(row);
              for (const auto& [column, value] : a.row(row)) {
                if (aggregation.of(column) != Aggregation::kNone) sums.add(aggregation.of(column), -step * value);
              }
              append(sums.row(), entries);
            };
          }};
}

/// R = T' (I - omega A D^-1)
SparseRows restriction(const LevelMatrix& a, const Aggregation& aggregation, Team& team) {
  return {aggregation.count(), a.num_entries() * 3 / 5, team, [&] {
            return [&, sums = RowSums(a.size())](Index aggregate, Entries& entries) mutable {
              sums.begin(aggregate);
              for (const Column state : aggregation.members(aggregate)) {
                sums.add(state, 1.0F - kDamping);
                for (const auto& [column, value] : a.row(state)) {
                  if (aggregation.of(column) == Aggregation::kNone) continue;
                  sums.add(column, -kDamping * a.inverse_diagonal(column) * value);
                }
              }
              append(sums.row(), entries);
            };
          }};
}

/// A P
SparseRows images(const LevelMatrix& a, const SparseRows& p, Index count, Team& team) {
  return {a.size(), a.num_entries(), team, [&] {
            return [&, sums = RowSums(count)](Index row, Entries& entries) mutable {
              sums.begin(row);
              sums.add(static_cast<float>(a.diagonal(row)), p.row(row));
              for (const auto& [column, value] : a.row(row)) sums.add(value, p.row(column));
              append(sums.row(), entries);
            };
          }};
}

}  // namespace

/// R A P
LevelMatrix Hierarchy::coarse_matrix(const Level& fine) {
  const Index count = fine.restriction.size();
  const SparseRows ap = images(fine.matrix, fine.prolongation, count, team_);
  return {count, kUsualNeighbours * count, team_, [&] {
            return [&, sums = RowSums(count)](Index aggregate, Entries& entries) mutable {
              sums.begin(aggregate);
              sums.add(static_cast<Column>(aggregate), 0.0F);  // the diagonal comes first
              for (const auto& [state, factor] : fine.restriction.row(aggregate)) sums.add(factor, ap.row(state));
              append(sums.row().subspan(1), entries);
              return static_cast<double>(sums.row().front().value);
            };
          }};
}

Hierarchy::Hierarchy(const System& system, Coarsening& coarsening, std::string& reason, Monitor& monitor)
    : team_(*system.team) {
  const bool is_new = coarsening.empty();
  levels_.push_back({LevelMatrix(system), {}, {}});
  auto entries = static_cast<double>(matrix(0).num_entries());
  const double most = kMostComplexity * entries;
  for (std::size_t number = 0; is_new ? matrix(number).size() > kCoarsest : number < coarsening.size(); ++number) {
    monitor.poll({"multigrid", static_cast<Index>(number), 0.0, 0.0});
    Level& fine = levels_.back();
    if (is_new) {
      Aggregation aggregation(fine.matrix, team_);
      if (aggregation.count() == 0) break;
      const double share = static_cast<double>(aggregation.count()) / static_cast<double>(fine.matrix.size());
      if (share > kLeastCoarsening) reason = "its states do not aggregate";
      if (!reason.empty()) {
        coarsening.clear();
        return;
      }
      coarsening.push_back(std::move(aggregation));
    }
    fine.prolongation = prolongation(fine.matrix, coarsening[number], team_);
    fine.restriction = restriction(fine.matrix, coarsening[number], team_);
    LevelMatrix coarse = coarse_matrix(fine);
    entries += static_cast<double>(coarse.num_entries());
    if (is_new && entries > most) reason = "its levels would fill";
    if (!reason.empty()) {
      coarsening.clear();
      return;
    }
    levels_.push_back({std::move(coarse), {}, {}});
  }
  factorise_coarsest(system.conserves && system.discount == 1.0, system.direction);
}

bool Hierarchy::is_dense(std::size_t number) const { return is_coarsest(number) && matrix(number).size() <= kCoarsest; }

/// What the constant 1 of the finest level is on the coarsest.
Doubles Hierarchy::sums_to_coarsest() const {
  Doubles sums(at(matrix(0).size()), 1.0);
  for (std::size_t number = 0; !is_coarsest(number); ++number) {
    const SparseRows& restriction = levels_[number].restriction;
    Doubles coarse(at(restriction.size()));
    for_rows(restriction.size(), [&](Index row) { coarse[at(row)] = product<double>(restriction.row(row), sums); });
    sums = std::move(coarse);
  }
  return sums;
}

/// Singular, A + alpha u 1' is factorised: what it solves is A x = b less a multiple of u, the constant of the finest
/// level; and of a transpose, where b sums to zero, A x = b itself.
void Hierarchy::factorise_coarsest(bool is_singular, Direction direction) {
  const LevelMatrix& a = levels_.back().matrix;
  if (!is_dense(levels_.size() - 1)) return;  // every row is dominant: smoothing is enough
  Eigen::MatrixXd dense = Eigen::MatrixXd::Zero(a.size(), a.size());
  for (Index row = 0; row < a.size(); ++row) {
    dense(row, row) = a.diagonal(row);
    for (const auto& [column, value] : a.row(row)) dense(row, column) += value;
  }
  if (is_singular) {
    const Doubles u = direction == Direction::kForward ? sums_to_coarsest() : Doubles(at(a.size()), 1.0);
    const double total = std::max(extent_of(u, team_).l1, std::numeric_limits<double>::min());
    const double alpha = dense.diagonal().sum() / total / static_cast<double>(a.size());
    for (Index row = 0; row < a.size(); ++row) dense.row(row).array() += alpha * u[at(row)];
  }
  coarsest_ = DenseFactors(Eigen::PartialPivLU<Eigen::MatrixXd>(dense));
}

/// Memory for lanes of a width, taken when they first come.
template <class Number>
Hierarchy::Work<Number>& Hierarchy::work(std::size_t number) {
  WorkOfLevels<Number>& works = std::get<WorkOfLevels<Number>>(works_);
  while (works.size() < levels_.size()) {
    const std::size_t level = works.size();
    Work<Number>& work = works.emplace_back();
    work.smoothed = unset<Numbers<Number>>(matrix(level).size());
    if (!is_coarsest(level)) {
      work.residual = unset<Numbers<Number>>(matrix(level).size());
      work.coarse_residual = unset<Numbers<Number>>(matrix(level + 1).size());
      work.coarse_correction = unset<Numbers<Number>>(matrix(level + 1).size());
    }
    if (level > 0 && !is_dense(level)) work.gcr.emplace(matrix(level).size(), 2, team_);
  }
  return works[number];
}

template <class Number>
void Hierarchy::cycle(std::span<const Number> b, std::span<Number> x) {
  cycle<Number>(0, b, x, std::vector<char>(kLanesOf<Number>, 0));
}

/// Smooths, corrects from the level below, smooths once more.
template <class Number>
void Hierarchy::cycle(std::size_t number, std::span<const Number> b, std::span<Number> x,
                      const std::vector<char>& done) {
  if (is_dense(number)) {
    std::copy(b.begin(), b.end(), x.begin());
    coarsest_.solve(x);
    return;
  }
  std::span<Number> smoothed = work<Number>(number).smoothed;
  smooth_before<Number>(matrix(number), b, smoothed);
  if (!is_coarsest(number)) add_coarse_correction<Number>(number, smoothed, done);
  smooth_after<Number>(matrix(number), b, smoothed, x);
}

/// The residual of what was smoothed from zero is all that is left of A.
template <class Number>
void Hierarchy::add_coarse_correction(std::size_t number, std::span<Number> x, const std::vector<char>& done) {
  const auto& [a, prolongation, restriction] = levels_[number];
  Work<Number>& here = work<Number>(number);
  for_rows(a.size(), [&](Index row) {
    a.fetch_ahead(row);
    here.residual[at(row)] = -product<Number>(a.all_but_left(row), x);
  });
  for_rows(restriction.size(), [&](Index row) {
    restriction.fetch_ahead(row);
    here.coarse_residual[at(row)] = product<Number>(restriction.row(row), here.residual);
  });
  solve_coarse<Number>(number + 1, here.coarse_residual, here.coarse_correction, done);
  for_rows(a.size(), [&](Index row) {
    prolongation.fetch_ahead(row);
    x[at(row)] += product<Number>(prolongation.row(row), here.coarse_correction);
  });
}

/// At most two steps of GCR (a K-cycle: Notay & Vassilevski 2008), which make the cycle robust. Lanes for which one
/// step is enough take nothing of the second.
template <class Number>
void Hierarchy::solve_coarse(std::size_t number, std::span<Number> residual, std::span<Number> x,
                             std::vector<char> done) {
  std::optional<Gcr<Number>>& gcr = work<Number>(number).gcr;
  if (!gcr) return cycle<Number>(number, residual, x, done);
  const LevelMatrix& a = matrix(number);
  const Number before = dot<Number>(residual, residual, team_);
  while (!gcr->full() && std::find(done.begin(), done.end(), 0) != done.end()) {
    std::span<Number> direction = gcr->direction();
    std::span<Number> image = gcr->image();
    cycle<Number>(number, residual, direction, done);
    for_rows(a.size(), [&](Index row) {
      a.fetch_ahead(row);
      image[at(row)] = a.diagonal(row) * direction[at(row)] + product<Number>(a.row(row), direction);
    });
    const Number left = gcr->take(residual, done);
    for (std::size_t k = 0; k < kLanesOf<Number>; ++k) {
      if (lane(left, k) <= kEnough * std::sqrt(lane(before, k))) done[k] = 1;
    }
  }
  std::fill(x.begin(), x.end(), Number{});
  gcr->finish(x);
}

/// x = (D + L)^-1 b, L the part of A left of the diagonal within blocks.
template <class Number>
void Hierarchy::smooth_before(const LevelMatrix& a, std::span<const Number> b, std::span<Number> x) {
  for_rows_in_order(a.size(), [&](Index row) {
    a.fetch_ahead(row);
    x[at(row)] = a.inverse_diagonal(row) * (b[at(row)] - product<Number>(a.left(row), x));
  });
}

/// y = x + (D + L)^-1 (b - A x): row by row the y that solves its equation, with y where that is known already.
template <class Number>
void Hierarchy::smooth_after(const LevelMatrix& a, std::span<const Number> b, std::span<const Number> x,
                             std::span<Number> y) {
  for_rows_in_order(a.size(), [&](Index row) {
    a.fetch_ahead(row);
    const Number known = b[at(row)] - product<Number>(a.all_but_left(row), x);
    y[at(row)] = a.inverse_diagonal(row) * (known - product<Number>(a.left(row), y));
  });
}

template void Hierarchy::cycle(std::span<const double>, std::span<double>);
template void Hierarchy::cycle(std::span<const LaneArray<2>>, std::span<LaneArray<2>>);
template void Hierarchy::cycle(std::span<const LaneArray<4>>, std::span<LaneArray<4>>);
template void Hierarchy::cycle(std::span<const LaneArray<8>>, std::span<LaneArray<8>>);

}  // namespace rlcore::linear
