// Optimal policies for the long run (theory 3.8): the largest gain from each state.
#pragma once

#include "rlcore/planning/episodic.hpp"

namespace rlcore {

/// Throws SettingError if a pair can end the process.
UndiscountedOptimum solve_average(const Mdp& mdp, const Options& options, Monitor& monitor);

}  // namespace rlcore
