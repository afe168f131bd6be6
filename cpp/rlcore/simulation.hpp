// Trajectories drawn from a model and a policy (theory 1).
#pragma once

#include <cstdint>

#include "rlcore/mdp.hpp"
#include "rlcore/monitor.hpp"
#include "rlcore/storage.hpp"

namespace rlcore {

/// Which episodes to draw. What is drawn in an episode at a time depends on the seed, the number of the episode and the
/// time alone: neither on the threads nor on which other episodes are drawn.
struct Draws {
  std::uint64_t seed = 0;
  std::uint64_t first_episode = 0;
  Index episodes = 0;
  Index steps = 0;  // at most so many in an episode
};

/// Rows of episodes; -1 stands for what comes after the end.
struct Trajectories {
  Buffer<Column> states;  // (episodes, steps + 1)
  Buffer<Column> pairs;   // (episodes, steps): the pair taken at each time
  Buffer<Index> lengths;  // (episodes,): how many pairs were taken
};

/// Draws s_0 from `initial`, and then an action and what it leads to until the process ends or the steps are done.
/// Throws PolicyError, ModelError.
Trajectories simulate(const Mdp& mdp, ConstVector policy, ConstVector initial, const Draws& draws, int num_threads,
                      Monitor& monitor);

}  // namespace rlcore
