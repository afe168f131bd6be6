#include "rlcore/linear/shared_fronts.hpp"
#include "rlcore/linear/local_traits.hpp"

#include <algorithm>
#include <utility>

#include "rlcore/chain.hpp"

namespace rlcore::linear {
namespace {

/// So many multiplications a state take about as long as finding an order.
constexpr double kWorkOfAnOrder = 3000.0;

/// Beyond that a model is not local, and the fronts of all its policies fill.

}  // namespace

std::shared_ptr<const Fronts> SharedFronts::of(const CsrMatrix& jumps, double most_work, Monitor& monitor) {
  if (!std::exchange(all_tried_, true)) {
    all_ = of_all_policies(std::min(most_work, kWorkOfAnOrder * static_cast<double>(jumps.size)), monitor);
  }
  return all_ ? all_ : Fronts::by_minimum_degree(jumps, most_work, monitor);
}

std::shared_ptr<const Fronts> SharedFronts::of_all_policies(double most_work, Monitor& monitor) const {
  const Doubles every_pair(at(mdp_.num_pairs()), 1.0);
  const CsrMatrix ways = Chain(mdp_, every_pair, {}).transition(team_);
  if (!has_few_neighbours(ways)) return nullptr;
  return Fronts::by_minimum_degree(ways, most_work, monitor);
}

}  // namespace rlcore::linear
