// Threads: a team for the length of one call, and loops over fixed blocks.
//
// The blocks of a loop depend on its length alone, never on the number of threads, and reductions
// combine the blocks in their order. So every answer is bitwise the same for every team.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <mutex>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "rlcore/types.hpp"

namespace rlcore {

/// A team of threads, joined when it goes out of scope. Members wait between tasks by spinning
/// briefly and then sleeping: pure spinning would halve the speed of a shared core. And nobody waits for a member that
/// has not come, which on a busy machine may take longer than the whole task.
class Team {
 public:
  /// `num_threads` members, the caller among them; 0 means one per available core.
  explicit Team(int num_threads = 0);
  ~Team();
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;

  int size() const { return static_cast<int>(workers_.size()) + 1; }

  /// Calls body(member) in the caller and in every other member that comes while the caller is at it, and waits for
  /// those: bodies share out their work as they go. Rethrows the first exception.
  template <class Body>
  void run(Body&& body) {
    if (workers_.empty()) {
      body(0);
      return;
    }
    using Plain = std::remove_reference_t<Body>;
    start(Task{[](void* context, int member) { (*static_cast<Plain*>(context))(member); },
               const_cast<void*>(static_cast<const void*>(std::addressof(body)))});
  }

  /// Calls body(first, last, block) over the blocks of [0, count); idle members take the next block.
  template <class Body>
  void for_blocks(Index count, Index block_size, Body&& body) {
    const Index num_blocks = (count + block_size - 1) / block_size;
    const auto do_block = [&](Index block) {
      const Index first = block * block_size;
      body(first, first + block_size < count ? first + block_size : count, block);
    };
    if (workers_.empty() || num_blocks == 1) {
      for (Index block = 0; block < num_blocks; ++block) do_block(block);
      return;
    }
    std::atomic<Index> next{0};
    FirstFailure failure;
    run([&](int) {
      for (Index block = next++; block < num_blocks; block = next++) {
        try {
          do_block(block);
        } catch (...) {
          failure.record(block);
        }
      }
    });
    failure.rethrow();
  }

 private:
  struct Task {
    void (*call)(void* context, int member) = nullptr;
    void* context = nullptr;
  };

  /// Of all blocks that threw, the first in order: errors too are the same for every team.
  class FirstFailure {
   public:
    void record(Index block);
    void rethrow() const;

   private:
    std::mutex mutex_;
    Index block_ = -1;
    std::exception_ptr exception_;
  };

  void start(Task task);
  void work(int member);
  bool enter();
  void leave();
  void perform(int member);

  std::vector<std::thread> workers_;
  Task task_;
  std::vector<std::exception_ptr> failures_;
  std::atomic<std::uint32_t> epoch_{0};
  std::atomic<std::uint32_t> door_{0};  // of the task: kOpen, and how many workers are inside
  std::atomic<bool> closing_{false};
};

/// The number of states a block of a loop over states holds.
inline constexpr Index kBlock = 4096;

/// Below this number of stored entries a team costs more than it saves.
inline constexpr Index kParallelEntries = 50000;

inline Index num_blocks(Index count) { return (count + kBlock - 1) / kBlock; }

}  // namespace rlcore
