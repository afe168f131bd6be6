#include "rlcore/planning/excess.hpp"

#include <cmath>

namespace rlcore {

/// is.
Excess excess(const Mdp& mdp, Index state, Index pair, const TwofoldVector& v) {
  const Row row = mdp.row(pair);
  const Twofold here = v[at(state)];
  TwofoldSum sum;
  double magnitude = 0.0;
  const auto add = [&](Twofold x, double weight) {
    sum.add_product(x, weight);
    magnitude += std::fabs(x.hi) * weight;
  };
  add({mdp.reward()[at(pair)]}, 1.0);
  for (Index k = 0; k < row.length; ++k) {
    if (row.column[k] != state) add(v[at(row.column[k])] - here, row.probability[k]);
  }
  if (!mdp.termination().empty()) add(-here, mdp.termination()[at(pair)]);
  const double total = sum.total().rounded();
  return {total, 2.0 * kUnitRoundoff * std::fabs(total) + arithmetic_error(row.length + 4, 4.0 * magnitude)};
}

}  // namespace rlcore
