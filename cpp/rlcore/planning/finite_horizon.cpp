#include "rlcore/planning/finite_horizon.hpp"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "rlcore/extent.hpp"
#include "rlcore/format.hpp"

namespace rlcore {
namespace {

/// Bounds are formed from few numbers, each rounded at most so often.
constexpr double kOutward = 1.0 + 32.0 * kUnitRoundoff;

/// One step back in time: V = max_a r + gamma P V', and the first action that cannot be told from the best.
class StepBack {
 public:
  StepBack(const Mdp& mdp, double discount, const TwofoldVector& later, double indistinct)
      : mdp_(mdp), discount_(discount), later_(later), indistinct_(indistinct) {}

  /// Returns the most that is lost by not taking the best action.
  double run(TwofoldVector& value, std::span<Index> choices, Team& team) const {
    std::vector<double> partial(at(num_blocks(mdp_.num_states())), 0.0);
    team.for_blocks(mdp_.num_states(), kBlock, [&](Index first, Index last, Index block) {
      TwofoldVector q = twofold_vector(mdp_.max_num_actions());
      for (Index state = first; state < last; ++state) {
        const std::size_t best = look_ahead(state, q);
        std::size_t chosen = 0;
        while (chosen < best && (q[best] - q[chosen]).rounded() > indistinct_) ++chosen;
        value[at(state)] = q[best];
        choices[at(state)] = mdp_.first_pair(state) + static_cast<Index>(chosen);
        partial[at(block)] = std::max(partial[at(block)], (q[best] - q[chosen]).rounded());
      }
    });
    return *std::max_element(partial.begin(), partial.end());
  }

 private:
  /// Q of every action of a state; returns the best.
  std::size_t look_ahead(Index state, TwofoldVector& q) const {
    const Index first = mdp_.first_pair(state);
    std::size_t best = 0;
    for (Index pair = first; pair < mdp_.first_pair(state + 1); ++pair) {
      const std::size_t action = at(pair - first);
      q[action] = twofold_action_value(mdp_, discount_, pair, later_.data());
      if ((q[action] - q[best]).rounded() > 0.0) best = action;
    }
    return best;
  }

  const Mdp& mdp_;
  double discount_;
  const TwofoldVector& later_;
  double indistinct_;
};

linear::Certificate certificate_of(Index steps, double error_bound, double scale, double tolerance) {
  linear::Certificate proof;
  proof.error_bound = error_bound;
  proof.converged = tolerance == 0.0 || error_bound <= tolerance * scale;
  proof.iterations = steps;
  proof.method = "backward induction";
  proof.story = proof.method + ": " + std::to_string(steps) + " steps, proven relative error " +
                format_briefly(scale == 0.0 ? error_bound : error_bound / scale);
  return proof;
}

}  // namespace

FiniteHorizonPlan solve_finite_horizon(const Mdp& mdp, ConstVector discounts, const Options& options,
                                       Monitor& monitor) {
  mdp.ensure_checked(options.num_threads);
  Team team(mdp.num_entries() < kParallelEntries ? 1 : options.num_threads);
  const Index steps = ssize(discounts);
  const Index num_states = mdp.num_states();
  FiniteHorizonPlan out;
  out.value.resize(at((steps + 1) * num_states));
  out.choices.resize(at(steps * num_states));
  out.bounds.value.resize(at(steps + 1));
  out.bounds.policy_value.resize(at(steps + 1));

  const double largest_reward = extent_of(mdp.reward(), team).largest();
  TwofoldVector value = twofold_vector(num_states);
  TwofoldVector later = twofold_vector(num_states);
  double error = 0.0;      // of V*
  double shortfall = 0.0;  // of the policy
  double largest = 0.0;
  double largest_ever = 0.0;
  for (Index time = steps - 1; time >= 0; --time) {
    monitor.poll({"backward induction", steps - 1 - time, 0.0, options.tolerance});
    std::swap(value, later);
    const double weight = discounts[at(time)] * mdp.row_sum().upper;
    // The maximum of numbers is wrong by no more than the worst of them.
    error = (weight * error + bellman_error(mdp, largest + largest_reward)) * kOutward;
    const double indistinct = 2.0 * error;
    const std::span<Index> choices = std::span(out.choices).subspan(at(time * num_states), at(num_states));
    const double lost = StepBack(mdp, discounts[at(time)], later, indistinct).run(value, choices, team);
    // The loss is measured on Q that are wrong by `error`; the rest of it the policy has lost later.
    shortfall = (weight * shortfall + lost + 2.0 * error) * kOutward;
    const Vector row = Vector(out.value).subspan(at(time * num_states), at(num_states));
    for (std::size_t s = 0; s < value.size(); ++s) row[s] = value[s].hi;
    out.bounds.value[at(time)] = (error + rounding_of(value, team).largest()) * kOutward;
    out.bounds.policy_value[at(time)] = shortfall;
    largest = extent_of(value, team).largest();
    largest_ever = std::max(largest_ever, largest);
  }
  if (const std::optional<Bounded> start = start_value(mdp, value, error)) {
    out.start_value = start->value;
    out.bounds.start_value = start->bound;
  }
  const double worst = *std::max_element(out.bounds.value.begin(), out.bounds.value.end());
  out.certificate = certificate_of(steps, worst, largest_ever > 0.0 ? largest_ever : largest_reward, options.tolerance);
  return out;
}

Doubles policies_of(const Mdp& mdp, const FiniteHorizonPlan& plan, Monitor& monitor) {
  const std::span<const Index> choices(plan.choices);
  const auto size = at(mdp.num_states());
  Doubles policies;
  policies.reserve(choices.size() / size * at(mdp.num_pairs()));
  for (std::size_t first = 0; first < choices.size(); first += size) {
    monitor.poll({"writing policies", static_cast<Index>(first / size)});
    const Doubles policy = policy_of(mdp, choices.subspan(first, size));
    policies.insert(policies.end(), policy.begin(), policy.end());
  }
  return policies;
}

}  // namespace rlcore
