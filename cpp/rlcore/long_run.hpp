// The long run (theory 3.2): stationary distributions, gain, bias, first passages of a process that goes on.
//
// Each recurrent class has a state at which it starts anew, its anchor, which it visits often. The process stopped on
// entering those states has a resolvent X, and the long run is made of its cycles: the visits of a cycle are
// proportional to the stationary distribution, and the bias is what a state earns above the gain until the next cycle
// begins. Where there is one class and nothing ends, both are first sought without stopping (renewal.hpp).
#pragma once

#include "rlcore/chain_structure.hpp"
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

/// As `occupancy`: d is the Cesaro limit from each start; there are no visits.
std::vector<Occupancy> occupancy_average(const Mdp& mdp, std::span<const ConstVector> policies,
                                         std::span<const ConstVector> initials, const Options& options,
                                         Monitor& monitor);

/// Rows of the deviation matrix (I - P + P*)^-1 - P*, with bounds in the L1 norm.
StateRows deviation_rows(const Mdp& mdp, ConstVector policy, std::span<const Index> states, const Options& options,
                         Monitor& monitor);

/// Kemeny's constant, the mean time from any recurrent state to one drawn from the stationary distribution, as one
/// row of one number. Throws SettingError if there are several recurrent classes.
StateRows kemeny_constant(const Mdp& mdp, ConstVector policy, const Options& options, Monitor& monitor);

}  // namespace rlcore
