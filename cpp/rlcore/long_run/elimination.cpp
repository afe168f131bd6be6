#include "rlcore/long_run/elimination.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

namespace rlcore {
namespace {

/// What must lead out of a state or a group of states, together. Underflow takes some 2^-1074 from a rate, never more
/// than it is: beside this, and in sum over all states, that is far less than the rounding of large rates.
constexpr double kLeast = 0x1p-900;

/// Below kLeast a weight may have lost all its digits. What it may still lead to must be less than this part of a sum.
constexpr double kNegligible = 0x1p-120;

/// Cuts the last state out, again and again: who went there goes where it led. Leaves, behind the diagonal, the share
/// of each state in those after it, and on it what leads out of the state. False if too little does.
bool cut_out(Rates& rate) {
  for (Index last = rate.size() - 1; last > 0; --last) {
    const Index first = std::max<Index>(0, last - rate.width());
    Twofold& leaving = rate(last, last) = rate.elsewhere(last);
    for (Index to = first; to < last; ++to) leaving = leaving + rate(last, to);
    if (!(leaving.hi >= kLeast)) return false;
    for (Index from = first; from < last; ++from) {
      if (rate(from, last).hi == 0.0) continue;
      const Twofold share = rate(from, last) = quotient(rate(from, last), leaving);
      for (Index to = first; to < last; ++to) {
        if (to != from && rate(last, to).hi != 0.0) rate(from, to) = rate(from, to) + share * rate(last, to);
      }
      rate.elsewhere(from) = rate.elsewhere(from) + share * rate.elsewhere(last);
    }
  }
  return true;
}

/// What states weigh beside the first. Along a line that may be hundreds of orders of magnitude, so those that are
/// still needed are scaled to what doubles can hold; `exponent` is of all weights from a state on.
class Weights {
 public:
  explicit Weights(Rates& rates) : rate_(rates), weight_(at(rates.size())) {}

  bool find() {
    weight_[0] = {1.0};
    for (Index state = 1; state < rate_.size(); ++state) {
      if (!add(state)) return false;
      rescale(std::max<Index>(0, state + 1 - rate_.width()), state + 1);
    }
    return true;
  }

  /// Sums to one.
  TwofoldVector normalised() {
    int most = 0;
    for_scales([&](Twofold& weight, int exponent) {
      if (weight.hi > 0.0) most = std::max(most, exponent + std::ilogb(weight.hi));
    });
    Twofold total;
    for_scales([&](Twofold& weight, int exponent) {
      weight = scaled(weight, exponent - most);
      total = total + weight;
    });
    for (Twofold& part : weight_) part = quotient(part, total);
    return std::move(weight_);
  }

 private:
  struct Scale {
    Index first;
    int exponent;
  };

  static Twofold scaled(Twofold x, int exponent) { return {std::ldexp(x.hi, exponent), std::ldexp(x.lo, exponent)}; }

  bool add(Index state) {
    Twofold sum;
    double lost = 0.0;
    for (Index from = std::max<Index>(0, state - rate_.width()); from < state; ++from) {
      const Twofold share = rate_(from, state);
      if (share.hi == 0.0) continue;
      sum = sum + weight_[at(from)] * share;
      if (weight_[at(from)].hi < kLeast) lost += kLeast * share.hi;
    }
    weight_[at(state)] = sum;
    return std::isfinite(sum.hi) && lost <= std::max(kNegligible * sum.hi, kLeast);
  }

  /// Brings the weights from one state up to another near 1, if they are far from it.
  void rescale(Index first, Index end) {
    constexpr int kFar = 400;
    double most = 0.0;
    for (Index state = first; state < end; ++state) most = std::max(most, weight_[at(state)].hi);
    if (most == 0.0 || std::abs(std::ilogb(most)) < kFar) return;
    const int by = std::ilogb(most);
    for (Index state = first; state < end; ++state) weight_[at(state)] = scaled(weight_[at(state)], -by);
    scales_.push_back({first, scales_.back().exponent + by});
  }

  template <class Body>
  void for_scales(Body&& body) {
    for (std::size_t k = 0; k < scales_.size(); ++k) {
      const Index end = k + 1 < scales_.size() ? scales_[k + 1].first : rate_.size();
      for (Index state = scales_[k].first; state < end; ++state) body(weight_[at(state)], scales_[k].exponent);
    }
  }

  Rates& rate_;
  TwofoldVector weight_;
  std::vector<Scale> scales_{{0, 0}};
};

}  // namespace

Rates::Rates(const Chain& chain, std::span<const Column> states, Index width, std::vector<Column>& number)
    : width_(width), rate_(states.size() * at(2 * width + 1)), elsewhere_(states.size()) {
  for (std::size_t i = 0; i < states.size(); ++i) number[at(states[i])] = static_cast<Column>(i);
  const Mdp& mdp = chain.mdp();
  for (Index i = 0; i < size(); ++i) {
    chain.for_chosen_pairs(states[at(i)], [&](Index pair, double chosen) {
      const Row row = mdp.row(pair);
      for (Index k = 0; k < row.length; ++k) {
        if (row.probability[k] == 0.0) continue;
        const Column to = number[at(row.column[k])];
        Twofold& rate = to >= 0 ? (*this)(i, to) : elsewhere(i);
        rate = rate + two_product(chosen, row.probability[k]);
      }
      if (!mdp.termination().empty()) elsewhere(i) = elsewhere(i) + two_product(chosen, mdp.termination()[at(pair)]);
    });
  }
  for (const Column state : states) number[at(state)] = -1;
}

std::optional<TwofoldVector> stationary_by_elimination(Rates rates) {
  if (!cut_out(rates)) return std::nullopt;
  Weights weights(rates);
  if (!weights.find()) return std::nullopt;
  return weights.normalised();
}

std::optional<TwofoldVector> times_by_elimination(Rates rate) {
  const Index size = rate.size();
  if (size == 0) return TwofoldVector();
  if (!cut_out(rate)) return std::nullopt;
  if (!(rate.elsewhere(0).hi >= kLeast)) return std::nullopt;
  rate(0, 0) = rate.elsewhere(0);
  // The steps that are spent in states after it until the process is in one before it.
  TwofoldVector time(at(size), Twofold{1.0});
  for (Index last = size - 1; last > 0; --last) {
    for (Index from = std::max<Index>(0, last - rate.width()); from < last; ++from) {
      if (rate(from, last).hi != 0.0) time[at(from)] = time[at(from)] + rate(from, last) * time[at(last)];
    }
  }
  for (Index state = 0; state < size; ++state) {
    Twofold& sum = time[at(state)];
    for (Index to = std::max<Index>(0, state - rate.width()); to < state; ++to) {
      if (rate(state, to).hi != 0.0) sum = sum + rate(state, to) * time[at(to)];
    }
    sum = quotient(sum, rate(state, state));
    if (!std::isfinite(sum.hi)) return std::nullopt;
  }
  return time;
}

double elimination_error(Index size, Index width) {
  const double n = static_cast<double>(size) + 4.0;
  const double in_a_row = static_cast<double>(std::min(size, 2 * width)) + 4.0;
  return 16.0 * n * n * in_a_row * 0x1p-99;
}

}  // namespace rlcore
