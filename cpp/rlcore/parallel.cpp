#include "rlcore/parallel.hpp"

#include <algorithm>
#include <system_error>

#if defined(__linux__)
#include <sched.h>
#endif

namespace rlcore {
namespace {

constexpr int kMostThreads = 256;

/// Workers may still enter.
constexpr std::uint32_t kOpen = std::uint32_t{1} << 31;

int available_cores() {
#if defined(__linux__)
  cpu_set_t mask;
  if (sched_getaffinity(0, sizeof(mask), &mask) == 0) return std::max(1, CPU_COUNT(&mask));
#endif
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

void pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

/// Waits until `value` is no longer `old`: about 500 pauses, then asleep.
void wait_while_equal(const std::atomic<std::uint32_t>& value, std::uint32_t old) {
  for (int spin = 0; spin < 500; ++spin) {
    if (value.load(std::memory_order_acquire) != old) return;
    pause();
  }
  while (value.load(std::memory_order_acquire) == old) value.wait(old, std::memory_order_acquire);
}

}  // namespace

Team::Team(int num_threads) {
  const int size = std::min(num_threads > 0 ? num_threads : available_cores(), kMostThreads);
  failures_.resize(at(size));
  workers_.reserve(at(size - 1));
  try {
    for (int member = 1; member < size; ++member) workers_.emplace_back([this, member] { work(member); });
  } catch (const std::system_error&) {
    // The system has no more threads: a smaller team gives the same answer.
  }
}

Team::~Team() {
  closing_.store(true, std::memory_order_release);
  epoch_.fetch_add(1, std::memory_order_release);
  epoch_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void Team::start(Task task) {
  task_ = task;
  std::fill(failures_.begin(), failures_.end(), nullptr);
  door_.store(kOpen, std::memory_order_release);
  epoch_.fetch_add(1, std::memory_order_release);
  epoch_.notify_all();
  perform(0);
  door_.fetch_and(~kOpen, std::memory_order_acq_rel);
  for (auto inside = door_.load(std::memory_order_acquire); inside != 0;
       inside = door_.load(std::memory_order_acquire)) {
    wait_while_equal(door_, inside);
  }
  for (const std::exception_ptr& failure : failures_) {
    if (failure) std::rethrow_exception(failure);
  }
}

void Team::work(int member) {
  std::uint32_t seen = 0;
  while (true) {
    wait_while_equal(epoch_, seen);
    seen = epoch_.load(std::memory_order_acquire);
    if (closing_.load(std::memory_order_acquire)) return;
    if (!enter()) continue;
    perform(member);
    leave();
  }
}

bool Team::enter() {
  auto door = door_.load(std::memory_order_relaxed);
  while ((door & kOpen) != 0) {
    if (door_.compare_exchange_weak(door, door + 1, std::memory_order_acquire)) return true;
  }
  return false;
}

void Team::leave() {
  if (door_.fetch_sub(1, std::memory_order_release) == 1) door_.notify_one();
}

void Team::FirstFailure::record(Index block) {
  const std::lock_guard lock(mutex_);
  if (block_ >= 0 && block_ < block) return;
  block_ = block;
  exception_ = std::current_exception();
}

void Team::FirstFailure::rethrow() const {
  if (exception_) std::rethrow_exception(exception_);
}

void Team::perform(int member) {
  try {
    task_.call(task_.context, member);
  } catch (...) {
    failures_[at(member)] = std::current_exception();
  }
}

}  // namespace rlcore
