// Logarithms for loops: without a branch, so that compilers make vectors of them, and with the same bits on every
// machine, which those of the C library do not promise.
//
// x = 2^k m with m about in [1/sqrt 2, sqrt 2], and log m = 2 atanh(s) = 2 (s + s^3/3 + s^5/5 + ...), s = (m-1)/(m+1).
#pragma once

#include <bit>
#include <cstdint>

#include "rlcore/types.hpp"

namespace rlcore {

/// 1/3 + z/5 + z^2/7 + ... for 0 <= z <= 0.0295, to 2^-50 of it.
RLCORE_INLINE double atanh_tail(double z) {
  double sum = 1.0 / 21.0;
  for (int k = 19; k >= 3; k -= 2) sum = 1.0 / k + z * sum;
  return sum;
}

/// x = 2^k m for a positive x that is not subnormal.
struct Scaled {
  double k = 0.0;
  double m = 1.0;
};

RLCORE_INLINE Scaled scaled(double x) {
  const auto bits = std::bit_cast<std::uint64_t>(x);
  const double in_one_to_two = std::bit_cast<double>((bits & 0x000FFFFFFFFFFFFF) | 0x3FF0000000000000);
  const double exponent = std::bit_cast<double>((bits >> 52) | 0x4330000000000000) - (0x1p52 + 1023.0);
  const bool high = in_one_to_two > 1.4142135623730951;
  return {high ? exponent + 1.0 : exponent, high ? 0.5 * in_one_to_two : in_one_to_two};
}

/// k ln 2 in two parts, the first of which is exact, since its constant ends in zeros.
RLCORE_INLINE double log_high(double k) { return k * 0x1.62e42feep-1; }
RLCORE_INLINE double log_low(double k) { return k * 0x1.a39ef35793c76p-33; }

/// log x of a positive x that is not subnormal, right to 16 units of roundoff.
RLCORE_INLINE double logarithm(double x) {
  const auto [k, m] = scaled(x);
  const double s = (m - 1.0) / (m + 1.0);
  return log_high(k) + (log_low(k) + 2.0 * (s + s * s * s * atanh_tail(s * s)));
}

/// log(1 + c) of c > -1 from c and 1 + c, each right to a few units of roundoff. Right to 16 units, 1 + c normal.
RLCORE_INLINE double log_one_plus(double c, double one_plus_c) {
  const auto [k, m] = scaled(one_plus_c);
  const bool near = k == 0.0;
  const double s = (near ? c : m - 1.0) / (near ? 1.0 + one_plus_c : m + 1.0);
  return log_high(k) + (log_low(k) + 2.0 * (s + s * s * s * atanh_tail(s * s)));
}

/// phi(c) = c - log(1 + c) >= 0 from the same, right to 64 units of roundoff: where 1 + c is near 1 it is
/// s c - 2 (s^3/3 + s^5/5 + ...), in which nothing cancels.
RLCORE_INLINE double phi(double c, double one_plus_c) {
  const auto [k, m] = scaled(one_plus_c);
  const bool near = k == 0.0;
  const double s = (near ? c : m - 1.0) / (near ? 1.0 + one_plus_c : m + 1.0);
  const double tail = 2.0 * s * s * s * atanh_tail(s * s);
  return (near ? s * c : c - (log_high(k) + (log_low(k) + 2.0 * s))) - tail;
}

}  // namespace rlcore
