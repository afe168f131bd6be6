// Episodes (theory 3.1): values and visits of a process that ends, without a discount.
#pragma once

#include "rlcore/evaluation.hpp"
#include "rlcore/occupancy.hpp"

namespace rlcore {

/// As `evaluate`, with gamma = 1. Values are NaN in states from which the policy may go on for ever, and `proper`
/// says which those are. Throws ImproperPolicyError if the model's start distribution can reach such a state.
std::vector<Evaluation> evaluate_episodic(const Mdp& mdp, std::span<const ConstVector> policies,
                                          std::span<const ConstVector> rewards, const Options& options,
                                          Monitor& monitor);

/// X f of each function f of the state under a policy, which is an item of a batch: NaN in states from which it may go
/// on for ever.
std::vector<linear::Solution> episodic_sums(const Mdp& mdp, ConstVector policy, std::vector<linear::RightSide> sides,
                                            Index item, const Options& options, Team& team, Monitor& monitor);

/// As `occupancy`: visits e, d = e / sum e. Throws ImproperPolicyError if a start can reach an improper state.
std::vector<Occupancy> occupancy_episodic(const Mdp& mdp, std::span<const ConstVector> policies,
                                          std::span<const ConstVector> initials, const Options& options,
                                          Monitor& monitor);

/// The number of steps to the end from each state: a row of means and a row of variances, NaN in improper states,
/// with bounds in the sup norm.
StateRows episode_length(const Mdp& mdp, ConstVector policy, const Options& options, Monitor& monitor);

}  // namespace rlcore
