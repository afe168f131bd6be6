// What tells apart the methods for local chains: whether moves go both ways, and how long the process lasts.
#pragma once

#include "rlcore/linear/system.hpp"

namespace rlcore::linear {

/// The share of the probability of moving from state to state that is matched by moves back, in a sample of the rows.
double share_both_ways(const CsrMatrix& matrix);

/// From which the system is all but symmetric, and its eigenvalues count as real.
inline constexpr double kSymmetric = 0.9;

/// Whether little but what is near counts: in the mean over any block of states, few steps remain until the process
/// ends or is discounted away. One state alone may be far from every end without those around it being so.
bool is_near(Systems& systems, Direction wanted);

}  // namespace rlcore::linear
