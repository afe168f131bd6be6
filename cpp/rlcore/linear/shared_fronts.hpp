// One elimination order for many policies of a model.
//
// Finding an order and its fronts takes longer than eliminating in it. The policies of one model move along the same
// ways: an order of all ways that there are suits every one of them, and where moves are local it fills little more.
#pragma once

#include <memory>

#include "rlcore/linear/fronts.hpp"
#include "rlcore/mdp.hpp"
#include "rlcore/parallel.hpp"

namespace rlcore::linear {

class SharedFronts {
 public:
  SharedFronts(const Mdp& mdp, Team& team) : mdp_(mdp), team_(team) {}

  /// Fronts in which the jumps of a policy can be eliminated: those of all policies together, if that takes no longer
  /// than to find its own. Nothing, as in Fronts::by_minimum_degree.
  std::shared_ptr<const Fronts> of(const CsrMatrix& jumps, double most_work, Monitor& monitor);

 private:
  std::shared_ptr<const Fronts> of_all_policies(double most_work, Monitor& monitor) const;

  const Mdp& mdp_;
  Team& team_;
  bool all_tried_ = false;
  std::shared_ptr<const Fronts> all_;
};

}  // namespace rlcore::linear
