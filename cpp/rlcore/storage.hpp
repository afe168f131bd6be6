// Memory for large arrays: on huge pages where the system has them, which makes first touches several times
// cheaper and random reads miss the TLB less; and used again, which spares the first touches.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <type_traits>
#include <utility>
#include <vector>

#include "rlcore/types.hpp"

namespace rlcore {

/// Asks for memory that will be read at random some forty entries later: without it, loops that do much
/// arithmetic per entry wait for memory instead.
RLCORE_INLINE void prefetch(const void* address) {
#if defined(__GNUC__)
  __builtin_prefetch(address);
#else
  static_cast<void>(address);
#endif
}

/// The same for memory that is read in order: into the second cache, from which it comes fast enough. The few places
/// where the first one waits for memory are left to reads at random.
RLCORE_INLINE void prefetch_in_order(const void* address) {
#if defined(__GNUC__)
  __builtin_prefetch(address, 0, 2);
#else
  static_cast<void>(address);
#endif
}

/// How many entries ahead of the one at work to prefetch.
inline constexpr Index kLookahead = 40;

/// How many entries ahead of the one at work to prefetch of what is read in order.
inline constexpr std::ptrdiff_t kStreamAhead = 512;

/// Asks for the entry that is so many places further. Addresses beyond the array do no harm, and are formed as numbers.
template <class T>
RLCORE_INLINE void prefetch_at(const T* entry, std::ptrdiff_t places) {
  const auto offset = static_cast<std::uintptr_t>(places * static_cast<std::ptrdiff_t>(sizeof(T)));
  prefetch_in_order(reinterpret_cast<const void*>(reinterpret_cast<std::uintptr_t>(entry) + offset));
}

/// Asks for what a loop that reads an array from front to back will need later, as it comes to the entries from `begin`
/// to `end`: the machine's own prefetching starts anew with every page, and keeps no pace with loops that also read at
/// random. Most rows are within one cache line, and are not to pay for a loop.
template <class T>
RLCORE_INLINE void prefetch_stream(const T* begin, const T* end) {
  constexpr std::ptrdiff_t kCacheLine = 64 / sizeof(T);
  prefetch_at(begin, kStreamAhead);
  for (std::ptrdiff_t i = kCacheLine; i < end - begin; i += kCacheLine) prefetch_at(begin + i, kStreamAhead);
}

/// Asks for the cache line after an entry's, by loops that go through many arrays in order at once, a few entries of
/// one and then of another: more than the machine's own prefetching keeps in mind.
template <class T>
RLCORE_INLINE void prefetch_next_line(const T* entry) {
  prefetch_at(entry, 64 / sizeof(T));
}

/// Arrays from so many bytes on have memory of their own kind.
inline constexpr std::size_t kLargeBytes = std::size_t{1} << 18;

/// Memory for a large array, on huge pages where it fills them; what an array of the same size has let go of before
/// is handed out again, for clean pages cost more than a sweep. Throws std::bad_alloc.
void* allocate_large(std::size_t bytes);
void release_large(void* memory, std::size_t bytes) noexcept;

/// The bytes that wait for their next use. The system may take their pages back at any time.
std::size_t idle_bytes() noexcept;

/// For elements that are not to be set.
struct Unset {};

/// An allocator that knows what is large, and when elements need not be set.
template <class T>
class LargeAllocator {
 public:
  using value_type = T;
  using is_always_equal = std::true_type;  // vectors hand over their memory, and keep their ways

  LargeAllocator() = default;
  explicit LargeAllocator(Unset) : sets_(false) {}
  template <class U>
  LargeAllocator(const LargeAllocator<U>&) {}  // NOLINT: allocators convert

  T* allocate(std::size_t count) {
    if (count > kMostBytes / sizeof(T)) throw std::bad_alloc();
    const std::size_t bytes = count * sizeof(T);
    return static_cast<T*>(bytes < kLargeBytes ? ::operator new(bytes) : allocate_large(bytes));
  }

  void deallocate(T* memory, std::size_t count) {
    const std::size_t bytes = count * sizeof(T);
    if (bytes < kLargeBytes) {
      ::operator delete(memory);
    } else {
      release_large(memory, bytes);
    }
  }

  template <class U, class... Arguments>
  void construct(U* place, Arguments&&... arguments) {
    if constexpr (sizeof...(Arguments) == 0 && std::is_trivially_copyable_v<U>) {
      if (!sets_) return;
    }
    ::new (static_cast<void*>(place)) U(std::forward<Arguments>(arguments)...);
  }

  template <class U>
  bool operator==(const LargeAllocator<U>&) const {
    return true;
  }

 private:
  static constexpr std::size_t kMostBytes = std::size_t{1} << 47;  // more than any machine has

  bool sets_ = true;
};

/// A vector whose elements are not set yet, for a loop that sets all of them: one thread alone would take longer to
/// clear it first. What is added to it later is set as ever.
template <class Vector>
Vector unset(Index size) {
  Vector vector;
  vector = Vector(at(size), typename Vector::allocator_type(Unset{}));
  return vector;
}

/// A vector of numbers, for sizes from one to the number of pairs.
using Doubles = std::vector<double, LargeAllocator<double>>;

/// Uninitialised storage: its pages cost memory only once they are written.
template <class T>
class Buffer {
 public:
  using value_type = T;

  Buffer() = default;
  explicit Buffer(Index size) : size_(at(size)), data_(size > 0 ? LargeAllocator<T>().allocate(size_) : nullptr) {}
  Buffer(Buffer&& other) noexcept : size_(std::exchange(other.size_, 0)), data_(std::exchange(other.data_, nullptr)) {}
  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(size_, other.size_);
    std::swap(data_, other.data_);
    return *this;
  }
  ~Buffer() {
    if (data_ != nullptr) LargeAllocator<T>().deallocate(data_, size_);
  }

  T* data() { return data_; }
  const T* data() const { return data_; }
  T& operator[](Index i) { return data_[i]; }
  const T& operator[](Index i) const { return data_[i]; }

 private:
  std::size_t size_ = 0;
  T* data_ = nullptr;
};

}  // namespace rlcore
