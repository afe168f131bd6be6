// Aggregation multigrid with K-cycles (Notay 2010; Napov & Notay 2012): local chains, such as grids, at discounts
// near 1, where information must travel far.
//
// States are joined into aggregates of about four by two rounds of matching with the most strongly coupled
// neighbour; the matrix of the aggregates is the Galerkin product with piecewise constants. That is exact on
// constants, the slow mode of I - gamma P. Each level is smoothed by one Gauss-Seidel sweep down and one up, within
// blocks of states, and solved on the level below by at most two steps of GCR, which makes the cycle robust.
#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "rlcore/linear/method.hpp"

namespace rlcore::linear {
namespace {

constexpr double kMostNeighbours = 12.0;  // beyond that a chain is not local, and levels fill up
constexpr double kMostComplexity = 2.0;   // entries of all levels beside those of the first
constexpr double kLeastCoarsening = 0.6;  // a level must have at most this share of the states above it
constexpr Index kCoarsest = 200;          // solved densely
constexpr double kDominant = 5.0;         // rows whose diagonal exceeds the rest so far need no coarse level
constexpr double kEnough = 0.25;          // one GCR step on a coarse level suffices if it reduces so much
constexpr Index kDirections = 10;         // GCR starts again after so many
constexpr Index kMostIterations = 200;
constexpr double kReduction = 0.5;  // a step, on average over the last five, or multigrid gives up

using Positions = std::vector<Index, LargeAllocator<Index>>;
using Columns = std::vector<Column, LargeAllocator<Column>>;

/// A matrix with its diagonal apart.
struct LevelMatrix {
  Doubles diagonal;
  Positions start{0};
  Columns column;
  Doubles value;

  Index size() const { return static_cast<Index>(diagonal.size()); }
  Index entries() const { return size() + static_cast<Index>(column.size()); }

  double off_diagonal_product(Index row, const double* x) const {
    double sum = 0.0;
    for (Index k = start[at(row)]; k < start[at(row + 1)]; ++k) sum += value[at(k)] * x[column[at(k)]];
    return sum;
  }
};

LevelMatrix first_matrix(const System& system) {
  const CsrMatrix& m = system.matrix;
  LevelMatrix a;
  a.diagonal.assign(at(m.size), 1.0);
  a.start.reserve(at(m.size + 1));
  a.column.reserve(at(m.num_entries));
  a.value.reserve(at(m.num_entries));
  for (Index row = 0; row < m.size; ++row) {
    for (Index k = m.first[row]; k < m.first[row] + m.length[row]; ++k) {
      const double value = -system.discount * m.value[k];
      if (m.column[k] == row) {
        a.diagonal[at(row)] += value;
      } else {
        a.column.push_back(m.column[k]);
        a.value.push_back(value);
      }
    }
    a.start.push_back(static_cast<Index>(a.column.size()));
  }
  return a;
}

/// The aggregate of each state; -1 for states that need none.
struct Aggregates {
  Columns of;
  Index count = 0;
};

/// Joins each state with the free neighbour to which it is most strongly coupled.
Aggregates match(const LevelMatrix& a) {
  constexpr Column kFree = -2;
  Aggregates aggregates{Columns(at(a.size()), kFree), 0};
  for (Index row = 0; row < a.size(); ++row) {
    if (aggregates.of[at(row)] != kFree) continue;
    double coupling = 0.0;
    double strongest = 0.0;
    Column partner = -1;
    for (Index k = a.start[at(row)]; k < a.start[at(row + 1)]; ++k) {
      const double strength = -a.value[at(k)];
      coupling += std::fabs(strength);
      if (strength > strongest && aggregates.of[at(a.column[at(k)])] == kFree) {
        strongest = strength;
        partner = a.column[at(k)];
      }
    }
    if (a.diagonal[at(row)] > kDominant * coupling) {
      aggregates.of[at(row)] = -1;
      continue;
    }
    const auto number = static_cast<Column>(aggregates.count++);
    aggregates.of[at(row)] = number;
    if (partner >= 0) aggregates.of[at(partner)] = number;
  }
  return aggregates;
}

/// The Galerkin product: entries summed over pairs of aggregates.
LevelMatrix coarse_matrix(const LevelMatrix& a, const Aggregates& aggregates) {
  // Members of each aggregate, by counting.
  Positions first(at(aggregates.count + 1), 0);
  for (const Column aggregate : aggregates.of) {
    if (aggregate >= 0) ++first[at(aggregate + 1)];
  }
  for (std::size_t i = 1; i < first.size(); ++i) first[i] += first[i - 1];
  Columns member(at(first.back()));
  Positions next(first.begin(), first.end() - 1);
  for (Index row = 0; row < a.size(); ++row) {
    const Column aggregate = aggregates.of[at(row)];
    if (aggregate >= 0) member[at(next[at(aggregate)]++)] = static_cast<Column>(row);
  }

  LevelMatrix coarse;
  coarse.diagonal.assign(at(aggregates.count), 0.0);
  coarse.start.reserve(at(aggregates.count + 1));
  Positions place(at(aggregates.count), -1);
  for (Index row = 0; row < aggregates.count; ++row) {
    const auto begin = static_cast<Index>(coarse.column.size());
    for (Index m = first[at(row)]; m < first[at(row + 1)]; ++m) {
      const Index fine = member[at(m)];
      coarse.diagonal[at(row)] += a.diagonal[at(fine)];
      for (Index k = a.start[at(fine)]; k < a.start[at(fine + 1)]; ++k) {
        const Column target = aggregates.of[at(a.column[at(k)])];
        if (target == row) {
          coarse.diagonal[at(row)] += a.value[at(k)];
        } else if (target >= 0 && place[at(target)] >= begin) {
          coarse.value[at(place[at(target)])] += a.value[at(k)];
        } else if (target >= 0) {
          place[at(target)] = static_cast<Index>(coarse.column.size());
          coarse.column.push_back(target);
          coarse.value.push_back(a.value[at(k)]);
        }
      }
    }
    coarse.start.push_back(static_cast<Index>(coarse.column.size()));
  }
  return coarse;
}

/// Two rounds of matching make aggregates of about four.
Aggregates match_twice(const LevelMatrix& a) {
  Aggregates pairs = match(a);
  const Aggregates of_pairs = match(coarse_matrix(a, pairs));
  for (Column& aggregate : pairs.of) {
    if (aggregate >= 0) aggregate = of_pairs.of[at(aggregate)];
  }
  pairs.count = of_pairs.count;
  return pairs;
}

class Multigrid final : public Method {
 public:
  explicit Multigrid(const System& system) : system_(system), team_(*system.team) {}

  /// Builds the levels; the reason if they do not become small fast enough.
  std::string build(Monitor& monitor) {
    levels_.emplace_back(first_matrix(system_));
    double entries = static_cast<double>(levels_.front().a.entries());
    const double most = kMostComplexity * entries;
    while (levels_.back().a.size() > kCoarsest) {
      monitor.poll({"multigrid", static_cast<Index>(levels_.size()), 0.0, 0.0});
      Level& fine = levels_.back();
      fine.aggregates = match_twice(fine.a);
      const double share = static_cast<double>(fine.aggregates.count) / static_cast<double>(fine.a.size());
      if (share > kLeastCoarsening) return "its states do not aggregate";
      if (fine.aggregates.count == 0) break;
      LevelMatrix coarse = coarse_matrix(fine.a, fine.aggregates);
      entries += static_cast<double>(coarse.entries());
      if (entries > most) return "its levels would fill";
      levels_.emplace_back(std::move(coarse));
    }
    factorise_coarsest();
    return {};
  }

  Index solve(ConstVector b, Vector x, const Goal& goal, Monitor& monitor) override {
    std::fill(x.begin(), x.end(), 0.0);
    Doubles residual(b.begin(), b.end());
    Gcr gcr(*this, 0, kDirections);
    std::vector<double> history{std::sqrt(dot(residual, residual, team_))};
    Index iteration = 0;
    while (iteration < kMostIterations) {
      ++iteration;
      gcr.step(residual, x);
      const double now = system_.residual_norm(residual);
      const double answer = system_.norm(x);
      monitor.poll({"multigrid", iteration, goal.error(now, answer), goal.tolerance});
      if (!std::isfinite(now) || goal.met(now, answer)) break;
      history.push_back(std::sqrt(dot(residual, residual, team_)));
      if (history.size() > 5 && history.back() > std::pow(kReduction, 5) * history[history.size() - 6]) break;
    }
    return iteration;
  }

 private:
  struct Level {
    LevelMatrix a;
    Aggregates aggregates;
    Doubles residual, correction;  // of this level's smoothing

    explicit Level(LevelMatrix matrix)
        : a(std::move(matrix)), residual(a.diagonal.size()), correction(a.diagonal.size()) {}
  };

  /// Generalised conjugate residuals on one level: flexible, so that the cycle may vary, with the residual and
  /// the answer at hand in every step.
  class Gcr {
   public:
    Gcr(Multigrid& multigrid, std::size_t level, Index most_directions)
        : multigrid_(multigrid), level_(level), most_(most_directions) {}

    /// One preconditioned step that minimises the residual over the directions kept.
    void step(Vector residual, Vector x) {
      if (std::ssize(directions_) == most_) restart();
      Doubles direction(residual.size());
      Doubles image(residual.size());
      multigrid_.cycle(level_, residual, direction);
      multigrid_.apply(level_, direction, image);
      Team& team = multigrid_.team_;
      for (std::size_t j = 0; j < directions_.size(); ++j) {
        const double overlap = dot(image, images_[j], team);
        multigrid_.add(-overlap, images_[j], image);
        multigrid_.add(-overlap, directions_[j], direction);
      }
      const double norm = std::sqrt(dot(image, image, team));
      if (!(norm > 0.0)) return;
      const double length = dot(residual, image, team) / norm;
      multigrid_.add(length / norm, direction, x);
      multigrid_.add(-length / norm, image, residual);
      for (double& value : direction) value /= norm;
      for (double& value : image) value /= norm;
      directions_.push_back(std::move(direction));
      images_.push_back(std::move(image));
    }

   private:
    void restart() {
      directions_.clear();
      images_.clear();
    }

    Multigrid& multigrid_;
    std::size_t level_;
    Index most_;
    std::vector<Doubles> directions_;
    std::vector<Doubles> images_;
  };

  void factorise_coarsest() {
    const LevelMatrix& a = levels_.back().a;
    if (a.size() > kCoarsest) return;  // every row is dominant: smoothing is enough
    Eigen::MatrixXd dense = Eigen::MatrixXd::Zero(a.size(), a.size());
    for (Index row = 0; row < a.size(); ++row) {
      dense(row, row) = a.diagonal[at(row)];
      for (Index k = a.start[at(row)]; k < a.start[at(row + 1)]; ++k) dense(row, a.column[at(k)]) += a.value[at(k)];
    }
    coarsest_.compute(dense);
  }

  /// x = an approximation of A^-1 b on one level: smooth down, correct from the level below, smooth up.
  void cycle(std::size_t number, ConstVector b, Vector x) {
    Level& level = levels_[number];
    if (number + 1 == levels_.size() && level.a.size() <= kCoarsest) {
      const Eigen::Map<const Eigen::VectorXd> right(b.data(), ssize(b));
      Eigen::Map<Eigen::VectorXd>(x.data(), ssize(x)) = coarsest_.solve(right);
      return;
    }
    smooth_down(level.a, b, x);
    if (number + 1 < levels_.size()) {
      subtract_product(number, b, x, level.residual);
      add_coarse_correction(number, x);
    }
    subtract_product(number, b, x, level.residual);
    smooth_up(level.a, level.residual, level.correction);
    add(1.0, level.correction, x);
  }

  /// Solves for the aggregates' residuals on the next level by one or two steps of GCR.
  void add_coarse_correction(std::size_t number, Vector x) {
    const Level& level = levels_[number];
    const auto size = at(levels_[number + 1].a.size());
    Doubles residual(size, 0.0);
    Doubles correction(size, 0.0);
    for (std::size_t i = 0; i < level.residual.size(); ++i) {
      if (level.aggregates.of[i] >= 0) residual[at(level.aggregates.of[i])] += level.residual[i];
    }
    if (number + 2 == levels_.size()) {
      cycle(number + 1, residual, correction);
    } else {
      Gcr gcr(*this, number + 1, 2);
      const double before = std::sqrt(dot(residual, residual, team_));
      gcr.step(residual, correction);
      if (std::sqrt(dot(residual, residual, team_)) > kEnough * before) gcr.step(residual, correction);
    }
    for (std::size_t i = 0; i < x.size(); ++i) {
      if (level.aggregates.of[i] >= 0) x[i] += correction[at(level.aggregates.of[i])];
    }
  }

  /// x = (D + L)^-1 b, L the part of A below the diagonal within blocks.
  void smooth_down(const LevelMatrix& a, ConstVector b, Vector x) {
    team_.for_blocks(a.size(), kBlock, [&](Index first, Index last, Index) {
      for (Index row = first; row < last; ++row) {
        double sum = b[at(row)];
        for (Index k = a.start[at(row)]; k < a.start[at(row + 1)]; ++k) {
          const Column column = a.column[at(k)];
          if (column >= first && column < row) sum -= a.value[at(k)] * x[at(column)];
        }
        x[at(row)] = sum / a.diagonal[at(row)];
      }
    });
  }

  /// x = (D + U)^-1 b, U the part of A above the diagonal within blocks.
  void smooth_up(const LevelMatrix& a, ConstVector b, Vector x) {
    team_.for_blocks(a.size(), kBlock, [&](Index first, Index last, Index) {
      for (Index row = last - 1; row >= first; --row) {
        double sum = b[at(row)];
        for (Index k = a.start[at(row)]; k < a.start[at(row + 1)]; ++k) {
          const Column column = a.column[at(k)];
          if (column > row && column < last) sum -= a.value[at(k)] * x[at(column)];
        }
        x[at(row)] = sum / a.diagonal[at(row)];
      }
    });
  }

  /// r = b - A x
  void subtract_product(std::size_t number, ConstVector b, ConstVector x, Vector r) {
    const LevelMatrix& a = levels_[number].a;
    team_.for_blocks(a.size(), kBlock, [&](Index first, Index last, Index) {
      for (Index row = first; row < last; ++row) {
        r[at(row)] = b[at(row)] - a.diagonal[at(row)] * x[at(row)] - a.off_diagonal_product(row, x.data());
      }
    });
  }

  /// y = A x
  void apply(std::size_t number, ConstVector x, Vector y) {
    const LevelMatrix& a = levels_[number].a;
    team_.for_blocks(a.size(), kBlock, [&](Index first, Index last, Index) {
      for (Index row = first; row < last; ++row) {
        y[at(row)] = a.diagonal[at(row)] * x[at(row)] + a.off_diagonal_product(row, x.data());
      }
    });
  }

  /// y += factor x
  void add(double factor, ConstVector x, Vector y) {
    team_.for_blocks(ssize(x), kBlock, [&](Index first, Index last, Index) {
      for (auto i = at(first); i < at(last); ++i) y[i] += factor * x[i];
    });
  }

  const System& system_;
  Team& team_;
  std::vector<Level> levels_;
  Eigen::PartialPivLU<Eigen::MatrixXd> coarsest_;
};

}  // namespace

Candidate make_multigrid(const System& system, Monitor& monitor) {
  const double neighbours = static_cast<double>(system.matrix.num_entries) / static_cast<double>(system.size());
  if (neighbours > kMostNeighbours) return {nullptr, "its states have too many neighbours"};
  auto method = std::make_unique<Multigrid>(system);
  std::string reason = method->build(monitor);
  if (!reason.empty()) return {nullptr, std::move(reason)};
  return {std::move(method), {}};
}

}  // namespace rlcore::linear
