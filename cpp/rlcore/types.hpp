// The plain words that every other header uses: indices, spans, row offsets.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

// For what is compiled into loops for several machines, and for prefetching: GCC drops calls that do nothing else.
#if defined(__GNUC__)
#define RLCORE_INLINE [[gnu::always_inline]] inline
#else
#define RLCORE_INLINE inline
#endif

namespace rlcore {

using Index = std::int64_t;   // counts and positions: states, pairs, stored entries
using Column = std::int32_t;  // a successor state as it is stored in a row

using Vector = std::span<double>;
using ConstVector = std::span<const double>;

/// A position as containers index it.
inline std::size_t at(Index i) { return static_cast<std::size_t>(i); }

inline Index ssize(ConstVector v) { return static_cast<Index>(v.size()); }

/// Where each row begins, as the caller stored it: 32-bit or 64-bit, borrowed either way.
class Offsets {
 public:
  Offsets() = default;
  Offsets(const std::int32_t* offsets, Index size) : narrow_(offsets), size_(size) {}
  Offsets(const std::int64_t* offsets, Index size) : wide_(offsets), size_(size) {}

  Index operator[](Index i) const { return wide_ != nullptr ? wide_[i] : narrow_[i]; }
  Index size() const { return size_; }

 private:
  const std::int32_t* narrow_ = nullptr;
  const std::int64_t* wide_ = nullptr;
  Index size_ = 0;
};

}  // namespace rlcore
