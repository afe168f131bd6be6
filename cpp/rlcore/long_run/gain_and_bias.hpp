// Gains and biases (theory 3.2): what a process earns a step in the long run, and what a state is worth beside it.
#pragma once

#include "rlcore/evaluation.hpp"
#include "rlcore/occupancy.hpp"

namespace rlcore {

/// As `evaluate`: the value is the bias h, P* h = 0, and `gain` is filled in. Q and A are empty if there are several
/// recurrent classes; the start value is not defined. Throws SettingError if a process that starts where the model
/// does, or anywhere if it has no start distribution, can end.
std::vector<Evaluation> evaluate_average(const Mdp& mdp, std::span<const ConstVector> policies,
                                         std::span<const ConstVector> rewards, const Options& options,
                                         Monitor& monitor);

/// The bias of each function of the state under a policy, which is an item of a batch.
std::vector<linear::Solution> biases(const Mdp& mdp, ConstVector policy, std::span<const linear::RightSide> sides,
                                     Index item, const Options& options, Team& team, Monitor& monitor);

}  // namespace rlcore
