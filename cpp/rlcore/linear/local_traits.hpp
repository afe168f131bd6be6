// What tells apart the methods for local chains: whether moves go both ways, and how long the process lasts.
#pragma once

#include "rlcore/linear/system.hpp"

namespace rlcore::linear {

/// The share of the probability of moving from state to state that is matched by moves back, in a sample of the rows.
/// Near one, the system is all but symmetric.
double share_both_ways(const CsrMatrix& matrix);

/// How many steps remain, about: in the block of states from where the process hardly ends or is discounted away. One
/// state alone may be far from every end without those around it being so.
double remaining_time(Systems& systems, Direction wanted);

/// Up to so many remaining steps only what is near counts.
inline constexpr double kNear = 150.0;

}  // namespace rlcore::linear
