// What a pair earns beyond a potential: the residuals by which optima are bounded (theory 3.7, 3.8).
#pragma once

#include "rlcore/mdp.hpp"
#include "rlcore/twofold.hpp"

namespace rlcore {

/// A number between two bounds, both proven, that a computed one lies between.
struct Excess {
  double value = 0.0;
  double error = 0.0;

  double lower() const { return value - error; }
  double upper() const { return value + error; }
};

/// r(s,a) + sum_s' P(s'|s,a) v(s') - v(s). What is missing in a row's sum stays where it is.
Excess excess(const Mdp& mdp, Index state, Index pair, const TwofoldVector& v);

}  // namespace rlcore
