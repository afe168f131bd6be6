#include "rlcore/chain.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include "rlcore/twofold_rows.hpp"

namespace rlcore {

Chain::Chain(const Mdp& mdp, ConstVector policy, Interval policy_sum)
    : mdp_(mdp), policy_(policy), policy_sum_(policy_sum) {}

Interval Chain::deficit(double discount) const {
  constexpr double kOutward = 8.0 * kUnitRoundoff;
  const double most = discount * mdp_.row_sum().upper * policy_sum_.upper * (1.0 + kOutward);
  const double least = discount * mdp_.row_sum().lower * policy_sum_.lower * (1.0 - kOutward);
  return {(1.0 - most) * (1.0 - kOutward), (1.0 - least) * (1.0 + kOutward)};
}

TwofoldVector Chain::mean_over_actions(ConstVector pair_values, Team& team) const {
  TwofoldVector mean = twofold_vector(size());
  team.for_blocks(size(), kBlock, [&](Index first, Index last, Index) {
    for (Index state = first; state < last; ++state) {
      TwofoldSum sum;
      for (Index pair = mdp_.first_pair(state); pair < mdp_.first_pair(state + 1); ++pair) {
        sum.add_product({pair_values[at(pair)]}, policy_[at(pair)]);
      }
      mean[at(state)] = sum.total();
    }
  });
  return mean;
}

double Chain::mean_error(double scale) const { return arithmetic_error(mdp_.max_num_actions(), scale); }

Twofold Chain::mean_ahead(Index state, const Twofold* x) const {
  const TwofoldRows& rows = twofold_rows();
  TwofoldSum over_actions;
  for (Index pair = mdp_.first_pair(state); pair < mdp_.first_pair(state + 1); ++pair) {
    const double weight = policy_[at(pair)];
    if (weight != 0.0) over_actions.add_product(rows.dot(mdp_.row(pair), x), weight);
  }
  return over_actions.total();
}

/// The states are dealt with in a few parts, each with sums of its own: how many depends on the model alone,
/// so that each number is summed in the same order for every team.
TwofoldVector Chain::arrivals(double discount, const TwofoldVector& x, Team& team) const {
  constexpr Index kMostParts = 4;
  const TwofoldRows& rows = twofold_rows();
  const Index num_parts = std::min(kMostParts, num_blocks(size()));
  std::vector<TwofoldVector> parts(at(num_parts));
  team.for_blocks(num_parts, 1, [&](Index part, Index, Index) {
    TwofoldVector& sum = parts[at(part)] = twofold_vector(size());
    for (Index state = size() * part / num_parts; state < size() * (part + 1) / num_parts; ++state) {
      const Twofold visits = x[at(state)] * discount;
      if (visits.hi == 0.0) continue;
      for (Index pair = mdp_.first_pair(state); pair < mdp_.first_pair(state + 1); ++pair) {
        const double chosen = policy_[at(pair)];
        if (chosen != 0.0) rows.scatter(visits * chosen, mdp_.row(pair), sum.data());
      }
    }
  });
  TwofoldVector& total = parts.front();
  team.for_blocks(size(), kBlock, [&](Index first, Index last, Index) {
    for (auto i = at(first); i < at(last); ++i) {
      total[i] = two_sum(total[i].hi, total[i].lo);
      for (Index part = 1; part < num_parts; ++part) {
        const Twofold more = parts[at(part)][i];
        total[i] = total[i] + two_sum(more.hi, more.lo);
      }
    }
  });
  return std::move(total);
}

double Chain::residual_error(double scale) const {
  const Index terms = mdp_.max_row_length() + mdp_.max_num_actions();
  return 2.0 * dot_error(terms) * scale + underflow_error(terms);
}

double Chain::residual_error_transposed(double scale, Index most_arrivals) const {
  // The parts that the states are dealt with in are summed too.
  const Index terms = most_arrivals + 16;
  return 2.0 * dot_error(terms) * scale + underflow_error(terms) * static_cast<double>(size());
}

}  // namespace rlcore
