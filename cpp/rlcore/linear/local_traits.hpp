// What tells local chains from others, and the methods for them apart: how many neighbours a state has, how soon two
// states reach the same ones, whether moves go both ways, and how long the process lasts.
#pragma once

#include "rlcore/linear/system.hpp"

namespace rlcore::linear {

/// Beyond so many entries a row a chain is not local, and levels and factors fill.
inline constexpr Index kMostNeighbours = 12;
inline bool has_few_neighbours(const CsrMatrix& matrix) { return matrix.num_entries <= kMostNeighbours * matrix.size; }

/// Whether two states that are looked at reach nothing in common in so many steps: then no fewer sweeps forget where
/// the process began.
bool keep_apart(const CsrMatrix& matrix, Index steps);

/// The share of the probability of moving from state to state that is matched by moves back, in a sample of the rows.
double share_both_ways(const CsrMatrix& matrix);

/// From which the system is all but symmetric, and its eigenvalues count as real.
inline constexpr double kSymmetric = 0.9;

/// Whether little but what is near counts: in the mean over any block of states, few steps remain until the process
/// ends or is discounted away. One state alone may be far from every end without those around it being so.
bool is_near(Systems& systems, Direction wanted);

}  // namespace rlcore::linear
