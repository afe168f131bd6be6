// Stationary distributions of a chain's recurrent classes (theory 3.2): by state reduction, which loses no digit of any
// probability, where classes are small or lie along lines; by what is visited in a cycle elsewhere.
#pragma once

#include <optional>

#include "rlcore/chain_structure.hpp"
#include "rlcore/linear/resolvent.hpp"
#include "rlcore/state_order.hpp"

namespace rlcore {

/// Those of all classes in one vector, each with sum 1, and a bound on the L1 error of each.
struct StationaryDistributions {
  TwofoldVector probability;
  double error = 0.0;
};

/// Whether every class is small enough to be reduced state by state, wherever its states lead.
bool has_small_classes(const ChainStructure& structure);

/// By state reduction, of small classes.
StationaryDistributions reduce_small_classes(const Chain& chain, const ChainStructure& structure);

/// By state reduction, of walks along lines: the states of the chain in their order. Nothing, if numbers leave the
/// range of doubles.
std::optional<StationaryDistributions> reduce_along_lines(const Chain& chain, const ChainStructure& structure,
                                                          const StateOrder::Columns& line);

/// From the visits of one cycle in every class.
StationaryDistributions stationary_by_cycles(const ChainStructure& structure, linear::Solution visits);

}  // namespace rlcore
