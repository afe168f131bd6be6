// Policy iteration whose policies are solved for only as exactly as they deserve: by BiCGSTAB with rough incomplete
// factors, between sweeps in place. It suits models that are local.
#pragma once

#include "rlcore/planning/proof.hpp"

namespace rlcore::planning {

/// Goes from policy to policy until the tolerance is met, or gives up if several in a row gain nothing.
void inexact_policy_iteration(const Problem& problem, Record& record);

}  // namespace rlcore::planning
