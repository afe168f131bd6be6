// Optimal policies for episodes (theory 3.7): the largest expected total reward of a policy that surely ends.
#pragma once

#include <optional>

#include "rlcore/evaluation.hpp"
#include "rlcore/planning/choice.hpp"

namespace rlcore {

/// An undiscounted optimum: a deterministic policy, what it is worth, and how far that can be from the best.
struct UndiscountedOptimum {
  struct Bounds {
    double value = 0.0;         // episodes: of `value` against V*; average: against the policy's bias
    double policy_value = 0.0;  // episodes: max V* - V_pi
    double start_value = 0.0;
    double gain = 0.0;         // average: of `gain` against g*
    double policy_gain = 0.0;  // average: max g* - g_pi
  };

  Doubles policy;  // (num_pairs)
  Doubles value;   // (num_states); NaN where no policy surely ends. Average: the policy's bias
  Doubles gain;    // average: (num_states)
  std::optional<double> start_value;
  Bounds bounds;
  linear::Certificate certificate;
};

/// Throws ImproperPolicyError if the model can start where no policy surely ends; UnboundedValueError if a policy that
/// surely ends can earn more than any number.
UndiscountedOptimum solve_episodic(const Mdp& mdp, const Options& options, Monitor& monitor);

/// A choice of pairs, what it earns to the end, and a bound on what any choice that surely ends does.
struct BestChoice {
  Choice choice;
  Doubles value;
  double value_error = 0.0;
  Doubles upper;
  linear::Certificate certificate;

  /// max V* - value.
  double gap() const;
};

/// The best choice in a model without end components in which rewards of zero recur for ever, from one that surely
/// ends. Throws UnboundedValueError.
BestChoice best_choice(const Mdp& mdp, Choice proper, const Options& options, Monitor& monitor);

/// A choice that surely ends, by shortest ways; kNoPair where none does.
Choice shortest_ends(const Mdp& mdp, Monitor& monitor);

}  // namespace rlcore
