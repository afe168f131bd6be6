// What separates candidate policies from a base policy (theory 5): the sums over states from which the surrogate and
// every cheap bound on a candidate's return follow, in one pass over a candidate, or over what it changes.
#pragma once

#include <vector>

#include "rlcore/candidates.hpp"
#include "rlcore/mdp.hpp"
#include "rlcore/monitor.hpp"
#include "rlcore/storage.hpp"
#include "rlcore/twofold.hpp"

namespace rlcore {

/// What candidates are compared with: a policy, its value and advantage, and its visits or shares of time.
struct Base {
  const Mdp& mdp;
  ConstVector policy;
  ConstVector value;                                // V
  ConstVector advantage;                            // A
  ConstVector weight;                               // w >= 0: rho, e or d
  ConstVector advantage_low = {}, weight_low = {};  // what rounding to doubles left over, for models with few states

  bool is_sharp() const { return !advantage_low.empty() && !weight_low.empty(); }
  TwofoldView twofold_advantage() const { return {advantage, advantage_low}; }
  TwofoldView twofold_weight() const { return {weight, weight_low}; }
};

/// TV and KL are those of divergence.hpp, and Abar(s) = sum_a (pi' - pi) A (5.2). Extremes run over all states.
/// What sums over states add to the error of their terms is below kComparisonError of the sum of the magnitudes.
struct Comparison {
  double alpha = 0.0;       // max TV
  double tv = 0.0;          // sum w TV
  double kl_max = 0.0;      // max KL
  double kl = 0.0;          // sum w KL, where 0 inf = 0
  double root_kl = 0.0;     // sum w sqrt(KL / 2)
  double abar_min = 0.0;    // min Abar
  double abar_max = 0.0;    // max Abar
  double gain = 0.0;        // sum w Abar
  double abar_scale = 0.0;  // max of sum_a |pi' - pi| |A|: Abar is off by a few ulp of it, and by the error of A
  double gain_scale = 0.0;  // sum w of the same

  // The same extremes over the states where w > 0: an error in w counts as much as these.
  double tv_visited = 0.0;
  double kl_visited = 0.0;
  double abar_visited = 0.0;  // max |Abar|

  // What rounding left in the rows of the policies, and what that does to the return: zero in exact arithmetic.
  Interval row_sum{1.0, 1.0};  // encloses the sums of the candidate's rows that were looked at
  double sum_change = 0.0;     // bounds sum w |sum pi' - sum pi|
  double drift = 0.0;          // sum w V (sum pi' - sum pi)
  double drift_error = 0.0;    // bounds the error of that
  double drift_max = 0.0;      // bounds max |V| |sum pi' - sum pi|

  // What rounding left over of these, where the base is sharp: sums and extremes are then formed in twofold arithmetic.
  double alpha_low = 0.0, tv_low = 0.0, kl_max_low = 0.0, kl_low = 0.0, abar_min_low = 0.0, abar_max_low = 0.0;
  double gain_low = 0.0;
  double kl_error = 0.0;  // bounds the relative error of each KL
};

/// Bounds the relative error of summing over states.
inline constexpr double kComparisonError = 0x1p-46;

/// Compares every candidate with the base. Throws PolicyError if a row of a candidate is not a distribution. Where
/// `abar` has room for it, (candidates, num_states), it gets the Abar of every candidate in the states that it may
/// change.
std::vector<Comparison> compare(const Base& base, const Candidates& candidates, Team& team, Monitor& monitor,
                                Vector abar = {});

}  // namespace rlcore
