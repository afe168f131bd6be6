#include "rlcore/discounted_sums.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "rlcore/batch.hpp"
#include "rlcore/extent.hpp"
#include "rlcore/policy.hpp"

// The sweeps are compiled for wide vectors too, and chosen by the machine; the bits are the same either way.
#if defined(__GNUC__)
#define RLCORE_INLINE [[gnu::always_inline]] inline
#else
#define RLCORE_INLINE inline
#endif

namespace rlcore {
namespace {

/// Policies that share a pass over the transitions.
constexpr int kMostLanes = 8;

/// Smaller models are solved directly, and larger ones one policy after the other.
constexpr Index kFewestStates = 512;
constexpr Index kMostPairs = Index{1} << 25;

/// Sweeps after which the contraction is judged, and how many there may be in all.
constexpr Index kProbe = 6;
constexpr Index kMostSweeps = 80;

/// The part of the error asked for at which sweeping ends: rounding takes the rest.
constexpr double kShare = 0.5;

template <int kLanes>
using Lanes = std::array<double, kLanes>;

/// Numbers of each lane, state by state.
template <int kLanes>
using LaneVector = std::vector<Lanes<kLanes>, LargeAllocator<Lanes<kLanes>>>;

/// The least and the largest change of a sweep, and the largest number, of each lane.
template <int kLanes>
struct SweepExtent {
  Lanes<kLanes> least, most, largest;

  SweepExtent() {
    least.fill(std::numeric_limits<double>::infinity());
    most.fill(-std::numeric_limits<double>::infinity());
    largest.fill(0.0);
  }
  RLCORE_INLINE void include(const Lanes<kLanes>& before, const Lanes<kLanes>& after) {
    for (int lane = 0; lane < kLanes; ++lane) {
      const double change = after[lane] - before[lane];
      least[lane] = change < least[lane] ? change : least[lane];
      most[lane] = change > most[lane] ? change : most[lane];
      const double size = std::fabs(after[lane]);
      largest[lane] = size > largest[lane] ? size : largest[lane];
    }
  }
  void include(const SweepExtent& other) {
    for (int lane = 0; lane < kLanes; ++lane) {
      least[lane] = std::min(least[lane], other.least[lane]);
      most[lane] = std::max(most[lane], other.most[lane]);
      largest[lane] = std::max(largest[lane], other.largest[lane]);
    }
  }
};

/// y = f + discount P_pi x of each lane, in the states [first, last).
template <int kLanes>
struct SweepTask {
  const Mdp& mdp;
  double discount;
  const Lanes<kLanes>* weight;  // of each pair
  const Lanes<kLanes>* f;
  const Lanes<kLanes>* x;
  Lanes<kLanes>* y;
  Index first, last;
};

template <int kLanes>
RLCORE_INLINE SweepExtent<kLanes> sweep_states(const SweepTask<kLanes>& task) {
  SweepExtent<kLanes> extent;
  const Mdp& mdp = task.mdp;
  for (Index state = task.first; state < task.last; ++state) {
    Lanes<kLanes> ahead{};
    for (Index pair = mdp.first_pair(state); pair < mdp.first_pair(state + 1); ++pair) {
      const Row row = mdp.row(pair);
      Lanes<kLanes> mean{};
      for (Index k = 0; k < row.length; ++k) {
        prefetch(task.x + row.upcoming(k));
        const double probability = row.probability[k];
        const Lanes<kLanes>& x = task.x[row.column[k]];
        for (int lane = 0; lane < kLanes; ++lane) mean[lane] += probability * x[lane];
      }
      for (int lane = 0; lane < kLanes; ++lane) ahead[lane] += task.weight[pair][lane] * mean[lane];
    }
    Lanes<kLanes>& y = task.y[state];
    for (int lane = 0; lane < kLanes; ++lane) y[lane] = task.f[state][lane] + task.discount * ahead[lane];
    extent.include(task.x[state], y);
  }
  return extent;
}

#if defined(__GNUC__) && defined(__x86_64__)
template <int kLanes>
[[gnu::target("avx2")]] SweepExtent<kLanes> sweep_by_avx2(const SweepTask<kLanes>& task) {
  return sweep_states(task);
}
template <int kLanes>
SweepExtent<kLanes> sweep_for_this_machine(const SweepTask<kLanes>& task) {
  return __builtin_cpu_supports("avx2") != 0 ? sweep_by_avx2(task) : sweep_states(task);
}
#else
template <int kLanes>
SweepExtent<kLanes> sweep_for_this_machine(const SweepTask<kLanes>& task) {
  return sweep_states(task);
}
#endif

/// Span iteration for a few policies at a time: the change of a sweep bounds what is missing (MacQueen 1966).
template <int kLanes>
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
    const Index size = mdp.num_states();
    for (std::size_t lane = 0; lane < policies.size(); ++lane) {
      const Interval sum = check_policy(mdp, policies[lane], first_item + static_cast<Index>(lane));
      deficit_[lane] = Chain(mdp, policies[lane], sum).deficit(discount);
    }
    team.for_blocks(mdp.num_pairs(), kBlock, [&](Index first, Index last, Index) {
      for (Index pair = first; pair < last; ++pair) {
        for (std::size_t lane = 0; lane < policies.size(); ++lane) weight_[at(pair)][lane] = policies[lane][at(pair)];
      }
    });
    team.for_blocks(size, kBlock, [&](Index first, Index last, Index) {
      for (Index state = first; state < last; ++state) {
        for (std::size_t lane = 0; lane < policies.size(); ++lane) {
          f_[at(state)][lane] = functions[lane * at(size) + at(state)];
        }
        x_[at(state)] = f_[at(state)];
      }
    });
  }

  /// Finds the sums of the policies that contract in time. Returns which do.
  std::vector<char> solve(std::span<DiscountedSums> results, Monitor& monitor) {
    std::vector<char> open(policies_.size(), 1);
    std::vector<char> solved(policies_.size(), 0);
    Lanes<kLanes> before{};
    for (Index sweeps = 1; sweeps <= kMostSweeps; ++sweeps) {
      const SweepExtent<kLanes> extent = sweep();
      double worst = 0.0;
      for (std::size_t lane = 0; lane < policies_.size(); ++lane) {
        if (open[lane] == 0) continue;
        const Claim claim = claim_of(extent, lane);
        const double scale = extent.largest[lane] + std::fabs(claim.shift);
        const double spread = extent.most[lane] - extent.least[lane];
        if (claim.error <= std::max(kShare * tolerance_ * scale, claim.floor)) {
          conclude(lane, claim, scale, sweeps, results[lane]);
          solved[lane] = 1;
          open[lane] = 0;
        } else if (sweeps >= kProbe && !contracts(spread / before[lane], claim, scale, sweeps)) {
          open[lane] = 0;
        }
        before[lane] = spread;
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

  SweepExtent<kLanes> sweep() {
    std::vector<SweepExtent<kLanes>> parts(at(num_blocks(mdp_.num_states())));
    team_.for_blocks(mdp_.num_states(), kBlock, [&](Index first, Index last, Index block) {
      parts[at(block)] = sweep_for_this_machine(
          SweepTask<kLanes>{mdp_, discount_, weight_.data(), f_.data(), x_.data(), y_.data(), first, last});
    });
    SweepExtent<kLanes> all;
    for (const SweepExtent<kLanes>& part : parts) all.include(part);
    return all;
  }

  /// Let w = (I - discount P) 1. The change y - x is the residual of x, up to rounding, and low w <= residual <= high w
  /// proves low <= v - x <= high; v - y is discount P times that.
  Claim claim_of(const SweepExtent<kLanes>& extent, std::size_t lane) const {
    const double least = extent.least[lane];
    const double most = extent.most[lane];
    const double terms = static_cast<double>(mdp_.max_row_length() + mdp_.max_num_actions() + 8);
    const double size = extent.largest[lane] + std::max(std::fabs(least), std::fabs(most));
    if (size == 0.0) return {};
    const double rounding = 3.0 * terms * (kUnitRoundoff * size + std::numeric_limits<double>::min());
    const Interval w = deficit_[lane];
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
  void conclude(std::size_t lane, const Claim& claim, double scale, Index sweeps, DiscountedSums& result) const {
    result.value.resize(at(mdp_.num_states()));
    team_.for_blocks(mdp_.num_states(), kBlock, [&](Index first, Index last, Index) {
      for (auto state = at(first); state < at(last); ++state) result.value[state] = y_[state][lane] + claim.shift;
    });
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
  LaneVector<kLanes> weight_, f_, x_, y_;
  std::array<Interval, kLanes> deficit_;
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
template <int kLanes>
void sweep_together(const Mdp& mdp, std::span<const ConstVector> policies, ConstVector functions, double discount,
                    const Options& options, std::size_t first, Team& team, Monitor& monitor,
                    std::span<DiscountedSums> results, std::vector<char>& solved) {
  const std::size_t count = std::min(policies.size() - first, at(kLanes));
  const std::size_t size = at(mdp.num_states());
  SharedSweeps<kLanes> sweeps(mdp, policies.subspan(first, count), functions.subspan(first * size, count * size),
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
      // An answer is the same for any number of lanes; one lane alone moves less memory.
      const auto together = policies.size() - first == 1 ? sweep_together<1> : sweep_together<kMostLanes>;
      together(mdp, policies, functions, discount, options, first, team, monitor, results, solved);
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
