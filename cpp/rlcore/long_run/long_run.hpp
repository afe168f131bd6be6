// A policy's chain in the long run (theory 3.2).
//
// Each recurrent class has a state at which it starts anew, its anchor, which it visits often. The process stopped on
// entering those states has a resolvent X, and the long run is made of its cycles: the visits of a cycle are
// proportional to the stationary distribution, and the bias is what a state earns above the gain until the next cycle
// begins. Where there is one class and nothing ends, both are first sought without stopping (renewal.hpp).
#pragma once

#include <optional>
#include <vector>

#include "rlcore/chain_structure.hpp"
#include "rlcore/evaluation.hpp"
#include "rlcore/long_run/renewal.hpp"
#include "rlcore/long_run/stationary.hpp"

namespace rlcore {

/// What proves a solution in the sup norm proves more where the time that remains is short (theory 10.3).
double error_at(Column state, const linear::Solution& solution, const linear::Horizon& horizon, Team& team);

class LongRun {
 public:
  /// Throws PolicyError; the policy is an item of a batch.
  LongRun(const Mdp& mdp, ConstVector policy, Index item, const Options& options, Team& team, Monitor& monitor);

  /// Throws SettingError if a process that starts where a distribution is positive, or anywhere, can end.
  void ensure_goes_on_from(ConstVector initial) const;
  void ensure_goes_on_everywhere() const;

  const Chain& chain() const { return chain_; }
  Index size() const { return chain_.size(); }
  const ChainStructure& structure() const { return structure_; }
  bool is_unichain() const { return structure_.num_classes() == 1; }
  const Options& options() const { return options_; }
  Team& team() { return team_; }
  Monitor& monitor() { return monitor_; }

  /// Whether all processes come to one anchor, and time and again.
  bool has_one_cycle() const;

  /// How everything so far was found.
  const linear::Certificate& certificate() const { return certificate_; }

  /// Asks for stationary distributions as sharp as gains must be: what a gain is wrong by counts until the cycle
  /// ends.
  void sharpen();

  const StationaryDistributions& stationary();

  /// sum_j d_C(j) x(j) of a class.
  Twofold mean_in_class(Index number, const TwofoldVector& x);

  /// What a number per class is worth on average from each state: its own class's where it is recurrent, and the
  /// mean over where it ends up elsewhere; its error is added to `error`.
  TwofoldVector by_class(const std::vector<Twofold>& of_class, double& error);

  /// What a measure puts into each class in the long run; for a start distribution, the probabilities of ending there.
  std::vector<Twofold> class_weights(const TwofoldVector& measure, double& error);

  /// Where the cycles of a class begin.
  Column anchor(Index number);

  /// X b and X^T b with error bounds, X the resolvent of the process stopped on entering an anchor.
  linear::Solution until_anchor(const linear::RightSide& b, double tolerance);
  linear::Solution visits_until_anchor(const linear::RightSide& b, double tolerance);
  linear::Resolvent& resolvent();

  /// Gain and earnings above it, of a chain with one class that can be solved without stopping it.
  std::optional<Renewal::Earnings> earnings(const linear::RightSide& reward, double tolerance);

 private:
  void ensure_goes_on(const std::vector<char>& reached) const;
  bool is_reduced();
  std::optional<StationaryDistributions> without_stopping();
  StationaryDistributions by_cycles();

  Chain chain_;
  CsrMatrix steps_;  // handed on to the one who solves
  ChainStructure structure_;
  Index item_;
  const Options& options_;
  Team& team_;
  Monitor& monitor_;
  bool has_small_classes_;
  std::optional<StateOrder::Columns> line_;  // the states along lines, if the chain consists of such
  std::optional<Renewal> renewal_;
  std::vector<Column> anchors_;
  std::optional<linear::Kernel> kernel_;
  std::optional<linear::Resolvent> resolvent_;
  double stationary_tolerance_;
  std::optional<bool> is_reduced_;  // whether state reduction finds the stationary distributions
  std::optional<StationaryDistributions> stationary_;
  linear::Certificate certificate_;
};

}  // namespace rlcore
