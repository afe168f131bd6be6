// The optimality operator (T v)(s) = max_a r(s,a) + gamma sum_s' P(s'|s,a) v(s') (theory 2.9), and what its residual
// proves of the optimum.
//
// Sweeps go over the stored model where something is to be proven, and over an `OrderedModel` where a method only
// looks for a guess. Their results do not depend on the number of threads.
#pragma once

#include <span>
#include <vector>

#include "rlcore/extent.hpp"
#include "rlcore/mdp.hpp"
#include "rlcore/parallel.hpp"
#include "rlcore/planning/choice.hpp"
#include "rlcore/twofold.hpp"

namespace rlcore {

/// An action and what it is worth.
struct Best {
  double value;
  Index pair;
};

/// The best action of a state, the first of those that are equal.
template <class Model>
RLCORE_INLINE Best best_action(const Model& model, double discount, Index state, const double* v) {
  Best best{-std::numeric_limits<double>::infinity(), -1};
  for (Index pair = model.first_pair(state); pair < model.first_pair(state + 1); ++pair) {
    const double q = model.reward()[at(pair)] + discount * model.row(pair).dot(v);
    // Two selections without a jump: which action is better is as hard to foresee as it can be.
    const bool better = q > best.value;
    best.value = better ? q : best.value;
    best.pair = better ? pair : best.pair;
  }
  return best;
}

/// What a sweep found: the extents of T v, and of T v - v.
struct BellmanSweep {
  Extent value;
  Extent change;

  void include(const BellmanSweep& other) {
    value.include(other.value);
    change.include(other.change);
  }
};

/// next(state, v) for every state, block by block.
template <class Next>
BellmanSweep sweep_by(Index num_states, ConstVector v, Vector to, Team& team, Next&& next) {
  std::vector<BellmanSweep> partial(at(num_blocks(num_states)));
  team.for_blocks(num_states, kBlock, [&](Index first, Index last, Index block) {
    BellmanSweep found;
    for (Index state = first; state < last; ++state) {
      const double value = next(state);
      found.value.include(value);
      found.change.include(value - v[at(state)]);
      to[at(state)] = value;
    }
    partial[at(block)] = found;
  });
  BellmanSweep all;
  for (const BellmanSweep& part : partial) all.include(part);
  return all;
}

/// to = T v, and the best action of each state.
template <class Model>
BellmanSweep bellman_sweep(const Model& model, double discount, ConstVector v, Vector to, Choice& choice, Team& team) {
  return sweep_by(model.num_states(), v, to, team, [&](Index state) {
    const Best best = best_action(model, discount, state, v.data());
    choice[at(state)] = best.pair;
    return best.value;
  });
}

/// The same for one policy: to = r_pi + gamma P_pi v.
template <class Model>
BellmanSweep policy_sweep(const Model& model, double discount, const Choice& choice, ConstVector v, Vector to,
                          Team& team) {
  return sweep_by(model.num_states(), v, to, team, [&](Index state) {
    const Index pair = choice[at(state)];
    return model.reward()[at(pair)] + discount * model.row(pair).dot(v.data());
  });
}

/// v = T v in place, state by state in increasing or decreasing order, each seeing what became of those before it.
/// Returns the extent of the changes.
template <class Model>
Extent bellman_sweep_in_place(const Model& model, double discount, bool increasing, Vector v) {
  Extent change;
  const Index size = model.num_states();
  for (Index i = 0; i < size; ++i) {
    const Index state = increasing ? i : size - 1 - i;
    const double value = best_action(model, discount, state, v.data()).value;
    change.include(value - v[at(state)]);
    v[at(state)] = value;
  }
  return change;
}

/// Bounds the error of each number of T v, or of r_pi + gamma P_pi v, in doubles; `scale` is max|r| + max|v|.
double bellman_error_in_doubles(const Mdp& mdp, double scale);

/// The same of twofold_action_value.
double bellman_error(const Mdp& mdp, double scale);

/// r(s,a) + gamma sum_s' P(s'|s,a) v(s'), twofold.
Twofold twofold_action_value(const Mdp& mdp, double discount, Index pair, const Twofold* v);

/// What w(s,a) = 1 - gamma sum_s' P(s'|s,a) lies between, over all pairs. Throws SettingError if gamma is no discount
/// factor, or w.lower is not positive: then T is no contraction.
Interval discount_deficit(const Mdp& mdp, double discount);

/// If lower <= T v - v <= upper in every state, then V* - v lies between the returned numbers (theory 2.10); and the
/// same for a policy's own operator and its value.
Interval distance_to_fixed_point(Interval residual, Interval w);

/// What is left of it after one more application: V* - T v.
Interval distance_after_sweep(Interval distance, Interval w);

}  // namespace rlcore
