#include "rlcore/elimination.hpp"

namespace rlcore {
namespace {

/// What must lead out of a state or a group of states, together. Underflow takes some 2^-1074 from a rate, never more
/// than it is: beside this, and in sum over all states, that is far less than the rounding of large rates.
constexpr double kLeast = 0x1p-900;

/// Larger weights would overflow.
constexpr double kMost = 0x1p960;

}  // namespace

std::optional<TwofoldVector> stationary_by_elimination(std::vector<Twofold>& rates, Index size) {
  const auto rate = [&](Index from, Index to) -> Twofold& { return rates[at(from * size + to)]; };
  // Cut the last state out, again and again: who went there goes where it led.
  for (Index last = size - 1; last > 0; --last) {
    Twofold leaving;
    for (Index to = 0; to < last; ++to) leaving = leaving + rate(last, to);
    if (!(leaving.hi >= kLeast)) return std::nullopt;
    for (Index from = 0; from < last; ++from) {
      if (rate(from, last).hi == 0.0) continue;
      const Twofold share = rate(from, last) = quotient(rate(from, last), leaving);
      for (Index to = 0; to < last; ++to) {
        if (to != from && rate(last, to).hi != 0.0) rate(from, to) = rate(from, to) + share * rate(last, to);
      }
    }
  }
  TwofoldVector weight(at(size));
  weight[0] = {1.0};
  Twofold total{1.0};
  for (Index state = 1; state < size; ++state) {
    for (Index from = 0; from < state; ++from) {
      weight[at(state)] = weight[at(state)] + weight[at(from)] * rate(from, state);
    }
    if (!(weight[at(state)].hi <= kMost)) return std::nullopt;
    total = total + weight[at(state)];
  }
  for (Twofold& part : weight) part = quotient(part, total);
  return weight;
}

double elimination_error(Index size) {
  const double n = static_cast<double>(size) + 4.0;
  return 16.0 * n * n * n * 0x1p-99;
}

}  // namespace rlcore
