#include "rlcore/storage.hpp"

#include <array>
#include <atomic>
#include <cstdint>
#include <cstdlib>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace rlcore {
namespace {

constexpr std::size_t kUnit = std::size_t{1} << 16;
constexpr std::size_t kHugePage = std::size_t{1} << 21;

/// What may wait for its next use at any time, all arrays together.
constexpr std::size_t kMostIdle = std::size_t{2} << 30;

/// Whole huge pages, or, for an array that is smaller than one, whole units.
std::size_t rounded_up(std::size_t bytes) {
  const std::size_t grain = bytes < kHugePage ? kUnit : kHugePage;
  return (bytes + grain - 1) / grain * grain;
}

void ask_for_huge_pages([[maybe_unused]] void* memory, [[maybe_unused]] std::size_t bytes) {
#if defined(__linux__)
  if (bytes >= kHugePage) madvise(memory, bytes, MADV_HUGEPAGE);  // a wish: nothing depends on its being granted
#endif
}

/// The system may take the pages when it needs them; those it leaves need not be cleared again. Small pages are too
/// many to be worth the offer.
void offer_to_system([[maybe_unused]] void* memory, [[maybe_unused]] std::size_t bytes) {
#if defined(__linux__) && defined(MADV_FREE)
  if (bytes >= kHugePage) madvise(memory, bytes, MADV_FREE);
#endif
}

/// Blocks between two uses, each in a slot of its own as one word: its address, a multiple of kUnit, plus its size in
/// units. Without locks, so that threads do not wait and a process can be forked at any time.
class IdleBlocks {
 public:
  /// A block of exactly so many bytes; null if there is none.
  void* take(std::size_t bytes) noexcept {
    for (std::atomic<Word>& slot : slots_) {
      Word word = slot.load(std::memory_order_relaxed);
      if (word == 0 || size_of(word) != bytes) continue;
      if (slot.compare_exchange_strong(word, 0, std::memory_order_acquire, std::memory_order_relaxed)) {
        total_.fetch_sub(bytes, std::memory_order_relaxed);
        return memory_of(word);
      }
    }
    return nullptr;
  }

  /// Puts a block in the next free slot in turn. If there is none, the block whose turn it is is freed.
  void put(void* memory, std::size_t bytes) noexcept {
    if (bytes > kMostIdle) {
      std::free(memory);
      return;
    }
    offer_to_system(memory, bytes);
    total_.fetch_add(bytes, std::memory_order_relaxed);
    const Word word = reinterpret_cast<Word>(memory) + bytes / kUnit;
    if (!put_in_free_slot(word)) replace(word);
    for (std::size_t tries = 1; total() > kMostIdle && tries < kSlots; ++tries) replace(0);
  }

  void clear() noexcept {
    for (std::size_t i = 0; i < kSlots; ++i) replace(0);
  }

  std::size_t total() const noexcept { return total_.load(std::memory_order_relaxed); }

 private:
  using Word = std::uintptr_t;
  static constexpr std::size_t kSlots = 256;
  static_assert(kMostIdle / kUnit < kUnit);

  static std::size_t size_of(Word word) { return word % kUnit * kUnit; }
  static void* memory_of(Word word) { return reinterpret_cast<void*>(word / kUnit * kUnit); }

  std::atomic<Word>& next_slot() noexcept { return slots_[turn_.fetch_add(1, std::memory_order_relaxed) % kSlots]; }

  bool put_in_free_slot(Word word) noexcept {
    for (std::size_t tries = 0; tries < kSlots; ++tries) {
      std::atomic<Word>& slot = next_slot();
      Word free = 0;
      if (slot.load(std::memory_order_relaxed) == 0 &&
          slot.compare_exchange_strong(free, word, std::memory_order_release, std::memory_order_relaxed)) {
        return true;
      }
    }
    return false;
  }

  void replace(Word word) noexcept {
    std::atomic<Word>& slot = next_slot();
    const Word old = slot.exchange(word, std::memory_order_acq_rel);
    if (old == 0) return;
    total_.fetch_sub(size_of(old), std::memory_order_relaxed);
    std::free(memory_of(old));
  }

  std::array<std::atomic<Word>, kSlots> slots_{};
  std::atomic<std::size_t> turn_{0};
  std::atomic<std::size_t> total_{0};
};

constinit IdleBlocks idle;

}  // namespace

void* allocate_large(std::size_t bytes) {
  const std::size_t whole = rounded_up(bytes);
  if (void* const used_before = idle.take(whole)) return used_before;
  const std::size_t alignment = whole < kHugePage ? kUnit : kHugePage;
  void* memory = std::aligned_alloc(alignment, whole);
  if (memory == nullptr) {
    idle.clear();
    memory = std::aligned_alloc(alignment, whole);
  }
  if (memory == nullptr) throw std::bad_alloc();
  ask_for_huge_pages(memory, whole);
  return memory;
}

void release_large(void* memory, std::size_t bytes) noexcept { idle.put(memory, rounded_up(bytes)); }

std::size_t idle_bytes() noexcept { return idle.total(); }

}  // namespace rlcore
