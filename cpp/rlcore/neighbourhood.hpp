// What the solves for policies near one policy share, made when it is first asked for and kept for the next of them.
#pragma once

#include <mutex>
#include <optional>

#include "rlcore/linear/incomplete_lu.hpp"
#include "rlcore/monitor.hpp"
#include "rlcore/policy_lanes.hpp"

namespace rlcore {

/// Threads may ask at the same time. The model and the policy must outlive it.
class Neighbourhood {
 public:
  Neighbourhood(const Mdp& mdp, ConstVector policy, double discount)
      : mdp_(mdp), policy_(policy), discount_(discount) {}

  const Mdp& mdp() const { return mdp_; }
  double discount() const { return discount_; }

  /// Null, where actions share too few successors.
  const MergedRows* merged_rows(Team& team);

  /// Whether sweeps under the policy contract in time, as far as that can be told for less than the sweeps would cost:
  /// with merged rows.
  bool sweeps_may_contract(Team& team);

  /// Incomplete factors of I - discount P_pi. Null, if they would fill.
  const linear::IncompleteLu* factors(Team& team, Monitor& monitor);

  /// Of what LaneBicgstab balances functions with: M^-T 1, scaled to the sum 1; empty where constants are not free.
  /// Valid after `factors`.
  ConstVector balance() const { return balance_; }

 private:
  const MergedRows* find_merged_rows(Team& team);
  const linear::System& system(Team& team);
  void factorise(Team& team, Monitor& monitor);

  const Mdp& mdp_;
  ConstVector policy_;
  double discount_;
  std::mutex mutex_;
  std::optional<std::optional<MergedRows>> merged_;
  std::optional<bool> sweeps_contract_;
  std::optional<linear::System> system_;  // until it has been factorised
  std::optional<std::optional<linear::IncompleteLu>> factors_;
  Doubles balance_;
};

}  // namespace rlcore
