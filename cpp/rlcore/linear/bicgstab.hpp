// BiCGSTAB (van der Vorst 1992) in lanes, preconditioned from the right by incomplete LU factors. The lanes may have
// one matrix, or one each: it is only applied.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <tuple>
#include <utility>
#include <vector>

#include "rlcore/linear/incomplete_lu.hpp"
#include "rlcore/linear/method.hpp"

namespace rlcore::linear {

/// On grids, factors with a few entries a row do for horizons of up to a thousand steps.
inline constexpr IncompleteLu::Thresholds kRoughFactors{
    .drop = 0.03, .fill = 2, .keeps_row_sums = true, .most_work = 100.0};
inline constexpr double kFarthestForRough = 1.5e3;

/// Policies that drift and get caught want more, at any horizon.
inline constexpr IncompleteLu::Thresholds kFineFactors{
    .drop = 1e-4, .fill = 15, .keeps_row_sums = false, .most_work = 1000.0};

inline constexpr Index kMostKrylovIterations = 2000;

/// Iterations without a new best residual after which the solve has stagnated.
inline constexpr Index kKrylovStagnation = 100;

/// The cosine between the shadow and the residual below which the recurrence has broken down.
inline constexpr double kKrylovBreakdown = 1e-14;

/// What the residual must fall by before the answer is put by again, or is worth anything.
inline constexpr double kKrylovProgress = 0.1;

/// I - K of every lane.
template <class Number>
struct Operator {
  std::function<void(std::span<const Number> x, std::span<Number> y)> apply;  // y = (I - K) x
  std::function<void(std::span<const Number> b, std::span<const Number> x, std::span<Number> r)> residual;
};

/// One solve in one direction. Every lane has a recurrence of its own; those that are done go on without being heeded
/// until all are.
template <class Number>
class Bicgstab {
 public:
  /// `frame` tells the norms and what is free; its matrix is not read.
  Bicgstab(const System& frame, Operator<Number> a, const char* name, const IncompleteLu* preconditioner,
           std::span<const Lane> lanes)
      : system_(frame),
        a_(std::move(a)),
        team_(*frame.team),
        name_(name),
        preconditioner_(preconditioner),
        lanes_(lanes),
        b_(lanes, team_),
        x_(at(frame.size())),
        residual_(at(frame.size())),
        shadow_(at(frame.size())),
        search_(at(frame.size())),
        image_(at(frame.size())),
        correction_(at(frame.size())),
        second_image_(at(frame.size())) {}

  std::vector<Outcome> solve(Monitor& monitor) {
    // The preconditioner's own answer is the first guess.
    precondition(b_.numbers(), x_);
    begin(std::vector<char>(kLanesOf<Number>, 1), 0.0);
    measure();
    for (std::size_t k = 0; k < lanes_.size(); ++k) runs_.push_back({lane(now_, k), 0, lane_of_x(k)});
    Index iteration = 0;
    for (bool going = any_goes_on(iteration); going; going = any_goes_on(iteration)) {
      ++iteration;
      step();
      measure();
      const std::vector<char> broken = take_stock(iteration, monitor);
      if (std::find(broken.begin(), broken.end(), 1) == broken.end()) continue;
      begin(broken, 1.0);
      measure();
    }
    return conclude();
  }

 private:
  /// How the recurrence of one lane goes: its best answer so far, and what was left when it stopped.
  struct Run {
    double residual;
    Index iteration;
    Doubles x;
    bool done = false;
    double left = 0.0;
    Index iterations = 0;
  };

  /// Whether any lane is to go on; those that are not keep their best answer.
  bool any_goes_on(Index iteration) {
    bool going = false;
    for (std::size_t k = 0; k < lanes_.size(); ++k) {
      Run& run = runs_[k];
      if (run.done) continue;
      const double now = lane(now_, k);
      run.done = iteration == kMostKrylovIterations || iteration - run.iteration == kKrylovStagnation ||
                 lanes_[k].goal.met(now, lane(answer_, k));
      going = going || !run.done;
      if (!run.done) continue;
      if (!(run.residual < now)) run.x = lane_of_x(k);
      run.left = std::min(now, run.residual);
      run.iterations = iteration;
    }
    return going;
  }

  /// Puts by answers that are much better than any before, and tells where the recurrence broke down: the shadow lost
  /// sight of the residual. Those lanes begin again from an answer that was good.
  std::vector<char> take_stock(Index iteration, Monitor& monitor) {
    std::vector<char> broken(kLanesOf<Number>, 0);
    for (std::size_t k = 0; k < lanes_.size(); ++k) {
      Run& run = runs_[k];
      if (run.done) continue;
      const Goal& goal = lanes_[k].goal;
      const double now = lane(now_, k);
      monitor.poll({name_, iteration, goal.error(now, lane(answer_, k)), goal.tolerance});
      if (now < kKrylovProgress * run.residual) {
        run.residual = now;
        run.iteration = iteration;
        run.x = lane_of_x(k);
      }
      if (sound_[k] != 0 && std::isfinite(now)) continue;
      broken[k] = 1;
      for_states([&](std::size_t i) { lane(x_[i], k) = run.x[i]; });
    }
    return broken;
  }

  std::vector<Outcome> conclude() {
    std::vector<ConstVector> answers;
    for (const Run& run : runs_) answers.emplace_back(run.x);
    interleave<Number>(answers, x_, team_);
    a_.residual(b_.numbers(), x_, second_image_);
    system_.centre<Number>(second_image_, x_);
    measure_answer();
    std::vector<Outcome> outcomes;
    for (std::size_t k = 0; k < lanes_.size(); ++k) {
      take_lane<Number>(x_, k, lanes_[k].x, team_);
      const Goal& goal = lanes_[k].goal;
      const double left = runs_[k].left;
      const bool worthless = !goal.met(left, lane(answer_, k)) && !(left <= kKrylovProgress * goal.initial);
      outcomes.push_back({runs_[k].iterations, worthless});
    }
    return outcomes;
  }

  void measure() {
    now_ = system_.residual_norm<Number>(residual_);
    measure_answer();
  }
  void measure_answer() {
    answer_ = system_.norm(extent_over(system_.size(), team_, [&](std::size_t i) { return x_[i]; }));
  }

  /// Starts the recurrence of some lanes from x, with the residual as its own shadow; after a breakdown, with as much
  /// noise beside it. A residual in a few states that are soon left for good has nothing in common with what becomes of
  /// it, and its shadow would lose it at once, however often it began.
  void begin(const std::vector<char>& chosen, double noise) {
    Numbers<Number>& residual = second_image_;
    a_.residual(b_.numbers(), x_, residual);
    system_.remove_free_part<Number>(residual);
    const Number square = dot<Number>(residual, residual, team_);
    for (std::size_t k = 0; k < kLanesOf<Number>; ++k) {
      if (chosen[k] == 0) continue;
      const double of_noise = noise * std::sqrt(lane(square, k) / static_cast<double>(system_.size()));
      for_states([&](std::size_t i) {
        lane(residual_[i], k) = lane(residual[i], k);
        lane(shadow_[i], k) = lane(residual[i], k) + of_noise * random_sign(i);
        lane(search_[i], k) = lane(image_[i], k) = 0.0;
      });
      lane(rho_, k) = lane(alpha_, k) = lane(omega_, k) = 1.0;
    }
    const Number shadow_square = dot<Number>(shadow_, shadow_, team_);
    const Number shadow_residual = dot<Number>(shadow_, residual_, team_);
    for (std::size_t k = 0; k < kLanesOf<Number>; ++k) {
      if (chosen[k] == 0) continue;
      lane(residual_square_, k) = lane(square, k);
      lane(shadow_square_, k) = lane(shadow_square, k);
      lane(shadow_residual_, k) = lane(shadow_residual, k);
    }
  }

  /// The same for every solve.
  static double random_sign(std::size_t i) {
    return ((i * 0x9E3779B97F4A7C15) >> 63) != 0 ? 1.0 : -1.0;  // 2^64 / phi (Knuth, TAOCP 3, 6.4)
  }

  /// One iteration: a step along the search direction, then one that minimises the residual. A lane whose recurrence
  /// broke down takes no step.
  void step() {
    Number beta{};
    for (std::size_t k = 0; k < kLanesOf<Number>; ++k) {
      const double rho = lane(shadow_residual_, k);
      sound_[k] =
          std::fabs(rho) > kKrylovBreakdown * std::sqrt(lane(shadow_square_, k) * lane(residual_square_, k)) ? 1 : 0;
      if (sound_[k] == 0) continue;
      lane(beta, k) = (rho / lane(rho_, k)) * (lane(alpha_, k) / lane(omega_, k));
      lane(rho_, k) = rho;
    }
    for_states([&](std::size_t i) { search_[i] = residual_[i] + beta * (search_[i] - omega_ * image_[i]); });
    precondition(search_, correction_);
    apply(correction_, image_);
    const Number along = dot<Number>(shadow_, image_, team_);
    for (std::size_t k = 0; k < kLanesOf<Number>; ++k) {
      lane(alpha_, k) = sound_[k] != 0 ? lane(rho_, k) / lane(along, k) : 0.0;
    }
    for_states([&](std::size_t i) {
      residual_[i] -= alpha_ * image_[i];
      x_[i] += alpha_ * correction_[i];
    });
    precondition(residual_, correction_);
    apply(correction_, second_image_);
    const auto [square, overlap] = sums(
        [&](std::size_t i) { return std::pair{second_image_[i] * second_image_[i], second_image_[i] * residual_[i]}; });
    for (std::size_t k = 0; k < kLanesOf<Number>; ++k) {
      const bool steps = sound_[k] != 0 && lane(square, k) > 0.0;
      lane(omega_, k) = steps ? lane(overlap, k) / lane(square, k) : 0.0;
      if (lane(omega_, k) == 0.0) sound_[k] = 0;
    }
    std::tie(residual_square_, shadow_residual_) = sums([&](std::size_t i) {
      x_[i] += omega_ * correction_[i];
      residual_[i] -= omega_ * second_image_[i];
      return std::pair{residual_[i] * residual_[i], shadow_[i] * residual_[i]};
    });
  }

  void precondition(std::span<const Number> b, std::span<Number> x) const {
    if (preconditioner_ != nullptr) {
      preconditioner_->solve(system_.direction, b, x);
    } else {
      std::copy(b.begin(), b.end(), x.begin());
    }
    system_.remove_free_part(x);
  }

  void apply(std::span<const Number> x, std::span<Number> y) const {
    a_.apply(x, y);
    system_.remove_free_part(y);
  }

  Doubles lane_of_x(std::size_t k) const {
    Doubles x(x_.size());
    take_lane<Number>(x_, k, x, team_);
    return x;
  }

  template <class Body>
  void for_states(Body&& body) const {
    team_.for_blocks(system_.size(), kBlock, [&](Index first, Index last, Index) {
      for (auto i = at(first); i < at(last); ++i) body(i);
    });
  }

  /// Two sums over the states, block by block in a fixed order.
  template <class Terms>
  std::pair<Number, Number> sums(Terms&& terms) const {
    std::vector<std::pair<Number, Number>> partial(at(num_blocks(system_.size())));
    team_.for_blocks(system_.size(), kBlock, [&](Index first, Index last, Index block) {
      std::pair<Number, Number> sum{};
      for (auto i = at(first); i < at(last); ++i) {
        const auto [one, other] = terms(i);
        sum.first += one;
        sum.second += other;
      }
      partial[at(block)] = sum;
    });
    std::pair<Number, Number> all{};
    for (const auto& [one, other] : partial) {
      all.first += one;
      all.second += other;
    }
    return all;
  }

  const System& system_;
  Operator<Number> a_;
  Team& team_;
  const char* name_;
  const IncompleteLu* preconditioner_;
  std::span<const Lane> lanes_;
  RightSides<Number> b_;
  Numbers<Number> x_, residual_, shadow_, search_, image_, correction_, second_image_;
  std::vector<Run> runs_;
  std::array<char, kLanesOf<Number>> sound_{};  // lanes whose recurrence did not break down
  Number now_{};                                // norm of the residual
  Number answer_{};                             // norm of x
  Number rho_{};
  Number alpha_{};
  Number omega_{};
  Number shadow_square_{};
  Number residual_square_{};
  Number shadow_residual_{};
};

}  // namespace rlcore::linear
