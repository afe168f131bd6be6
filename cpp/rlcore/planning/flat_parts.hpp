// Where values hardly differ: the parts of a model in which a process can stay for so long that doubles, even in pairs,
// cannot tell it from for ever (theory 3.7).
#pragma once

#include "rlcore/planning/end_components.hpp"
#include "rlcore/twofold.hpp"

namespace rlcore {

/// Sets of states that single steps join whose ends differ by at most `flat` in value, in the form of components: the
/// pairs that stay in one, surely and for nothing or less. Sets in which a step that stays is paid are left out, and
/// states that are alone.
EndComponents flat_parts(const Mdp& mdp, const TwofoldVector& value, double flat);

}  // namespace rlcore
