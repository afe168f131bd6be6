// Where a policy goes: discounted occupancies, state distributions over time, and the successor
// representation (theory 2.4, 2.5, 2.7).
#pragma once

#include <string>
#include <vector>

#include "rlcore/evaluation.hpp"

namespace rlcore {

struct Occupancy {
  /// Absolute bounds on the error of each field, in the L1 norm.
  struct Bounds {
    double visits = 0.0;
    double state = 0.0;
    double pair = 0.0;
  };

  Doubles visits;  // rho, (num_states)
  Doubles state;   // d = (1 - gamma) rho, or e / sum e
  Doubles pair;    // d(s) pi(a|s), (num_pairs)
  Bounds bounds;
  Remainder rest_of_visits;  // of d in the average setting; known of models with few states, its bound in the L1 norm
  linear::Certificate certificate;
};

/// The occupancy of every policy from every start distribution; the result for policy i and start j
/// stands at i * initials.size() + j.
std::vector<Occupancy> occupancy(const Mdp& mdp, std::span<const ConstVector> policies,
                                 std::span<const ConstVector> initials, double discount, const Options& options,
                                 Monitor& monitor);

/// Checks that state numbers are in range; throws ModelError.
void check_states(const Mdp& mdp, std::span<const Index> states, const char* argument);

/// Checks a batch of start distributions; throws ModelError.
void check_initials(const Mdp& mdp, std::span<const ConstVector> initials);

/// Visits, d = weight visits and d(s) pi(a|s), rounded and bounded; the weight may be wrong by a relative error.
Occupancy scaled_occupancy(const Chain& chain, Twofold weight, double weight_error, linear::Solution visits,
                           Team& team);

/// Visits from their solution, and d = visits / sum of the visits (theory 3.1): tidied, rounded, bounded.
Occupancy normalised_occupancy(const Chain& chain, const TwofoldVector& initial, linear::Solution visits, Team& team);

/// Rows of a matrix of states with a bound on each row's error in the L1 norm.
struct StateRows {
  Doubles rows;    // (num_rows, num_states)
  Doubles bounds;  // (num_rows)
  linear::Certificate certificate;
};

/// Pr(s_t = .) for t = 0 .. steps (theory 2.4).
StateRows state_distribution(const Mdp& mdp, ConstVector policy, ConstVector initial, Index steps,
                             const Options& options, Monitor& monitor);

/// The rows of (I - gamma P_pi)^-1 that belong to `states` (theory 2.7).
StateRows successor_representation(const Mdp& mdp, ConstVector policy, double discount, std::span<const Index> states,
                                   const Options& options, Monitor& monitor);

}  // namespace rlcore
