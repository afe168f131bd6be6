#include "rlcore/return_gap.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <tuple>
#include <utility>

#include "rlcore/episodic.hpp"
#include "rlcore/long_run/gain_and_bias.hpp"
#include "rlcore/policy.hpp"
#include "rlcore/step_shift.hpp"

namespace rlcore {
namespace {

/// Covers the roundings of a few operations on bounds.
constexpr double kOutward = 1.0 + 64.0 * kUnitRoundoff;

/// Bounds the relative error of an operation on twofold numbers.
constexpr double kTwofold = 0x1p-101;

/// Candidates of each thread between two looks at the monitor.
constexpr Index kPortion = 16;

/// What a candidate adds in each state: Abar, and with it the worth of its excess.
struct Added {
  linear::RightSide abar, stored;
  Twofold drift;  // sum w x V
  double drift_error = 0.0;
};

class Adding {
 public:
  Adding(const Base& base, const BaseErrors& errors)
      : base_(base),
        errors_(errors),
        roundings_(static_cast<double>(base.mdp.max_num_actions() + 4) * kTwofold),
        outward_(kOutward + static_cast<double>(base.mdp.max_num_actions()) * kUnitRoundoff),
        found_{{twofold_vector(base.mdp.num_states())}, {twofold_vector(base.mdp.num_states())}, {}, 0.0} {}

  Added of(ConstVector policy) && {
    const Index size = base_.mdp.num_states();
    for (Index state = 0; state < size; ++state) add(state, policy);
    const double states = static_cast<double>(size + 4);
    const double rounding = states * kTwofold * drift_scale_ + errors_.weight * most_drift_;
    found_.drift_error = (found_.drift_error * (1.0 + states * kUnitRoundoff) + rounding) * kOutward;
    return std::move(found_);
  }

 private:
  void add(Index state, ConstVector policy) {
    const Mdp& mdp = base_.mdp;
    Twofold abar, excess;
    double distance = 0.0, scale = 0.0;
    for (Index pair = mdp.first_pair(state); pair < mdp.first_pair(state + 1); ++pair) {
      const Twofold change = two_sum(policy[at(pair)], -base_.policy[at(pair)]);
      const Twofold term = change * base_.twofold_advantage()[at(pair)];
      abar = abar + term;
      excess = excess + change;
      distance += std::fabs(change.hi);
      scale += std::fabs(term.hi);
    }
    if (distance == 0.0) return;
    const double value = base_.value[at(state)];
    const Twofold worth = excess * value;
    const double most_excess = std::fabs(excess.hi) + roundings_ * distance;
    const double worth_error = most_excess * errors_.value + roundings_ * distance * std::fabs(value);
    const double error = distance * errors_.advantage + roundings_ * scale + underflow_error(mdp.max_num_actions());
    found_.abar.value[at(state)] = abar;
    found_.abar.error = std::max(found_.abar.error, error * outward_);
    found_.stored.value[at(state)] = abar + worth;
    const double rounding = kTwofold * (std::fabs(abar.hi) + std::fabs(worth.hi));
    found_.stored.error = std::max(found_.stored.error, (error + worth_error + rounding) * outward_);
    const Twofold weight = base_.twofold_weight()[at(state)];
    found_.drift = found_.drift + weight * worth;
    found_.drift_error += weight.hi * worth_error * outward_;
    drift_scale_ += weight.hi * std::fabs(worth.hi);
    most_drift_ = std::max(most_drift_, (std::fabs(worth.hi) + worth_error) * outward_);
  }

  const Base& base_;
  const BaseErrors& errors_;
  double roundings_;  // of a twofold sum over the actions, relative to its magnitudes
  double outward_;    // covers the roundings of such sums in doubles
  double drift_scale_ = 0.0, most_drift_ = 0.0;
  Added found_;
};

/// A function in parts, and how large it is; nothing, if it does not exist everywhere.
struct Parts {
  Doubles high, low;
  double largest = 0.0;
};

std::optional<Parts> parts_of(const TwofoldVector& x) {
  Parts parts;
  for (const Twofold number : x) {
    if (!std::isfinite(number.hi)) return std::nullopt;
    parts.high.push_back(number.hi);
    parts.low.push_back(number.lo);
    parts.largest = std::max(parts.largest, std::fabs(number.hi));
  }
  return parts;
}

/// Finds the gap of one candidate after the other.
class Gaps {
 public:
  Gaps(const Base& base, const BaseErrors& errors, Task task, double discount, const Options& options)
      : base_(base), errors_(errors), task_(task), discount_(discount), options_(options) {}

  ReturnGap of(ConstVector policy, Index item) {
    const Added added = Adding(base_, errors_).of(policy);
    std::vector<linear::RightSide> functions{added.abar, added.stored};
    const bool sums_are_alike = task_ == Task::kDiscounted && !base_.mdp.can_end();
    if (sums_are_alike) functions.push_back({TwofoldVector(at(base_.mdp.num_states()), Twofold{1.0})});
    const std::vector<linear::Solution> w = sums_of(policy, functions, item);
    ReturnGap gap;
    if (sums_are_alike) gap.spread = spread_of(w.back());
    std::tie(gap.of_abar, gap.of_abar_error) = carried(policy, w[0], gap);
    const auto [of_stored, error] = carried(policy, w[1], gap);
    gap.of_stored = of_stored + added.drift;
    const double size = std::fabs(of_stored.hi) + std::fabs(added.drift.hi);
    gap.of_stored_error = (error + added.drift_error + kTwofold * size) * kOutward;
    return gap;
  }

 private:
  /// W of each function under a policy.
  std::vector<linear::Solution> sums_of(ConstVector policy, std::span<const linear::RightSide> functions, Index item) {
    const Mdp& mdp = base_.mdp;
    if (task_ == Task::kAverage) return biases(mdp, policy, functions, item, options_, team_, monitor_);
    if (task_ == Task::kEpisodic) {
      return episodic_sums(mdp, policy, {functions.begin(), functions.end()}, item, options_, team_, monitor_);
    }
    const Chain chain(mdp, policy, check_policy(mdp, policy, item));
    const linear::Kernel kernel(chain, discount_);
    return linear::Resolvent(kernel, team_, monitor_).solve(functions, options_.tolerance);
  }

  static double spread_of(const linear::Solution& sums) {
    const auto is_less = [](Twofold a, Twofold b) { return (a - b).hi < 0.0; };
    const auto [least, most] = std::minmax_element(sums.x.begin(), sums.x.end(), is_less);
    return ((*most - *least).hi + 2.0 * sums.certificate.error_bound + kTwofold * most->hi) * kOutward;
  }

  /// gamma y^T W and the bound on its error: that of y times W, and of W times y.
  std::pair<Twofold, double> carried(ConstVector policy, const linear::Solution& w, ReturnGap& gap) {
    const std::optional<Parts> parts = parts_of(w.x);
    if (!parts) return {Twofold{}, std::numeric_limits<double>::infinity()};
    const Candidates one(base_.mdp, {policy});
    const bool undiscounted = task_ != Task::kDiscounted;
    const StepShift shift = step_shifts(base_, one, {parts->high, parts->low}, undiscounted, team_, monitor_).front();
    // A unit of w moves at most sum |pi' - pi|, and twice that where the diagonal is one minus the rest.
    const double of_shift = (2.0 * errors_.weight * most_moved(policy) + shift.error_with_low) * kOutward;
    gap.l1 = {shift.l1, shift.l1_low};
    gap.l1_error = of_shift;
    gap.mass = (std::fabs(shift.mass) + of_shift) * discount_ * kOutward;
    gap.largest = std::max(gap.largest, parts->largest * kOutward);
    const double error = shift.l1 + of_shift == 0.0
                             ? 0.0
                             : (shift.l1 + of_shift) * w.certificate.error_bound + of_shift * parts->largest;
    const Twofold found = Twofold{shift.carried, shift.carried_low} * discount_;
    return {found, (discount_ * error + kTwofold * std::fabs(found.hi)) * kOutward};
  }

  /// max_s sum_a |pi' - pi|, with room for what a row of the model misses the sum 1 by.
  double most_moved(ConstVector policy) const {
    const Mdp& mdp = base_.mdp;
    double most = 0.0;
    for (Index state = 0; state < mdp.num_states(); ++state) {
      double moved = 0.0;
      for (Index pair = mdp.first_pair(state); pair < mdp.first_pair(state + 1); ++pair) {
        moved += std::fabs(policy[at(pair)] - base_.policy[at(pair)]);
      }
      most = std::max(most, moved);
    }
    return most * (1.0 + 4.0 * kRowTolerance);
  }

  const Base& base_;
  const BaseErrors& errors_;
  Task task_;
  double discount_;
  const Options& options_;
  Team team_{1};
  Monitor monitor_;  // silent: only the caller's thread may talk
};

}  // namespace

std::vector<ReturnGap> return_gaps(const Base& base, const BaseErrors& errors, const Candidates& candidates, Task task,
                                   double discount, const Options& options, Team& team, Monitor& monitor) {
  std::vector<ReturnGap> found(at(candidates.size()));
  const Index at_once = kPortion * team.size();
  for (Index done = 0; done < candidates.size(); done += at_once) {
    monitor.poll({"gaps of candidates", done, 0.0, 0.0});
    const Index count = std::min(at_once, candidates.size() - done);
    team.for_blocks(count, 1, [&](Index offset, Index, Index) {
      const Index i = done + offset;
      found[at(i)] = Gaps(base, errors, task, discount, options).of(candidates.policies()[at(i)], i);
    });
  }
  return found;
}

}  // namespace rlcore
