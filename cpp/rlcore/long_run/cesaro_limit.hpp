// Cesaro limits (theory 3.2): where a process is in the long run, from a start.
#pragma once

#include "rlcore/evaluation.hpp"
#include "rlcore/occupancy.hpp"

namespace rlcore {

/// As `occupancy`: d is the Cesaro limit from each start; there are no visits.
std::vector<Occupancy> occupancy_average(const Mdp& mdp, std::span<const ConstVector> policies,
                                         std::span<const ConstVector> initials, const Options& options,
                                         Monitor& monitor);

}  // namespace rlcore
