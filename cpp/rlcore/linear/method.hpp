// A solver method: one way to solve (I - discount M) x = b approximately, in either direction.
//
// Methods need not be right: the resolvent judges each answer by its residual, refines it, and goes on
// to the next method when one does not help. To add a method, write linear/<name>.cpp with a factory,
// and enter the factory in linear/portfolio.cpp.
#pragma once

#include <array>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "rlcore/lanes.hpp"
#include "rlcore/linear/system.hpp"

namespace rlcore::linear {

/// How a solve ended.
struct Outcome {
  Index iterations = 0;
  bool gave_up = false;  // before the answer was worth anything
};

/// One of the right-hand sides that are solved together.
struct Lane {
  ConstVector b;
  Vector x;  // the answer goes here
  Goal goal;
  Vector rest = {};  // of the answer, beyond doubles; only methods that find it touch it
};

class Method {
 public:
  virtual ~Method() = default;

  /// Overwrites x with an approximate solution of the system of a direction.
  virtual Outcome solve(Direction direction, ConstVector b, Vector x, const Goal& goal, Monitor& monitor) = 0;

  /// Solves for up to kMostLanes right-hand sides; each gets the answer that `solve` finds for it alone, to the last
  /// bit. Here one after the other.
  virtual std::vector<Outcome> solve_together(Direction direction, std::span<const Lane> lanes, Monitor& monitor) {
    std::vector<Outcome> outcomes;
    for (const Lane& lane : lanes) outcomes.push_back(solve(direction, lane.b, lane.x, lane.goal, monitor));
    return outcomes;
  }

  /// Whether solving once more costs little: answers are then refined to the last digit.
  virtual bool is_direct() const { return false; }

  /// Whether answers are found in twofold precision, if lanes have room for the rest.
  virtual bool is_twofold() const { return false; }
};

/// A method that reads its matrix once for all lanes.
class LaneMethod : public Method {
 public:
  Outcome solve(Direction direction, ConstVector b, Vector x, const Goal& goal, Monitor& monitor) final {
    const std::array lanes{Lane{b, x, goal}};
    return solve_together(direction, lanes, monitor).front();
  }
  std::vector<Outcome> solve_together(Direction direction, std::span<const Lane> lanes, Monitor& monitor) override = 0;
};

/// The right-hand sides of lanes, side by side; one alone stays where it is.
template <class Number>
class RightSides {
 public:
  RightSides(std::span<const Lane> lanes, Team& team) {
    if constexpr (kLanesOf<Number> == 1) {
      numbers_ = lanes.front().b;
    } else {
      std::vector<ConstVector> vectors;
      for (const Lane& lane : lanes) vectors.push_back(lane.b);
      storage_ = unset<Numbers<Number>>(ssize(lanes.front().b));
      interleave<Number>(vectors, storage_, team);
      numbers_ = storage_;
    }
  }

  std::span<const Number> numbers() const { return numbers_; }

 private:
  Numbers<Number> storage_;
  std::span<const Number> numbers_;
};

/// A method that is ready to solve, or why it is not suitable.
struct Candidate {
  std::unique_ptr<Method> method;
  std::string reason;
};

/// Makes a method for both directions, of which `wanted` comes first.
using Factory = Candidate (*)(Systems& systems, Direction wanted, Monitor& monitor);

}  // namespace rlcore::linear
