#include "rlcore/discounted_sums.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "rlcore/batch.hpp"
#include "rlcore/extent.hpp"
#include "rlcore/lanes.hpp"
#include "rlcore/policy.hpp"

namespace rlcore {
namespace {

/// Smaller models are solved directly, and larger ones one policy after the other.
constexpr Index kFewestStates = 512;
constexpr Index kMostPairs = Index{1} << 25;

/// Sweeps after which the contraction is judged, and how many there may be in all.
constexpr Index kProbe = 6;
constexpr Index kMostSweeps = 80;

/// The part of the error asked for at which sweeping ends: rounding takes the rest.
constexpr double kShare = 0.5;

using std::fabs;
using std::max;
using std::min;

/// The least and the largest change of a sweep, and the largest number, of each lane.
template <class Number>
struct SweepExtent {
  Number least = in_every_lane<Number>(std::numeric_limits<double>::infinity());
  Number most = in_every_lane<Number>(-std::numeric_limits<double>::infinity());
  Number largest{};

  RLCORE_INLINE void include(const Number& before, const Number& after) {
    const Number change = after - before;
    least = min(least, change);
    most = max(most, change);
    largest = max(largest, fabs(after));
  }
  void include(const SweepExtent& other) {
    least = min(least, other.least);
    most = max(most, other.most);
    largest = max(largest, other.largest);
  }
};

/// y = f + discount P_pi x of each lane, in the states [first, last).
template <class Number>
struct SweepTask {
  const Mdp& mdp;
  double discount;
  const Number* weight;  // of each pair
  const Number* f;
  const Number* x;
  Number* y;
  Index first, last;
};

// Compiled for wide vectors too, and chosen by the machine; the bits are the same either way.
template <class Number>
RLCORE_INLINE SweepExtent<Number> sweep_states(const SweepTask<Number>& task) {
  SweepExtent<Number> extent;
  const Mdp& mdp = task.mdp;
  for (Index state = task.first; state < task.last; ++state) {
    Number ahead{};
    for (Index pair = mdp.first_pair(state); pair < mdp.first_pair(state + 1); ++pair) {
      const Row row = mdp.row(pair);
      Number mean{};
      for (Index k = 0; k < row.length; ++k) {
        prefetch(task.x + row.upcoming(k));
        mean += row.probability[k] * task.x[row.column[k]];
      }
      ahead += task.weight[pair] * mean;
    }
    task.y[state] = task.f[state] + task.discount * ahead;
    extent.include(task.x[state], task.y[state]);
  }
  return extent;
}

#if defined(__GNUC__) && defined(__x86_64__)
template <class Number>
[[gnu::target("avx2")]] SweepExtent<Number> sweep_by_avx2(const SweepTask<Number>& task) {
  return sweep_states(task);
}
template <class Number>
SweepExtent<Number> sweep_for_this_machine(const SweepTask<Number>& task) {
  return __builtin_cpu_supports("avx2") != 0 ? sweep_by_avx2(task) : sweep_states(task);
}
#else
template <class Number>
SweepExtent<Number> sweep_for_this_machine(const SweepTask<Number>& task) {
  return sweep_states(task);
}
#endif

/// Span iteration for a few policies at a time: the change of a sweep bounds what is missing (MacQueen 1966).
template <class Number>
class SharedSweeps {
 public:
  SharedSweeps(const Mdp& mdp, std::span<const ConstVector> policies, ConstVector functions, double discount,
               const Options& options, Team& team, Index first_item)
      : mdp_(mdp),
        policies_(policies),
        discount_(discount),
        tolerance_(options.tolerance),
        team_(team),
        weight_(at(mdp.num_pairs())),
        f_(at(mdp.num_states())),
        x_(at(mdp.num_states())),
        y_(at(mdp.num_states())) {
    for (std::size_t k = 0; k < policies.size(); ++k) {
      const Interval sum = check_policy(mdp, policies[k], first_item + static_cast<Index>(k));
      deficit_.push_back(Chain(mdp, policies[k], sum).deficit(discount));
    }
    std::vector<ConstVector> separate;
    for (std::size_t k = 0; k < policies.size(); ++k) {
      separate.push_back(functions.subspan(k * at(mdp.num_states()), at(mdp.num_states())));
    }
    interleave<Number>(policies, weight_, team);
    interleave<Number>(separate, f_, team);
    x_ = f_;
  }

  /// Finds the sums of the policies that contract in time. Returns which do.
  std::vector<char> solve(std::span<DiscountedSums> results, Monitor& monitor) {
    std::vector<char> open(policies_.size(), 1);
    std::vector<char> solved(policies_.size(), 0);
    std::vector<double> before(policies_.size());
    for (Index sweeps = 1; sweeps <= kMostSweeps; ++sweeps) {
      const SweepExtent<Number> extent = sweep();
      double worst = 0.0;
      for (std::size_t k = 0; k < policies_.size(); ++k) {
        if (open[k] == 0) continue;
        const Claim claim = claim_of(extent, k);
        const double scale = lane(extent.largest, k) + std::fabs(claim.shift);
        const double spread = lane(extent.most, k) - lane(extent.least, k);
        if (claim.error <= std::max(kShare * tolerance_ * scale, claim.floor)) {
          conclude(k, claim, scale, sweeps, results[k]);
          solved[k] = 1;
          open[k] = 0;
        } else if (sweeps >= kProbe && !contracts(spread / before[k], claim, scale, sweeps)) {
          open[k] = 0;
        }
        before[k] = spread;
        worst = std::max(worst, claim.error / scale);
      }
      std::swap(x_, y_);
      if (std::find(open.begin(), open.end(), 1) == open.end()) break;
      monitor.poll({"shared sweeps", sweeps, worst, tolerance_});
    }
    return solved;
  }

 private:
  /// What a sweep says of the distance from its result to the sums.
  struct Claim {
    double shift = 0.0;
    double error = 0.0;
    double floor = 0.0;  // what rounding alone could claim
  };

  SweepExtent<Number> sweep() {
    std::vector<SweepExtent<Number>> parts(at(num_blocks(mdp_.num_states())));
    team_.for_blocks(mdp_.num_states(), kBlock, [&](Index first, Index last, Index block) {
      parts[at(block)] = sweep_for_this_machine(
          SweepTask<Number>{mdp_, discount_, weight_.data(), f_.data(), x_.data(), y_.data(), first, last});
    });
    SweepExtent<Number> all;
    for (const SweepExtent<Number>& part : parts) all.include(part);
    return all;
  }

  /// Let w = (I - discount P) 1. The change y - x is the residual of x, up to rounding, and low w <= residual <= high w
  /// proves low <= v - x <= high; v - y is discount P times that.
  Claim claim_of(const SweepExtent<Number>& extent, std::size_t k) const {
    const double least = lane(extent.least, k);
    const double most = lane(extent.most, k);
    const double terms = static_cast<double>(mdp_.max_row_length() + mdp_.max_num_actions() + 8);
    const double size = lane(extent.largest, k) + std::max(std::fabs(least), std::fabs(most));
    if (size == 0.0) return {};
    const double rounding = 3.0 * terms * (kUnitRoundoff * size + std::numeric_limits<double>::min());
    const Interval w = deficit_[k];
    const double low = (least - rounding) / (least < rounding ? w.lower : w.upper);
    const double high = (most + rounding) / (most > -rounding ? w.lower : w.upper);
    const double lower = low * (1.0 - (low < 0.0 ? w.lower : w.upper)) - rounding;
    const double upper = high * (1.0 - (high > 0.0 ? w.lower : w.upper)) + rounding;
    return {0.5 * (lower + upper), 0.5 * (upper - lower) * (1.0 + 32.0 * kUnitRoundoff), 4.0 * rounding / w.lower};
  }

  /// Whether changes that shrink at this rate are small in time.
  bool contracts(double rate, const Claim& claim, double scale, Index sweeps) const {
    if (!(rate < 1.0)) return false;
    const double enough = std::max(kShare * tolerance_ * scale, claim.floor);
    return static_cast<double>(sweeps) + std::log(enough / claim.error) / std::log(rate) <= kMostSweeps;
  }

  /// y and the shift.
  void conclude(std::size_t k, const Claim& claim, double scale, Index sweeps, DiscountedSums& result) const {
    result.value.resize(at(mdp_.num_states()));
    take_lane<Number>(y_, k, result.value, team_);
    for (double& value : result.value) value += claim.shift;
    result.bound = claim.error + 2.0 * kUnitRoundoff * scale;
    result.certificate.error_bound = result.bound;
    result.certificate.converged = true;
    result.certificate.iterations = sweeps;
    result.certificate.method = "shared sweeps";
  }

  const Mdp& mdp_;
  std::span<const ConstVector> policies_;
  double discount_;
  double tolerance_;
  Team& team_;
  Numbers<Number> weight_, f_, x_, y_;
  std::vector<Interval> deficit_;
};

/// Sums of one policy by way of its own resolvent.
DiscountedSums sums_of(const Mdp& mdp, ConstVector policy, ConstVector f, double discount, double tolerance, Index item,
                       Team& team, Monitor& monitor) {
  const Chain chain(mdp, policy, check_policy(mdp, policy, item));
  const linear::Kernel kernel(chain, discount);
  linear::Resolvent resolvent(kernel, team, monitor);
  linear::Solution solution = resolvent.solve({twofold(f), 0.0}, tolerance);
  DiscountedSums result;
  result.certificate = std::move(solution.certificate);
  const double rounding = rounding_of(solution.x, team).largest();
  result.bound = (result.certificate.error_bound + rounding) * (1.0 + 4.0 * kUnitRoundoff);
  result.value = rounded(solution.x);
  return result;
}

/// Shared sweeps for all policies, so many at a time; returns which were solved.
template <class Number>
void sweep_together(const Mdp& mdp, std::span<const ConstVector> policies, ConstVector functions, double discount,
                    const Options& options, std::size_t first, Team& team, Monitor& monitor,
                    std::span<DiscountedSums> results, std::vector<char>& solved) {
  const std::size_t count = std::min(policies.size() - first, kMostLanes);
  const std::size_t size = at(mdp.num_states());
  SharedSweeps<Number> sweeps(mdp, policies.subspan(first, count), functions.subspan(first * size, count * size),
                              discount, options, team, static_cast<Index>(first));
  const std::vector<char> found = sweeps.solve(results.subspan(first, count), monitor);
  std::copy(found.begin(), found.end(), solved.begin() + static_cast<std::ptrdiff_t>(first));
}

}  // namespace

std::vector<DiscountedSums> discounted_sums(const Mdp& mdp, std::span<const ConstVector> policies,
                                            ConstVector functions, double discount, const Options& options,
                                            Monitor& monitor) {
  mdp.ensure_checked(options.num_threads);
  std::vector<DiscountedSums> results(policies.size());
  std::vector<char> solved(policies.size(), 0);
  const bool shares = mdp.num_states() >= kFewestStates && mdp.num_pairs() <= kMostPairs && options.tolerance > 0.0;
  if (shares) {
    Team team(mdp.num_entries() < kParallelEntries ? 1 : options.num_threads);
    for (std::size_t first = 0; first < policies.size(); first += kMostLanes) {
      with_lanes(std::min(policies.size() - first, kMostLanes), [&]<class Number>() {
        sweep_together<Number>(mdp, policies, functions, discount, options, first, team, monitor, results, solved);
      });
    }
  }
  for_policies(mdp, policies.size(), options.num_threads, monitor, [&](std::size_t i, Team& team, Monitor& watch) {
    if (solved[i] != 0) return;
    const ConstVector f = functions.subspan(i * at(mdp.num_states()), at(mdp.num_states()));
    results[i] = sums_of(mdp, policies[i], f, discount, options.tolerance, static_cast<Index>(i), team, watch);
  });
  return results;
}

}  // namespace rlcore
