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

template <class Number>
TwofoldOf<Number> Chain::mean_ahead(Index state, const TwofoldOf<Number>* x) const {
  const TwofoldRowsOf<Number>& rows = twofold_rows_of<Number>();
  TwofoldOf<Number> over_actions;
  for (Index pair = mdp_.first_pair(state); pair < mdp_.first_pair(state + 1); ++pair) {
    const double weight = policy_[at(pair)];
    if (weight != 0.0) rows.add_dot(weight, mdp_.row(pair), x, over_actions);
  }
  return two_sum(over_actions.hi, over_actions.lo);
}

/// The states are dealt with in a few parts, each with sums of its own: how many depends on the model alone,
/// so that each number is summed in the same order for every team.
template <class Number>
Numbers<TwofoldOf<Number>> Chain::arrivals(double discount, std::span<const TwofoldOf<Number>> x, Team& team) const {
  constexpr Index kMostParts = 4;
  const TwofoldRowsOf<Number>& rows = twofold_rows_of<Number>();
  const Index num_parts = std::min(kMostParts, num_blocks(size()));
  std::vector<Numbers<TwofoldOf<Number>>> parts(at(num_parts));
  team.for_blocks(num_parts, 1, [&](Index part, Index, Index) {
    Numbers<TwofoldOf<Number>>& sum = parts[at(part)];
    sum.resize(at(size()));
    for (Index state = size() * part / num_parts; state < size() * (part + 1) / num_parts; ++state) {
      const TwofoldOf<Number> visits = x[at(state)] * discount;
      if (is_zero(visits.hi)) continue;
      for (Index pair = mdp_.first_pair(state); pair < mdp_.first_pair(state + 1); ++pair) {
        const double chosen = policy_[at(pair)];
        if (chosen != 0.0) rows.scatter(visits * chosen, mdp_.row(pair), sum.data());
      }
    }
  });
  Numbers<TwofoldOf<Number>>& total = parts.front();
  team.for_blocks(size(), kBlock, [&](Index first, Index last, Index) {
    for (auto i = at(first); i < at(last); ++i) {
      total[i] = two_sum(total[i].hi, total[i].lo);
      for (Index part = 1; part < num_parts; ++part) {
        const TwofoldOf<Number> more = parts[at(part)][i];
        total[i] = total[i] + two_sum(more.hi, more.lo);
      }
    }
  });
  return std::move(total);
}

#define RLCORE_FOR_LANES(Number)                                                       \
  template TwofoldOf<Number> Chain::mean_ahead(Index, const TwofoldOf<Number>*) const; \
  template Numbers<TwofoldOf<Number>> Chain::arrivals(double, std::span<const TwofoldOf<Number>>, Team&) const
RLCORE_FOR_LANES(double);
RLCORE_FOR_LANES(LaneArray<2>);
RLCORE_FOR_LANES(LaneArray<4>);
RLCORE_FOR_LANES(LaneArray<8>);
#undef RLCORE_FOR_LANES

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
