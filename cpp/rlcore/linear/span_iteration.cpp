// Span iteration: value iteration that knows what a constant is worth.
//
// Values. x_k = b + discount P x_{k-1} from x_0 = 0. The change delta = x_k - x_{k-1} bounds the rest:
// x - x_k lies between discount/(1 - discount) times min delta and max delta (MacQueen 1966), so the
// error that matters is the span of delta. It contracts with the chain's mixing, at any discount.
//
// Occupancies. The residual of a first guess with the right mass sums to zero, and a chain that mixes
// forgets a vector that sums to zero at the same rate.
//
// Where the process can end there is no constant to remove; the sweeps are then plain value iteration.
#include <algorithm>
#include <cmath>
#include <vector>

#include "rlcore/linear/method.hpp"

namespace rlcore::linear {
namespace {

/// Sweeps after which the contraction is judged, and how many more it may promise to take.
constexpr Index kProbe = 12;
constexpr double kPatience = 300.0;

/// Fewer where states have few neighbours: such chains are often local, and other methods suit them better.
constexpr double kPatienceIfSparse = 60.0;
constexpr Index kSparse = 12;

/// What the residual must fall by if a probe that ends short of its goal is to count.
constexpr double kLeastGain = 1e-3;

/// Plain sweeps, the last resort, stop here.
constexpr Index kMostSweeps = 200000;

/// The sweeps of one direction.
class SpanIteration {
 public:
  SpanIteration(const System& system, bool probing) : system_(system), probing_(probing) {}

  Outcome solve(ConstVector b, Vector x, const Goal& goal, Monitor& monitor) const {
    Doubles next(x.size());
    Vector current = x;
    Vector following = next;
    system_.guess(b, current);
    Doubles history;
    bool met = false;
    for (bool going = true; going;) {
      const System::Sweep sweep = system_.sweep(b, current, following);
      std::swap(current, following);
      const double residual = residual_after(sweep.change);
      history.push_back(residual);
      const double answer = answer_norm(sweep);
      met = goal.met(residual, answer);
      going = std::isfinite(residual) && !met && worth_going_on(history, goal, answer);
      if (!going && shifts()) add_constant(current, sweep.change);
      monitor.poll({name(), static_cast<Index>(history.size()), goal.error(residual, answer), goal.tolerance});
    }
    if (current.data() != x.data()) std::copy(current.begin(), current.end(), x.begin());
    const bool worthless = !(history.back() <= kLeastGain * goal.initial);
    return {std::ssize(history), probing_ && !met && worthless};
  }

 private:
  const char* name() const { return probing_ ? "span iteration" : "value iteration"; }
  bool shifts() const { return system_.conserves && system_.direction == Direction::kForward; }

  /// The residual of the new iterate is discount M times the change.
  double residual_after(const Extent& change) const {
    if (system_.direction == Direction::kTransposed) return system_.discount * change.l1;
    if (system_.conserves) return system_.discount * (change.upper - change.lower) / 2.0;
    return system_.discount * std::max(std::fabs(change.lower), std::fabs(change.upper));
  }

  double shift(const Extent& change) const {
    return system_.discount / (1.0 - system_.discount) * (change.lower + change.upper) / 2.0;
  }

  double answer_norm(const System::Sweep& sweep) const {
    if (system_.direction == Direction::kTransposed) return sweep.value.l1;
    const double constant = shifts() ? shift(sweep.change) : 0.0;
    return std::max(std::fabs(sweep.value.lower + constant), std::fabs(sweep.value.upper + constant));
  }

  void add_constant(Vector x, const Extent& change) const {
    const double constant = shift(change);
    for (double& value : x) value += constant;
  }

  bool worth_going_on(const Doubles& history, const Goal& goal, double answer) const {
    return probing_ ? contracts_in_time(history, goal, answer) : still_contracts(history);
  }

  /// Extrapolates the contraction of the last few sweeps to the goal.
  bool contracts_in_time(const Doubles& history, const Goal& goal, double answer) const {
    if (std::ssize(history) < kProbe) return true;
    const double rate = std::pow(history.back() / history[history.size() - 5], 0.25);
    if (!(rate < 1.0)) return false;
    const double needed =
        std::max(goal.tolerance * std::max(answer, goal.known) / goal.amplification, Goal::kFloor * goal.initial);
    return std::log(needed / history.back()) / std::log(rate) < patience();
  }

  double patience() const {
    return system_.matrix.num_entries < kSparse * system_.size() ? kPatienceIfSparse : kPatience;
  }

  /// Plain sweeps go on as long as a thousand of them gain anything above rounding noise.
  bool still_contracts(const Doubles& history) const {
    constexpr std::size_t kWindow = 1000;
    if (history.size() <= kWindow) return true;
    if (std::ssize(history) >= kMostSweeps) return false;
    return history.back() < (1.0 - 1e-6) * history[history.size() - 1 - kWindow];
  }

  const System& system_;
  bool probing_;
};

/// The method: sweeps need no preparation.
class Sweeps final : public Method {
 public:
  Sweeps(Systems& systems, bool probing) : systems_(systems), probing_(probing) {}

  Outcome solve(Direction direction, ConstVector b, Vector x, const Goal& goal, Monitor& monitor) override {
    return SpanIteration(systems_[direction], probing_).solve(b, x, goal, monitor);
  }

 private:
  Systems& systems_;
  bool probing_;
};

}  // namespace

Candidate make_span_iteration(Systems& systems, Direction, Monitor&) {
  return {std::make_unique<Sweeps>(systems, true), {}};
}

Candidate make_value_iteration(Systems& systems, Direction, Monitor&) {
  return {std::make_unique<Sweeps>(systems, false), {}};
}

}  // namespace rlcore::linear
