// The singular systems of a chain that goes on for ever, solved as they are.
//
//     (I - P) h = b - gain        h up to a constant, the gain found with it
//     (I - P)' y = b              for a b that sums to zero; y up to a multiple of the stationary distribution
//
// By sweeps where the chain mixes: then h and y are the sums of the powers of P, or of its transpose, applied to b
// (theory 3.2; Puterman 1994, 8.5.5). Where it is local instead, by GCR around
// multigrid. Answers are proposals: who asks judges them.
#pragma once

#include <optional>
#include <utility>

#include "rlcore/chain.hpp"
#include "rlcore/linear/gcr.hpp"
#include "rlcore/linear/hierarchy.hpp"

namespace rlcore::linear {

class RunningChain {
 public:
  RunningChain(const Chain& chain, CsrMatrix transition, Team& team, Monitor& monitor);

  /// Overwrites x with h, or y, so that about `enough` is left of the residual: half of its span, or its L1 norm. False
  /// if neither way gets there.
  ///
  /// Sweeps see the bias of h on their way: it is sum P^n h = sum (n + 1) P^n b, and N of them leave N times as much of
  /// its residual as of h's. Forwards it is written to `bias_of_h`, unless that is empty; multigrid writes zeros.
  bool solve(Direction direction, ConstVector b, double enough, Vector x, Vector bias_of_h = {});

  const System& system(Direction direction);

  /// Sweeps or steps since this was last asked.
  Index count_iterations() { return std::exchange(iterations_, 0); }
  bool mixes() const { return mixes_; }
  std::string_view method() const { return mixes_ ? "renewal sweeps" : "renewal multigrid"; }

 private:
  bool sum_powers(Direction direction, ConstVector b, double enough, Vector x, Vector bias_of_h);
  bool solve_by_multigrid(Direction direction, ConstVector b, double enough, Vector x);
  bool build_multigrid(Direction direction);

  const Chain& chain_;
  Team& team_;
  Monitor& monitor_;
  ByDirection<std::optional<System>> systems_;
  Coarsening coarsening_;
  ByDirection<std::optional<Hierarchy>> hierarchies_;
  std::optional<Gcr<double>> gcr_;  // its memory serves all solves
  bool mixes_ = true;               // until a solve has shown that it does not
  Index iterations_ = 0;
};

}  // namespace rlcore::linear
