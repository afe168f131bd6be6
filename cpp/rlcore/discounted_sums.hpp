// The discounted sums of functions of the state under policies: (I - gamma P_pi)^-1 f, a pair of them at a time.
//
// Policies are dealt with some at a time, and no P_pi is assembled: one pass over the transitions serves them all.
// Those that mix fast are solved by span iteration; others by BiCGSTAB, preconditioned by factors of one policy that is
// near them. What resists goes through a resolvent of its own.
#pragma once

#include <vector>

#include "rlcore/evaluation.hpp"
#include "rlcore/neighbourhood.hpp"

namespace rlcore {

struct DiscountedSums {
  Doubles value;       // (num_states)
  double bound = 0.0;  // on the error of each
  linear::Certificate certificate;
};

/// For every policy (num_pairs) the sums of its own function, of which `functions` holds one each,
/// (policies, num_states). Throws PolicyError, SettingError.
std::vector<DiscountedSums> discounted_sums(Neighbourhood& near, std::span<const ConstVector> policies,
                                            ConstVector functions, const Options& options, Monitor& monitor);

}  // namespace rlcore
