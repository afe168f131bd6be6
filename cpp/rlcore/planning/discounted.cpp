#include "rlcore/planning/discounted.hpp"

#include <algorithm>
#include <cmath>

#include "rlcore/planning/inexact_policy_iteration.hpp"
#include "rlcore/planning/policy_iteration.hpp"
#include "rlcore/planning/value_iteration.hpp"

namespace rlcore {
namespace planning {
namespace {

/// The relative error down to which methods in doubles are asked to go.
constexpr double kInDoubles = 1e-9;

/// Models with so few states are answered to the last digit: their policies have dense factors.
constexpr Index kSmall = 128;

/// The entries from which a team is worth its while: policies are solved for in many short loops.
constexpr Index kWorthATeam = 4 * kParallelEntries;

/// The best attainable must say something of the answer to count.
constexpr double kSomeDigits = 0.1;

/// Q(s,a) of vectors in doubles, or twofold.
double action_value(const Problem& problem, Index pair, const double* v) {
  return problem.mdp.reward()[at(pair)] + problem.discount * problem.mdp.row(pair).dot(v);
}
Twofold action_value(const Problem& problem, Index pair, const Twofold* v) {
  return twofold_action_value(problem.mdp, problem.discount, pair, v);
}

double difference(double a, double b) { return a - b; }
double difference(Twofold a, Twofold b) { return (a - b).rounded(); }

/// Takes in each state the first action that cannot be told from the best, and returns a bound on what the value of
/// that policy falls short of V* (theory 2.10). Each Q(s,a) is wrong by at most `rounding`; `error` is that of v.
template <class Number>
double choose_policy(const Problem& problem, std::span<const Number> v, double error, double rounding, double spare,
                     Choice& choice) {
  // Actions are told apart by twice the error of Q, unless that would cost the policy more than the tolerance.
  const double indistinct = std::min(2.0 * problem.discount * error, problem.w.lower * std::max(spare, error));
  struct Found {
    double most = -kInfinity;  // of max_a Q - v
    double least = kInfinity;  // of Q(s, pi(s)) - v
    double lost = 0.0;         // by not taking the best action
    double sum = 0.0;          // not finite if anything is not
  };
  std::vector<Found> partial(at(num_blocks(problem.size())));
  problem.team.for_blocks(problem.size(), kBlock, [&](Index first, Index last, Index block) {
    std::vector<Number> q(at(problem.mdp.max_num_actions()));
    Found& found = partial[at(block)];
    for (Index state = first; state < last; ++state) {
      const Index begin = problem.mdp.first_pair(state);
      const Index num_actions = problem.mdp.first_pair(state + 1) - begin;
      std::size_t best = 0;
      for (Index a = 0; a < num_actions; ++a) {
        q[at(a)] = action_value(problem, begin + a, v.data());
        if (difference(q[at(a)], q[best]) > 0.0) best = at(a);
      }
      std::size_t chosen = 0;
      while (chosen < best && difference(q[best], q[chosen]) > indistinct) ++chosen;
      choice[at(state)] = begin + static_cast<Index>(chosen);
      const double above = difference(q[best], v[at(state)]);
      const double below = difference(q[chosen], v[at(state)]);
      found.most = std::max(found.most, above);
      found.least = std::min(found.least, below);
      found.lost = std::max(found.lost, difference(q[best], q[chosen]));
      found.sum += std::fabs(above) + std::fabs(below);
    }
  });
  Found all;
  for (const Found& part : partial) {
    all.most = std::max(all.most, part.most);
    all.least = std::min(all.least, part.least);
    all.lost = std::max(all.lost, part.lost);
    all.sum += part.sum;
  }
  if (!std::isfinite(all.sum)) return kInfinity;
  const double slack = rounding + 2.0 * kUnitRoundoff * std::max(std::fabs(all.most), std::fabs(all.least));
  const double above = distance_to_fixed_point({0.0, std::max(all.most + slack, 0.0)}, problem.w).upper;
  const double below = distance_to_fixed_point({std::min(all.least - slack, 0.0), 0.0}, problem.w).lower;
  const Interval rest = distance_after_sweep({below, above}, problem.w);
  return (rest.upper - rest.lower + all.lost + 4.0 * rounding) * kOutward;
}

/// From what was proven to what is returned.
Plan plan_of(const Problem& problem, const Record& record, double tolerance) {
  const Mdp& mdp = problem.mdp;
  Plan plan;
  plan.value = record.value();
  plan.choice.resize(plan.value.size());
  plan.bounds.value = record.error_bound();
  const double scale = problem.largest_reward + extent_of(plan.value, problem.team).largest();
  const double spare = tolerance * record.proof().scale;
  if (record.twofold().empty()) {
    plan.bounds.policy_value = choose_policy<double>(problem, plan.value, plan.bounds.value,
                                                     bellman_error_in_doubles(mdp, scale), spare, plan.choice);
  } else {
    plan.bounds.policy_value = choose_policy<Twofold>(problem, record.twofold(), record.proof().error,
                                                      bellman_error(mdp, scale), spare, plan.choice);
  }
  const bool rounds = record.twofold().empty();
  if (const auto start = start_value(mdp, rounds ? twofold(plan.value, problem.team) : record.twofold(),
                                     rounds ? plan.bounds.value : record.proof().error)) {
    plan.start_value = start->value;
    plan.bounds.start_value = start->bound;
  }
  plan.certificate = record.certificate();
  plan.certificate.error_bound = plan.bounds.value;
  plan.certificate.residual = record.proof().residual;
  plan.certificate.converged =
      tolerance == 0.0 ? record.proof().relative_error() <= kSomeDigits : record.meets(tolerance);
  return plan;
}

}  // namespace
}  // namespace planning

Plan solve_discounted(const Mdp& mdp, double discount, const Options& options, Monitor& monitor) {
  using namespace planning;
  mdp.ensure_checked(options.num_threads);
  const Interval w = discount_deficit(mdp, discount);
  Team team(mdp.num_entries() < kWorthATeam ? 1 : options.num_threads);
  const double largest_reward = extent_of(mdp.reward(), team).largest();
  const Problem problem{mdp, discount, w, largest_reward, std::max(options.tolerance, kInDoubles), team, monitor};
  Record record(team);
  value_iteration(problem, record);
  if (!record.meets(problem.tolerance)) inexact_policy_iteration(problem, record);
  if (!record.meets(options.tolerance) || mdp.num_states() <= kSmall) {
    policy_iteration(problem, mdp.num_states() <= kSmall ? 0.0 : options.tolerance, record);
  }
  return plan_of(problem, record, options.tolerance);
}

}  // namespace rlcore
