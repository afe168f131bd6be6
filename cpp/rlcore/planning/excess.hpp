// What a pair earns beyond a potential: the residuals by which optima are bounded (theory 3.7, 3.8).
#pragma once

#include "rlcore/mdp.hpp"
#include "rlcore/twofold.hpp"

namespace rlcore {

struct Excess {
  double value = 0.0;
  double error = 0.0;  // proven, with room for the rounding of the sums below

  double lower() const { return value - error; }
  double upper() const { return value + error; }
};

/// r(s,a) + sum_s' P(s'|s,a) v(s') - v(s). What is missing in a row's sum stays where it is.
Excess excess(const Mdp& mdp, Index state, Index pair, const TwofoldVector& v);

}  // namespace rlcore
