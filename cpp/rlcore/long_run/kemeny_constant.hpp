// Kemeny's constant (theory 3.2).
#pragma once

#include "rlcore/evaluation.hpp"
#include "rlcore/occupancy.hpp"

namespace rlcore {

/// The mean time from any recurrent state to one drawn from the stationary distribution, as one row of one number.
/// Throws SettingError if there are several recurrent classes.
StateRows kemeny_constant(const Mdp& mdp, ConstVector policy, const Options& options, Monitor& monitor);

}  // namespace rlcore
