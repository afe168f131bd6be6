// Where a decreasing function of one variable takes a value: Newton's steps, kept within a bracket.
#pragma once

#include <cmath>
#include <limits>

#include "rlcore/twofold.hpp"

namespace rlcore {

/// log f where f is small and f where it is large. Relative entropies fall like a power of a price at first, and like
/// its logarithm in the end: on this scale they are all but linear in its logarithm.
inline double straightened(double f) { return f > 1.0 ? f + std::log1p(-std::exp(-f)) : std::log(std::expm1(f)); }
inline double straightened_slope(double f) { return -1.0 / std::expm1(-f); }

/// What one look at the function tells: whether its value will do, on which side it lies, and Newton's step.
struct Look {
  bool will_do = false;
  bool is_above = false;
  double step = 0.0;
};

/// Calls look(t) from `start` on until it will do, or nothing is left between the points below and above; returns the
/// last point, or the one where the function is below. The root is known to lie between `lower` and `upper`, which may
/// be infinite. Where a step leads nowhere the bracket is halved, or widened.
template <class LookAt>
double decreasing_root(double start, double lower, double upper, LookAt&& look) {
  constexpr int kMostLooks = 300;
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  bool has_been_below = false;
  double t = start;
  double reach = 1.0;
  double last_step = kInfinity;
  for (int looks = 0; looks < kMostLooks; ++looks) {
    const Look found = look(t);
    if (found.will_do) return t;
    (found.is_above ? lower : upper) = t;
    has_been_below = has_been_below || !found.is_above;
    if (upper - lower <= 4.0 * kUnitRoundoff * std::fmax(1.0, std::fabs(t))) break;
    double next = t + found.step;
    const bool swings = lower > -kInfinity && has_been_below && std::fabs(found.step) > 0.5 * last_step;
    if (swings || !(next > lower && next < upper)) {
      if (upper == kInfinity) {
        next = t + reach;
      } else if (lower == -kInfinity) {
        next = t - reach;
      } else {
        next = lower + 0.5 * (upper - lower);
      }
      reach *= 2.0;
    }
    last_step = std::fabs(next - t);
    t = next;
  }
  return upper < kInfinity ? upper : t;
}

}  // namespace rlcore
