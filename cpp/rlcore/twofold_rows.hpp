// The two loops in which twofold arithmetic meets large models. They are compiled twice, with fused
// multiply-add and without, and chosen by the machine: the error of a product is exact either way.
#pragma once

#include "rlcore/mdp.hpp"
#include "rlcore/twofold.hpp"

namespace rlcore {

struct TwofoldRows {
  /// sum_s' P(s'|s,a) x(s')
  Twofold (*dot)(const Row& row, const Twofold* x);

  /// sum(s') += weight P(s'|s,a). The parts of each sum are left as Dot2 leaves them: two_sum joins them.
  void (*scatter)(Twofold weight, const Row& row, Twofold* sum);
};

/// The loops for this machine.
const TwofoldRows& twofold_rows();

}  // namespace rlcore
