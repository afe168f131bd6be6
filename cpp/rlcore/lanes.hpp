// Lanes: one computation for several right-hand sides, whose numbers stand side by side in memory. Each entry of a
// matrix is then read once for all of them, and their arithmetic fills the vector registers.
//
// A lane goes through the same operations in the same order whatever the others hold, so its answer is the one that
// it has alone, to the last bit. Code is written once, for a `Number` that is one double or one of each lane.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <span>
#include <vector>

#include "rlcore/parallel.hpp"
#include "rlcore/storage.hpp"
#include "rlcore/types.hpp"

namespace rlcore {

/// The most lanes that go together: one cache line of doubles.
inline constexpr std::size_t kMostLanes = 8;

/// One number of each lane.
template <int kCount>
struct LaneArray {
  std::array<double, kCount> lane{};

  RLCORE_INLINE LaneArray& operator+=(const LaneArray& b) { return *this = *this + b; }
  RLCORE_INLINE LaneArray& operator-=(const LaneArray& b) { return *this = *this - b; }
  RLCORE_INLINE LaneArray& operator*=(double b) { return *this = b * *this; }

  template <class Operation>
  RLCORE_INLINE static LaneArray each(Operation&& operation) {
    LaneArray result;
    for (int k = 0; k < kCount; ++k) result.lane[at(k)] = operation(at(k));
    return result;
  }

  RLCORE_INLINE friend LaneArray operator+(const LaneArray& a, const LaneArray& b) {
    return each([&](std::size_t k) { return a.lane[k] + b.lane[k]; });
  }
  RLCORE_INLINE friend LaneArray operator-(const LaneArray& a, const LaneArray& b) {
    return each([&](std::size_t k) { return a.lane[k] - b.lane[k]; });
  }
  RLCORE_INLINE friend LaneArray operator*(const LaneArray& a, const LaneArray& b) {
    return each([&](std::size_t k) { return a.lane[k] * b.lane[k]; });
  }
  RLCORE_INLINE friend LaneArray operator*(double a, const LaneArray& b) {
    return each([&](std::size_t k) { return a * b.lane[k]; });
  }
  RLCORE_INLINE friend LaneArray operator*(const LaneArray& a, double b) {
    return each([&](std::size_t k) { return a.lane[k] * b; });
  }
  RLCORE_INLINE friend LaneArray operator-(const LaneArray& a) {
    return each([&](std::size_t k) { return -a.lane[k]; });
  }
  RLCORE_INLINE friend LaneArray min(const LaneArray& a, const LaneArray& b) {
    return each([&](std::size_t k) { return std::min(a.lane[k], b.lane[k]); });
  }
  RLCORE_INLINE friend LaneArray max(const LaneArray& a, const LaneArray& b) {
    return each([&](std::size_t k) { return std::max(a.lane[k], b.lane[k]); });
  }
  RLCORE_INLINE friend LaneArray fabs(const LaneArray& a) {
    return each([&](std::size_t k) { return std::fabs(a.lane[k]); });
  }
};

/// How many lanes a number has.
template <class Number>
inline constexpr std::size_t kLanesOf = 1;
template <int kCount>
inline constexpr std::size_t kLanesOf<LaneArray<kCount>> = kCount;

/// The same number in every lane.
template <class Number>
Number in_every_lane(double value) {
  if constexpr (kLanesOf<Number> == 1) {
    return value;
  } else {
    return Number::each([&](std::size_t) { return value; });
  }
}

/// The number of one lane.
inline double& lane(double& x, std::size_t) { return x; }
inline double lane(const double& x, std::size_t) { return x; }
template <int kCount>
double& lane(LaneArray<kCount>& x, std::size_t k) {
  return x.lane[k];
}
template <int kCount>
double lane(const LaneArray<kCount>& x, std::size_t k) {
  return x.lane[k];
}

/// Whether the numbers of all lanes are zero.
template <class Number>
bool is_zero(const Number& x) {
  bool zero = true;
  for (std::size_t k = 0; k < kLanesOf<Number>; ++k) zero = zero && lane(x, k) == 0.0;
  return zero;
}

/// A vector of numbers of each lane.
template <class Number>
using Numbers = std::vector<Number, LargeAllocator<Number>>;

/// Calls body.operator()<Number>() with the narrowest Number that has `count` lanes.
template <class Body>
decltype(auto) with_lanes(std::size_t count, Body&& body) {
  if (count <= 1) return body.template operator()<double>();
  if (count <= 2) return body.template operator()<LaneArray<2>>();
  if (count <= 4) return body.template operator()<LaneArray<4>>();
  return body.template operator()<LaneArray<8>>();
}

/// Brings vectors side by side; lanes without a vector hold zeros.
template <class Number>
void interleave(std::span<const ConstVector> vectors, std::span<Number> block, Team& team) {
  team.for_blocks(ssize(block), kBlock, [&](Index first, Index last, Index) {
    for (auto i = at(first); i < at(last); ++i) {
      Number numbers{};
      for (std::size_t k = 0; k < vectors.size(); ++k) lane(numbers, k) = vectors[k][i];
      block[i] = numbers;
    }
  });
}

/// Takes one lane out.
template <class Number>
void take_lane(std::span<const Number> block, std::size_t k, Vector x, Team& team) {
  team.for_blocks(ssize(block), kBlock, [&](Index first, Index last, Index) {
    for (auto i = at(first); i < at(last); ++i) x[i] = lane(block[i], k);
  });
}

}  // namespace rlcore
