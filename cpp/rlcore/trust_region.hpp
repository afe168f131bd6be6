// Trust-region steps over all policies of a table, solved exactly (theory 7.1 - 7.3): the surrogate sum w Abar is made
// as large as it can be while KL stays within a radius in every state, or on average, or has a price.
//
// Each of them falls apart into the states (kl_ball.hpp) once one number is known that they share: the level of KL, or
// its price. Weak duality says how much any other policy could gain more, whatever that number is.
#pragma once

#include "rlcore/mdp.hpp"
#include "rlcore/monitor.hpp"
#include "rlcore/parallel.hpp"
#include "rlcore/storage.hpp"

namespace rlcore {

/// What is known of the old policy.
struct OldPolicy {
  const Mdp& mdp;
  ConstVector policy;     // p, (num_pairs)
  ConstVector advantage;  // A, (num_pairs); -inf where an action must not be taken
  ConstVector weight;     // w >= 0, (num_states); states where it is 0 stay as they are
  double tie = 0.0;       // advantages within so much of each other count as the same
};

struct TrustRegionStep {
  Doubles policy;         // q, (num_pairs)
  Doubles kl;             // KL(p || q) of the exact step, (num_states)
  Doubles multiplier;     // of each state (num_states): its price of KL, or w times that if KL has a price in common
  double price = 0.0;     // the price that the states share, where they do
  double dual_gap = 0.0;  // bounds by how much sum w Abar, less what KL costs, could be larger; for A and w as given
  double kl_error = 0.0;  // KL of the policy as it is stored differs from `kl` by no more in any state
  Index passes = 0;       // over the states
};

/// KL(p || q) <= radius in every state.
TrustRegionStep max_kl_step(const OldPolicy& old, double radius, Team& team, Monitor& monitor);

/// share * sum w KL(p || q) <= radius, where share turns w into d.
TrustRegionStep mean_kl_step(const OldPolicy& old, double share, double radius, Team& team, Monitor& monitor);

/// Maximises sum w Abar - coefficient max KL(p || q).
TrustRegionStep kl_penalty_step(const OldPolicy& old, double coefficient, Team& team, Monitor& monitor);

}  // namespace rlcore
