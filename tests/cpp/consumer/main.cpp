// The forest that may burn, evaluated through the installed library. The start value is known: 7.9672916667.
#include <cmath>
#include <cstdio>
#include <vector>

#include "rlcore/evaluation.hpp"

int main() {
  // Young, middle-aged, old; leave alone or cut. It burns with probability 0.1.
  const std::vector<rlcore::Index> pair_start{0, 2, 4, 6};
  const std::vector<std::int32_t> row_start{0, 2, 3, 5, 6, 8, 9};
  const std::vector<rlcore::Column> column{0, 1, 0, 0, 2, 0, 0, 2, 0};
  const std::vector<double> probability{0.1, 0.9, 1.0, 0.1, 0.9, 1.0, 0.1, 0.9, 1.0};
  const std::vector<double> reward{0.0, 0.0, 0.0, 1.0, 4.0, 2.0};
  const std::vector<double> initial(3, 1.0 / 3.0);
  const rlcore::Mdp forest({.num_states = 3,
                            .pair_start = pair_start,
                            .row_start = {row_start.data(), 7},
                            .column = column,
                            .probability = probability,
                            .reward = reward,
                            .initial = initial});

  const std::vector<double> coin(6, 0.5);
  const rlcore::Evaluation evaluation = rlcore::evaluate(forest, coin, 0.9);
  const double start_value = evaluation.start_value.value();
  std::printf("start value %.10f, error at most %.1e\n", start_value, evaluation.bounds.start_value);
  return std::abs(start_value - 7.9672916667) < 1e-9 ? 0 : 1;
}
