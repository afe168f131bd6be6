// Lanes: one computation for several right-hand sides, whose numbers stand side by side in memory. Each entry of a
// matrix is then read once for all of them, and their arithmetic fills the vector registers.
//
// A lane goes through the same operations in the same order whatever the others hold, so its answer is the one that
// it has alone, to the last bit. Code is written once, for a `Number` that is one double or one of each lane.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <span>
#include <vector>

#include "rlcore/parallel.hpp"
#include "rlcore/storage.hpp"
#include "rlcore/types.hpp"

namespace rlcore {

/// The most lanes that go together: one cache line of doubles.
inline constexpr std::size_t kMostLanes = 8;

// What one instruction of every machine works on; elsewhere compilers are left to find out by themselves. Loops over
// single lanes are: GCC makes shuffles of some.
#if defined(__GNUC__)
template <class Real>
struct Chunk {
  using Type [[gnu::vector_size(16)]] = Real;
};
#else
template <class Real>
struct Chunk {
  using Type = Real;
};
#endif

/// One number of each lane.
template <int kCount, class Real = double>
struct LaneArray {
  std::array<Real, kCount> lane{};

  RLCORE_INLINE LaneArray& operator+=(const LaneArray& b) { return *this = *this + b; }
  RLCORE_INLINE LaneArray& operator-=(const LaneArray& b) { return *this = *this - b; }
  RLCORE_INLINE LaneArray& operator*=(Real b) { return *this = b * *this; }

  template <class Operation>
  RLCORE_INLINE static LaneArray each(Operation&& operation) {
    LaneArray result;
    for (int k = 0; k < kCount; ++k) result.lane[at(k)] = operation(at(k));
    return result;
  }

  RLCORE_INLINE friend LaneArray operator+(const LaneArray& a, const LaneArray& b) {
    return each_chunk([&](std::size_t i) { return a.chunk(i) + b.chunk(i); });
  }
  RLCORE_INLINE friend LaneArray operator-(const LaneArray& a, const LaneArray& b) {
    return each_chunk([&](std::size_t i) { return a.chunk(i) - b.chunk(i); });
  }
  RLCORE_INLINE friend LaneArray operator*(const LaneArray& a, const LaneArray& b) {
    return each_chunk([&](std::size_t i) { return a.chunk(i) * b.chunk(i); });
  }
  RLCORE_INLINE friend LaneArray operator*(Real a, const LaneArray& b) {
    return each_chunk([&](std::size_t i) { return a * b.chunk(i); });
  }
  RLCORE_INLINE friend LaneArray operator*(const LaneArray& a, Real b) {
    return each_chunk([&](std::size_t i) { return a.chunk(i) * b; });
  }
  RLCORE_INLINE friend LaneArray operator-(const LaneArray& a) {
    return each_chunk([&](std::size_t i) { return -a.chunk(i); });
  }
  RLCORE_INLINE friend LaneArray min(const LaneArray& a, const LaneArray& b) {
    return each_chunk([&](std::size_t i) { return b.chunk(i) < a.chunk(i) ? b.chunk(i) : a.chunk(i); });
  }
  RLCORE_INLINE friend LaneArray max(const LaneArray& a, const LaneArray& b) {
    return each_chunk([&](std::size_t i) { return a.chunk(i) < b.chunk(i) ? b.chunk(i) : a.chunk(i); });
  }
  RLCORE_INLINE friend LaneArray fabs(const LaneArray& a) {
    return each([&](std::size_t k) { return std::fabs(a.lane[k]); });
  }

 private:
  using ChunkType = typename Chunk<Real>::Type;
  static constexpr std::size_t kChunkLanes = sizeof(ChunkType) / sizeof(Real);
  static constexpr std::size_t kChunks = kCount / kChunkLanes;
  static_assert(kCount % kChunkLanes == 0);

  RLCORE_INLINE ChunkType chunk(std::size_t i) const {
    ChunkType chunk;
    std::memcpy(&chunk, lane.data() + i * kChunkLanes, sizeof chunk);
    return chunk;
  }

  template <class Operation>
  RLCORE_INLINE static LaneArray each_chunk(Operation&& operation) {
    LaneArray result;
    for (std::size_t i = 0; i < kChunks; ++i) {
      const ChunkType chunk = operation(i);
      std::memcpy(result.lane.data() + i * kChunkLanes, &chunk, sizeof chunk);
    }
    return result;
  }
};

/// How many lanes a number has.
template <class Number>
inline constexpr std::size_t kLanesOf = 1;
template <int kCount, class Real>
inline constexpr std::size_t kLanesOf<LaneArray<kCount, Real>> = kCount;

/// What the number of a lane is.
template <class Number>
struct RealOfLane {
  using Type = Number;
};
template <int kCount, class Real>
struct RealOfLane<LaneArray<kCount, Real>> {
  using Type = Real;
};
template <class Number>
using RealOf = typename RealOfLane<Number>::Type;

/// The same number in every lane.
template <class Number>
Number in_every_lane(double value) {
  if constexpr (kLanesOf<Number> == 1) {
    return value;
  } else {
    return Number::each([&](std::size_t) { return static_cast<RealOf<Number>>(value); });
  }
}

/// The number of one lane.
inline double& lane(double& x, std::size_t) { return x; }
inline double lane(const double& x, std::size_t) { return x; }
template <int kCount, class Real>
Real& lane(LaneArray<kCount, Real>& x, std::size_t k) {
  return x.lane[k];
}
template <int kCount, class Real>
Real lane(const LaneArray<kCount, Real>& x, std::size_t k) {
  return x.lane[k];
}

/// Whether the numbers of all lanes are zero.
template <class Number>
bool is_zero(const Number& x) {
  bool zero = true;
  for (std::size_t k = 0; k < kLanesOf<Number>; ++k) zero = zero && lane(x, k) == 0.0;
  return zero;
}

/// The least and the largest number of each lane.
template <class Number>
struct Extremes {
  Number least = in_every_lane<Number>(std::numeric_limits<double>::infinity());
  Number most = in_every_lane<Number>(-std::numeric_limits<double>::infinity());

  RLCORE_INLINE void include(const Number& x) {
    least = min(least, x);
    most = max(most, x);
  }
  void include(const Extremes& other) {
    least = min(least, other.least);
    most = max(most, other.most);
  }
};

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

/// Brings the numbers from `first` on side by side; lanes without a vector hold zeros.
template <class Number>
void interleave_from(std::span<const ConstVector> vectors, std::size_t first, std::span<Number> block) {
  // A run at a time: machines do not follow a read from each of many vectors in turn. And four vectors at a time, whose
  // numbers are stored together.
  constexpr std::size_t kRun = 64;
  constexpr std::size_t kTogether = 4;
  for (std::size_t begin = 0; begin < block.size(); begin += kRun) {
    const auto run = block.subspan(begin, std::min(kRun, block.size() - begin));
    const auto numbers_of = [&](std::size_t k) { return vectors[k].data() + first + begin; };
    const auto as_real = [](double x) { return static_cast<RealOf<Number>>(x); };
    std::size_t k = 0;
    if (vectors.size() < kLanesOf<Number>) std::fill(run.begin(), run.end(), Number{});
    for (; k + kTogether <= vectors.size(); k += kTogether) {
      const double* const a = numbers_of(k);
      const double* const b = numbers_of(k + 1);
      const double* const c = numbers_of(k + 2);
      const double* const d = numbers_of(k + 3);
      for (std::size_t i = 0; i < run.size(); ++i) {
        lane(run[i], k) = as_real(a[i]);
        lane(run[i], k + 1) = as_real(b[i]);
        lane(run[i], k + 2) = as_real(c[i]);
        lane(run[i], k + 3) = as_real(d[i]);
      }
    }
    for (; k < vectors.size(); ++k) {
      const double* const numbers = numbers_of(k);
      for (std::size_t i = 0; i < run.size(); ++i) lane(run[i], k) = as_real(numbers[i]);
    }
  }
}

/// Brings vectors side by side.
template <class Number>
void interleave(std::span<const ConstVector> vectors, std::span<Number> block, Team& team) {
  team.for_blocks(ssize(block), kBlock, [&](Index first, Index last, Index) {
    interleave_from(vectors, at(first), block.subspan(at(first), at(last - first)));
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
