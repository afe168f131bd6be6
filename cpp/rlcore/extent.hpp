// The extremes and the L1 norm of a vector.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "rlcore/parallel.hpp"
#include "rlcore/twofold.hpp"
#include "rlcore/types.hpp"

namespace rlcore {

struct Extent {
  double lower = std::numeric_limits<double>::infinity();
  double upper = -std::numeric_limits<double>::infinity();
  double l1 = 0.0;

  void include(double value) {
    lower = std::min(lower, value);
    upper = std::max(upper, value);
    l1 += std::fabs(value);
  }
  void include(const Extent& other) {
    lower = std::min(lower, other.lower);
    upper = std::max(upper, other.upper);
    l1 += other.l1;
  }

  double largest() const { return std::max(std::fabs(lower), std::fabs(upper)); }

  /// A NaN is lost on the extremes but not on the sum.
  bool finite() const { return std::isfinite(l1); }
};

/// The extent of number(i) for i in [0, count).
template <class Number>
Extent extent_over(Index count, Team& team, Number&& number) {
  std::vector<Extent> partial(at(num_blocks(count)));
  team.for_blocks(count, kBlock, [&](Index first, Index last, Index block) {
    Extent part;
    for (Index i = first; i < last; ++i) part.include(number(at(i)));
    partial[at(block)] = part;
  });
  Extent all;
  for (const Extent& part : partial) all.include(part);
  return all;
}

inline Extent extent_of(ConstVector x, Team& team) {
  return extent_over(ssize(x), team, [&](std::size_t i) { return x[i]; });
}

/// Of the high parts; the low parts are below their rounding.
inline Extent extent_of(const TwofoldVector& x, Team& team) {
  return extent_over(std::ssize(x), team, [&](std::size_t i) { return x[i].hi; });
}

/// Of the low parts: what rounding a twofold vector to doubles loses.
inline Extent rounding_of(const TwofoldVector& x, Team& team) {
  return extent_over(std::ssize(x), team, [&](std::size_t i) { return x[i].lo; });
}

/// Doubles as twofold numbers.
inline TwofoldVector twofold(ConstVector x) {
  TwofoldVector y(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) y[i].hi = x[i];
  return y;
}

/// Rounds a twofold vector to doubles.
inline Doubles rounded(const TwofoldVector& x) {
  Doubles y(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) y[i] = x[i].hi;
  return y;
}

}  // namespace rlcore
