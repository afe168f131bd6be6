// The extremes and the L1 norm of a vector.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "rlcore/parallel.hpp"
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

inline Extent extent_of(ConstVector x, Team& team) {
  std::vector<Extent> partial(static_cast<std::size_t>(num_blocks(ssize(x))));
  team.for_blocks(ssize(x), kBlock, [&](Index first, Index last, Index block) {
    Extent part;
    for (Index i = first; i < last; ++i) part.include(x[static_cast<std::size_t>(i)]);
    partial[static_cast<std::size_t>(block)] = part;
  });
  Extent all;
  for (const Extent& part : partial) all.include(part);
  return all;
}

}  // namespace rlcore
