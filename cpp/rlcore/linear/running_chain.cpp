#include "rlcore/linear/running_chain.hpp"
#include "rlcore/linear/local_traits.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace rlcore::linear {
namespace {

/// Sweeps after which the rate is judged, and the rate, a sweep, that is worth it.
constexpr std::size_t kProbe = 12;
constexpr double kSlowestSweep = 0.75;

/// Beyond so many neighbours a state has no place on a map, and multigrid's levels fill up.

constexpr Index kDirections = 8;  // GCR starts again after so many
constexpr std::size_t kWindow = 5;
constexpr double kSlowestStep = 0.6;

/// What one solve in doubles can be trusted to gain; refinement adds the rest.
constexpr double kMostGain = 1e-13;

/// x += term and, unless it is empty, bias_of_x += weight term; next = M term - shift. Returns the extent of `next`.
Extent add_power(const System& p, ConstVector term, double shift, Vector next, Vector x, double weight,
                 Vector bias_of_x) {
  std::vector<Extent> partial(at(num_blocks(p.size())));
  p.team->for_blocks(p.size(), kBlock, [&](Index first, Index last, Index block) {
    Extent extent;
    for (Index row = first; row < last; ++row) {
      const auto i = at(row);
      next[i] = p.matrix.row_product(row, term.data()) - shift;
      extent.include(next[i]);
      x[i] += term[i];
      if (!bias_of_x.empty()) bias_of_x[i] += weight * term[i];
    }
    partial[at(block)] = extent;
  });
  Extent all;
  for (const Extent& extent : partial) all.include(extent);
  return all;
}

/// Whether the last steps lowered the residual by too little, each by less than `slowest`.
bool is_slow(const std::vector<double>& history, std::size_t probe, std::size_t window, double slowest) {
  if (history.size() < probe) return false;
  return !(history.back() <= std::pow(slowest, window) * history[history.size() - 1 - window]);
}

}  // namespace

RunningChain::RunningChain(const Chain& chain, CsrMatrix transition, Team& team, Monitor& monitor)
    : chain_(chain), team_(team), monitor_(monitor) {
  systems_[Direction::kForward] = running_system(std::move(transition), Direction::kForward, team);
}

const System& RunningChain::system(Direction direction) {
  std::optional<System>& system = systems_[direction];
  // Forwards there is one from the start.
  if (!system) system = running_system(chain_.transposed_transition(team_), direction, team_);
  return *system;
}

bool RunningChain::solve(Direction direction, ConstVector b, double enough, Vector x, Vector bias_of_h) {
  if (mixes_) {
    if (sum_powers(direction, b, enough, x, bias_of_h)) return true;
    mixes_ = false;
  }
  std::fill(bias_of_h.begin(), bias_of_h.end(), 0.0);
  return solve_by_multigrid(direction, b, enough, x);
}

/// Forwards, terms are held near zero by constants, which h is free of: each term lacks the middle of the one before.
bool RunningChain::sum_powers(Direction direction, ConstVector b, double enough, Vector x, Vector bias_of_h) {
  const System& p = system(direction);
  const bool forward = direction == Direction::kForward;
  auto term = unset<Doubles>(ssize(b));
  auto next = unset<Doubles>(ssize(b));
  team_.for_blocks(ssize(b), kBlock, [&](Index first, Index last, Index) {
    for (auto i = at(first); i < at(last); ++i) {
      term[i] = b[i];
      x[i] = 0.0;
      if (!bias_of_h.empty()) bias_of_h[i] = 0.0;
    }
  });
  Extent extent = extent_of(term, team_);
  std::vector<double> history{p.residual_norm(extent)};
  while (history.back() > enough && history.back() > kMostGain * history.front()) {
    if (is_slow(history, kProbe, 4, kSlowestSweep)) return false;
    const double shift = forward ? (extent.lower + extent.upper) / 2.0 : 0.0;
    extent = add_power(p, term, shift, next, x, static_cast<double>(history.size()), bias_of_h);
    std::swap(term, next);
    history.push_back(p.residual_norm(extent));
    ++iterations_;
    monitor_.poll({"renewal sweeps", iterations_, history.back(), enough});
  }
  return true;
}

bool RunningChain::build_multigrid(Direction direction) {
  std::optional<Hierarchy>& hierarchy = hierarchies_[direction];
  if (hierarchy) return true;
  const System& p = system(direction);
  if (!has_few_neighbours(p.matrix)) return false;
  std::string reason;
  hierarchy.emplace(p, coarsening_, reason, monitor_);
  if (!reason.empty()) hierarchy.reset();
  return hierarchy.has_value();
}

/// Forwards, the gain is a part of every residual: residuals and images are taken without their mean.
bool RunningChain::solve_by_multigrid(Direction direction, ConstVector b, double enough, Vector x) {
  if (!build_multigrid(direction)) return false;
  const System& p = system(direction);
  if (!gcr_) gcr_.emplace(ssize(b), kDirections, team_);
  Gcr<double>& gcr = *gcr_;
  Doubles residual(b.begin(), b.end());
  p.remove_free_part<double>(residual);
  std::fill(x.begin(), x.end(), 0.0);
  const std::vector<char> not_done(1, 0);
  const double initial = p.residual_norm(residual);
  double left = initial;
  std::vector<double> history{std::sqrt(dot(residual, residual, team_))};
  while (left > enough && left > kMostGain * initial) {
    if (is_slow(history, 2 * kWindow, kWindow, kSlowestStep)) break;
    hierarchies_[direction]->cycle<double>(residual, gcr.direction());
    p.apply<double>(gcr.direction(), gcr.image());
    p.remove_free_part<double>(gcr.image());
    history.push_back(gcr.take(residual, not_done));
    left = p.residual_norm(residual);
    if (gcr.full()) gcr.finish(x);
    ++iterations_;
    monitor_.poll({"renewal multigrid", iterations_, left, enough});
    if (!std::isfinite(left)) break;
  }
  gcr.finish(x);
  return std::isfinite(left) && (left <= enough || left <= 0.1 * initial);
}

}  // namespace rlcore::linear
