// Teams: every block once, the same result for every size, the first error in order, no thread left behind.
#include <doctest/doctest.h>

#include <atomic>
#include <numeric>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "rlcore/extent.hpp"
#include "rlcore/parallel.hpp"

using namespace rlcore;

TEST_CASE("the caller always runs, and members that come never meet another task's data") {
  for (const int size : {1, 2, 3, 8}) {
    Team team(size);
    std::vector<int> runs(static_cast<std::size_t>(team.size()), 0);
    for (int task = 0; task < 2000; ++task) {
      const int of_this_task = task;
      std::atomic<bool> strange{false};
      team.run([&, task](int member) {
        ++runs[static_cast<std::size_t>(member)];
        if (of_this_task != task) strange = true;
      });
      CHECK_FALSE(strange);
    }
    CHECK(runs.front() == 2000);
  }
}

TEST_CASE("all members come to a task that lasts") {
  for (const int size : {2, 3, 8}) {
    Team team(size);
    std::atomic<int> come{0};
    team.run([&](int) {
      ++come;
      while (come < team.size()) std::this_thread::yield();
    });
    CHECK(come == team.size());
  }
}

TEST_CASE("a task does not wait for members that have not come") {
  Team team(2);
  // Blocks are so short that the caller is often done before the other wakes up; nothing hangs, and nothing is lost.
  Index sum = 0;
  for (int task = 0; task < 20000; ++task) {
    std::vector<Index> part(3, 0);
    team.for_blocks(3, 1, [&](Index first, Index, Index block) { part[at(block)] = first + 1; });
    sum += part[0] + part[1] + part[2];
  }
  CHECK(sum == 6 * 20000);
}

TEST_CASE("blocks cover the range once") {
  for (const Index count : {Index{0}, Index{1}, kBlock - 1, kBlock, kBlock + 1, 5 * kBlock + 7}) {
    Team team(3);
    std::vector<int> touched(at(count), 0);
    team.for_blocks(count, kBlock, [&](Index first, Index last, Index block) {
      CHECK(first == block * kBlock);
      for (Index i = first; i < last; ++i) ++touched[at(i)];
    });
    CHECK(std::accumulate(touched.begin(), touched.end(), Index{0}) == count);
    CHECK(std::all_of(touched.begin(), touched.end(), [](int times) { return times == 1; }));
  }
}

TEST_CASE("reductions have the same bits for every team") {
  Doubles x(100000);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = 1.0 / static_cast<double>(i + 1);
  Team alone(1);
  const Extent reference = extent_of(x, alone);
  for (const int size : {2, 3, 7}) {
    Team team(size);
    for (int repeat = 0; repeat < 20; ++repeat) CHECK(extent_of(x, team).l1 == reference.l1);
  }
}

TEST_CASE("of several failing blocks the first in order is reported") {
  Team team(4);
  for (int repeat = 0; repeat < 50; ++repeat) {
    try {
      team.for_blocks(40, 1, [](Index block, Index, Index) {
        if (block % 10 == 3) throw std::runtime_error(std::to_string(block));
      });
      FAIL("expected an exception");
    } catch (const std::runtime_error& error) {
      CHECK(std::string(error.what()) == "3");
    }
  }
  // The team is still fit for work.
  std::atomic<int> runs{0};
  team.for_blocks(40, 1, [&](Index, Index, Index) { ++runs; });
  CHECK(runs == 40);
}
