#include "rlcore/chain.hpp"

#include <algorithm>
#include <cmath>

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
  TwofoldVector mean(size());
  team.for_blocks(size(), kBlock, [&](Index first, Index last, Index) {
    for (Index state = first; state < last; ++state) {
      TwofoldSum sum;
      for (Index pair = mdp_.first_pair(state); pair < mdp_.first_pair(state + 1); ++pair) {
        sum.add_product({pair_values[static_cast<std::size_t>(pair)]}, policy_[static_cast<std::size_t>(pair)]);
      }
      mean.set(state, sum.total());
    }
  });
  return mean;
}

void Chain::residual(double discount, const TwofoldVector& b, const TwofoldVector& x, Vector residual,
                     Team& team) const {
  const Column* column = mdp_.column();
  const double* probability = mdp_.probability();
  const double* x_hi = x.hi.data();
  const double* x_lo = x.lo.data();
  team.for_blocks(size(), kBlock, [&](Index first, Index last, Index) {
    for (Index state = first; state < last; ++state) {
      TwofoldSum over_actions;
      for (Index pair = mdp_.first_pair(state); pair < mdp_.first_pair(state + 1); ++pair) {
        const double weight = policy_[static_cast<std::size_t>(pair)];
        if (weight == 0.0) continue;
        TwofoldSum over_successors;
        for (Index entry = mdp_.first_entry(pair); entry < mdp_.first_entry(pair + 1); ++entry) {
          const Column successor = column[entry];
          over_successors.add_product({x_hi[successor], x_lo[successor]}, probability[entry]);
        }
        over_actions.add_product(over_successors.total(), weight);
      }
      const Twofold ahead = over_actions.total() * discount;
      residual[static_cast<std::size_t>(state)] = (b[state] + (ahead - x[state])).rounded();
    }
  });
}

/// Every member owns a range of destinations and reads all rows for the entries that fall in it, so
/// that each sum is formed in the order of the pairs, whoever forms it.
void Chain::scatter(double discount, const TwofoldVector& x, TwofoldVector& sum, Team& team) const {
  const Column* column = mdp_.column();
  const double* probability = mdp_.probability();
  double* high = sum.hi.data();
  double* rest = sum.lo.data();
  team.run([&](int member) {
    const Index begin = size() * member / team.size();
    const Index end = size() * (member + 1) / team.size();
    for (Index state = 0; state < size(); ++state) {
      if (x.hi[static_cast<std::size_t>(state)] == 0.0 && x.lo[static_cast<std::size_t>(state)] == 0.0) continue;
      const Twofold visits = x[state] * discount;
      for (Index pair = mdp_.first_pair(state); pair < mdp_.first_pair(state + 1); ++pair) {
        const double chosen = policy_[static_cast<std::size_t>(pair)];
        if (chosen == 0.0) continue;
        const Twofold weight = visits * chosen;
        const Column* const row_end = column + mdp_.first_entry(pair + 1);
        const Column* entry = column + mdp_.first_entry(pair);
        if (team.size() > 1) entry = std::lower_bound(entry, row_end, static_cast<Column>(begin));
        for (; entry < row_end && *entry < end; ++entry) {
          const Twofold product = two_product(weight.hi, probability[entry - column]);
          const Twofold partial = two_sum(high[*entry], product.hi);
          high[*entry] = partial.hi;
          rest[*entry] += (product.lo + partial.lo) + weight.lo * probability[entry - column];
        }
      }
    }
  });
}

void Chain::residual_transposed(double discount, const TwofoldVector& b, const TwofoldVector& x, Vector residual,
                                Team& team) const {
  TwofoldVector arrived(size());
  scatter(discount, x, arrived, team);
  team.for_blocks(size(), kBlock, [&](Index first, Index last, Index) {
    for (Index state = first; state < last; ++state) {
      const Twofold sum = arrived[state];
      residual[static_cast<std::size_t>(state)] = (b[state] + (two_sum(sum.hi, sum.lo) - x[state])).rounded();
    }
  });
}

TwofoldVector Chain::step(const TwofoldVector& x, Team& team) const {
  TwofoldVector next(size());
  scatter(1.0, x, next, team);
  team.for_blocks(size(), kBlock, [&](Index first, Index last, Index) {
    for (Index state = first; state < last; ++state) next.set(state, two_sum(next[state].hi, next[state].lo));
  });
  return next;
}

double Chain::residual_error(double scale) const {
  const Index terms = mdp_.max_row_length() + mdp_.max_num_actions();
  return 2.0 * dot_error(terms) * scale + underflow_error(terms);
}

double Chain::residual_error_transposed(double scale) const {
  // No state has more predecessors than there are entries; the bound on it need not be sharp.
  const Index terms = mdp_.num_entries();
  return 2.0 * dot_error(terms) * scale + underflow_error(terms) * static_cast<double>(size());
}

}  // namespace rlcore
