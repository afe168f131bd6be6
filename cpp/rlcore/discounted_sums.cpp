#include "rlcore/discounted_sums.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "rlcore/batch.hpp"
#include "rlcore/extent.hpp"
#include "rlcore/lanes.hpp"
#include "rlcore/linear/bicgstab.hpp"
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

/// y = f + discount P_pi x of each lane, or y = x - discount P_pi x without an f, in the states [first, last).
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
    if (task.f == nullptr) {
      task.y[state] = task.x[state] - task.discount * ahead;
    } else {
      task.y[state] = task.f[state] + task.discount * ahead;
      extent.include(task.x[state], task.y[state]);
    }
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

/// A few policies side by side, and what proves their sums.
template <class Number>
class PolicyLanes {
 public:
  PolicyLanes(const Mdp& mdp, std::span<const ConstVector> policies, std::span<const ConstVector> functions,
              double discount, double tolerance, Team& team)
      : mdp_(mdp),
        functions_(functions.begin(), functions.end()),
        discount_(discount),
        tolerance_(tolerance),
        team_(team),
        weight_(at(mdp.num_pairs())),
        f_(at(mdp.num_states())),
        x_(at(mdp.num_states())),
        y_(at(mdp.num_states())) {
    for (const ConstVector policy : policies) {
      deficit_.push_back(Chain(mdp, policy, check_policy(mdp, policy, team)).deficit(discount));
    }
    interleave<Number>(policies, weight_, team);
    interleave<Number>(functions, f_, team);
  }

  std::size_t size() const { return functions_.size(); }

  /// Span iteration: the change of a sweep bounds what is missing (MacQueen 1966). Returns which lanes contract in
  /// time, and their sums in `results`.
  std::vector<char> sweep_until_small(std::span<DiscountedSums* const> results, Monitor& monitor) {
    std::vector<char> open(size(), 1);
    std::vector<char> solved(size(), 0);
    std::vector<double> before(size());
    x_ = f_;
    for (Index sweeps = 1; sweeps <= kMostSweeps; ++sweeps) {
      const SweepExtent<Number> extent = sweep();
      double worst = 0.0;
      for (std::size_t k = 0; k < size(); ++k) {
        if (open[k] == 0) continue;
        const Claim claim = claim_of(extent, k);
        const double spread = lane(extent.most, k) - lane(extent.least, k);
        if (claim.is_good) {
          conclude(k, claim, {sweeps, "shared sweeps"}, *results[k]);
          solved[k] = 1;
          open[k] = 0;
        } else if (sweeps >= kProbe && !contracts(spread / before[k], claim, sweeps)) {
          open[k] = 0;
        }
        before[k] = spread;
        worst = std::max(worst, claim.error / claim.scale);
      }
      std::swap(x_, y_);
      if (std::find(open.begin(), open.end(), 1) == open.end()) break;
      monitor.poll({"shared sweeps", sweeps, worst, tolerance_});
    }
    return solved;
  }

  /// BiCGSTAB with the factors of another policy, judged by a sweep. Returns which lanes it solves.
  std::vector<char> solve_by_krylov(const linear::System& frame, const linear::IncompleteLu& factors,
                                    std::span<DiscountedSums* const> results, Monitor& monitor) {
    std::vector<Doubles> answers(size(), Doubles(at(mdp_.num_states())));
    std::vector<linear::Lane> lanes;
    for (std::size_t k = 0; k < size(); ++k) {
      const linear::Goal goal{.tolerance = kShare * tolerance_,
                              .initial = frame.residual_norm(functions_[k]),
                              .amplification = 1.0 / deficit_[k].lower};
      lanes.push_back({functions_[k], answers[k], goal});
    }
    const linear::Operator<Number> a{[&](std::span<const Number> x, std::span<Number> y) { apply(nullptr, x, y); },
                                     [&](std::span<const Number> b, std::span<const Number> x, std::span<Number> r) {
                                       apply(b.data(), x, r);
                                       subtract(x, r);
                                     }};
    linear::Bicgstab<Number> solver(frame, a, "shared BiCGSTAB", &factors, lanes);
    const std::vector<linear::Outcome> outcomes = solver.solve(monitor);
    interleave<Number>(std::vector<ConstVector>(answers.begin(), answers.end()), x_, team_);
    const SweepExtent<Number> extent = sweep();
    std::vector<char> solved(size(), 0);
    for (std::size_t k = 0; k < size(); ++k) {
      const Claim claim = claim_of(extent, k);
      if (outcomes[k].gave_up || !claim.is_good) continue;
      conclude(k, claim, {outcomes[k].iterations, "shared BiCGSTAB"}, *results[k]);
      solved[k] = 1;
    }
    return solved;
  }

 private:
  /// What a sweep says of the distance from its result to the sums.
  struct Claim {
    double shift = 0.0;
    double error = 0.0;
    double floor = 0.0;  // what rounding alone could claim
    double scale = 0.0;  // the largest number
    bool is_good = true;
  };

  struct Found {
    Index iterations;
    const char* method;
  };

  /// y = f + discount P x.
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

  /// y = (I - discount P) x, or b + discount P x.
  void apply(const Number* b, std::span<const Number> x, std::span<Number> y) const {
    team_.for_blocks(mdp_.num_states(), kBlock, [&](Index first, Index last, Index) {
      sweep_for_this_machine(SweepTask<Number>{mdp_, discount_, weight_.data(), b, x.data(), y.data(), first, last});
    });
  }

  void subtract(std::span<const Number> x, std::span<Number> y) const {
    team_.for_blocks(mdp_.num_states(), kBlock, [&](Index first, Index last, Index) {
      for (auto state = at(first); state < at(last); ++state) y[state] -= x[state];
    });
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
    Claim claim{.shift = 0.5 * (lower + upper),
                .error = 0.5 * (upper - lower) * (1.0 + 32.0 * kUnitRoundoff),
                .floor = 4.0 * rounding / w.lower};
    claim.scale = lane(extent.largest, k) + std::fabs(claim.shift);
    claim.is_good = claim.error <= enough(claim);
    return claim;
  }

  double enough(const Claim& claim) const { return std::max(kShare * tolerance_ * claim.scale, claim.floor); }

  /// Whether changes that shrink at this rate are small in time.
  bool contracts(double rate, const Claim& claim, Index sweeps) const {
    return rate < 1.0 &&
           static_cast<double>(sweeps) + std::log(enough(claim) / claim.error) / std::log(rate) <= kMostSweeps;
  }

  /// y and the shift.
  void conclude(std::size_t k, const Claim& claim, const Found& found, DiscountedSums& result) const {
    result.value.resize(at(mdp_.num_states()));
    take_lane<Number>(y_, k, result.value, team_);
    for (double& value : result.value) value += claim.shift;
    result.bound = claim.error + 2.0 * kUnitRoundoff * claim.scale;
    result.certificate.error_bound = result.bound;
    result.certificate.converged = true;
    result.certificate.iterations = found.iterations;
    result.certificate.method = found.method;
  }

  const Mdp& mdp_;
  std::vector<ConstVector> functions_;
  double discount_;
  double tolerance_;
  Team& team_;
  std::vector<Interval> deficit_;
  Numbers<Number> weight_, f_, x_, y_;
};

/// The policies that are still to be solved, some at a time.
class Shared {
 public:
  Shared(const Mdp& mdp, std::span<const ConstVector> policies, ConstVector functions, double discount,
         const Options& options, Monitor& monitor, std::span<DiscountedSums> results)
      : mdp_(mdp),
        policies_(policies),
        functions_(functions),
        discount_(discount),
        tolerance_(options.tolerance),
        team_(mdp.num_entries() < kParallelEntries ? 1 : options.num_threads),
        monitor_(monitor),
        results_(results) {
    for (std::size_t i = 0; i < policies.size(); ++i) open_.push_back(i);
  }

  void sweep() {
    for_lanes([&](auto& lanes, auto& results) { return lanes.sweep_until_small(results, monitor_); });
  }

  void solve_by_krylov(ConstVector near) {
    if (open_.empty()) return;
    const Chain chain(mdp_, near, check_policy(mdp_, near, team_));
    const linear::Kernel kernel(chain, discount_);
    linear::System system = kernel.assemble(linear::Direction::kForward, team_);
    const bool rough_do = !system.conserves || system.amplification <= linear::kFarthestForRough;
    const auto factors =
        linear::IncompleteLu::factorise(system, rough_do ? linear::kRoughFactors : linear::kFineFactors, monitor_);
    if (!factors) return;
    for_lanes([&](auto& lanes, auto& results) { return lanes.solve_by_krylov(system, *factors, results, monitor_); });
  }

  /// The numbers of those that no method has solved.
  const std::vector<std::size_t>& open() const { return open_; }

 private:
  /// Calls solve(lanes, results) for a few policies after the others; it tells which it solved.
  template <class Solve>
  void for_lanes(Solve&& solve) {
    std::vector<std::size_t> left;
    for (std::size_t first = 0; first < open_.size(); first += kMostLanes) {
      const auto some = std::span(open_).subspan(first, std::min(kMostLanes, open_.size() - first));
      std::vector<ConstVector> policies, functions;
      std::vector<DiscountedSums*> results;
      for (const std::size_t i : some) {
        policies.push_back(policies_[i]);
        functions.push_back(functions_.subspan(i * at(mdp_.num_states()), at(mdp_.num_states())));
        results.push_back(&results_[i]);
      }
      // An answer is the same for any number of lanes; fewer move less memory.
      const std::vector<char> solved = with_lanes(some.size(), [&]<class Number>() {
        PolicyLanes<Number> lanes(mdp_, policies, functions, discount_, tolerance_, team_);
        return solve(lanes, results);
      });
      for (std::size_t k = 0; k < some.size(); ++k) {
        if (solved[k] == 0) left.push_back(some[k]);
      }
    }
    open_ = std::move(left);
  }

  const Mdp& mdp_;
  std::span<const ConstVector> policies_;
  ConstVector functions_;
  double discount_;
  double tolerance_;
  Team team_;
  Monitor& monitor_;
  std::span<DiscountedSums> results_;
  std::vector<std::size_t> open_;
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

}  // namespace

std::vector<DiscountedSums> discounted_sums(const Mdp& mdp, ConstVector near, std::span<const ConstVector> policies,
                                            ConstVector functions, double discount, const Options& options,
                                            Monitor& monitor) {
  mdp.ensure_checked(options.num_threads);
  std::vector<DiscountedSums> results(policies.size());
  std::vector<char> open(policies.size(), 1);
  if (mdp.num_states() >= kFewestStates && mdp.num_pairs() <= kMostPairs && options.tolerance > 0.0) {
    Shared shared(mdp, policies, functions, discount, options, monitor, results);
    shared.sweep();
    shared.solve_by_krylov(near);
    std::fill(open.begin(), open.end(), 0);
    for (const std::size_t i : shared.open()) open[i] = 1;
  }
  for_policies(mdp, policies.size(), options.num_threads, monitor, [&](std::size_t i, Team& team, Monitor& watch) {
    if (open[i] == 0) return;
    const ConstVector f = functions.subspan(i * at(mdp.num_states()), at(mdp.num_states()));
    results[i] = sums_of(mdp, policies[i], f, discount, options.tolerance, static_cast<Index>(i), team, watch);
  });
  return results;
}

}  // namespace rlcore
