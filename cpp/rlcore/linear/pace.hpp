// What the next sweep is expected to leave, from the pace of those before it.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>

#include "rlcore/types.hpp"

namespace rlcore::linear {

/// The factor by which a sweep is expected to lower the residual: as those before the last two looks at it did, the
/// slower of them, or a little less. `history` is of residuals, look by look, so many sweeps from one to the next.
inline double expected_gain(std::span<const double> history, Index between_looks = 1) {
  constexpr double kCaution = 1.25;
  const std::size_t n = history.size();
  if (n < 3) return 1.0;
  const double pace = std::max(history[n - 1] / history[n - 2], history[n - 2] / history[n - 3]);
  return std::min(1.0, kCaution * std::pow(pace, 1.0 / static_cast<double>(between_looks)));
}

}  // namespace rlcore::linear
