// Memory for large arrays: on huge pages where the system has them, which makes first touches several times
// cheaper and random reads miss the TLB less.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <new>
#include <utility>
#include <vector>

#if defined(__linux__)
#include <sys/mman.h>
#endif

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

/// How many entries ahead of the one at work to prefetch.
inline constexpr Index kLookahead = 40;

/// An allocator that asks for huge pages when an array is worth it.
template <class T>
class LargeAllocator {
 public:
  using value_type = T;

  LargeAllocator() = default;
  template <class U>
  LargeAllocator(const LargeAllocator<U>&) {}  // NOLINT: allocators convert

  T* allocate(std::size_t count) {
    if (count > kMostBytes / sizeof(T)) throw std::bad_alloc();
    const std::size_t bytes = count * sizeof(T);
    if (bytes < kWorthwhile) return static_cast<T*>(::operator new(bytes));
    const std::size_t whole_pages = (bytes + kHugePage - 1) / kHugePage * kHugePage;
    void* memory = std::aligned_alloc(kHugePage, whole_pages);
    if (memory == nullptr) throw std::bad_alloc();
#if defined(__linux__)
    madvise(memory, whole_pages, MADV_HUGEPAGE);  // a wish: nothing depends on its being granted
#endif
    return static_cast<T*>(memory);
  }

  void deallocate(T* memory, std::size_t count) {
    if (count * sizeof(T) < kWorthwhile) {
      ::operator delete(memory);
    } else {
      std::free(memory);
    }
  }

  template <class U>
  bool operator==(const LargeAllocator<U>&) const {
    return true;
  }

 private:
  static constexpr std::size_t kHugePage = std::size_t{1} << 21;
  static constexpr std::size_t kMostBytes = std::size_t{1} << 47;  // more than any machine has
  static constexpr std::size_t kWorthwhile = std::size_t{1} << 22;
};

/// A vector of numbers, for sizes from one to the number of pairs.
using Doubles = std::vector<double, LargeAllocator<double>>;

/// Uninitialised storage: its pages cost memory only once they are written.
template <class T>
class Buffer {
 public:
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
