// Anchors: a state of each recurrent class at which its cycles begin.
//
// It is one that is visited often, from wherever the process was: cycles from there are short, and so is the time until
// they begin. From one that is hardly ever visited they may last longer than any number.
#pragma once

#include <vector>

#include "rlcore/chain_structure.hpp"

namespace rlcore {

/// The state of each class that is visited most often.
std::vector<Column> most_visited(const ChainStructure& structure, const Doubles& often);

/// The distribution after some steps from everywhere: a few tell which way a process drifts, and where that ends.
Doubles where_it_gathers(const Chain& chain, Team& team, Monitor& monitor);

}  // namespace rlcore
