// State reduction (Grassmann, Taksar & Heyman 1985): the stationary distribution of a small class without a
// subtraction, so that every component is right to nearly all digits, however weakly states are coupled.
#pragma once

#include <optional>

#include "rlcore/twofold.hpp"

namespace rlcore {

/// The stationary distribution of an irreducible chain whose off-diagonal rates stand row by row in
/// `rates` (size x size, destroyed; the diagonal is not read), in twofold arithmetic. Nothing, if states are coupled so
/// weakly that numbers leave the range in which twofold arithmetic is exact.
std::optional<TwofoldVector> stationary_by_elimination(std::vector<Twofold>& rates, Index size);

/// A bound on the relative error of each component that is not below 2^-100, and on the sum of all errors: every one
/// comes from sums, products and quotients of positive numbers only, at most so many after one another (O'Cinneide
/// 1993).
double elimination_error(Index size);

}  // namespace rlcore
