// Batches of policies: the threads share the policies out when the model is small, and each policy's
// own work when it is large. Either way an answer does not depend on it.
#pragma once

#include "rlcore/mdp.hpp"
#include "rlcore/monitor.hpp"
#include "rlcore/parallel.hpp"

namespace rlcore {

/// Calls body(i, team, monitor) for every i in [0, count).
template <class Body>
void for_policies(const Mdp& mdp, std::size_t count, int num_threads, Monitor& monitor, Body&& body) {
  const bool small = mdp.num_entries() < kParallelEntries;
  if (!small || count == 1) {
    Team team(small ? 1 : num_threads);
    for (std::size_t i = 0; i < count; ++i) body(i, team, monitor);
    return;
  }
  // Only the caller's own thread may talk to the monitor: workers compute silently, in portions short
  // enough for an interrupt to be heard between them.
  constexpr std::size_t kPortion = 64;
  Team team(num_threads);
  for (std::size_t portion = 0; portion < count; portion += kPortion * at(team.size())) {
    monitor.poll({"batch of policies", static_cast<Index>(portion), 0.0, 0.0});
    const std::size_t rest = std::min(count - portion, kPortion * at(team.size()));
    team.for_blocks(static_cast<Index>(rest), 1, [&](Index offset, Index, Index) {
      Team alone(1);
      Monitor silent;
      body(portion + at(offset), alone, silent);
    });
  }
}

}  // namespace rlcore
