// Value iteration whose error is the span of its changes (MacQueen 1966), with a few sweeps of the greedy policy
// alone between two sweeps of all actions (Puterman & Shin 1978). It suits models that mix fast.
#pragma once

#include "rlcore/planning/proof.hpp"

namespace rlcore::planning {

/// Sweeps until the tolerance is met, or gives up if the first sweeps promise too many more.
void value_iteration(const Problem& problem, Record& record);

}  // namespace rlcore::planning
