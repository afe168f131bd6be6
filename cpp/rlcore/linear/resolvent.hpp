// The resolvent X = (I - gamma P_pi)^-1 of a chain: everything in theory 2 is X or its transpose applied
// to something.
//
// Solving is iterative refinement with a judge: a method of the portfolio proposes a correction, the
// residual of the sum is formed in twofold precision from the numbers of the model, and what it proves
// decides whether to stop, to refine, or to go on to the next method.
#pragma once

#include <memory>
#include <string>

#include "rlcore/chain.hpp"
#include "rlcore/linear/certificate.hpp"
#include "rlcore/linear/method.hpp"
#include "rlcore/linear/system.hpp"
#include "rlcore/monitor.hpp"

namespace rlcore::linear {

/// How an answer was found and what is proven of it.
struct Certificate {
  double error_bound = 0.0;  // of the twofold answer: the largest error, or the L1 error, transposed
  double residual = 0.0;
  bool converged = false;  // the bound meets the tolerance, the rounding of the answer to doubles included
  Index iterations = 0;
  std::string method;
  std::string story;  // what was tried, a line each
};

/// Assembles the system (I - discount P_pi) x = b, or its transpose.
System assemble(const Chain& chain, double discount, Direction direction, Team& team);

struct Solution {
  TwofoldVector x;
  Certificate certificate;
};

class Resolvent {
 public:
  Resolvent(const Chain& chain, double discount, Team& team, Monitor& monitor);
  ~Resolvent();

  /// X b, or X^T b, with an error of at most `tolerance` relative to max|X b|, or to ||X^T b||_1; a
  /// tolerance of 0 asks for the best attainable.
  Solution solve(const RightSide& b, double tolerance);
  Solution solve_transposed(const RightSide& b, double tolerance);

 private:
  class Solvers;     // the systems of both directions and the methods for them
  class Refinement;  // one run
  Solution solve(Direction direction, const RightSide& b, double tolerance);
  Solution zero(const RightSide& b) const;

  const Chain& chain_;
  double discount_;
  Team& team_;
  std::unique_ptr<Solvers> solvers_;
};

}  // namespace rlcore::linear
