#include "rlcore/policy.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "rlcore/errors.hpp"
#include "rlcore/format.hpp"
#include "rlcore/twofold.hpp"

namespace rlcore {

namespace {

[[noreturn]] void refuse_row(Index num_actions, Index state, const double* row, double sum, const char* argument,
                             Index item) {
  for (Index action = 0; action < num_actions; ++action) {
    const double probability = row[action];
    if (!(probability >= 0.0 && std::isfinite(probability))) {
      throw PolicyError(argument, {state, action, item},
                        "expected a probability in [0, 1], got " + format(probability));
    }
  }
  throw PolicyError(
      argument, {.state = state, .item = item},
      "expected probabilities that sum to 1 within 1e-9, got a sum of " + format(sum) + "; divide the row by its sum");
}

}  // namespace

double check_policy_row(const Mdp& mdp, Index state, const double* row, const char* argument, Index item) {
  const Index num_actions = mdp.first_pair(state + 1) - mdp.first_pair(state);
  double sum = 0.0;
  double lowest = 0.0;
  for (Index action = 0; action < num_actions; ++action) {
    sum += row[action];
    lowest = std::min(lowest, row[action]);
  }
  // What is not a number, or not finite, makes the sum so.
  if (!(lowest >= 0.0 && std::fabs(sum - 1.0) <= kRowTolerance)) {
    refuse_row(num_actions, state, row, sum, argument, item);
  }
  return sum;
}

Interval enclosed_sum(const Mdp& mdp, Interval rounded_sums) {
  const double rounding = 2.0 * static_cast<double>(mdp.max_num_actions()) * kUnitRoundoff;
  return {rounded_sums.lower * (1.0 - rounding), rounded_sums.upper * (1.0 + rounding)};
}

Interval check_policy(const Mdp& mdp, ConstVector policy, Index item, const char* argument) {
  Team alone(1);
  return check_policy(mdp, policy, alone, item, argument);
}

Interval check_policy(const Mdp& mdp, ConstVector policy, Team& team, Index item, const char* argument) {
  if (ssize(policy) != mdp.num_pairs()) {
    throw PolicyError(argument, {.item = item},
                      "expected one probability for each of the " + std::to_string(mdp.num_pairs()) + " pairs, got " +
                          std::to_string(policy.size()));
  }
  std::vector<Interval> partial(at(num_blocks(mdp.num_states())));
  team.for_blocks(mdp.num_states(), kBlock, [&](Index first, Index last, Index block) {
    Interval sums{2.0, 0.0};
    for (Index state = first; state < last; ++state) {
      const double sum = check_policy_row(mdp, state, policy.data() + mdp.first_pair(state), argument, item);
      sums = {std::min(sums.lower, sum), std::max(sums.upper, sum)};
    }
    partial[at(block)] = sums;
  });
  Interval all{2.0, 0.0};
  for (const Interval& sums : partial) {
    all = {std::min(all.lower, sums.lower), std::max(all.upper, sums.upper)};
  }
  return enclosed_sum(mdp, all);
}

}  // namespace rlcore
