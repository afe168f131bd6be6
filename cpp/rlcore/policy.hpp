// Policies: one probability per pair, one distribution per state (theory 1).
#pragma once

#include "rlcore/mdp.hpp"
#include "rlcore/parallel.hpp"

namespace rlcore {

/// Checks the probabilities of one state and returns their sum; throws PolicyError, naming the argument.
double check_policy_row(const Mdp& mdp, Index state, const double* row, const char* argument, Index item);

/// Encloses the exact sum of a row whose rounded sum is given.
Interval enclosed_sum(const Mdp& mdp, Interval rounded_sums);

/// Checks a policy (num_pairs); throws PolicyError, naming the argument. Returns an enclosure of its states' sums.
Interval check_policy(const Mdp& mdp, ConstVector policy, Team& team, Index item = -1, const char* argument = "policy");
Interval check_policy(const Mdp& mdp, ConstVector policy, Index item = -1, const char* argument = "policy");

}  // namespace rlcore
