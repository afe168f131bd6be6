// Corrections of discounted sums in single precision: (I - gamma P_pi)^-1 r of a few policies side by side, to the few
// digits that single precision has. Residuals in doubles tell what they are worth.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "rlcore/linear/incomplete_lu.hpp"
#include "rlcore/policy_lanes.hpp"

// For what is called once for each row of a loop that the compiler thinks long enough without it.
#if defined(__GNUC__)
#define RLCORE_INLINE_LAMBDA __attribute__((always_inline))
#else
#define RLCORE_INLINE_LAMBDA
#endif

namespace rlcore {

/// Let w = (I - gamma P) 1. If low w <= r <= high w, then low <= (I - gamma P)^-1 r <= high.
inline Interval sums_between(double least, double most, const Interval& w) {
  return {least / (least < 0.0 ? w.lower : w.upper), most / (most > 0.0 ? w.lower : w.upper)};
}

/// What is asked for in a lane.
struct LaneGoal {
  Interval deficit;      // encloses w
  double error = 0.0;    // of the sums; where constants are free, up to a constant
  bool is_open = false;  // whether the lane is to be heeded at all

  double error_of(double least, double most) const {
    const Interval sums = sums_between(least, most, deficit);
    return 0.5 * (sums.upper - sums.lower);
  }
};

/// What a correction in single precision can leave of the error.
inline constexpr double kSingle = 1e-6;

/// Where less than this is left of the error, a solve that gains no more does so for want of digits.
inline constexpr double kSpent = 1e-4;

/// Sweeps after which the contraction is judged, and how many there may be for a few digits.
inline constexpr Index kSweepsToJudge = 6;
inline constexpr double kMostSweeps = 40.0;

/// Whether what shrinks at this rate falls by so much in time, after so many sweeps.
inline bool contracts_in_time(double rate, double fall, Index sweeps) {
  if (fall >= 1.0) return true;
  return rate < 1.0 && static_cast<double>(sweeps) + std::log(fall) / std::log(rate) <= kMostSweeps;
}

/// How the solve for a lane went.
struct LaneOutcome {
  Index iterations = 0;
  bool gave_up = false;
};

/// Sweeps x := r + gamma P x, as long as they contract in time.
template <class Number>
class LaneSweeps {
 public:
  static constexpr const char* kName = "shared sweeps";

  LaneSweeps(const PolicyLanes<Number>& policies, double discount, Index size, Team& team)
      : policies_(policies), discount_(static_cast<RealOf<Number>>(discount)), team_(team), next_(at(size)) {}

  /// Overwrites x.
  std::vector<LaneOutcome> solve(std::span<const Number> r, std::span<const LaneGoal> goals, Numbers<Number>& x,
                                 Monitor& monitor) {
    std::vector<LaneOutcome> outcomes(goals.size());
    std::vector<double> first(goals.size()), before(goals.size());
    Number step{};  // 1 in lanes that go on
    for (std::size_t k = 0; k < goals.size(); ++k) lane(step, k) = goals[k].is_open ? 1 : 0;
    std::copy(r.begin(), r.end(), x.begin());
    for (Index sweeps = 1; !is_zero(step); ++sweeps) {
      const Extremes<Number> change = sweep(r, step, x);
      std::swap(x, next_);
      for (std::size_t k = 0; k < goals.size(); ++k) {
        if (lane(step, k) == 0) continue;
        const double error = goals[k].error_of(lane(change.least, k), lane(change.most, k));
        const double rate = sweeps == 1 ? 1.0 : error / before[k];
        if (sweeps == 1) first[k] = error;
        const bool is_enough = rate * error <= goals[k].error;  // the sweep has changed x, and will be as good again
        const bool is_in_time = sweeps < kSweepsToJudge || contracts_in_time(rate, goals[k].error / error, sweeps);
        outcomes[k] = {sweeps, !is_enough && !is_in_time && !(error <= kSpent * first[k])};
        if (is_enough || !is_in_time) lane(step, k) = 0;
        before[k] = error;
      }
      monitor.poll({kName, sweeps, 0.0, 0.0});
    }
    return outcomes;
  }

 private:
  /// Of the change, which is the residual of x.
  Extremes<Number> sweep(std::span<const Number> r, const Number& step, std::span<const Number> x) {
    const Index size = std::ssize(x);
    std::vector<Extremes<Number>> parts(at(num_blocks(size)));
    team_.for_blocks(size, kBlock, [&](Index first, Index last, Index block) {
      Extremes<Number> extremes;
      policies_.for_means(x.data(), first, last, [&](Index state, const Number& ahead) {
        const Number change = r[at(state)] + discount_ * ahead - x[at(state)];
        extremes.include(change);
        next_[at(state)] = x[at(state)] + step * change;
      });
      parts[at(block)] = extremes;
    });
    Extremes<Number> all;
    for (const Extremes<Number>& part : parts) all.include(part);
    return all;
  }

  const PolicyLanes<Number>& policies_;
  RealOf<Number> discount_;
  Team& team_;
  Numbers<Number> next_;
};

/// BiCGSTAB (van der Vorst 1992), preconditioned from the right by the factors M of one policy that all are near.
///
/// Where the process does not end, constants are free: residuals that differ by one count as the same. Of those the one
/// is taken that M^-1 maps to a function of mean 0, for the constant that M^-1 can add, 1 / (1 - gamma) times as large,
/// would cost digits. Each step is formed in the pass that uses it first.
template <class Number>
class LaneBicgstab {
 public:
  static constexpr const char* kName = "shared BiCGSTAB";

  /// `balance` is M^-T 1, scaled to the sum 1; empty where constants are not free.
  LaneBicgstab(const PolicyLanes<Number>& policies, const linear::IncompleteLu& factors, ConstVector balance,
               double discount, Index size, Team& team)
      : policies_(policies),
        factors_(factors),
        balance_(balance.begin(), balance.end()),
        discount_(static_cast<Real>(discount)),
        team_(team),
        residual_(at(size)),
        shadow_(at(size)),
        search_(at(size)),
        step_(at(size)),
        image_(at(size)),
        second_image_(at(size)) {}

  /// Overwrites x.
  std::vector<LaneOutcome> solve(std::span<const Number> r, std::span<const LaneGoal> goals, Numbers<Number>& x,
                                 Monitor& monitor) {
    begin(r, goals, x);
    std::vector<LaneOutcome> outcomes(goals.size());
    std::vector<Best> best(goals.size());
    for (Index iterations = 0;; ++iterations) {
      const Extremes<Number> left = search(x);
      for (std::size_t k = 0; k < goals.size(); ++k) {
        if (is_going_[k] == 0) continue;
        outcomes[k].iterations = iterations;
        const double error = goals[k].error_of(lane(left.least, k), lane(left.most, k));
        best[k].include(error, iterations);
        if (error <= goals[k].error || best[k].has_stagnated(iterations)) stop(k);
      }
      if (std::find(is_going_.begin(), is_going_.end(), 1) == is_going_.end()) return outcomes;
      step_along_search();
      minimise_residual(x);
      monitor.poll({kName, iterations, 0.0, 0.0});
    }
  }

 private:
  using Real = RealOf<Number>;

  /// Iterations without a new best residual after which the solve has stagnated, and fewer where the digits of single
  /// precision may be spent.
  static constexpr Index kStagnation = 5;
  static constexpr Index kStagnationIfSpent = 3;

  /// How far a lane has come.
  struct Best {
    double first = 0.0;
    double error = std::numeric_limits<double>::infinity();
    Index iteration = 0;

    void include(double next, Index at_iteration) {
      if (at_iteration == 0) first = next;
      if (next < error) *this = {first, next, at_iteration};
    }
    bool has_stagnated(Index now) const {
      return now - iteration == (error < kSpent * first ? kStagnationIfSpent : kStagnation);
    }
  };

  void begin(std::span<const Number> r, std::span<const LaneGoal> goals, Numbers<Number>& x) {
    const auto [constant, mean] = sums<2>([&](std::size_t i, auto& sum) {
      sum[0] += weight_of(i) * r[i];
      sum[1] += r[i];
    });
    const Number centre = static_cast<Real>(1.0 / static_cast<double>(r.size())) * mean;
    for_states([&](std::size_t i) {
      residual_[i] = r[i] - constant;
      shadow_[i] = r[i] - centre;
      search_[i] = image_[i] = second_image_[i] = step_[i] = x[i] = Number{};
    });
    const auto [rho] = sums<1>([&](std::size_t i, auto& sum) { sum[0] += shadow_[i] * residual_[i]; });
    rho_ = rho;
    alpha_ = beta_ = omega_ = image_constant_ = second_constant_ = Number{};
    for (std::size_t k = 0; k < kLanesOf<Number>; ++k) is_going_[k] = k < goals.size() && goals[k].is_open ? 1 : 0;
  }

  /// Ends the step before, and turns to M^-1 times the new search direction. Returns the extremes of the residual.
  Extremes<Number> search(std::span<Number> x) {
    Extremes<Number> left;
    factors_.solve_by_rows<Number>(
        [&](std::size_t i) RLCORE_INLINE_LAMBDA {
          x[i] += omega_ * step_[i];
          residual_[i] -= omega_ * (second_image_[i] - second_constant_);
          left.include(residual_[i]);
          return search_[i] = residual_[i] + beta_ * (search_[i] - omega_ * (image_[i] - image_constant_));
        },
        step_);
    return left;
  }

  void step_along_search() {
    const auto [along, constant] = apply<2>(image_, [&](std::size_t i, auto& sum) {
      sum[0] += shadow_[i] * image_[i];
      sum[1] += weight_of(i) * image_[i];
    });
    image_constant_ = constant;
    for (std::size_t k = 0; k < kLanesOf<Number>; ++k) {
      lane(alpha_, k) = lane(rho_, k) / lane(along, k);
      if (!std::isfinite(lane(alpha_, k))) stop(k);
    }
    stop_where_done();
  }

  void minimise_residual(std::span<Number> x) {
    factors_.solve_by_rows<Number>(
        [&](std::size_t i) RLCORE_INLINE_LAMBDA {
          x[i] += alpha_ * step_[i];
          return residual_[i] -= alpha_ * (image_[i] - image_constant_);
        },
        step_);
    const auto [square, overlap, shadowed, constant] = apply<4>(second_image_, [&](std::size_t i, auto& sum) {
      sum[0] += second_image_[i] * second_image_[i];
      sum[1] += second_image_[i] * residual_[i];
      sum[2] += second_image_[i] * shadow_[i];
      sum[3] += weight_of(i) * second_image_[i];
    });
    second_constant_ = constant;
    for (std::size_t k = 0; k < kLanesOf<Number>; ++k) {
      lane(omega_, k) = lane(overlap, k) / lane(square, k);
      const Real rho = -lane(omega_, k) * lane(shadowed, k);  // the shadow is orthogonal to the residual after alpha
      lane(beta_, k) = (rho / lane(rho_, k)) * (lane(alpha_, k) / lane(omega_, k));
      lane(rho_, k) = rho;
      if (!std::isfinite(lane(omega_, k)) || !std::isfinite(lane(beta_, k))) stop(k);
    }
    stop_where_done();
  }

  void stop(std::size_t k) {
    is_going_[k] = 0;
    stop_where_done();
  }

  /// Lanes that are done take no more steps.
  void stop_where_done() {
    for (std::size_t k = 0; k < kLanesOf<Number>; ++k) {
      if (is_going_[k] == 0) lane(alpha_, k) = lane(beta_, k) = lane(omega_, k) = 0;
    }
  }

  Real weight_of(std::size_t i) const { return balance_.empty() ? Real{} : balance_[i]; }

  template <class Body>
  void for_states(Body&& body) const {
    team_.for_blocks(std::ssize(residual_), kBlock, [&](Index first, Index last, Index) {
      for (auto i = at(first); i < at(last); ++i) body(i);
    });
  }

  /// Adds up the sums of blocks in a fixed order; sum_block(first, last, sums) forms those of one.
  template <int kCount, class SumBlock>
  std::array<Number, kCount> sums_of_blocks(SumBlock&& sum_block) const {
    std::vector<std::array<Number, kCount>> parts(at(num_blocks(std::ssize(residual_))));
    team_.for_blocks(std::ssize(residual_), kBlock,
                     [&](Index first, Index last, Index block) { sum_block(first, last, parts[at(block)]); });
    std::array<Number, kCount> all{};
    for (const auto& part : parts) {
      for (int k = 0; k < kCount; ++k) all[at(k)] += part[at(k)];
    }
    return all;
  }

  template <int kCount, class Terms>
  std::array<Number, kCount> sums(Terms&& terms) const {
    return sums_of_blocks<kCount>([&](Index first, Index last, auto& sum) {
      for (auto i = at(first); i < at(last); ++i) terms(i, sum);
    });
  }

  /// y = (I - gamma P) step, and sums over it.
  template <int kCount, class Terms>
  std::array<Number, kCount> apply(std::span<Number> y, Terms&& terms) const {
    return sums_of_blocks<kCount>([&](Index first, Index last, auto& sum) {
      policies_.for_means(step_.data(), first, last, [&](Index state, const Number& ahead) {
        y[at(state)] = step_[at(state)] - discount_ * ahead;
        terms(at(state), sum);
      });
    });
  }

  const PolicyLanes<Number>& policies_;
  const linear::IncompleteLu& factors_;
  std::vector<Real> balance_;
  Real discount_;
  Team& team_;
  Numbers<Number> residual_, shadow_, search_, step_, image_, second_image_;
  Number image_constant_{}, second_constant_{};  // what is to be taken out of the images
  Number rho_{}, alpha_{}, beta_{}, omega_{};
  std::array<char, kLanesOf<Number>> is_going_{};
};

}  // namespace rlcore
