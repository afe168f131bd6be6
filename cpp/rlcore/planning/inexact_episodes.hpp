// Policy iteration for episodes in doubles, on a copy of the model: a guess, to be improved and proven (theory 3.7).
#pragma once

#include <optional>

#include "rlcore/mdp.hpp"
#include "rlcore/monitor.hpp"
#include "rlcore/parallel.hpp"
#include "rlcore/planning/predecessors.hpp"

namespace rlcore {

/// A choice that is nearly best, from one that surely ends; nothing if its linear systems are too hard.
std::optional<Choice> nearly_best_choice(const Mdp& mdp, const Choice& proper, Team& team, Monitor& monitor);

}  // namespace rlcore
