// The resolvent X = (I - K)^-1 of a kernel: everything in theory 2 and 3 is X or its transpose applied to
// something.
//
// Solving is iterative refinement with a judge: a method of the portfolio proposes a correction, the
// residual of the sum is formed from the numbers of the model, in twofold precision where doubles would prove too
// little, and what it proves decides whether to stop, to refine, or to go on to the next method.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "rlcore/linear/certificate.hpp"
#include "rlcore/linear/kernel.hpp"
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

  /// Takes in another solve on the way to the same answer, all but the bound.
  void include(const Certificate& other);
};

/// What every pair has ahead: of = sum_s' P(s'|s,a) h(s') in doubles, where x = h + shift.
struct Ahead {
  Doubles of;
  double shift = 0.0;
};

struct Solution {
  TwofoldVector x;
  Certificate certificate;
  Ahead ahead = {};  // empty unless it was wanted, and the last proof was formed in doubles
};

class Resolvent {
 public:
  Resolvent(const Kernel& kernel, Team& team, Monitor& monitor);
  ~Resolvent();

  /// X b, or X^T b, with an error of at most `tolerance` relative to max|X b|, or to ||X^T b||_1; a
  /// tolerance of 0 asks for the best attainable.
  Solution solve(const RightSide& b, double tolerance);
  Solution solve_transposed(const RightSide& b, double tolerance);

  /// The same of several right-hand sides, which share the passes over the matrix and the model. Each solution is
  /// the one that its right-hand side has alone, to the last bit.
  std::vector<Solution> solve(std::span<const RightSide> b, double tolerance);
  std::vector<Solution> solve_transposed(std::span<const RightSide> b, double tolerance);

  /// What bounds the row sums of X. Undiscounted: about X 1, the expected time that remains.
  const Horizon& horizon() const { return horizon_; }

 private:
  class Solvers;     // the systems of both directions and the methods for them
  class Refinement;  // of one right-hand side
  using Refinements = std::vector<Refinement*>;

  std::vector<Solution> solve(Direction direction, std::span<const RightSide> b, double tolerance);
  std::size_t num_lanes() const;
  void refine(std::span<Refinement> refinements, Direction direction);
  void refine_by(std::size_t method, Direction direction, Refinements refinements);
  void improve(std::size_t method, Direction direction, const Refinements& refinements);
  void judge(Direction direction, const Refinements& refinements);
  Solution zero(const RightSide& b) const;

  void find_horizon();

  const Kernel& kernel_;
  Team& team_;
  Horizon horizon_;
  std::unique_ptr<Solvers> solvers_;
};

}  // namespace rlcore::linear
