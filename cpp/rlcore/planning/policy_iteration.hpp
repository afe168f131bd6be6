// Policy iteration (Howard 1960): every policy is solved for by the portfolio of methods, and improved and proven in
// twofold precision. It finishes what doubles leave over.
#pragma once

#include "rlcore/planning/proof.hpp"

namespace rlcore::planning {

/// Begins with what the record holds. A tolerance of 0 asks for the best attainable.
void policy_iteration(const Problem& problem, double tolerance, Record& record);

}  // namespace rlcore::planning
