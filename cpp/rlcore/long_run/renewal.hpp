// The long run of a single recurrent class, found by a process that never stops and proven by one that does.
//
// The systems of a running chain are singular but easy: sweeps and multigrid see a chain that mixes, or a map. Their
// residuals are then weighed with the time t until an anchor is met, the state s that is visited most: with K the
// kernel that stops on entering s and X = (I - K)^-1 >= 0 (theory 10.3),
//
//     rho = r - g^ - (I - P) h^, h^(s) = 0     g - g^ = d'rho is between the least and the largest rho, and
//                                              h - h^ = X (rho - (g - g^)) is at most the span of rho times t
//     rho' = d^(s) e_s' - d^' (I - K)          d^' = (d^(s) / d(s)) d' - rho' X: a multiple of d but for |rho|'t
//
// The mean d'h^ of what is found is a gain too, that of earning h^. So a y^ with (I - P) y^ = h^ but for a constant
// proves it to within half the span of what is left, without d and without t.
//
// t itself comes from the bias h_e of visits to s, (max h_e - h_e) / d(s), and is believed as far as (I - K) t >= w > 0
// is verified.
#pragma once

#include <optional>

#include "rlcore/linear/certificate.hpp"
#include "rlcore/linear/resolvent.hpp"
#include "rlcore/linear/running_chain.hpp"

namespace rlcore {

class Renewal {
 public:
  /// Of a chain with one recurrent class in which nothing ends; `transition` is its P_pi.
  Renewal(const Chain& chain, CsrMatrix transition, Team& team, Monitor& monitor);

  /// The stationary distribution with an L1 error of at most `tolerance`; 0 asks for the best attainable. Nothing if
  /// the chain neither mixes nor is local, or if what is asked for was not reached.
  std::optional<linear::Solution> stationary(double tolerance);

  /// A mean in the long run, and a bound on its error.
  struct Gain {
    Twofold value;
    double error = 0.0;
  };

  /// The gain of rewards, and what each state earns above it until the anchor is met, with an error of at most
  /// `tolerance` relative to the largest or to the largest reward; and the mean of that, where sweeps find it on their
  /// way. Multigrid would need steps of its own for it, and many: from the stationary distribution it is had for less.
  struct Earnings {
    Gain gain;
    linear::Solution above;
    std::optional<Gain> mean_above;
  };
  std::optional<Earnings> earnings(const linear::RightSide& reward, double tolerance);

 private:
  bool find_anchor();
  bool find_time_to_anchor();
  void correct(ConstVector correction);

  /// Poisson's equation (I - P) h = b - g, h = 0 at the anchor, as far as it is solved.
  struct Poisson {
    TwofoldVector h;
    Gain gain = {};
    double half_span = 0.0;  // of what is left
    Doubles bias_of_h = {};  // a guess, unless it is empty
  };
  template <class Norm>
  bool mend(Poisson& poisson, const TwofoldVector& b, double error, double tolerance, Norm&& norm);
  std::optional<Gain> mean(const TwofoldVector& h, ConstVector bias_of_h, double tolerance);

  linear::Certificate certificate(double error, double residual);

  template <class Body>
  void for_states(Body&& body) {
    team_.for_blocks(chain_.size(), kBlock, [&](Index first, Index last, Index) {
      for (auto i = at(first); i < at(last); ++i) body(i);
    });
  }

  const Chain& chain_;
  Team& team_;
  linear::RunningChain running_;
  TwofoldVector d_;  // the stationary distribution as far as it is known
  Index anchor_ = -1;
  std::optional<linear::Kernel> kernel_;  // stopped on entering the anchor
  linear::Horizon horizon_;
};

}  // namespace rlcore
