// Chebyshev iteration (Golub & Varga 1961): value iteration, accelerated where moves go both ways.
//
// If a chain is all but symmetric, the eigenvalues of discount M are all but real, between -discount and discount. Of
// all polynomials of degree k in it, those of Chebyshev leave least of the error at worst, and a recurrence of three
// terms finds them:
//
//     x_k+1 = x_k-1 + w_k+1 (b + discount M x_k - x_k-1),   w_k+1 = 1 / (1 - discount^2 w_k / 4)
//
// A sweep then gains a factor (1 + sqrt(1 - discount^2)) / discount, where value iteration gains 1 / discount: at .99
// seven sweeps a digit instead of two hundred. It needs no inner products, and the residual of x_k comes with the
// sweep.
#include <algorithm>
#include <cmath>
#include <vector>

#include "rlcore/linear/local_traits.hpp"
#include "rlcore/linear/method.hpp"
#include "rlcore/linear/pace.hpp"
#include "rlcore/linear/wavefront.hpp"

namespace rlcore::linear {
namespace {

constexpr Index kMostSweeps = 1000;

/// How many steps the discount may leave: sweeps are needed in proportion to their root, cycles of multigrid are not.
constexpr double kLongestHorizon = 60.0;

/// Sweeps from one that looks at the residual to the next.
constexpr Index kBetweenLooks = 2;

/// Looks over which the pace is judged, and how many sweeps it may promise to take.
constexpr std::size_t kWindow = 8;
constexpr double kPatience = 300.0;

/// What the residual must fall by for the answer to be worth anything.
constexpr double kWorthwhile = 0.1;

/// What most sweeps look at.
template <class Number>
struct Nothing {
  void include(const Number&, const Number&) {}
};

/// What some look at: the extents of x and of its residual.
template <class Number>
struct Extents {
  ExtentOf<Number> value;
  ExtentOf<Number> residual;

  RLCORE_INLINE void include(const Number& x, const Number& r) {
    value.include(x);
    residual.include(r);
  }
};

/// How the sweeps of one lane go.
struct Course {
  std::vector<double> history;  // of the residual's norm, look by look
  Index num_sweeps = 0;
  bool met = false;
  bool done = false;
};

class ChebyshevIteration final : public LaneMethod {
 public:
  explicit ChebyshevIteration(Systems& systems) : systems_(systems) {}

  std::vector<Outcome> solve_together(Direction direction, std::span<const Lane> lanes, Monitor& monitor) override {
    return with_lanes(lanes.size(), [&]<class Number>() { return solve<Number>(systems_[direction], lanes, monitor); });
  }

 private:
  template <class Number>
  std::vector<Outcome> solve(const System& system, std::span<const Lane> lanes, Monitor& monitor) const {
    const RightSides<Number> b(lanes, *system.team);
    auto current = unset<Numbers<Number>>(system.size());
    auto previous = unset<Numbers<Number>>(system.size());
    begin<Number>(system, b.numbers(), lanes, current);
    system.team->for_blocks(system.size(), kBlock, [&](Index first, Index last, Index) {
      std::copy(current.begin() + first, current.begin() + last, previous.begin() + first);
    });
    Wavefront front(system.matrix, b.numbers(), std::span<const Number>(current), *system.team);
    std::vector<Course> courses(lanes.size());
    double weight = 1.0;
    std::size_t unfinished = lanes.size();
    for (Index sweeps = 1; unfinished > 0; ++sweeps) {
      front.advance<Number>(current);
      if (sweeps % kBetweenLooks != 0) {
        sweep<Nothing>(system, front, b.numbers(), current, previous, weight);
      } else {
        Extents<Number> all;
        if (!front.is_everywhere()) all.include(Number{}, Number{});
        for (const Extents<Number>& part : sweep<Extents>(system, front, b.numbers(), current, previous, weight)) {
          all.value.include(part.value);
          all.residual.include(part.residual);
        }
        for (std::size_t k = 0; k < lanes.size(); ++k) {
          Course& course = courses[k];
          if (course.done) continue;
          course.num_sweeps = sweeps;
          take_note(system, lanes[k].goal, all.value.of_lane(k), all.residual.of_lane(k), course, monitor);
          if (!course.done) continue;
          take_lane<Number>(previous, k, lanes[k].x, *system.team);  // the sweep after the look
          shift(system, all.residual.of_lane(k), lanes[k].x);
          --unfinished;
        }
      }
      std::swap(current, previous);
      weight = next_weight(system.discount, weight, sweeps);
    }
    std::vector<Outcome> outcomes;
    for (const auto& [history, num_sweeps, met, done] : courses) {
      outcomes.push_back({num_sweeps, !met && !(history.back() <= kWorthwhile * history.front())});
    }
    return outcomes;
  }

  /// The system's guess; but in lanes where b is sparse b itself, so that x is too.
  template <class Number>
  static void begin(const System& system, std::span<const Number> b, std::span<const Lane> lanes, std::span<Number> x) {
    system.guess(b, x);
    for (std::size_t k = 0; k < lanes.size(); ++k) {
      if (!Wavefront::is_sparse(lanes[k].b, *system.team)) continue;
      system.team->for_blocks(system.size(), kBlock, [&](Index first, Index last, Index) {
        for (auto i = at(first); i < at(last); ++i) lane(x[i], k) = lanes[k].b[i];
      });
    }
  }

  /// previous = x_k+1 in place of x_k-1, with a look at x_k and its residual in each strip of the front.
  template <template <class> class Look, class Number>
  static std::vector<Look<Number>> sweep(const System& system, const Wavefront& front, std::span<const Number> b,
                                         const Numbers<Number>& current, Numbers<Number>& previous, double weight) {
    std::vector<Look<Number>> looks(at(front.num_strips()));
    const Number* const x = current.data();
    Number* const y = previous.data();
    front.for_strips(*system.team, [&](Index first, Index last, Index k) {
      Look<Number> look;
      for (Index i = first; i < last; ++i) {
        system.matrix.fetch_ahead(i, last, x);
        const Number swept = b[at(i)] + system.discount * system.matrix.row_product(i, x);
        look.include(x[i], swept - x[i]);
        y[i] += weight * (swept - y[i]);
      }
      looks[at(k)] = look;
    });
    return looks;
  }

  /// w_1 = 1, w_2 = 2 / (2 - discount^2), and so on.
  static double next_weight(double discount, double weight, Index num_sweeps) {
    const double square = discount * discount;
    return num_sweeps == 1 ? 1.0 / (1.0 - square / 2.0) : 1.0 / (1.0 - square * weight / 4.0);
  }

  static void take_note(const System& system, const Goal& goal, Extent value, const Extent& residual, Course& course,
                        Monitor& monitor) {
    const double constant = system.missing_constant(residual);
    value.lower += constant;
    value.upper += constant;
    const double answer = system.norm(value);
    const double left = system.residual_norm(residual);
    course.history.push_back(left);
    course.met = goal.met(left * expected_gain(course.history, kBetweenLooks), answer);
    course.done =
        course.met || !std::isfinite(left) || course.num_sweeps >= kMostSweeps || is_slow(course.history, goal, answer);
    monitor.poll({"Chebyshev iteration", course.num_sweeps, goal.error(left, answer), goal.tolerance});
  }

  /// Extrapolates the last sweeps to the goal.
  static bool is_slow(const std::vector<double>& history, const Goal& goal, double answer) {
    if (history.size() <= kWindow) return false;
    const double rate = std::pow(history.back() / history[history.size() - 1 - kWindow],
                                 1.0 / static_cast<double>(kWindow * kBetweenLooks));
    const double needed =
        std::max(goal.tolerance * std::max(answer, goal.known) / goal.amplification, Goal::kFloor * goal.initial);
    return !(rate < 1.0) || std::log(needed / history.back()) / std::log(rate) > kPatience;
  }

  static void shift(const System& system, const Extent& residual, Vector x) {
    const double constant = system.missing_constant(residual);
    if (constant == 0.0) return;
    system.team->for_blocks(ssize(x), kBlock, [&](Index first, Index last, Index) {
      for (auto i = at(first); i < at(last); ++i) x[i] += constant;
    });
  }

  Systems& systems_;
};

}  // namespace

Candidate make_chebyshev_iteration(Systems& systems, Direction wanted, Monitor&) {
  const System& system = systems[wanted];
  if (1.0 > kLongestHorizon * (1.0 - system.discount)) return {nullptr, "too long a horizon"};
  if (share_both_ways(system.matrix) < kSymmetric) return {nullptr, "its moves do not go both ways alike"};
  return {std::make_unique<ChebyshevIteration>(systems), {}};
}

}  // namespace rlcore::linear
