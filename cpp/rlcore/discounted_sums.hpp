// The discounted sums of functions of the state under policies: (I - gamma P_pi)^-1 f, a pair of them at a time.
//
// Policies that mix fast are dealt with some at a time by span iteration over the rows of the model: one pass over the
// transitions serves them all, and no P_pi is assembled. What does not contract in time goes through the resolvent.
#pragma once

#include <vector>

#include "rlcore/evaluation.hpp"

namespace rlcore {

struct DiscountedSums {
  Doubles value;       // (num_states)
  double bound = 0.0;  // on the error of each
  linear::Certificate certificate;
};

/// For every policy (num_pairs) the sums of its own function, of which `functions` holds one each,
/// (policies, num_states). Throws PolicyError, SettingError.
std::vector<DiscountedSums> discounted_sums(const Mdp& mdp, std::span<const ConstVector> policies,
                                            ConstVector functions, double discount, const Options& options,
                                            Monitor& monitor);

}  // namespace rlcore
