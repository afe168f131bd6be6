#include "rlcore/finite_horizon.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "rlcore/chain.hpp"
#include "rlcore/extent.hpp"
#include "rlcore/format.hpp"
#include "rlcore/policy.hpp"
#include "rlcore/twofold_rows.hpp"

namespace rlcore {
namespace {

/// Bounds are formed from sums of at most `terms` numbers, each rounded at most so often.
double outward(Index terms) { return 1.0 + (static_cast<double>(terms) + 32.0) * kUnitRoundoff; }

/// Checks all policies and returns an enclosure of the states' sums of each.
std::vector<Interval> check_policies(const Mdp& mdp, const Schedule& schedule) {
  std::vector<Interval> sums;
  for (std::size_t time = 0; time < schedule.policies.size(); ++time) {
    const Index item = schedule.changes() ? static_cast<Index>(time) : -1;
    sums.push_back(check_policy(mdp, schedule.policies[time], item));
  }
  return sums;
}

linear::Certificate certificate_of(const char* method, Index steps, double error_bound, double scale,
                                   double tolerance) {
  linear::Certificate proof;
  proof.error_bound = error_bound;
  proof.converged = tolerance == 0.0 || error_bound <= tolerance * scale;
  proof.iterations = steps;
  proof.method = method;
  proof.story = proof.method + ": " + std::to_string(steps) + " steps, proven relative error " +
                format_briefly(scale == 0.0 ? error_bound : error_bound / scale);
  return proof;
}

// ---- backwards: values ----

/// Where Q and A of one time go; empty if nobody asks.
struct Actions {
  Vector action_value;
  Vector advantage;
};

/// The largest low halves: what rounding the twofold Q and A to doubles costs.
struct Rounding {
  double action_value = 0.0;
  double advantage = 0.0;

  void include(const Rounding& other) {
    action_value = std::max(action_value, other.action_value);
    advantage = std::max(advantage, other.advantage);
  }
};

/// One step back in time: Q = r + gamma P V', V = sum_a pi Q and A = Q - V, all twofold.
class StepBack {
 public:
  StepBack(const Mdp& mdp, ConstVector policy, double discount, const TwofoldVector& later, Actions out)
      : mdp_(mdp), policy_(policy), discount_(discount), later_(later), out_(out) {}

  Rounding run(TwofoldVector& value, Team& team) const {
    std::vector<Rounding> partial(at(num_blocks(mdp_.num_states())));
    team.for_blocks(mdp_.num_states(), kBlock, [&](Index first, Index last, Index block) {
      TwofoldVector action_value = twofold_vector(mdp_.max_num_actions());
      for (Index state = first; state < last; ++state) {
        look_ahead(state, action_value);
        value[at(state)] = mean(state, action_value);
        if (asked()) partial[at(block)].include(store(state, action_value, value[at(state)]));
      }
    });
    Rounding all;
    for (const Rounding& part : partial) all.include(part);
    return all;
  }

 private:
  bool asked() const { return !out_.action_value.empty(); }

  void look_ahead(Index state, TwofoldVector& action_value) const {
    const TwofoldRows& rows = twofold_rows();
    const Index first = mdp_.first_pair(state);
    for (Index pair = first; pair < mdp_.first_pair(state + 1); ++pair) {
      if (policy_[at(pair)] == 0.0 && !asked()) continue;
      action_value[at(pair - first)] = rows.dot(mdp_.row(pair), later_.data()) * discount_ + mdp_.reward()[at(pair)];
    }
  }

  Twofold mean(Index state, const TwofoldVector& action_value) const {
    TwofoldSum sum;
    const Index first = mdp_.first_pair(state);
    for (Index pair = first; pair < mdp_.first_pair(state + 1); ++pair) {
      const double weight = policy_[at(pair)];
      if (weight != 0.0) sum.add_product(action_value[at(pair - first)], weight);
    }
    return sum.total();
  }

  Rounding store(Index state, const TwofoldVector& action_value, Twofold value) const {
    Rounding most;
    const Index first = mdp_.first_pair(state);
    for (Index pair = first; pair < mdp_.first_pair(state + 1); ++pair) {
      const Twofold q = action_value[at(pair - first)];
      const Twofold a = q - value;
      out_.action_value[at(pair)] = q.hi;
      out_.advantage[at(pair)] = a.hi;
      most.include({std::fabs(q.lo), std::fabs(a.lo)});
    }
    return most;
  }

  const Mdp& mdp_;
  ConstVector policy_;
  double discount_;
  const TwofoldVector& later_;
  Actions out_;
};

/// One row of a table, for a time.
Vector row_of(Doubles& table, Index time, Index length) {
  if (table.empty()) return {};
  return Vector(table).subspan(at(time * length), at(length));
}

void write_rounded(const TwofoldVector& x, Vector row) {
  for (std::size_t i = 0; i < x.size(); ++i) row[i] = x[i].hi;
}

// ---- forwards: visits ----

/// sum += weight * x
void accumulate(TwofoldVector& sum, const TwofoldVector& x, Twofold weight, Team& team) {
  team.for_blocks(std::ssize(x), kBlock, [&](Index first, Index last, Index) {
    for (auto i = at(first); i < at(last); ++i) sum[i] = sum[i] + x[i] * weight;
  });
}

/// sum(s,a) += weight * x(s) pi(a|s)
void accumulate_pairs(TwofoldVector& sum, const Chain& chain, const TwofoldVector& x, Twofold weight, Team& team) {
  team.for_blocks(chain.size(), kBlock, [&](Index first, Index last, Index) {
    for (Index state = first; state < last; ++state) {
      const Twofold visits = x[at(state)] * weight;
      for (Index pair = chain.mdp().first_pair(state); pair < chain.mdp().first_pair(state + 1); ++pair) {
        sum[at(pair)] = sum[at(pair)] + visits * chain.policy()[at(pair)];
      }
    }
  });
}

/// x scaled and rounded to doubles; `lost` is the L1 norm of what rounding left out.
Doubles scaled(TwofoldVector x, Twofold factor, double& lost, Team& team) {
  team.for_blocks(std::ssize(x), kBlock, [&](Index first, Index last, Index) {
    for (auto i = at(first); i < at(last); ++i) x[i] = x[i] * factor;
  });
  lost = rounding_of(x, team).l1;
  return rounded(x, team);
}

/// Visits of states and pairs, summed while time goes on, and what is known of their error in the L1 norm.
struct Visits {
  TwofoldVector state;
  TwofoldVector pair;        // only if the policy changes: else it follows from the states
  Twofold weight{1.0, 0.0};  // what a visit counts now
  Twofold total_weight;      // what all visits of one state could count
  double error = 0.0;
};

/// Divides by the total weight, rounds, and bounds what that and the sums over time are wrong by.
void share_out(const Visits& visits, const Schedule& schedule, double policy_sum, FiniteHorizonOccupancy& out,
               const Mdp& mdp, Team& team) {
  const double steps = static_cast<double>(schedule.steps());
  const double l1 = extent_of(visits.state, team).l1;
  const double error = visits.error + (steps + 8.0) * (0x1p-98 * l1 + underflow_error(mdp.num_pairs()) * policy_sum);
  const Twofold share = quotient({1.0}, visits.total_weight);
  double lost = 0.0;
  out.visits = scaled(visits.state, {1.0, 0.0}, lost, team);
  out.bounds.visits = (error + lost) * outward(mdp.num_states());
  out.state = scaled(visits.state, share, lost, team);
  out.bounds.state = (error * share.hi + lost) * outward(mdp.num_states());
  if (schedule.changes()) {
    out.pair = scaled(visits.pair, share, lost, team);
  } else {
    TwofoldVector pair = twofold_vector(mdp.num_pairs());
    const Chain chain(mdp, schedule.policy(0), {});
    accumulate_pairs(pair, chain, visits.state, {1.0, 0.0}, team);
    out.pair = scaled(std::move(pair), share, lost, team);
  }
  out.bounds.pair = (error * share.hi * policy_sum + lost) * outward(mdp.num_pairs());
}

}  // namespace

FiniteHorizonEvaluation evaluate_finite_horizon(const Mdp& mdp, const Schedule& schedule, bool with_actions,
                                                const Options& options, Monitor& monitor) {
  mdp.ensure_checked(options.num_threads);
  const std::vector<Interval> sums = check_policies(mdp, schedule);
  Team team(mdp.num_entries() < kParallelEntries ? 1 : options.num_threads);
  const Index steps = schedule.steps();
  const Index num_states = mdp.num_states();
  FiniteHorizonEvaluation out;
  out.value.resize(at((steps + 1) * num_states));
  out.bounds.value.resize(at(steps + 1));
  if (with_actions) {
    for (Doubles* table : {&out.action_value, &out.advantage}) table->resize(at(steps * mdp.num_pairs()));
    for (Doubles* bounds : {&out.bounds.action_value, &out.bounds.advantage}) bounds->resize(at(steps));
  }

  const double largest_reward = extent_of(mdp.reward(), team).largest();
  TwofoldVector value = twofold_vector(num_states);
  TwofoldVector later = twofold_vector(num_states);
  double error = 0.0;
  double largest = 0.0;
  double largest_ever = 0.0;
  for (Index time = steps - 1; time >= 0; --time) {
    monitor.poll({"backward recursion", steps - 1 - time, 0.0, options.tolerance});
    std::swap(value, later);
    const double discount = schedule.discounts[at(time)];
    const Actions actions{row_of(out.action_value, time, mdp.num_pairs()),
                          row_of(out.advantage, time, mdp.num_pairs())};
    const Rounding lost = StepBack(mdp, schedule.policy(time), discount, later, actions).run(value, team);
    write_rounded(value, row_of(out.value, time, num_states));

    const double arithmetic = arithmetic_error(mdp.max_row_length() + mdp.max_num_actions(), largest + largest_reward);
    const double of_action_value = (discount * mdp.row_sum().upper * error + arithmetic) * outward(0);
    const double policy_sum = sums[schedule.changes() ? at(time) : 0].upper;
    error = (policy_sum * discount * mdp.row_sum().upper * error + arithmetic) * outward(0);
    out.bounds.value[at(time)] = (error + rounding_of(value, team).largest()) * outward(0);
    if (with_actions) {
      out.bounds.action_value[at(time)] = (of_action_value + lost.action_value) * outward(0);
      out.bounds.advantage[at(time)] = (of_action_value + error + arithmetic + lost.advantage) * outward(0);
    }
    largest = extent_of(value, team).largest();
    largest_ever = std::max(largest_ever, largest);
  }
  if (const std::optional<Bounded> eta = start_value(mdp, value, error)) {
    out.start_value = eta->value;
    out.bounds.start_value = eta->bound;
  }
  const double worst = *std::max_element(out.bounds.value.begin(), out.bounds.value.end());
  out.certificate = certificate_of("backward recursion", steps, worst,
                                   largest_ever > 0.0 ? largest_ever : largest_reward, options.tolerance);
  return out;
}

FiniteHorizonOccupancy occupancy_finite_horizon(const Mdp& mdp, const Schedule& schedule, ConstVector initial,
                                                const Options& options, Monitor& monitor) {
  mdp.ensure_checked(options.num_threads);
  check_distribution(initial, mdp.num_states(), "initial");
  const std::vector<Interval> sums = check_policies(mdp, schedule);
  Team team(mdp.num_entries() < kParallelEntries ? 1 : options.num_threads);
  const Index steps = schedule.steps();
  const Index num_states = mdp.num_states();
  FiniteHorizonOccupancy out;
  out.distribution.resize(at((steps + 1) * num_states));
  out.bounds.distribution.resize(at(steps + 1));

  TwofoldVector now = twofold(initial, team);
  Visits visits;
  visits.state = twofold_vector(num_states);
  if (schedule.changes()) visits.pair = twofold_vector(mdp.num_pairs());
  double largest_sum = 0.0;
  // Each step is wrong by its own arithmetic, and carries on what came before: a step does not enlarge the L1 norm
  // by more than the model's own tolerance.
  double error = 0.0;
  for (Index time = 0;; ++time) {
    write_rounded(now, row_of(out.distribution, time, num_states));
    out.bounds.distribution[at(time)] = (error + rounding_of(now, team).l1) * outward(num_states);
    if (time == steps) break;
    monitor.poll({"forward steps", time, 0.0, options.tolerance});
    const Interval sum = sums[schedule.changes() ? at(time) : 0];
    const Chain chain(mdp, schedule.policy(time), sum);
    accumulate(visits.state, now, visits.weight, team);
    if (schedule.changes()) accumulate_pairs(visits.pair, chain, now, visits.weight, team);
    visits.error = (visits.error + visits.weight.hi * error) * outward(0);
    visits.total_weight = visits.total_weight + visits.weight;
    visits.weight = visits.weight * schedule.discounts[at(time)];
    largest_sum = std::max(largest_sum, sum.upper);

    const double growth = std::max(1.0, 1.0 - chain.deficit(1.0).lower);
    error = (error * growth + chain.residual_error_transposed(extent_of(now, team).l1)) * outward(0);
    now = chain.step(now, team);
  }
  share_out(visits, schedule, largest_sum, out, mdp, team);
  out.certificate =
      certificate_of("forward steps", steps, out.bounds.visits, extent_of(visits.state, team).l1, options.tolerance);
  return out;
}

}  // namespace rlcore
