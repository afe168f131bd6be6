#include "rlcore/discounted_sums.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <thread>
#include <utility>

#include "rlcore/batch.hpp"
#include "rlcore/extent.hpp"
#include "rlcore/lane_corrections.hpp"
#include "rlcore/policy.hpp"

namespace rlcore {
namespace {

/// Smaller models are solved directly, and larger ones one policy after the other.
constexpr Index kFewestStates = 512;
constexpr Index kMostPairs = Index{1} << 25;

/// Policies that go side by side: a cache line of numbers in single precision. Fewer are faster one by one.
constexpr std::size_t kMostTogether = 16;
constexpr std::size_t kFewestTogether = 3;

/// How many corrections there may be.
constexpr int kMostCorrections = 6;

/// What each correction must at most leave of it.
constexpr double kProgress = 0.1;

/// The part of the error asked for at which correcting ends: rounding takes the rest.
constexpr double kShare = 0.5;

/// The sums of a few policies side by side: guesses in doubles, what their residuals prove, and corrections of these.
template <int kLanes>
class LaneSums {
 public:
  using Number = LaneArray<kLanes>;
  using Single = LaneArray<kLanes, float>;

  /// States whose weights are brought side by side together, while they stay in cache.
  static constexpr Index kRun = 32;

  /// Lanes without a policy repeat the first.
  LaneSums(const Mdp& mdp, const PolicyLanes<Single>& steps, std::span<const ConstVector> policies,
           std::span<const ConstVector> functions, double discount, double tolerance, Team& team, Monitor& monitor)
      : mdp_(mdp),
        policies_(kLanes, policies.front()),
        functions_(kLanes, functions.front()),
        discount_(discount),
        tolerance_(tolerance),
        team_(team),
        monitor_(monitor),
        lanes_(policies.size()),
        x_(at(mdp.num_states())),
        residual_(at(mdp.num_states())),
        correction_(at(mdp.num_states())) {
    std::copy(policies.begin(), policies.end(), policies_.begin());
    std::copy(functions.begin(), functions.end(), functions_.begin());
    for (std::size_t k = 0; k < lanes_.size(); ++k) {
      const Chain chain(mdp, policies[k], steps.row_sum(k));
      lanes_[k].goal.deficit = chain.deficit(discount);
      lanes_[k].constants_are_free = chain.conserves();
      lanes_[k].scale = power_of_two_above(extent_of(functions[k], team).largest());
    }
  }

  /// Corrects sums by a method until they are good or it does not help.
  template <class Method>
  void correct(Method&& method, std::span<DiscountedSums* const> results) {
    for (Lane& lane : lanes_) {
      lane.goal.is_open = !lane.is_solved;
      lane.error = std::numeric_limits<double>::infinity();
    }
    look(Method::kName, results);
    for (int i = 0; i < kMostCorrections && any_is_open(); ++i) {
      std::vector<LaneGoal> goals;
      for (Lane& lane : lanes_) {
        lane.goal.error = next_error(lane) / lane.scale;
        goals.push_back(lane.goal);
      }
      const std::vector<LaneOutcome> outcomes = method.solve(residual_, goals, correction_, monitor_);
      add_correction();
      for (std::size_t k = 0; k < lanes_.size(); ++k) {
        Lane& lane = lanes_[k];
        lane.iterations += outcomes[k].iterations;
        lane.scale = power_of_two_above(next_error(lane) * lane.goal.deficit.lower);
        lane.goal.is_open = lane.goal.is_open && !outcomes[k].gave_up;
      }
      look(Method::kName, results);
    }
  }

  bool all_are_solved() const {
    return std::all_of(lanes_.begin(), lanes_.end(), [](const Lane& lane) { return lane.is_solved; });
  }

  std::vector<char> solved() const {
    std::vector<char> solved;
    for (const Lane& lane : lanes_) solved.push_back(lane.is_solved ? 1 : 0);
    return solved;
  }

 private:
  /// How far a lane has come.
  struct Lane {
    LaneGoal goal;
    bool constants_are_free = false;
    bool is_solved = false;
    double error = std::numeric_limits<double>::infinity();
    double enough = 0.0;  // the error that is small enough
    double shift = 0.0;   // the constant that the guess lacks
    double scale = 1.0;   // the unit of residual and correction, a power of two
    Index iterations = 0;
  };

  /// What a residual says of the distance from a guess to the sums.
  struct Claim {
    double shift = 0.0;
    double error = 0.0;
    double floor = 0.0;   // what rounding alone could claim
    double scale = 0.0;   // the largest number
    double surely = 0.0;  // the same, as far as it is known for planning
  };

  /// Of all states.
  struct Range {
    Extremes<Number> residual, guess;

    void include(const Range& other) {
      residual.include(other.residual);
      guess.include(other.guess);
    }
  };

  bool any_is_open() const {
    return std::any_of(lanes_.begin(), lanes_.end(), [](const Lane& lane) { return lane.goal.is_open; });
  }

  /// What the next correction is to leave: as many as it takes gain the same number of digits each, but the last,
  /// which counts most, a little less than those before it.
  static double next_error(const Lane& lane) {
    const double last = 0.5 * lane.enough;
    const double corrections = std::ceil(std::log(last / lane.error) / std::log(kSingle));
    if (corrections <= 1.0) return last;
    return lane.error * std::max(kSingle, 0.5 * std::pow(last / lane.error, 1.0 / corrections));
  }

  static double largest_of(double least, double most) { return std::max(std::fabs(least), std::fabs(most)); }

  static double power_of_two_above(double x) {
    constexpr int kMostExponent = 1000;
    return x > 0.0 ? std::ldexp(1.0, std::clamp(std::ilogb(x) + 1, -kMostExponent, kMostExponent)) : 1.0;
  }

  /// Forms residuals; concludes the lanes that are good, and gives up those that do not come nearer.
  void look(const char* method, std::span<DiscountedSums* const> results) {
    const Range range = find_residuals();
    std::vector<std::size_t> finished;
    for (std::size_t k = 0; k < lanes_.size(); ++k) {
      Lane& lane = lanes_[k];
      if (!lane.goal.is_open) continue;
      const Claim claim = claim_of(range, k);
      const auto enough_for = [&](double scale) { return std::max(kShare * tolerance_ * scale, claim.floor); };
      lane.enough = enough_for(claim.surely);
      if (claim.error <= enough_for(claim.scale)) {
        conclude(k, claim, method, *results[k]);
        lane.is_solved = true;
        finished.push_back(k);
      }
      lane.goal.is_open = !lane.is_solved && claim.error <= kProgress * lane.error;
      lane.error = claim.error;
      lane.shift = claim.shift;
    }
    if (!finished.empty()) take_values(finished, results);
  }

  /// x and the shift of some lanes, a run of states after the other: these stay in cache for all lanes.
  void take_values(std::span<const std::size_t> finished, std::span<DiscountedSums* const> results) const {
    for (const std::size_t k : finished) results[k]->value = unset<Doubles>(mdp_.num_states());
    team_.for_blocks(mdp_.num_states(), kBlock, [&](Index first, Index last, Index) {
      for (Index from = first; from < last; from += kRun) {
        const std::size_t end = at(std::min(from + kRun, last));
        for (const std::size_t k : finished) {
          double* const value = results[k]->value.data();
          for (auto i = at(from); i < end; ++i) value[i] = x_[i].lane[k] + lanes_[k].shift;
        }
      }
    });
  }

  /// r = f + discount P x - x, in the units of the lanes and, where constants are free, up to a constant.
  Range find_residuals() {
    Number constant{}, unit{};
    Number first;
    Numbers<Number> weight;
    find_residuals(0, 1, weight, [&](std::size_t, const Number& residual) { first = residual; });
    for (std::size_t k = 0; k < kLanes; ++k) {
      const Lane& lane = lanes_[k < lanes_.size() ? k : 0];
      if (lane.constants_are_free) constant.lane[k] = first.lane[k];
      unit.lane[k] = 1.0 / lane.scale;
    }
    std::vector<Range> parts(at(num_blocks(mdp_.num_states())));
    team_.for_blocks(mdp_.num_states(), kBlock, [&](Index begin, Index end, Index block) {
      Range part;
      Numbers<Number> scratch;
      for (Index from = begin; from < end; from += kRun) {
        find_residuals(from, std::min(from + kRun, end), scratch, [&](std::size_t i, const Number& residual) {
          part.residual.include(residual);
          part.guess.include(x_[i]);
          const Number scaled = unit * (residual - constant);
          residual_[i] = Single::each([&](std::size_t k) { return static_cast<float>(scaled.lane[k]); });
        });
      }
      parts[at(block)] = part;
    });
    Range all;
    for (const Range& part : parts) all.include(part);
    return all;
  }

  /// Calls visit(state, residual) for the states of a run.
  template <class Visit>
  void find_residuals(Index first, Index last, Numbers<Number>& weight, Visit&& visit) const {
    const Index first_pair = mdp_.first_pair(first);
    weight.resize(at(mdp_.first_pair(last) - first_pair));
    std::array<Number, kRun> f;
    if (!is_zero_) interleave_from<Number>(policies_, at(first_pair), weight);
    interleave_from<Number>(functions_, at(first), std::span(f).first(at(last - first)));
    for (Index state = first; state < last; ++state) {
      Number ahead{};
      for (Index pair = mdp_.first_pair(state); pair < mdp_.first_pair(state + 1) && !is_zero_; ++pair) {
        ahead += weight[at(pair - first_pair)] * mean_after(pair);
      }
      visit(at(state), f[at(state - first)] + discount_ * ahead - x_[at(state)]);
    }
  }

  /// sum_s' P(s'|s,a) x(s')
  Number mean_after(Index pair) const {
    const Row row = mdp_.row(pair);
    row.prefetch_next();
    Number mean{};
    for (Index k = 0; k < row.length; ++k) {
      const Number* const upcoming = x_.data() + row.upcoming(k);
      prefetch(upcoming);
      prefetch(&upcoming->lane.back());
      mean += row.probability[k] * x_[at(row.column[k])];
    }
    return mean;
  }

  /// What is added to lanes that are open. Constants are put right too where they are free: left to grow, their
  /// rounding would count.
  void add_correction() {
    Number unit{}, shift{};
    for (std::size_t k = 0; k < lanes_.size(); ++k) {
      const Lane& lane = lanes_[k];
      if (!lane.goal.is_open) continue;
      unit.lane[k] = lane.scale;
      if (lane.constants_are_free && !is_zero_) shift.lane[k] = lane.shift;
    }
    is_zero_ = false;
    team_.for_blocks(mdp_.num_states(), kBlock, [&](Index first, Index last, Index) {
      for (auto i = at(first); i < at(last); ++i) {
        const auto correction =
            Number::each([&](std::size_t k) { return static_cast<double>(correction_[i].lane[k]); });
        x_[i] += unit * correction + shift;
      }
    });
  }

  Claim claim_of(const Range& range, std::size_t k) const {
    const double least = lane(range.residual.least, k);
    const double most = lane(range.residual.most, k);
    const double terms = static_cast<double>(mdp_.max_row_length() + mdp_.max_num_actions() + 8);
    const double lowest = lane(range.guess.least, k);
    const double highest = lane(range.guess.most, k);
    const double size = largest_of(lowest, highest) + largest_of(least, most);
    if (size == 0.0) return {};
    const double rounding = 3.0 * terms * (kUnitRoundoff * size + std::numeric_limits<double>::min());
    const Interval& w = lanes_[k].goal.deficit;
    const Interval rest = sums_between(least - rounding, most + rounding, w);
    Claim claim{.shift = 0.5 * (rest.lower + rest.upper),
                .error = 0.5 * (rest.upper - rest.lower) * (1.0 + 32.0 * kUnitRoundoff),
                .floor = 4.0 * rounding / w.lower};
    claim.scale = largest_of(lowest + claim.shift, highest + claim.shift);
    // f = (I - discount P) W is at most twice as large as W; a guess of zero and its shift tell less.
    claim.surely = is_zero_ ? 0.5 * largest_of(least, most) : claim.scale;
    return claim;
  }

  void conclude(std::size_t k, const Claim& claim, const char* method, DiscountedSums& result) const {
    result.bound = claim.error + 2.0 * kUnitRoundoff * (claim.scale + std::fabs(claim.shift));
    result.certificate.error_bound = result.bound;
    result.certificate.converged = true;
    result.certificate.iterations = lanes_[k].iterations;
    result.certificate.method = method;
  }

  const Mdp& mdp_;
  std::vector<ConstVector> policies_, functions_;
  double discount_;
  double tolerance_;
  Team& team_;
  Monitor& monitor_;
  std::vector<Lane> lanes_;
  Numbers<Number> x_;
  bool is_zero_ = true;  // x, before the first correction
  Numbers<Single> residual_, correction_;
};

/// The policies of a batch, some side by side.
class Shared {
 public:
  Shared(Neighbourhood& near, std::span<const ConstVector> policies, ConstVector functions, const Options& options,
         Monitor& monitor, std::span<DiscountedSums> results)
      : near_(near),
        mdp_(near.mdp()),
        policies_(policies),
        functions_(functions),
        tolerance_(options.tolerance),
        team_(mdp_.num_entries() < kParallelEntries ? 1 : options.num_threads),
        monitor_(monitor),
        results_(results),
        merged_(near.merged_rows(team_)),
        sweeps_may_contract_(near.sweeps_may_contract(team_)) {}

  /// Which policies are solved.
  std::vector<char> solve() {
    std::vector<char> solved(policies_.size());
    const std::size_t width = lanes_for_team();
    const auto groups = static_cast<Index>((policies_.size() + width - 1) / width);
    const auto solve_group = [&](Index group, Team& team, Monitor& monitor) {
      const std::size_t first = at(group) * width;
      const std::size_t count = std::min(width, policies_.size() - first);
      const std::vector<char> found = count > 8   ? solve_some<16>(first, count, team, monitor)
                                      : count > 4 ? solve_some<8>(first, count, team, monitor)
                                                  : solve_some<4>(first, count, team, monitor);
      std::copy(found.begin(), found.end(), solved.begin() + static_cast<Index>(first));
    };
    if (groups < team_.size()) {
      for (Index group = 0; group < groups; ++group) solve_group(group, team_, monitor_);
      return solved;
    }
    const std::thread::id caller = std::this_thread::get_id();
    team_.for_blocks(groups, 1, [&](Index group, Index, Index) {
      Team alone(1);
      Monitor silent;  // only the caller's thread may talk
      solve_group(group, alone, std::this_thread::get_id() == caller ? monitor_ : silent);
    });
    return solved;
  }

 private:
  /// An answer is the same for any number of lanes. Threads that have groups of their own need not wait for each other.
  std::size_t lanes_for_team() const {
    std::size_t width = kMostTogether;
    while (width > 4 && policies_.size() < width * at(team_.size())) width /= 2;
    return policies_.size() < width * at(team_.size()) ? kMostTogether : width;
  }

  template <int kLanes>
  std::vector<char> solve_some(std::size_t first, std::size_t count, Team& team, Monitor& monitor) {
    using Single = typename LaneSums<kLanes>::Single;
    std::vector<ConstVector> functions;
    std::vector<DiscountedSums*> results;
    for (std::size_t i = first; i < first + count; ++i) {
      functions.push_back(functions_.subspan(i * at(mdp_.num_states()), at(mdp_.num_states())));
      results.push_back(&results_[i]);
    }
    const auto policies = policies_.subspan(first, count);
    const double discount = near_.discount();
    const PolicyLanes<Single> steps(mdp_, merged_, policies, team);
    LaneSums<kLanes> sums(mdp_, steps, policies, functions, discount, tolerance_, team, monitor);
    if (sweeps_may_contract_) {
      sums.correct(LaneSweeps<Single>(steps, discount, mdp_.num_states(), team), results);
      if (sums.all_are_solved()) return sums.solved();
    }
    if (const linear::IncompleteLu* const factors = near_.factors(team, monitor)) {
      const ConstVector balance = near_.balance();
      sums.correct(LaneBicgstab<Single>(steps, *factors, balance, discount, mdp_.num_states(), team), results);
    }
    return sums.solved();
  }

  Neighbourhood& near_;
  const Mdp& mdp_;
  std::span<const ConstVector> policies_;
  ConstVector functions_;
  double tolerance_;
  Team team_;
  Monitor& monitor_;
  std::span<DiscountedSums> results_;
  const MergedRows* merged_;
  bool sweeps_may_contract_;
};

/// Sums of one policy by way of its own resolvent.
DiscountedSums sums_of(const Mdp& mdp, ConstVector policy, ConstVector f, double discount, double tolerance, Index item,
                       Team& team, Monitor& monitor) {
  const Chain chain(mdp, policy, check_policy(mdp, policy, item));
  const linear::Kernel kernel(chain, discount);
  linear::Resolvent resolvent(kernel, team, monitor);
  linear::Solution solution = resolvent.solve({twofold(f, team), 0.0}, tolerance);
  DiscountedSums result;
  result.certificate = std::move(solution.certificate);
  const double rounding = rounding_of(solution.x, team).largest();
  result.bound = (result.certificate.error_bound + rounding) * (1.0 + 4.0 * kUnitRoundoff);
  result.value = rounded(solution.x, team);
  return result;
}

}  // namespace

std::vector<DiscountedSums> discounted_sums(Neighbourhood& near, std::span<const ConstVector> policies,
                                            ConstVector functions, const Options& options, Monitor& monitor) {
  const Mdp& mdp = near.mdp();
  mdp.ensure_checked(options.num_threads);
  std::vector<DiscountedSums> results(policies.size());
  std::vector<char> solved(policies.size());
  if (policies.size() >= kFewestTogether && mdp.num_states() >= kFewestStates && mdp.num_pairs() <= kMostPairs &&
      options.tolerance > 0.0) {
    solved = Shared(near, policies, functions, options, monitor, results).solve();
  }
  for_policies(mdp, policies.size(), options.num_threads, monitor, [&](std::size_t i, Team& team, Monitor& watch) {
    if (solved[i] != 0) return;
    const ConstVector f = functions.subspan(i * at(mdp.num_states()), at(mdp.num_states()));
    results[i] = sums_of(mdp, policies[i], f, near.discount(), options.tolerance, static_cast<Index>(i), team, watch);
  });
  return results;
}

}  // namespace rlcore
