// A solver method: one way to solve (I - discount M) x = b approximately, in either direction.
//
// Methods need not be right: the resolvent judges each answer by its residual, refines it, and goes on
// to the next method when one does not help. To add a method, write linear/<name>.cpp with a factory,
// and enter the factory in linear/portfolio.cpp.
#pragma once

#include <memory>
#include <string>

#include "rlcore/linear/system.hpp"

namespace rlcore::linear {

/// How a solve ended.
struct Outcome {
  Index iterations = 0;
  bool gave_up = false;  // before the answer was worth anything
};

class Method {
 public:
  virtual ~Method() = default;

  /// Overwrites x with an approximate solution of the system of a direction.
  virtual Outcome solve(Direction direction, ConstVector b, Vector x, const Goal& goal, Monitor& monitor) = 0;

  /// Whether solving once more costs little: answers are then refined to the last digit.
  virtual bool is_direct() const { return false; }
};

/// A method that is ready to solve, or why it is not suitable.
struct Candidate {
  std::unique_ptr<Method> method;
  std::string reason;
};

/// Makes a method for both directions, of which `wanted` comes first.
using Factory = Candidate (*)(Systems& systems, Direction wanted, Monitor& monitor);

}  // namespace rlcore::linear
