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
#include <span>
#include <tuple>
#include <utility>
#include <vector>

#include "rlcore/linear/aggregation.hpp"
#include "rlcore/linear/dense_factors.hpp"
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
    levels_.emplace_back(system);
    double entries = static_cast<double>(finest().num_entries());
    const double most = kMostComplexity * entries;
    while (levels_.back().size() > kCoarsest && reason.empty()) {
      monitor.poll({"multigrid", static_cast<Index>(levels_.size()), 0.0, 0.0});
      const LevelMatrix& fine = levels_.back();
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
    levels_.emplace_back(system);
    for (const Aggregation& aggregation : coarsening_) {
      LevelMatrix coarse = aggregation.coarse(levels_.back(), team_);
      levels_.emplace_back(std::move(coarse));
    }
    factorise_coarsest();
  }

  /// x = an approximation of A^-1 b on the finest level.
  template <class Number>
  void cycle(std::span<const Number> b, std::span<Number> x) {
    cycle<Number>(0, b, x, std::vector<char>(kLanesOf<Number>, 0));
  }

 private:
  /// What the lanes of one level need while they are at work.
  template <class Number>
  struct Work {
    Numbers<Number> smoothed;
    Numbers<Number> coarse_residual;  // of the aggregates
    Numbers<Number> coarse_correction;
    std::optional<Gcr<Number>> gcr;  // that solves this level for the one above
  };
  template <class Number>
  using WorkOfLevels = std::vector<Work<Number>>;

  const LevelMatrix& finest() const { return levels_.front(); }
  bool is_coarsest(std::size_t number) const { return number + 1 == levels_.size(); }

  /// Memory for lanes of a width, taken when they first come.
  template <class Number>
  Work<Number>& work(std::size_t number) {
    WorkOfLevels<Number>& works = std::get<WorkOfLevels<Number>>(works_);
    while (works.size() < levels_.size()) {
      const std::size_t level = works.size();
      Work<Number>& work = works.emplace_back();
      work.smoothed.resize(at(levels_[level].size()));
      if (!is_coarsest(level)) {
        work.coarse_residual.resize(at(levels_[level + 1].size()));
        work.coarse_correction.resize(at(levels_[level + 1].size()));
      }
      // A large last level, all of whose rows are dominant, is smoothed only, and needs the steps around it too.
      const bool is_dense = is_coarsest(level) && levels_[level].size() <= kCoarsest;
      if (level > 0 && !is_dense) work.gcr.emplace(levels_[level].size(), 2, team_);
    }
    return works[number];
  }

  void factorise_coarsest() {
    const LevelMatrix& a = levels_.back();
    if (a.size() > kCoarsest) return;  // every row is dominant: smoothing is enough
    Eigen::MatrixXd dense = Eigen::MatrixXd::Zero(a.size(), a.size());
    for (Index row = 0; row < a.size(); ++row) {
      dense(row, row) = a.diagonal(row);
      for (const auto& [column, value] : a.row(row)) dense(row, column) += value;
    }
    coarsest_ = DenseFactors(Eigen::PartialPivLU<Eigen::MatrixXd>(dense));
  }

  /// Smooths down, corrects from the level below, smooths up.
  template <class Number>
  void cycle(std::size_t number, std::span<const Number> b, std::span<Number> x, const std::vector<char>& done) {
    const LevelMatrix& a = levels_[number];
    if (is_coarsest(number) && a.size() <= kCoarsest) {
      std::copy(b.begin(), b.end(), x.begin());
      coarsest_.solve(x);
      return;
    }
    std::span<Number> smoothed = work<Number>(number).smoothed;
    smooth_down<Number>(a, b, smoothed);
    if (!is_coarsest(number)) add_coarse_correction<Number>(number, smoothed, done);
    smooth_up<Number>(a, b, smoothed, x);
  }

  /// Solves for the aggregates' residuals on the next level by one or two steps of GCR.
  template <class Number>
  void add_coarse_correction(std::size_t number, std::span<Number> x, const std::vector<char>& done) {
    Work<Number>& here = work<Number>(number);
    const Aggregation& aggregation = coarsening_[number];
    std::span<Number> correction = here.coarse_correction;
    restrict_residual<Number>(levels_[number], aggregation, x, here.coarse_residual);
    std::fill(correction.begin(), correction.end(), Number{});
    solve_coarse<Number>(number + 1, here.coarse_residual, correction, done);
    for_states(levels_[number].size(), [&](Index state) {
      if (aggregation.of(state) >= 0) x[at(state)] += correction[at(aggregation.of(state))];
    });
  }

  /// Lanes for which one step is enough take nothing of the second.
  template <class Number>
  void solve_coarse(std::size_t number, std::span<Number> residual, std::span<Number> x, std::vector<char> done) {
    std::optional<Gcr<Number>>& gcr = work<Number>(number).gcr;
    if (!gcr) return cycle<Number>(number, residual, x, done);
    const Number before = dot<Number>(residual, residual, team_);
    while (!gcr->full() && std::find(done.begin(), done.end(), 0) != done.end()) {
      cycle<Number>(number, residual, gcr->direction(), done);
      apply<Number>(levels_[number], gcr->direction(), gcr->image());
      const Number left = gcr->take(residual, done);
      for (std::size_t k = 0; k < kLanesOf<Number>; ++k) {
        if (lane(left, k) <= kEnough * std::sqrt(lane(before, k))) done[k] = 1;
      }
    }
    gcr->finish(x);
  }

  /// x = (D + L)^-1 b, L the part of A left of the diagonal within blocks.
  template <class Number>
  void smooth_down(const LevelMatrix& a, std::span<const Number> b, std::span<Number> x) {
    for_states(a.size(), [&](Index row) {
      x[at(row)] = a.inverse_diagonal(row) * (b[at(row)] - product<Number>(a.left(row), x));
    });
  }

  /// The sums over aggregates of b - A x, for the x that was smoothed down from zero: all that is left of A.
  template <class Number>
  void restrict_residual(const LevelMatrix& a, const Aggregation& aggregation, std::span<const Number> x,
                         std::span<Number> of_aggregates) {
    for_states(aggregation.count(), [&](Index aggregate) {
      Number sum{};
      for (const Column row : aggregation.members(aggregate)) sum -= product<Number>(a.all_but_left(row), x);
      of_aggregates[at(aggregate)] = sum;
    });
  }

  /// y = x + (D + U)^-1 (b - A x), U the part of A right of the diagonal within blocks: row by row the y that solves
  /// its equation, with y where that is known already.
  template <class Number>
  void smooth_up(const LevelMatrix& a, std::span<const Number> b, std::span<const Number> x, std::span<Number> y) {
    team_.for_blocks(a.size(), kBlock, [&](Index first, Index last, Index) {
      for (Index row = last - 1; row >= first; --row) {
        const Number known = b[at(row)] - product<Number>(a.left(row), x) - product<Number>(a.outside(row), x);
        y[at(row)] = a.inverse_diagonal(row) * (known - product<Number>(a.right(row), y));
      }
    });
  }

  /// y = A x
  template <class Number>
  void apply(const LevelMatrix& a, std::span<const Number> x, std::span<Number> y) {
    for_states(a.size(),
               [&](Index row) { y[at(row)] = a.diagonal(row) * x[at(row)] + product<Number>(a.row(row), x); });
  }

  template <class Number>
  static Number product(std::span<const LevelMatrix::Entry> entries, std::span<const Number> x) {
    Number sum{};
    for (const auto& [column, value] : entries) sum += value * x[at(column)];
    return sum;
  }

  template <class Body>
  void for_states(Index size, Body&& body) {
    team_.for_blocks(size, kBlock, [&](Index first, Index last, Index) {
      for (Index state = first; state < last; ++state) body(state);
    });
  }

  Team& team_;
  Coarsening& coarsening_;
  std::vector<LevelMatrix> levels_;
  DenseFactors coarsest_;
  std::tuple<WorkOfLevels<double>, WorkOfLevels<LaneArray<2>>, WorkOfLevels<LaneArray<4>>, WorkOfLevels<LaneArray<8>>>
      works_;
};

class Multigrid final : public LaneMethod {
 public:
  explicit Multigrid(Systems& systems) : systems_(systems) {}

  /// Builds the levels of one direction; the reason if they are not suitable.
  std::string build(Direction direction, Monitor& monitor) {
    std::string reason;
    of(direction).emplace(systems_[direction], coarsening_, reason, monitor);
    return reason;
  }

  std::vector<Outcome> solve_together(Direction direction, std::span<const Lane> lanes, Monitor& monitor) override {
    std::optional<Hierarchy>& hierarchy = of(direction);
    if (!hierarchy) hierarchy.emplace(systems_[direction], coarsening_);
    return with_lanes(lanes.size(), [&]<class Number>() {
      const auto cycle = [&](std::span<const Number> b, std::span<Number> x) { hierarchy->cycle<Number>(b, x); };
      const GcrSolver<Number> solver{"multigrid", systems_[direction], cycle, kDirections, kMostIterations, kSlowest};
      return solver.solve(lanes, monitor);
    });
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
