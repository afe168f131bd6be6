#include "rlcore/chain.hpp"

#include <algorithm>
#include <cmath>
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
  auto mean = unset<TwofoldVector>(size());
  team.for_blocks(size(), kBlock, [&](Index first, Index last, Index) {
    sum_over_actions(mdp_, pair_values, policy_, first, last, mean);
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
/// so that each number is summed in the same order for every team. Calls scatter(first, last, part, sums) for the
/// states of each part.
template <class Sum, class Scatter>
std::vector<Numbers<Sum>> Chain::arrivals_in_parts(Team& team, Scatter&& scatter) const {
  constexpr Index kMostParts = 4;
  const Index num_parts = std::min(kMostParts, num_blocks(size()));
  std::vector<Numbers<Sum>> parts(at(num_parts));
  team.for_blocks(num_parts, 1, [&](Index part, Index, Index) {
    parts[at(part)].resize(at(size()));
    scatter(size() * part / num_parts, size() * (part + 1) / num_parts, at(part), parts[at(part)].data());
  });
  return parts;
}

template <class Number>
Numbers<TwofoldOf<Number>> Chain::arrivals(double discount, std::span<const TwofoldOf<Number>> x, Team& team) const {
  using Sum = TwofoldOf<Number>;
  const TwofoldRowsOf<Number>& rows = twofold_rows_of<Number>();
  auto parts = arrivals_in_parts<Sum>(team, [&](Index first, Index last, std::size_t, Sum* sums) {
    for (Index state = first; state < last; ++state) {
      const Sum visits = x[at(state)] * discount;
      if (is_zero(visits.hi)) continue;
      for (Index pair = mdp_.first_pair(state); pair < mdp_.first_pair(state + 1); ++pair) {
        const double chosen = policy_[at(pair)];
        if (chosen != 0.0) rows.scatter(visits * chosen, mdp_.row(pair), sums);
      }
    }
  });
  Numbers<Sum>& total = parts.front();
  team.for_blocks(size(), kBlock, [&](Index first, Index last, Index) {
    for (auto i = at(first); i < at(last); ++i) {
      total[i] = two_sum(total[i].hi, total[i].lo);
      for (std::size_t part = 1; part < parts.size(); ++part) {
        const Sum more = parts[part][i];
        total[i] = total[i] + two_sum(more.hi, more.lo);
      }
    }
  });
  return std::move(total);
}

namespace {

/// sum(s') += weight P(s'|s,a); returns the sum of the magnitudes that the sums come to.
template <class Number>
RLCORE_INLINE Number scatter(const Number& weight, const Row& row, Number* sums) {
  using std::fabs;
  Number magnitudes{};
  row.prefetch_next();
  for (Index k = 0; k < row.length; ++k) {
    prefetch(sums + row.upcoming(k));
    Number& sum = sums[row.column[k]];
    sum += weight * row.probability[k];
    magnitudes += fabs(sum);
  }
  return magnitudes;
}

}  // namespace

/// An addition is wrong by at most one rounding of what it comes to: the running error bound of a sum (Higham 2002,
/// 3.3). No visits are left out, not even none: what other lanes hold must not show.
template <class Number>
Chain::RoundedArrivals<Number> Chain::arrivals_in_doubles(double discount, std::span<const Number> x,
                                                          Team& team) const {
  using std::fabs;
  Numbers<Number> magnitudes(at(num_blocks(size())));  // there are no more parts than blocks
  auto parts = arrivals_in_parts<Number>(team, [&](Index first, Index last, std::size_t part, Number* sums) {
    Number of_part{};
    for (Index state = first; state < last; ++state) {
      const Number visits = x[at(state)] * discount;
      for (Index pair = mdp_.first_pair(state); pair < mdp_.first_pair(state + 1); ++pair) {
        const double chosen = policy_[at(pair)];
        if (chosen != 0.0) of_part += scatter(visits * chosen, mdp_.row(pair), sums);
      }
    }
    magnitudes[part] = of_part;
  });
  Numbers<Number>& total = parts.front();
  team.for_blocks(size(), kBlock, [&](Index first, Index last, Index block) {
    Number of_block{};
    for (auto i = at(first); i < at(last); ++i) {
      for (std::size_t part = 1; part < parts.size(); ++part) {
        total[i] += parts[part][i];
        of_block += fabs(total[i]);
      }
    }
    magnitudes[at(block)] += of_block;
  });
  Number error{};
  for (const Number& magnitude : magnitudes) error += magnitude;
  // The magnitudes are rounded as they are summed, each as often as there are others at most.
  const double num_magnitudes = static_cast<double>(mdp_.num_entries() + mdp_.num_pairs() + 8 * size());
  error *= kUnitRoundoff * (1.0 + 2.0 * num_magnitudes * kUnitRoundoff);
  return {std::move(total), error};
}

#define RLCORE_FOR_LANES(Number)                                                                                \
  template TwofoldOf<Number> Chain::mean_ahead(Index, const TwofoldOf<Number>*) const;                          \
  template Numbers<TwofoldOf<Number>> Chain::arrivals(double, std::span<const TwofoldOf<Number>>, Team&) const; \
  template Chain::RoundedArrivals<Number> Chain::arrivals_in_doubles(double, std::span<const Number>, Team&) const
RLCORE_FOR_LANES(double);
RLCORE_FOR_LANES(LaneArray<2>);
RLCORE_FOR_LANES(LaneArray<4>);
RLCORE_FOR_LANES(LaneArray<8>);
#undef RLCORE_FOR_LANES

double Chain::residual_error(double scale) const {
  const Index terms = mdp_.max_row_length() + mdp_.max_num_actions();
  return 2.0 * dot_error(terms) * scale + underflow_error(terms);
}

/// A term of the sum is rounded at most once for every entry of its row and every action, and some eight times besides:
/// by its products, by what is left out of b and x, and as b and x are added.
double Chain::residual_error_in_doubles(double scale) const {
  const Index terms = mdp_.max_row_length() + mdp_.max_num_actions();
  const double roundings = static_cast<double>(terms) + 16.0;
  return roundings * kUnitRoundoff * (1.0 + 2.0 * roundings * kUnitRoundoff) * scale + underflow_error(terms);
}

/// What b loses counts once, and what x loses twice; its products are rounded three times, and what arrives is rounded
/// once more, with x, as x is taken away.
double Chain::residual_error_in_doubles_transposed(double scale) const {
  return 8.0 * kUnitRoundoff * scale + underflow_error(mdp_.num_entries());
}

double Chain::residual_error_transposed(double scale, Index most_arrivals) const {
  // The parts that the states are dealt with in are summed too.
  const Index terms = most_arrivals + 16;
  return 2.0 * dot_error(terms) * scale + underflow_error(terms) * static_cast<double>(size());
}

}  // namespace rlcore
