// Span iteration: value iteration that knows what a constant is worth.
//
// Values. x_k = b + discount P x_{k-1} from x_0 = b. The change delta = x_k - x_{k-1} bounds the rest:
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

#include "rlcore/linear/local_traits.hpp"
#include "rlcore/linear/method.hpp"
#include "rlcore/linear/pace.hpp"
#include "rlcore/linear/wavefront.hpp"

namespace rlcore::linear {
namespace {

/// Sweeps after which the contraction is judged, and how many more it may promise to take.
constexpr Index kProbe = 12;
constexpr double kPatience = 300.0;

/// Fewer where states have few neighbours: such chains are often local, and other methods suit them better.
constexpr Index kProbeIfSparse = 8;
constexpr double kPatienceIfSparse = 60.0;

/// How many steps the discount must leave for mixing to matter.
constexpr double kShortHorizon = 4.0;

/// What the residual must fall by if a probe that ends short of its goal is to count.
constexpr double kLeastGain = 1e-3;

/// Plain sweeps, the last resort, stop here.
constexpr Index kMostSweeps = 200000;

/// How the sweeps of one lane have gone.
class Course {
 public:
  Course(const System& system, bool probing, const Goal& goal) : system_(system), probing_(probing), goal_(goal) {}

  /// Takes note of a sweep; whether another is to follow.
  bool goes_on_after(const System::Sweep& sweep) {
    residual_ = residual_after(sweep.change);
    answer_ = answer_norm(sweep);
    shift_ = shifts() ? shift(sweep.change) : 0.0;
    history_.push_back(residual_);
    // The residual is only bounded so: chains that mix contract further.
    met_ = goal_.met(residual_ * expected_gain(history_), answer_);
    going_ = std::isfinite(residual_) && !met_ && (probing_ ? contracts_in_time() : still_contracts());
    return going_;
  }

  bool going() const { return going_; }

  /// The constant that the last iterate lacks.
  double missing_constant() const { return shift_; }

  Progress progress() const {
    return {probing_ ? "span iteration" : "value iteration", num_sweeps(), goal_.error(residual_, answer_),
            goal_.tolerance};
  }

  Outcome outcome() const {
    const bool worthless = !(residual_ <= kLeastGain * goal_.initial);
    return {num_sweeps(), probing_ && !met_ && worthless};
  }

 private:
  Index num_sweeps() const { return std::ssize(history_); }
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

  /// Extrapolates the contraction of the last few sweeps to the goal.
  bool contracts_in_time() const {
    if (num_sweeps() < (is_sparse() ? kProbeIfSparse : kProbe)) return true;
    const double rate = std::pow(history_.back() / history_[history_.size() - 5], 0.25);
    if (!(rate < 1.0)) return false;
    const double needed =
        std::max(goal_.tolerance * std::max(answer_, goal_.known) / goal_.amplification, Goal::kFloor * goal_.initial);
    return std::log(needed / history_.back()) / std::log(rate) < (is_sparse() ? kPatienceIfSparse : kPatience);
  }

  bool is_sparse() const { return has_few_neighbours(system_.matrix); }

  /// Plain sweeps go on as long as a thousand of them gain anything above rounding noise.
  bool still_contracts() const {
    constexpr std::size_t kWindow = 1000;
    if (history_.size() <= kWindow) return true;
    if (num_sweeps() >= kMostSweeps) return false;
    return history_.back() < (1.0 - 1e-6) * history_[history_.size() - 1 - kWindow];
  }

  const System& system_;
  bool probing_;
  const Goal& goal_;
  Doubles history_;  // of residuals
  double residual_ = 0.0;
  double answer_ = 0.0;
  double shift_ = 0.0;
  bool met_ = false;
  bool going_ = true;
};

/// The method: sweeps need no preparation.
class Sweeps final : public LaneMethod {
 public:
  Sweeps(Systems& systems, bool probing) : systems_(systems), probing_(probing) {}

  std::vector<Outcome> solve_together(Direction direction, std::span<const Lane> lanes, Monitor& monitor) override {
    return with_lanes(lanes.size(), [&]<class Number>() { return sweep<Number>(systems_[direction], lanes, monitor); });
  }

 private:
  template <class Number>
  std::vector<Outcome> sweep(const System& system, std::span<const Lane> lanes, Monitor& monitor) const {
    const RightSides<Number> b(lanes, *system.team);
    auto one = unset<Numbers<Number>>(system.size());
    auto other = unset<Numbers<Number>>(system.size());
    std::span<Number> current = one;
    std::span<Number> following = other;
    system.guess(b.numbers(), current);
    system.guess(b.numbers(), following);
    Wavefront front(system.matrix, b.numbers(), std::span<const Number>(current), *system.team);
    std::vector<Course> courses;
    for (const Lane& lane : lanes) courses.emplace_back(system, probing_, lane.goal);
    for (std::size_t unfinished = lanes.size(); unfinished > 0;) {
      front.advance<Number>(current);
      const auto [value, change] = system.sweep<Number>(front, b.numbers(), current, following);
      std::swap(current, following);
      for (std::size_t k = 0; k < lanes.size(); ++k) {
        Course& course = courses[k];
        if (!course.going()) continue;
        if (!course.goes_on_after({value.of_lane(k), change.of_lane(k)})) {
          finish<Number>(current, k, course.missing_constant(), lanes[k].x, *system.team);
          --unfinished;
        }
        monitor.poll(course.progress());
      }
    }
    std::vector<Outcome> outcomes;
    for (const Course& course : courses) outcomes.push_back(course.outcome());
    return outcomes;
  }

  template <class Number>
  static void finish(std::span<const Number> iterate, std::size_t k, double constant, Vector x, Team& team) {
    team.for_blocks(std::ssize(iterate), kBlock, [&](Index first, Index last, Index) {
      for (auto i = at(first); i < at(last); ++i) x[i] = lane(iterate[i], k) + constant;
    });
  }

  Systems& systems_;
  bool probing_;
};

}  // namespace

Candidate make_span_iteration(Systems& systems, Direction wanted, Monitor&) {
  const System& system = systems[wanted];
  const bool must_mix = system.conserves && 1.0 > kShortHorizon * (1.0 - system.discount);
  if (must_mix && has_few_neighbours(system.matrix) && keep_apart(system.matrix, kProbe)) {
    return {nullptr, "it takes long to mix"};
  }
  return {std::make_unique<Sweeps>(systems, true), {}};
}

Candidate make_value_iteration(Systems& systems, Direction, Monitor&) {
  return {std::make_unique<Sweeps>(systems, false), {}};
}

}  // namespace rlcore::linear
