// Policies: one probability per pair, one distribution per state (theory 1).
#pragma once

#include "rlcore/mdp.hpp"

namespace rlcore {

/// Checks a policy (num_pairs); throws PolicyError. Returns an enclosure of its states' sums.
Interval check_policy(const Mdp& mdp, ConstVector policy, Index item = -1);

}  // namespace rlcore
