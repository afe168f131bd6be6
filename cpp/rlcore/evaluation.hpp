// Policy evaluation: V, Q, A and the start value, each with a proven error bound (theory 2.1-2.3, 2.6).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "rlcore/linear/resolvent.hpp"
#include "rlcore/mdp.hpp"
#include "rlcore/monitor.hpp"

namespace rlcore {

struct Options {
  double tolerance = 1e-9;  // relative error asked for; 0 for the best attainable
  int num_threads = 0;      // 0: one per core
  bool remainders = false;  // whether to keep what rounding to doubles leaves over
};

/// What rounding twofold numbers to doubles left over; empty, if it is not known.
struct Remainder {
  Doubles low;         // to be added to the doubles
  double bound = 0.0;  // on the error of each sum, or of all
};

struct Evaluation {
  /// Absolute bounds on the error of each field, in the sup norm.
  struct Bounds {
    double value = 0.0;
    double action_value = 0.0;
    double advantage = 0.0;
    double start_value = 0.0;
    double gain = 0.0;
  };

  Doubles value;                      // V, (num_states)
  Doubles action_value;               // Q, (num_pairs)
  Doubles advantage;                  // A = Q - V, (num_pairs)
  std::optional<double> start_value;  // eta = rho0^T V, if the model has a start distribution
  std::vector<char> proper;           // episodic: whether the process surely ends from each state
  Doubles gain;                       // average: g of each state; V is then the bias
  Bounds bounds;
  Remainder rest_of_action_value;  // if it was asked for
  Remainder rest_of_advantage;
  linear::Certificate certificate;
};

/// A number and a bound on its error.
struct Bounded {
  double value = 0.0;
  double bound = 0.0;
};

/// eta = rho0^T V from the twofold V, each of whose numbers is off by at most `error`; nothing, if the model has no
/// start distribution. Where the process cannot start V is not read.
std::optional<Bounded> start_value(const Mdp& mdp, const TwofoldVector& value, double error);

/// Checks a batch of rewards (num_pairs each); throws ModelError.
void check_rewards(const Mdp& mdp, std::span<const ConstVector> rewards);

/// Evaluates every policy (num_pairs) under every reward (num_pairs); the result for policy i and reward
/// j stands at i * rewards.size() + j. Throws PolicyError, ModelError, SettingError.
std::vector<Evaluation> evaluate(const Mdp& mdp, std::span<const ConstVector> policies,
                                 std::span<const ConstVector> rewards, double discount, const Options& options,
                                 Monitor& monitor);

/// Evaluates one policy under the model's own reward.
Evaluation evaluate(const Mdp& mdp, ConstVector policy, double discount, const Options& options = {});

}  // namespace rlcore
