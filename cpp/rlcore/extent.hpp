// The extremes and the L1 norm of a vector.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "rlcore/lanes.hpp"
#include "rlcore/parallel.hpp"
#include "rlcore/twofold.hpp"
#include "rlcore/types.hpp"

namespace rlcore {

template <class Number>
struct ExtentOf {
  Number lower = in_every_lane<Number>(std::numeric_limits<double>::infinity());
  Number upper = in_every_lane<Number>(-std::numeric_limits<double>::infinity());
  Number l1{};

  RLCORE_INLINE void include(const Number& value) {
    using std::fabs, std::max, std::min;
    lower = min(lower, value);
    upper = max(upper, value);
    l1 += fabs(value);
  }
  void include(const ExtentOf& other) {
    using std::max, std::min;
    lower = min(lower, other.lower);
    upper = max(upper, other.upper);
    l1 += other.l1;
  }

  double largest() const { return std::max(std::fabs(lower), std::fabs(upper)); }

  /// A NaN is lost on the extremes but not on the sum.
  bool finite() const { return std::isfinite(l1); }

  /// Of one lane.
  ExtentOf<double> of_lane(std::size_t k) const { return {lane(lower, k), lane(upper, k), lane(l1, k)}; }
};

using Extent = ExtentOf<double>;

/// The extent of number(i) for i in [0, count).
template <class Get>
auto extent_over(Index count, Team& team, Get&& number) {
  using Result = ExtentOf<std::remove_cvref_t<decltype(number(std::size_t{}))>>;
  std::vector<Result> partial(at(num_blocks(count)));
  team.for_blocks(count, kBlock, [&](Index first, Index last, Index block) {
    // Four at a time: the comparisons and additions of one need not wait for each other.
    std::array<Result, 4> lanes;
    Index i = first;
    for (; i + 3 < last; i += 4) {
      lanes[0].include(number(at(i)));
      lanes[1].include(number(at(i + 1)));
      lanes[2].include(number(at(i + 2)));
      lanes[3].include(number(at(i + 3)));
    }
    for (; i < last; ++i) lanes[0].include(number(at(i)));
    for (const Result& lane : lanes) partial[at(block)].include(lane);
  });
  Result all;
  for (const Result& part : partial) all.include(part);
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
inline TwofoldVector twofold(ConstVector x, Team& team) {
  auto y = unset<TwofoldVector>(ssize(x));
  team.for_blocks(ssize(x), kBlock, [&](Index first, Index last, Index) {
    for (auto i = at(first); i < at(last); ++i) y[i] = {x[i]};
  });
  return y;
}

/// Rounds a twofold vector to doubles.
inline Doubles rounded(const TwofoldVector& x, Team& team) {
  auto y = unset<Doubles>(std::ssize(x));
  team.for_blocks(std::ssize(x), kBlock, [&](Index first, Index last, Index) {
    for (auto i = at(first); i < at(last); ++i) y[i] = x[i].hi;
  });
  return y;
}

}  // namespace rlcore
