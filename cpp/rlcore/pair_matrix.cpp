#include "rlcore/pair_matrix.hpp"

#include <cmath>
#include <vector>

namespace rlcore {

TransposedProduct transposed_product(const PairMatrix& matrix, TwofoldView weight) {
  std::vector<TwofoldSum> sums(at(matrix.num_columns));
  Doubles scale(at(matrix.num_columns));
  for (Index pair = 0; pair < weight.size(); ++pair) {
    const Twofold w = weight[at(pair)];
    for (Index k = matrix.first[at(pair)]; k < matrix.first[at(pair) + 1]; ++k) {
      const std::size_t column = at(matrix.column[at(k)]);
      sums[column].add_product(w, matrix.entry[at(k)]);
      scale[column] += std::fabs(w.hi * matrix.entry[at(k)]);
    }
  }
  TransposedProduct found{Doubles(sums.size()), Doubles(sums.size())};
  const double rounding = 2.0 * dot_error(weight.size());
  for (std::size_t column = 0; column < sums.size(); ++column) {
    const Twofold total = sums[column].total();
    found.value[column] = total.hi;
    found.bound[column] =
        (std::fabs(total.lo) + rounding * scale[column]) * (1.0 + 8.0 * kUnitRoundoff) + underflow_error(weight.size());
  }
  return found;
}

}  // namespace rlcore
