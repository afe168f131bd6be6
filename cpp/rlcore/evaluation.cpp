#include "rlcore/evaluation.hpp"

#include <algorithm>
#include <cmath>

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

/// The largest low halves: what rounding the twofold Q and A to doubles costs.
struct Rounding {
  double action_value = 0.0;
  double advantage = 0.0;
};

/// Q(s,a) = r(s,a) + gamma sum_s' P(s'|s,a) V(s') and A = Q - V, from the twofold V: a large constant in
/// the rewards then costs A no digits (theory 9). The model is read once for all values.
template <class Number>
std::vector<Rounding> action_values(const Mdp& mdp, std::span<const ConstVector> rewards, double discount,
                                    std::span<const linear::Solution> values, std::span<Evaluation> out, Team& team) {
  const std::size_t count = values.size();
  const TwofoldRowsOf<Number>& rows = twofold_rows_of<Number>();
  std::vector<const TwofoldVector*> vectors;
  for (const linear::Solution& solution : values) vectors.push_back(&solution.x);
  const SideBySide<Number> value(vectors, team);
  struct Most {
    Number action_value{};
    Number advantage{};
  };
  std::vector<Most> partial(at(num_blocks(mdp.num_states())));
  team.for_blocks(mdp.num_states(), kBlock, [&](Index first, Index last, Index block) {
    using std::fabs, std::max;
    Most most;
    for (Index state = first; state < last; ++state) {
      for (Index pair = mdp.first_pair(state); pair < mdp.first_pair(state + 1); ++pair) {
        const std::size_t i = at(pair);
        TwofoldOf<Number> reward;
        for (std::size_t k = 0; k < count; ++k) lane(reward.hi, k) = rewards[k][i];
        const TwofoldOf<Number> q = rows.dot(mdp.row(pair), value.numbers().data()) * discount + reward;
        const TwofoldOf<Number> a = q - value[at(state)];
        for (std::size_t k = 0; k < count; ++k) {
          out[k].action_value[i] = lane(q.hi, k);
          out[k].advantage[i] = lane(a.hi, k);
        }
        most.action_value = max(most.action_value, fabs(q.lo));
        most.advantage = max(most.advantage, fabs(a.lo));
      }
    }
    partial[at(block)] = most;
  });
  std::vector<Rounding> all(count);
  for (std::size_t k = 0; k < count; ++k) {
    for (const Most& part : partial) {
      all[k].action_value = std::max(all[k].action_value, lane(part.action_value, k));
      all[k].advantage = std::max(all[k].advantage, lane(part.advantage, k));
    }
  }
  return all;
}

/// Fills in what follows from the twofold V, its error bound, and what the rounding of Q and A costs.
void derive(const Mdp& mdp, ConstVector reward, double discount, linear::Solution solution, const Rounding& rounding,
            Evaluation& out, Team& team) {
  out.certificate = std::move(solution.certificate);
  const TwofoldVector& value = solution.x;
  const double error = out.certificate.error_bound;
  const double ahead = discount * mdp.row_sum().upper;
  const double magnitude = extent_of(value, team).largest() * 2.0 + extent_of(reward, team).largest();
  const double arithmetic = arithmetic_error(mdp.max_row_length(), magnitude);
  out.bounds.value = (error + rounding_of(value, team).largest()) * kOutward;
  out.bounds.action_value = (ahead * error + rounding.action_value + arithmetic) * kOutward;
  out.bounds.advantage = ((1.0 + ahead) * error + rounding.advantage + arithmetic) * kOutward;

  if (const std::optional<Bounded> eta = start_value(mdp, value, error)) {
    out.start_value = eta->value;
    out.bounds.start_value = eta->bound;
  }
  out.value = rounded(value);
}

/// Fills in evaluations under several rewards from their solutions.
void derive_all(const Mdp& mdp, std::span<const ConstVector> rewards, double discount,
                std::span<linear::Solution> solutions, std::span<Evaluation> out, Team& team) {
  for (std::size_t first = 0; first < out.size(); first += kMostLanes) {
    const std::size_t count = std::min(kMostLanes, out.size() - first);
    for (Evaluation& evaluation : out.subspan(first, count)) {
      evaluation.action_value.resize(at(mdp.num_pairs()));
      evaluation.advantage.resize(at(mdp.num_pairs()));
    }
    const std::vector<Rounding> roundings = with_lanes(count, [&]<class Number>() {
      return action_values<Number>(mdp, rewards.subspan(first, count), discount, solutions.subspan(first, count),
                                   out.subspan(first, count), team);
    });
    for (std::size_t k = 0; k < count; ++k) {
      derive(mdp, rewards[first + k], discount, std::move(solutions[first + k]), roundings[k], out[first + k], team);
    }
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
    const Interval sum = check_policy(mdp, policies[i], policies.size() > 1 ? static_cast<Index>(i) : -1);
    const Chain chain(mdp, policies[i], sum);
    std::vector<linear::Solution> solutions;
    {
      const linear::Kernel kernel(chain, discount);
      linear::Resolvent resolvent(kernel, team, watch);
      std::vector<linear::RightSide> sides;
      for (const ConstVector reward : rewards) {
        const double scale = extent_of(reward, team).largest();
        sides.push_back({chain.mean_over_actions(reward, team), chain.mean_error(scale)});
      }
      solutions = resolvent.solve(sides, options.tolerance);
    }
    derive_all(mdp, rewards, discount, solutions, std::span(results).subspan(i * rewards.size(), rewards.size()), team);
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
