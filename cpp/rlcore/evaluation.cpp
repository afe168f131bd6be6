#include "rlcore/evaluation.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>

#include "rlcore/action_value_rounding.hpp"
#include "rlcore/batch.hpp"
#include "rlcore/policy.hpp"
#include "rlcore/side_by_side.hpp"
#include "rlcore/twofold_rows.hpp"

namespace rlcore {
namespace {

void check_one_reward(const Mdp& mdp, ConstVector reward, Index item) {
  if (ssize(reward) != mdp.num_pairs()) {
    throw ModelError("reward", {.item = item},
                     "expected one number for each of the " + std::to_string(mdp.num_pairs()) + " pairs, got " +
                         std::to_string(reward.size()));
  }
  for (Index state = 0; state < mdp.num_states(); ++state) {
    const Index first = mdp.first_pair(state);
    for (Index pair = first; pair < mdp.first_pair(state + 1); ++pair) {
      check_reward(reward[at(pair)], {state, pair - first, item});
    }
  }
}

/// Bounds are formed from few numbers, each rounded at most so often.
constexpr double kOutward = 1.0 + 32.0 * kUnitRoundoff;

/// An evaluation whose certificate is known, to be filled in.
struct Item {
  ConstVector reward;
  const TwofoldVector& value;
  double magnitude;  // at least max|r| + 2 max|V|
  bool remainders;
  linear::Ahead& ahead;  // of all pairs, if the proof came by it
  Evaluation& out;
};

std::vector<const TwofoldVector*> values_of(std::span<const Item> items) {
  std::vector<const TwofoldVector*> values;
  for (const Item& item : items) values.push_back(&item.value);
  return values;
}

void make_room(const Mdp& mdp, std::span<const Item> items) {
  for (const Item& item : items) {
    item.out.action_value = unset<Doubles>(mdp.num_pairs());
    item.out.advantage = unset<Doubles>(mdp.num_pairs());
  }
}

/// What arithmetic and rounding to doubles cost Q and A.
struct Rounding {
  double action_value = 0.0;
  double advantage = 0.0;
  double arithmetic = 0.0;  // the part of both that is not rounding to doubles
};

bool doubles_will_do(const Mdp& mdp, const Item& item) {
  return is_small_beside(item.out.certificate.error_bound, rounding_in_doubles(mdp, item.magnitude));
}

/// What it costs that the shift is added to what is ahead of a pair, and not carried through its row, whose sum may not
/// be one; and that h may be larger than V by as much.
double cost_of_shift(const Mdp& mdp, double shift) {
  const auto [lower, upper] = mdp.row_sum();
  const double defect = std::max(std::fabs(1.0 - lower), std::fabs(1.0 - upper));
  return defect * std::fabs(shift) * kOutward + rounding_in_doubles(mdp, 2.0 * std::fabs(shift));
}

/// Whether what is ahead came with the proof, and is near enough.
bool is_ahead_known(const Mdp& mdp, const Item& item) {
  return !item.ahead.of.empty() && doubles_will_do(mdp, item) &&
         is_small_beside(item.out.certificate.error_bound, cost_of_shift(mdp, item.ahead.shift));
}

/// Q = r + gamma (P h + shift) and A = Q - V, where V = h + shift and P h is known: Q takes its place.
Rounding action_values_from_ahead(const Mdp& mdp, double discount, const Item& item, Team& team) {
  const double shift = item.ahead.shift;
  Doubles q = std::move(item.ahead.of);
  auto a = unset<Doubles>(mdp.num_pairs());
  team.for_blocks(mdp.num_states(), kBlock, [&](Index first, Index last, Index) {
    for (Index state = first; state < last; ++state) {
      const double value = item.value[at(state)].hi;
      for (auto i = at(mdp.first_pair(state)); i < at(mdp.first_pair(state + 1)); ++i) {
        q[i] = item.reward[i] + discount * (q[i] + shift);
        a[i] = q[i] - value;
      }
    }
  });
  item.out.action_value = std::move(q);
  item.out.advantage = std::move(a);
  const double rounding = rounding_in_doubles(mdp, item.magnitude) + cost_of_shift(mdp, shift);
  return {rounding, rounding, rounding};
}

/// Q(s,a) = r(s,a) + gamma sum_s' P(s'|s,a) V(s') and A = Q - V in doubles, from the rounded V. The model is read once
/// for all values.
template <class Number>
std::vector<Rounding> action_values_in_doubles(const Mdp& mdp, double discount, std::span<const Item> items,
                                               Team& team) {
  const Numbers<Number> value = high_parts<Number>(values_of(items), team);
  make_room(mdp, items);
  team.for_blocks(mdp.num_states(), kBlock, [&](Index first, Index last, Index) {
    for (Index state = first; state < last; ++state) {
      for (Index pair = mdp.first_pair(state); pair < mdp.first_pair(state + 1); ++pair) {
        const std::size_t i = at(pair);
        const Number ahead = discount * mdp.row(pair).dot(value.data());
        for (std::size_t k = 0; k < items.size(); ++k) {
          const double q = items[k].reward[i] + lane(ahead, k);
          items[k].out.action_value[i] = q;
          items[k].out.advantage[i] = q - lane(value[at(state)], k);
        }
      }
    }
  });
  std::vector<Rounding> roundings;
  for (const Item& item : items) {
    const double rounding = rounding_in_doubles(mdp, item.magnitude);
    roundings.push_back({rounding, rounding, rounding});
  }
  return roundings;
}

/// The same from the twofold V: a large constant in the rewards then costs A no digits (theory 9).
template <class Number>
std::vector<Rounding> twofold_action_values(const Mdp& mdp, double discount, std::span<const Item> items, Team& team) {
  make_room(mdp, items);
  for (const Item& item : items) {
    if (!item.remainders) continue;
    item.out.rest_of_action_value.low = unset<Doubles>(mdp.num_pairs());
    item.out.rest_of_advantage.low = unset<Doubles>(mdp.num_pairs());
  }
  const TwofoldRowsOf<Number>& rows = twofold_rows_of<Number>();
  const SideBySide<Number> value(values_of(items), team);
  struct Most {
    Number action_value{};
    Number advantage{};
  };
  std::vector<Most> partial(at(num_blocks(mdp.num_states())));  // the largest low halves, lost in rounding
  team.for_blocks(mdp.num_states(), kBlock, [&](Index first, Index last, Index block) {
    using std::fabs, std::max;
    Most most;
    for (Index state = first; state < last; ++state) {
      for (Index pair = mdp.first_pair(state); pair < mdp.first_pair(state + 1); ++pair) {
        const std::size_t i = at(pair);
        TwofoldOf<Number> reward;
        for (std::size_t k = 0; k < items.size(); ++k) lane(reward.hi, k) = items[k].reward[i];
        const TwofoldOf<Number> q = rows.dot(mdp.row(pair), value.numbers().data()) * discount + reward;
        const TwofoldOf<Number> a = q - value[at(state)];
        for (std::size_t k = 0; k < items.size(); ++k) {
          items[k].out.action_value[i] = lane(q.hi, k);
          items[k].out.advantage[i] = lane(a.hi, k);
          if (!items[k].remainders) continue;
          items[k].out.rest_of_action_value.low[i] = lane(q.lo, k);
          items[k].out.rest_of_advantage.low[i] = lane(a.lo, k);
        }
        most.action_value = max(most.action_value, fabs(q.lo));
        most.advantage = max(most.advantage, fabs(a.lo));
      }
    }
    partial[at(block)] = most;
  });
  std::vector<Rounding> roundings(items.size());
  for (std::size_t k = 0; k < items.size(); ++k) {
    Rounding& rounding = roundings[k];
    for (const Most& part : partial) {
      rounding.action_value = std::max(rounding.action_value, lane(part.action_value, k));
      rounding.advantage = std::max(rounding.advantage, lane(part.advantage, k));
    }
    rounding.arithmetic = arithmetic_error(mdp.max_row_length(), items[k].magnitude);
    rounding.action_value += rounding.arithmetic;
    rounding.advantage += rounding.arithmetic;
  }
  return roundings;
}

/// Fills in what follows from the twofold V, its error bound, and what the rounding of Q and A costs.
void derive(const Mdp& mdp, double discount, const Item& item, const Rounding& rounding, Team& team) {
  const auto& [reward, value, magnitude, remainders, ahead, out] = item;
  const double error = out.certificate.error_bound;
  const double carried = discount * mdp.row_sum().upper;
  out.bounds.value = (error + rounding_of(value, team).largest()) * kOutward;
  out.bounds.action_value = (carried * error + rounding.action_value) * kOutward;
  out.bounds.advantage = ((1.0 + carried) * error + rounding.advantage) * kOutward;
  out.rest_of_action_value.bound = (carried * error + rounding.arithmetic) * kOutward;
  out.rest_of_advantage.bound = ((1.0 + carried) * error + rounding.arithmetic) * kOutward;

  if (const std::optional<Bounded> eta = start_value(mdp, value, error)) {
    out.start_value = eta->value;
    out.bounds.start_value = eta->bound;
  }
  out.value = rounded(value, team);
}

/// Fills in evaluations under up to kMostLanes rewards, each in the arithmetic that it needs, or from what is known.
void fill_in(const Mdp& mdp, double discount, std::span<const Item> items, Team& team) {
  std::vector<Item> unknown;
  for (const Item& item : items) {
    if (is_ahead_known(mdp, item)) {
      derive(mdp, discount, item, action_values_from_ahead(mdp, discount, item, team), team);
    } else {
      unknown.push_back(item);
    }
  }
  for (const bool in_doubles : {true, false}) {
    std::vector<Item> chosen;
    std::copy_if(unknown.begin(), unknown.end(), std::back_inserter(chosen),
                 [&](const Item& item) { return doubles_will_do(mdp, item) == in_doubles; });
    if (chosen.empty()) continue;
    const std::vector<Rounding> roundings = with_lanes(chosen.size(), [&]<class Number>() {
      return in_doubles ? action_values_in_doubles<Number>(mdp, discount, chosen, team)
                        : twofold_action_values<Number>(mdp, discount, chosen, team);
    });
    for (std::size_t k = 0; k < chosen.size(); ++k) derive(mdp, discount, chosen[k], roundings[k], team);
  }
}

/// Fills in evaluations under several rewards, whose largest are given, from their solutions.
void derive_all(const Mdp& mdp, std::span<const ConstVector> rewards, std::span<const double> largest, double discount,
                bool remainders, std::span<linear::Solution> solutions, std::span<Evaluation> out, Team& team) {
  for (std::size_t first = 0; first < out.size(); first += kMostLanes) {
    std::vector<Item> items;
    for (std::size_t k = first; k < std::min(first + kMostLanes, out.size()); ++k) {
      out[k].certificate = std::move(solutions[k].certificate);
      const double magnitude = extent_of(solutions[k].x, team).largest() * 2.0 + largest[k];
      items.push_back({rewards[k], solutions[k].x, magnitude, remainders, solutions[k].ahead, out[k]});
    }
    fill_in(mdp, discount, items, team);
  }
}

}  // namespace

std::optional<Bounded> start_value(const Mdp& mdp, const TwofoldVector& value, double error) {
  if (mdp.initial().empty()) return std::nullopt;
  TwofoldSum sum;
  double largest = 0.0;
  for (std::size_t state = 0; state < value.size(); ++state) {
    const double weight = mdp.initial()[state];
    if (weight == 0.0) continue;
    sum.add_product(value[state], weight);
    largest = std::max(largest, std::fabs(value[state].hi));
  }
  const Twofold eta = sum.total();
  const double carried = (1.0 + 2.0 * kRowTolerance) * error;
  return Bounded{eta.hi, (carried + std::fabs(eta.lo) + arithmetic_error(mdp.num_states(), 2.0 * largest)) * kOutward};
}

void check_rewards(const Mdp& mdp, std::span<const ConstVector> rewards) {
  for (std::size_t j = 0; j < rewards.size(); ++j) {
    if (rewards[j].data() == mdp.reward().data()) continue;  // checked with the model
    check_one_reward(mdp, rewards[j], rewards.size() > 1 ? static_cast<Index>(j) : -1);
  }
}

std::vector<Evaluation> evaluate(const Mdp& mdp, std::span<const ConstVector> policies,
                                 std::span<const ConstVector> rewards, double discount, const Options& options,
                                 Monitor& monitor) {
  mdp.ensure_checked(options.num_threads);
  check_rewards(mdp, rewards);
  std::vector<Evaluation> results(policies.size() * rewards.size());
  for_policies(mdp, policies.size(), options.num_threads, monitor, [&](std::size_t i, Team& team, Monitor& watch) {
    const Interval sum = check_policy(mdp, policies[i], team, policies.size() > 1 ? static_cast<Index>(i) : -1);
    const Chain chain(mdp, policies[i], sum);
    std::vector<linear::Solution> solutions;
    Doubles largest;  // of each reward
    {
      const linear::Kernel kernel(chain, discount);
      linear::Resolvent resolvent(kernel, team, watch);
      std::vector<linear::RightSide> sides;
      for (const ConstVector reward : rewards) {
        largest.push_back(extent_of(reward, team).largest());
        sides.push_back({chain.mean_over_actions(reward, team), chain.mean_error(largest.back()), true});
      }
      solutions = resolvent.solve(sides, options.tolerance);
    }
    derive_all(mdp, rewards, largest, discount, options.remainders, solutions,
               std::span(results).subspan(i * rewards.size(), rewards.size()), team);
  });
  return results;
}

Evaluation evaluate(const Mdp& mdp, ConstVector policy, double discount, const Options& options) {
  Monitor monitor;
  const std::array policies{policy};
  const std::array rewards{mdp.reward()};
  return std::move(evaluate(mdp, policies, rewards, discount, options, monitor).front());
}

}  // namespace rlcore
