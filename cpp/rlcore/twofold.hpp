// Twofold (double-double) arithmetic: a number as an unevaluated sum hi + lo of two doubles, worth
// about 32 digits. Certificates stand on it. Sources: Dekker 1971; Ogita, Rump & Oishi 2005.
//
// The exact error of a product comes from Dekker's splitting, or from fma where a kernel was compiled for it
// (twofold_rows.cpp): both are exact, so the bits are the same on every machine. Splitting overflows above
// 2^996; callers scale (linear/resolvent.cpp).
#pragma once

#include <cmath>
#include <limits>
#include <vector>

#include "rlcore/lanes.hpp"
#include "rlcore/storage.hpp"
#include "rlcore/types.hpp"

namespace rlcore {

/// Half the distance from 1 to the next double: the relative error of one rounding.
inline constexpr double kUnitRoundoff = std::numeric_limits<double>::epsilon() / 2;

template <class Number>
struct TwofoldOf;

/// a + b exactly (Knuth).
template <class Number>
RLCORE_INLINE TwofoldOf<Number> two_sum(const Number& a, const Number& b) {
  const Number sum = a + b;
  const Number from_b = sum - a;
  return {sum, (a - (sum - from_b)) + (b - from_b)};
}

/// a + b exactly if |a| >= |b| or a = 0 (Dekker).
template <class Number>
RLCORE_INLINE TwofoldOf<Number> quick_two_sum(const Number& a, const Number& b) {
  const Number sum = a + b;
  return {sum, b - (sum - a)};
}

/// a * b exactly, unless it under- or overflows (Dekker, Veltkamp).
template <class Number>
RLCORE_INLINE TwofoldOf<Number> two_product(const Number& a, const Number& b) {
  constexpr double kSplitter = 134217729.0;  // 2^27 + 1
  const Number wide_a = kSplitter * a;
  const Number wide_b = kSplitter * b;
  const Number a_hi = wide_a - (wide_a - a);
  const Number b_hi = wide_b - (wide_b - b);
  const Number a_lo = a - a_hi;
  const Number b_lo = b - b_hi;
  const Number product = a * b;
  return {product, ((a_hi * b_hi - product) + a_hi * b_lo + a_lo * b_hi) + a_lo * b_lo};
}

/// A twofold number, or one of each lane.
template <class Number>
struct TwofoldOf {
  Number hi{};
  Number lo{};

  Number rounded() const { return hi + lo; }

  // The error of each operator is at most 2^-102 of the operands' magnitudes.
  RLCORE_INLINE friend TwofoldOf operator+(const TwofoldOf& a, const TwofoldOf& b) {
    const TwofoldOf high = two_sum(a.hi, b.hi);
    const TwofoldOf low = two_sum(a.lo, b.lo);
    const TwofoldOf partial = quick_two_sum<Number>(high.hi, high.lo + low.hi);
    return quick_two_sum<Number>(partial.hi, partial.lo + low.lo);
  }
  RLCORE_INLINE friend TwofoldOf operator-(const TwofoldOf& a) { return {-a.hi, -a.lo}; }
  RLCORE_INLINE friend TwofoldOf operator-(const TwofoldOf& a, const TwofoldOf& b) { return a + (-b); }
  RLCORE_INLINE friend TwofoldOf operator+(const TwofoldOf& a, double b) {
    return a + TwofoldOf{in_every_lane<Number>(b), {}};
  }
  RLCORE_INLINE friend TwofoldOf operator-(const TwofoldOf& a, double b) { return a + (-b); }

  RLCORE_INLINE friend TwofoldOf operator*(const TwofoldOf& a, double b) {
    const TwofoldOf product = two_product(a.hi, in_every_lane<Number>(b));
    return quick_two_sum<Number>(product.hi, product.lo + a.lo * b);
  }
  RLCORE_INLINE friend TwofoldOf operator*(const TwofoldOf& a, const TwofoldOf& b) {
    const TwofoldOf product = two_product(a.hi, b.hi);
    return quick_two_sum<Number>(product.hi, product.lo + (a.hi * b.lo + a.lo * b.hi));
  }
};

using Twofold = TwofoldOf<double>;

inline Twofold magnitude(Twofold x) { return x.hi < 0.0 ? -x : x; }

/// Twofold numbers whose parts stand apart; without low parts they are doubles.
struct TwofoldView {
  ConstVector high;
  ConstVector low;

  bool has_low() const { return !low.empty(); }
  Index size() const { return ssize(high); }
  Twofold operator[](std::size_t i) const { return {high[i], has_low() ? low[i] : 0.0}; }
};

/// a / b: the quotient of the high parts, mended by one step.
inline Twofold quotient(Twofold a, Twofold b) {
  const double rough = a.hi / b.hi;
  return Twofold{rough} + Twofold{(a - b * rough).hi / b.hi};
}

/// A sum of n products in twofold precision (Dot2). The error of `total` is at most
/// dot_error(n) times the sum of the products' magnitudes.
class TwofoldSum {
 public:
  void add_product(Twofold a, double b) {
    const Twofold product = two_product(a.hi, b);
    const Twofold sum = two_sum(sum_, product.hi);
    sum_ = sum.hi;
    rest_ += (product.lo + sum.lo) + a.lo * b;
  }
  Twofold total() const { return two_sum(sum_, rest_); }

 private:
  double sum_ = 0.0;
  double rest_ = 0.0;
};

/// Each term leaves three small numbers of at most u times the running magnitude, and rounding
/// their running sum costs 3n u of it: 3n(n + 2)u^2 in all, with room for a few operators more.
inline double dot_error(Index num_terms) {
  const double n = static_cast<double>(num_terms);
  const double twice = (2.0 * n + 16.0) * kUnitRoundoff;
  return twice * twice;
}

/// What underflow can add to a sum of n products, whatever their size.
inline double underflow_error(Index num_terms) {
  return 64.0 * (static_cast<double>(num_terms) + 8.0) * std::numeric_limits<double>::min();
}

/// Bounds the error of a sum of n products whose magnitudes sum to about `scale`, with room for weights that sum to
/// one only nearly. Sums of zeros are exact.
inline double arithmetic_error(Index num_terms, double scale) {
  return scale == 0.0 ? 0.0 : 2.0 * dot_error(num_terms) * scale + underflow_error(num_terms);
}

using TwofoldVector = Numbers<Twofold>;

/// The number of one lane.
template <class Number>
Twofold lane(const TwofoldOf<Number>& x, std::size_t k) {
  return {lane(x.hi, k), lane(x.lo, k)};
}
template <class Number>
void set_lane(TwofoldOf<Number>& x, std::size_t k, Twofold value) {
  lane(x.hi, k) = value.hi;
  lane(x.lo, k) = value.lo;
}

/// The same number in every lane.
template <class Number>
TwofoldOf<Number> in_every_lane(Twofold value) {
  return {in_every_lane<Number>(value.hi), in_every_lane<Number>(value.lo)};
}

inline TwofoldVector twofold_vector(Index size) { return TwofoldVector(at(size)); }

}  // namespace rlcore
