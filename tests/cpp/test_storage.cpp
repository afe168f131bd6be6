// Memory of large arrays: used again, by any thread, and bounded.
#include <doctest/doctest.h>

#include <thread>
#include <vector>

#include "rlcore/storage.hpp"

using namespace rlcore;

namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;
constexpr std::size_t kMostIdle = 2048 * kMiB;

/// Marks every page of a block, and says whether all marks are still there.
void mark(void* memory, std::size_t bytes, unsigned char with) {
  for (std::size_t i = 0; i < bytes; i += 1024) static_cast<unsigned char*>(memory)[i] = with;
  static_cast<unsigned char*>(memory)[bytes - 1] = with;
}
bool is_marked(const void* memory, std::size_t bytes, unsigned char with) {
  for (std::size_t i = 0; i < bytes; i += 1024) {
    if (static_cast<const unsigned char*>(memory)[i] != with) return false;
  }
  return static_cast<const unsigned char*>(memory)[bytes - 1] == with;
}

/// Takes all idle blocks of a size that other tests have left.
std::vector<void*> left_by_others(std::size_t bytes) {
  std::vector<void*> blocks;
  for (bool found = true; found;) {
    const std::size_t idle = idle_bytes();
    blocks.push_back(allocate_large(bytes));
    found = idle_bytes() < idle;
  }
  return blocks;
}

}  // namespace

TEST_CASE("what one array lets go of, the next of its size gets") {
  for (const std::size_t bytes : {kLargeBytes, 3 * kMiB, 5 * kMiB + 8}) {
    const std::vector<void*> others = left_by_others(bytes);
    void* const first = allocate_large(bytes);
    mark(first, bytes, 1);
    release_large(first, bytes);
    void* const larger = allocate_large(bytes + 4 * kMiB);
    CHECK(larger != first);
    const std::size_t idle = idle_bytes();
    void* const second = allocate_large(bytes);
    CHECK(second == first);
    CHECK(idle_bytes() + bytes <= idle);
    release_large(second, bytes);
    release_large(larger, bytes + 4 * kMiB);
    for (void* const block : others) release_large(block, bytes);
  }
}

TEST_CASE("no two arrays share memory") {
  std::vector<void*> blocks;
  for (int round = 0; round < 3; ++round) {
    for (unsigned char i = 0; i < 100; ++i) blocks.push_back(allocate_large(kMiB));
    for (unsigned char i = 0; i < 100; ++i) mark(blocks[i], kMiB, i);
    for (unsigned char i = 0; i < 100; ++i) CHECK(is_marked(blocks[i], kMiB, i));
    for (void* const block : blocks) release_large(block, kMiB);
    blocks.clear();
  }
}

TEST_CASE("threads that allocate and let go at once keep apart") {
  std::vector<int> intact(4, 1);
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < intact.size(); ++t) {
    threads.emplace_back([t, &intact] {
      const auto own = static_cast<unsigned char>(t + 1);
      for (std::size_t i = 0; i < 500; ++i) {
        const std::size_t bytes = kLargeBytes * (1 + i % 3);
        void* const memory = allocate_large(bytes);
        mark(memory, bytes, own);
        std::this_thread::yield();
        if (!is_marked(memory, bytes, own)) intact[t] = 0;
        release_large(memory, bytes);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(intact == std::vector<int>(4, 1));
}

TEST_CASE("little waits for its next use") {
  for (std::size_t i = 1; i <= 20; ++i) release_large(allocate_large(i * 20 * kMiB), i * 20 * kMiB);
  CHECK(idle_bytes() <= kMostIdle);
  release_large(allocate_large(kMostIdle + kMiB), kMostIdle + kMiB);
  CHECK(idle_bytes() <= kMostIdle);
}

TEST_CASE("an impossible size is refused") {
  CHECK_THROWS_AS(LargeAllocator<double>().allocate(std::size_t{1} << 60), std::bad_alloc);
}

TEST_CASE("vectors that are not set have their size, and are set where they grow") {
  for (const Index size : {Index{3}, Index{100000}}) {
    {
      const Doubles before(at(size), 7.0);
    }  // the next one of its size may find its numbers
    auto x = unset<Doubles>(size);
    CHECK(ssize(x) == size);
    for (double& number : x) number = 1.0;
    x.resize(at(size + 3));
    for (Index i = 0; i < size; ++i) CHECK(x[at(i)] == 1.0);
    for (Index i = size; i < size + 3; ++i) CHECK(x[at(i)] == 0.0);
    Doubles copy(x);
    copy.resize(at(4 * size + 12));
    CHECK(copy.back() == 0.0);
  }
}
