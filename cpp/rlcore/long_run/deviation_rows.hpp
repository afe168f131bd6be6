// The deviation matrix (theory 3.2): what a start is worth in visits beside the long run.
#pragma once

#include "rlcore/evaluation.hpp"
#include "rlcore/occupancy.hpp"

namespace rlcore {

/// Rows of the deviation matrix (I - P + P*)^-1 - P*, with bounds in the L1 norm.
StateRows deviation_rows(const Mdp& mdp, ConstVector policy, std::span<const Index> states, const Options& options,
                         Monitor& monitor);

}  // namespace rlcore
