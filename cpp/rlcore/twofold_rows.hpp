// The loops in which twofold arithmetic meets large models. They are compiled twice, with fused multiply-add and
// without, and chosen by the machine: the error of a product is exact either way.
#pragma once

#include "rlcore/lanes.hpp"
#include "rlcore/mdp.hpp"
#include "rlcore/twofold.hpp"

namespace rlcore {

template <class Number>
struct TwofoldRowsOf {
  using Twofolds = TwofoldOf<Number>;

  /// sum_s' P(s'|s,a) x(s')
  Twofolds (*dot)(const Row& row, const Twofolds* x);

  /// sum += weight sum_s' P(s'|s,a) x(s'). The parts of the sum are left as Dot2 leaves them: two_sum joins them.
  void (*add_dot)(double weight, const Row& row, const Twofolds* x, Twofolds& sum);

  /// sum(s') += weight P(s'|s,a), the parts left in the same way.
  void (*scatter)(const Twofolds& weight, const Row& row, Twofolds* sum);
};

using TwofoldRows = TwofoldRowsOf<double>;

/// The loops for this machine.
template <class Number>
const TwofoldRowsOf<Number>& twofold_rows_of();
inline const TwofoldRows& twofold_rows() { return twofold_rows_of<double>(); }

/// out(s) = sum_a weight(s,a) x(s,a), for the states of a range.
void sum_over_actions(const Mdp& mdp, ConstVector x, ConstVector weight, Index first, Index last, TwofoldVector& out);

}  // namespace rlcore
