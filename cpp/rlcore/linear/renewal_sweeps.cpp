// Sweeps over renewal cycles: a process that goes on for ever and mixes, stopped on entering one state s.
//
// Stopping makes a slow system of a fast chain: the process takes long to meet one state of many. So the sweeps leave
// it running. With d the stationary distribution of P, and h_b the solution of (I - P) h = b - d'b, which plain sweeps
// find at the rate of mixing (theory 3.2; Puterman 1994, 8.5.5):
//
//     (I - K) x = b     x = h_b - c h_e + constant off s, x(s) = c, where e is the indicator of s, c = d'b / d(s)
//     (I - K)' x = b    x = y + a d, where (I - P)' y = b - (1'b) e and a makes x(s) = b(s)
#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "rlcore/linear/kernel.hpp"
#include "rlcore/linear/method.hpp"

namespace rlcore::linear {
namespace {

/// Sweeps after which the rate is judged, and the rate, a sweep, that is worth it.
constexpr Index kProbe = 12;
constexpr double kSlowest = 0.75;
constexpr Index kMostSweeps = 400;

/// Sweeps go on until changes are lost in rounding, or fall no further; for what only scales a solution, less does.
constexpr double kFloor = 1e-15;
constexpr double kStalled = 1e-13;
constexpr double kRough = 1e-12;

class RenewalSweeps final : public Method {
 public:
  RenewalSweeps(const Kernel& kernel, Index stop, Team& team) : kernel_(kernel), stop_(at(stop)), team_(team) {}

  /// What both solutions need of one direction; false if the chain does not mix fast enough for it.
  bool prepare(Direction direction, Monitor& monitor) {
    return direction == Direction::kForward ? find_bias_of_stop(monitor) : find_stationary(monitor);
  }

  Outcome solve(Direction direction, ConstVector b, Vector x, const Goal&, Monitor& monitor) override {
    if (!prepare(direction, monitor)) return {kProbe, true};
    // The system is that of the jump chain: I - K = D (I - J).
    const Doubles& leaving = kernel_.leaving();
    sweeps_ = 0;
    if (direction == Direction::kForward) {
      Doubles right(b.size());
      for (std::size_t i = 0; i < b.size(); ++i) right[i] = b[i] * leaving[i];
      const bool mixed = solve_forward(right, x, monitor);
      return {sweeps_, !mixed};
    }
    const bool mixed = solve_transposed(b, x, monitor);
    for (std::size_t i = 0; i < x.size(); ++i) x[i] *= leaving[i];
    return {sweeps_, !mixed};
  }

 private:
  /// h with (I - P) h = b - gain.
  struct Bias {
    Doubles value;
    double gain = 0.0;
  };

  const System& running(Direction direction) {
    std::optional<System>& system = running_[direction];
    if (!system) {
      const Chain& chain = kernel_.chain();
      const bool forward = direction == Direction::kForward;
      system = running_system(forward ? chain.transition(team_) : chain.transposed_transition(team_), direction, team_);
    }
    return *system;
  }

  /// Whether the changes of the sweeps so far fall fast enough.
  static bool mixes(const std::vector<double>& changes) {
    if (std::ssize(changes) < kProbe) return true;
    const double earlier = changes[changes.size() - 5];
    return changes.back() < std::pow(kSlowest, 4) * earlier;
  }

  /// Relative value iteration: h <- b + P h, less what all states gain.
  bool relative_values(ConstVector b, double floor, Bias& bias, Monitor& monitor) {
    const System& p = running(Direction::kForward);
    bias.value.assign(b.size(), 0.0);
    Doubles next(b.size());
    std::vector<double> changes;
    double least = std::numeric_limits<double>::infinity();
    while (std::ssize(changes) < kMostSweeps) {
      const System::Sweep sweep = p.sweep(b, bias.value, next);
      bias.gain = (sweep.change.lower + sweep.change.upper) / 2.0;
      const double span = sweep.change.upper - sweep.change.lower;
      changes.push_back(span);
      ++sweeps_;
      const double gain = bias.gain;
      for_states([&](std::size_t i) { bias.value[i] = next[i] - gain; });
      monitor.poll({"renewal sweeps", sweeps_, span, 0.0});
      const double size = std::max(sweep.value.upper - sweep.value.lower, std::fabs(gain));
      if (span <= floor * size || (span <= kStalled * size && span >= least)) return true;
      least = std::min(least, span);
      if (!std::isfinite(span) || !mixes(changes)) return false;
    }
    return false;
  }

  /// y = the sum of the powers of P' applied to a vector that sums to zero.
  bool accumulate(ConstVector b, Vector y, Monitor& monitor) {
    const System& transposed = running(Direction::kTransposed);
    const Doubles nothing(b.size(), 0.0);
    Doubles term(b.begin(), b.end());
    Doubles next(b.size());
    std::fill(y.begin(), y.end(), 0.0);
    std::vector<double> changes;
    double total = 0.0;
    while (std::ssize(changes) < kMostSweeps) {
      for_states([&](std::size_t i) { y[i] += term[i]; });
      const double l1 = transposed.sweep(nothing, term, next).value.l1;
      std::swap(term, next);
      total += l1;
      changes.push_back(l1);
      ++sweeps_;
      monitor.poll({"renewal sweeps", sweeps_, l1, 0.0});
      if (l1 <= kFloor * total) return true;
      if (!std::isfinite(l1) || !mixes(changes)) return false;
    }
    return false;
  }

  bool find_bias_of_stop(Monitor& monitor) {
    if (bias_of_stop_) return true;
    Doubles indicator(at(kernel_.size()), 0.0);
    indicator[stop_] = 1.0;
    Bias bias;
    if (!relative_values(indicator, kRough, bias, monitor) || !(bias.gain > 0.0)) return false;
    bias_of_stop_ = std::move(bias);
    return true;
  }

  /// d by sweeps from the uniform distribution.
  bool find_stationary(Monitor& monitor) {
    if (stationary_) return true;
    const System& transposed = running(Direction::kTransposed);
    const Doubles nothing(at(kernel_.size()), 0.0);
    Doubles d(nothing.size(), 1.0 / static_cast<double>(kernel_.size()));
    Doubles next(d.size());
    std::vector<double> changes;
    double least = std::numeric_limits<double>::infinity();
    while (std::ssize(changes) < kMostSweeps) {
      const double change = transposed.sweep(nothing, d, next).change.l1;
      std::swap(d, next);
      changes.push_back(change);
      ++sweeps_;
      monitor.poll({"renewal sweeps", sweeps_, change, 0.0});
      if (change <= kFloor || (change <= kStalled && change >= least)) {
        if (!(d[stop_] > 0.0)) return false;
        stationary_ = std::move(d);
        return true;
      }
      least = std::min(least, change);
      if (!std::isfinite(change) || !mixes(changes)) return false;
    }
    return false;
  }

  bool solve_forward(ConstVector b, Vector x, Monitor& monitor) {
    Bias bias;
    if (!relative_values(b, kFloor, bias, monitor)) return false;
    const double c = bias.gain / bias_of_stop_->gain;
    const double level = bias.value[stop_] - c * bias_of_stop_->value[stop_];
    for_states([&](std::size_t i) { x[i] = bias.value[i] - c * bias_of_stop_->value[i] - level; });
    x[stop_] = c;
    return true;
  }

  bool solve_transposed(ConstVector b, Vector x, Monitor& monitor) {
    double mass = 0.0;
    for (const double part : b) mass += part;
    Doubles balanced(b.begin(), b.end());
    balanced[stop_] -= mass;
    const bool at_once = extent_of(balanced, team_).largest() == 0.0;
    std::fill(x.begin(), x.end(), 0.0);
    if (!at_once && !accumulate(balanced, x, monitor)) return false;
    const double a = (b[stop_] - x[stop_]) / (*stationary_)[stop_];
    for_states([&](std::size_t i) { x[i] += a * (*stationary_)[i]; });
    return true;
  }

  template <class Body>
  void for_states(Body&& body) {
    team_.for_blocks(kernel_.size(), kBlock, [&](Index first, Index last, Index) {
      for (auto i = at(first); i < at(last); ++i) body(i);
    });
  }

  const Kernel& kernel_;
  std::size_t stop_;
  Team& team_;
  ByDirection<std::optional<System>> running_;
  std::optional<Bias> bias_of_stop_;
  std::optional<Doubles> stationary_;
  Index sweeps_ = 0;
};

}  // namespace

Candidate make_renewal_sweeps(Systems& systems, Direction wanted, Monitor& monitor) {
  const Kernel* const kernel = systems.kernel();
  if (kernel == nullptr || kernel->is_discounted()) return {nullptr, "the process is not stopped"};
  if (!kernel->chain().conserves()) return {nullptr, "the process can end"};
  const std::optional<Index> stop = kernel->only_stop();
  if (!stop) return {nullptr, "not one state alone starts it anew"};
  auto method = std::make_unique<RenewalSweeps>(*kernel, *stop, systems.team());
  if (!method->prepare(wanted, monitor)) return {nullptr, "its chain mixes too slowly"};
  return {std::move(method), {}};
}

}  // namespace rlcore::linear
