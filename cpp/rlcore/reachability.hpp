// Which states a policy can visit at all: a question of structure, not of rounding.
#pragma once

#include <vector>

#include "rlcore/chain.hpp"

namespace rlcore {

/// For each state, whether it is reached with positive probability from where `initial` is positive.
std::vector<char> reachable(const Chain& chain, const TwofoldVector& initial);

}  // namespace rlcore
