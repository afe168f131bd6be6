// Aggregation multigrid with K-cycles (Notay 2010; Napov & Notay 2012): local chains, such as grids, at discounts
// near 1, where information must travel far.
//
// Each level is smoothed by one Gauss-Seidel sweep down and one up, within blocks of states, and solved on the
// level below by at most two steps of GCR, which makes the cycle robust. Levels are in single precision; the GCR
// around the cycle is not.
#include <Eigen/Dense>
#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <utility>
#include <vector>

#include "rlcore/linear/aggregation.hpp"
#include "rlcore/linear/gcr.hpp"
#include "rlcore/linear/method.hpp"

namespace rlcore::linear {
namespace {

constexpr double kMostNeighbours = 12.0;  // beyond that a chain is not local, and levels fill up
constexpr double kMostComplexity = 2.0;   // entries of all levels beside those of the first
constexpr double kLeastCoarsening = 0.6;  // a level must have at most this share of the states above it
constexpr Index kCoarsest = 200;          // solved densely
constexpr double kEnough = 0.25;          // one GCR step on a coarse level suffices if it reduces so much
constexpr Index kDirections = 10;         // GCR starts again after so many
constexpr Index kMostIterations = 200;
constexpr double kSlowest = 0.6;  // the reduction a step, or multigrid gives up

/// Rows that are looked at to see whether moves go both ways, and the share that must.
constexpr Index kSample = 2000;
constexpr double kBothWays = 0.6;

/// The share of the probability of moving from state to state that is matched by moves back. Where chains drift,
/// constants over aggregates are no longer what is slow.
double share_both_ways(const CsrMatrix& m) {
  const auto entry = [&](Index row, Index column) {
    for (Index k = m.first[row]; k < m.first[row] + m.length[row]; ++k) {
      if (m.column[k] == column) return m.value[k];
    }
    return 0.0;
  };
  double there = 0.0;
  double and_back = 0.0;
  for (Index row = 0; row < m.size; row += std::max<Index>(1, m.size / kSample)) {
    for (Index k = m.first[row]; k < m.first[row] + m.length[row]; ++k) {
      if (m.column[k] == row) continue;
      there += m.value[k];
      and_back += std::min(m.value[k], entry(m.column[k], row));
    }
  }
  return there > 0.0 ? and_back / there : 0.0;
}

/// How states are joined from level to level: one for both directions.
using Coarsening = std::vector<Aggregation>;

/// The levels of one direction.
class Hierarchy {
 public:
  /// Coarsens the system, and records how; `reason` tells if its levels do not become small fast enough.
  Hierarchy(const System& system, Coarsening& coarsening, std::string& reason, Monitor& monitor)
      : team_(*system.team), coarsening_(coarsening) {
    levels_.emplace_back(LevelMatrix(system));
    double entries = static_cast<double>(finest().num_entries());
    const double most = kMostComplexity * entries;
    while (levels_.back().a.size() > kCoarsest && reason.empty()) {
      monitor.poll({"multigrid", static_cast<Index>(levels_.size()), 0.0, 0.0});
      const LevelMatrix& fine = levels_.back().a;
      Aggregation aggregation(fine, team_);
      if (aggregation.count() == 0) break;
      const LevelMatrix paired = aggregation.coarse(fine, team_);
      const Aggregation of_pairs(paired, team_);
      if (of_pairs.count() == 0) break;
      LevelMatrix coarse = of_pairs.coarse(paired, team_);
      aggregation.join(of_pairs, team_);
      const double share = static_cast<double>(coarse.size()) / static_cast<double>(fine.size());
      entries += static_cast<double>(coarse.num_entries());
      if (share > kLeastCoarsening) reason = "its states do not aggregate";
      if (entries > most) reason = "its levels would fill";
      coarsening_.push_back(std::move(aggregation));
      levels_.emplace_back(std::move(coarse));
    }
    factorise_coarsest();
  }

  /// The levels of the other direction, joined in the same way.
  Hierarchy(const System& system, Coarsening& coarsening) : team_(*system.team), coarsening_(coarsening) {
    levels_.emplace_back(LevelMatrix(system));
    for (const Aggregation& aggregation : coarsening_) {
      LevelMatrix coarse = aggregation.coarse(levels_.back().a, team_);
      levels_.emplace_back(std::move(coarse));
    }
    factorise_coarsest();
  }

  /// x = an approximation of A^-1 b on the finest level.
  void cycle(ConstVector b, Vector x) { cycle(0, b, x); }

 private:
  struct Level {
    LevelMatrix a;
    Doubles residual, correction;  // of this level's smoothing
    Doubles coarse_residual;       // of the aggregates
    Doubles coarse_correction;
    std::optional<Gcr> gcr;  // that solves this level for the one above

    explicit Level(LevelMatrix matrix) : a(std::move(matrix)), residual(at(a.size())), correction(at(a.size())) {}
  };

  const LevelMatrix& finest() const { return levels_.front().a; }

  void factorise_coarsest() {
    for (std::size_t i = 0; i + 1 < levels_.size(); ++i) {
      levels_[i].coarse_residual.resize(at(levels_[i + 1].a.size()));
      levels_[i].coarse_correction.resize(at(levels_[i + 1].a.size()));
      if (i > 0) levels_[i].gcr.emplace(levels_[i].a.size(), 2, team_);
    }
    const LevelMatrix& a = levels_.back().a;
    if (a.size() > kCoarsest) {  // every row is dominant: smoothing is enough
      levels_.back().gcr.emplace(a.size(), 2, team_);
      return;
    }
    Eigen::MatrixXd dense = Eigen::MatrixXd::Zero(a.size(), a.size());
    for (Index row = 0; row < a.size(); ++row) {
      dense(row, row) = a.diagonal(row);
      for (const auto& [column, value] : a.row(row)) dense(row, column) += value;
    }
    coarsest_.compute(dense);
  }

  /// Smooths down, corrects from the level below, smooths up.
  void cycle(std::size_t number, ConstVector b, Vector x) {
    Level& level = levels_[number];
    const bool is_last = number + 1 == levels_.size();
    if (is_last && level.a.size() <= kCoarsest) {
      const Eigen::Map<const Eigen::VectorXd> right(b.data(), ssize(b));
      Eigen::Map<Eigen::VectorXd>(x.data(), ssize(x)) = coarsest_.solve(right);
      return;
    }
    smooth_down(level.a, b, x);
    if (!is_last) {
      residual_after_smoothing(level.a, x, level.residual);
      add_coarse_correction(number, x);
    }
    subtract_product(level.a, b, x, level.residual);
    smooth_up(level.a, level.residual, level.correction);
    for_states(level.a, [&](Index row) { x[at(row)] += level.correction[at(row)]; });
  }

  /// Solves for the aggregates' residuals on the next level by one or two steps of GCR.
  void add_coarse_correction(std::size_t number, Vector x) {
    Level& level = levels_[number];
    const Aggregation& aggregation = coarsening_[number];
    Vector residual = level.coarse_residual;
    Vector correction = level.coarse_correction;
    std::fill(residual.begin(), residual.end(), 0.0);
    std::fill(correction.begin(), correction.end(), 0.0);
    for (Index state = 0; state < level.a.size(); ++state) {
      if (aggregation.of(state) >= 0) residual[at(aggregation.of(state))] += level.residual[at(state)];
    }
    solve_coarse(number + 1, residual, correction);
    for_states(level.a, [&](Index state) {
      if (aggregation.of(state) >= 0) x[at(state)] += correction[at(aggregation.of(state))];
    });
  }

  void solve_coarse(std::size_t number, Vector residual, Vector x) {
    Level& level = levels_[number];
    if (!level.gcr) return cycle(number, residual, x);
    const double before = std::sqrt(dot(residual, residual, team_));
    for (bool enough = false; !enough && !level.gcr->full();) {
      cycle(number, residual, level.gcr->direction());
      apply(level.a, level.gcr->direction(), level.gcr->image());
      enough = level.gcr->take(residual) <= kEnough * before;
    }
    level.gcr->finish(x);
  }

  /// x = (D + L)^-1 b, L the part of A left of the diagonal within blocks.
  void smooth_down(const LevelMatrix& a, ConstVector b, Vector x) {
    team_.for_blocks(a.size(), kBlock, [&](Index first, Index last, Index) {
      for (Index row = first; row < last; ++row) {
        double sum = b[at(row)];
        for (const auto& [column, value] : a.left(row)) sum -= value * x[at(column)];
        x[at(row)] = sum * a.inverse_diagonal(row);
      }
    });
  }

  /// r = b - A x for the x that was smoothed down from zero: all that is left of A.
  void residual_after_smoothing(const LevelMatrix& a, ConstVector x, Vector r) {
    for_states(a, [&](Index row) {
      double sum = 0.0;
      for (const auto& [column, value] : a.all_but_left(row)) sum -= value * x[at(column)];
      r[at(row)] = sum;
    });
  }

  /// x = (D + U)^-1 b, U the part of A right of the diagonal within blocks.
  void smooth_up(const LevelMatrix& a, ConstVector b, Vector x) {
    team_.for_blocks(a.size(), kBlock, [&](Index first, Index last, Index) {
      for (Index row = last - 1; row >= first; --row) {
        double sum = b[at(row)];
        for (const auto& [column, value] : a.right(row)) sum -= value * x[at(column)];
        x[at(row)] = sum * a.inverse_diagonal(row);
      }
    });
  }

  /// r = b - A x
  void subtract_product(const LevelMatrix& a, ConstVector b, ConstVector x, Vector r) {
    for_states(a, [&](Index row) { r[at(row)] = b[at(row)] - product(a, row, x); });
  }

  /// y = A x
  void apply(const LevelMatrix& a, ConstVector x, Vector y) {
    for_states(a, [&](Index row) { y[at(row)] = product(a, row, x); });
  }

  static double product(const LevelMatrix& a, Index row, ConstVector x) {
    double sum = a.diagonal(row) * x[at(row)];
    for (const auto& [column, value] : a.row(row)) sum += value * x[at(column)];
    return sum;
  }

  template <class Body>
  void for_states(const LevelMatrix& a, Body&& body) {
    team_.for_blocks(a.size(), kBlock, [&](Index first, Index last, Index) {
      for (Index state = first; state < last; ++state) body(state);
    });
  }

  Team& team_;
  Coarsening& coarsening_;
  std::vector<Level> levels_;
  Eigen::PartialPivLU<Eigen::MatrixXd> coarsest_;
};

class Multigrid final : public Method {
 public:
  explicit Multigrid(Systems& systems) : systems_(systems) {}

  /// Builds the levels of one direction; the reason if they are not suitable.
  std::string build(Direction direction, Monitor& monitor) {
    std::string reason;
    of(direction).emplace(systems_[direction], coarsening_, reason, monitor);
    return reason;
  }

  Outcome solve(Direction direction, ConstVector b, Vector x, const Goal& goal, Monitor& monitor) override {
    std::optional<Hierarchy>& hierarchy = of(direction);
    if (!hierarchy) hierarchy.emplace(systems_[direction], coarsening_);
    const auto cycle = [&](ConstVector residual, Vector correction) { hierarchy->cycle(residual, correction); };
    return GcrSolver{"multigrid", systems_[direction], cycle, kDirections, kMostIterations, kSlowest}.solve(b, x, goal,
                                                                                                            monitor);
  }

 private:
  std::optional<Hierarchy>& of(Direction direction) { return hierarchies_[direction == Direction::kForward ? 0 : 1]; }

  Systems& systems_;
  Coarsening coarsening_;
  std::array<std::optional<Hierarchy>, 2> hierarchies_;
};

}  // namespace

Candidate make_multigrid(Systems& systems, Direction wanted, Monitor& monitor) {
  const System& system = systems[wanted];
  const double neighbours = static_cast<double>(system.matrix.num_entries) / static_cast<double>(system.size());
  if (neighbours > kMostNeighbours) return {nullptr, "its states have too many neighbours"};
  if (share_both_ways(system.matrix) < kBothWays) return {nullptr, "its moves go one way"};
  auto method = std::make_unique<Multigrid>(systems);
  std::string reason = method->build(wanted, monitor);
  if (!reason.empty()) return {nullptr, std::move(reason)};
  return {std::move(method), {}};
}

}  // namespace rlcore::linear
