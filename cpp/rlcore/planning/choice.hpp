// A deterministic policy as planning holds it: one pair for each state.
#pragma once

#include <span>
#include <vector>

#include "rlcore/mdp.hpp"

namespace rlcore {

/// No pair: where a state has none of the kind that is meant.
inline constexpr Index kNoPair = -1;

/// One pair for each state, or kNoPair.
using Choice = std::vector<Index, LargeAllocator<Index>>;

/// The policy that takes the chosen pairs, and the first where there is none, (num_pairs).
Doubles policy_of(const Mdp& mdp, std::span<const Index> choice);

/// The policy that takes every action with the same probability, (num_pairs).
Doubles uniform_policy(const Mdp& mdp);

}  // namespace rlcore
