// Which states a policy can visit at all: a question of structure, not of rounding.
#pragma once

#include <vector>

#include "rlcore/chain.hpp"

namespace rlcore {

/// For each state, whether it is reached with positive probability from where `initial` is positive.
std::vector<char> reachable(const Chain& chain, const TwofoldVector& initial);

/// The same of the states that are sought, marked with 1. No others are looked at once all of these are found: where
/// labels are shuffled, each step of the search waits for memory.
std::vector<char> reachable(const Chain& chain, const TwofoldVector& initial, const std::vector<char>& sought);

}  // namespace rlcore
