// First passages (theory 3.2): how long a process takes until it enters a state.
#pragma once

#include <span>

#include "rlcore/evaluation.hpp"
#include "rlcore/occupancy.hpp"

namespace rlcore {

/// Mean first passage times m_ij, a row over the states i for each target j. At i = j the mean return time; infinite
/// where the target is not hit surely. Bounds are in the sup norm over the finite times.
StateRows first_passage_times(const Mdp& mdp, ConstVector policy, std::span<const Index> targets,
                              const Options& options, Monitor& monitor);

}  // namespace rlcore
