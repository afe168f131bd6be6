// BiCGSTAB (van der Vorst 1992): plain, and preconditioned from the right by an incomplete LU factorisation.
#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "rlcore/linear/incomplete_lu.hpp"
#include "rlcore/linear/method.hpp"

namespace rlcore::linear {
namespace {

constexpr double kDrop = 1e-6;
constexpr Index kFill = 20;
constexpr Index kMostIterations = 2000;

/// Iterations without a new best residual after which the solve has stagnated.
constexpr Index kStagnation = 100;

/// The cosine between the shadow and the residual below which the recurrence has broken down.
constexpr double kBreakdown = 1e-14;

/// Multiplications a row at which an incomplete factorisation is given up. Grids take a few hundred.
constexpr double kMostWork = 4000.0;

class Bicgstab final : public Method {
 public:
  Bicgstab(const System& system, std::optional<IncompleteLu> preconditioner)
      : system_(system), preconditioner_(std::move(preconditioner)) {}

  Index solve(ConstVector b, Vector x, const Goal& goal, Monitor& monitor) override {
    // The preconditioner's own answer is the first guess.
    precondition(b, x);
    begin(b, x);
    Best best{system_.residual_norm(residual_), 0, Doubles(x.begin(), x.end())};
    Index iteration = 0;
    while (iteration < kMostIterations && iteration - best.iteration < kStagnation &&
           !goal.met(best.residual, system_.norm(best.x))) {
      ++iteration;
      const bool sound = step(x);
      const double now = system_.residual_norm(residual_);
      monitor.poll({name(), iteration, goal.error(now, system_.norm(x)), goal.tolerance});
      if (now < best.residual) best = {now, iteration, Doubles(x.begin(), x.end())};
      if (!sound || !std::isfinite(now)) {
        // A breakdown: the shadow lost sight of the residual. Begin again from the best answer.
        std::copy(best.x.begin(), best.x.end(), x.begin());
        begin(b, x);
      }
    }
    std::copy(best.x.begin(), best.x.end(), x.begin());
    return iteration;
  }

 private:
  struct Best {
    double residual;
    Index iteration;
    Doubles x;
  };

  const char* name() const { return preconditioner_ ? "ILUT-BiCGSTAB" : "BiCGSTAB"; }

  /// Starts the recurrence from x, with the residual as its own shadow.
  void begin(ConstVector b, ConstVector x) {
    for (Doubles* vector : {&residual_, &direction_, &image_, &correction_, &second_image_}) {
      vector->assign(b.size(), 0.0);
    }
    system_.residual(b, x, residual_);
    shadow_ = residual_;
    rho_ = alpha_ = omega_ = 1.0;
  }

  /// One iteration: a step along the search direction, then one that minimises the residual. False if the
  /// recurrence broke down.
  bool step(Vector x) {
    Team& team = *system_.team;
    const double rho = dot(shadow_, residual_, team);
    const double floor = kBreakdown * std::sqrt(dot(shadow_, shadow_, team) * dot(residual_, residual_, team));
    if (!(std::fabs(rho) > floor)) return false;
    const double beta = (rho / rho_) * (alpha_ / omega_);
    rho_ = rho;
    update(direction_, [&](std::size_t i) { return residual_[i] + beta * (direction_[i] - omega_ * image_[i]); });
    precondition(direction_, correction_);
    system_.apply(correction_, image_);
    alpha_ = rho_ / dot(shadow_, image_, team);
    update(residual_, [&](std::size_t i) { return residual_[i] - alpha_ * image_[i]; });
    update(x, [&](std::size_t i) { return x[i] + alpha_ * correction_[i]; });
    precondition(residual_, correction_);
    system_.apply(correction_, second_image_);
    const double square = dot(second_image_, second_image_, team);
    if (!(square > 0.0)) return false;
    omega_ = dot(second_image_, residual_, team) / square;
    update(x, [&](std::size_t i) { return x[i] + omega_ * correction_[i]; });
    update(residual_, [&](std::size_t i) { return residual_[i] - omega_ * second_image_[i]; });
    return omega_ != 0.0;
  }

  void precondition(ConstVector b, Vector x) const {
    if (preconditioner_) {
      preconditioner_->solve(b, x);
    } else {
      std::copy(b.begin(), b.end(), x.begin());
    }
  }

  template <class Formula>
  void update(Vector y, Formula&& formula) const {
    system_.team->for_blocks(ssize(y), kBlock, [&](Index first, Index last, Index) {
      for (auto i = at(first); i < at(last); ++i) y[i] = formula(i);
    });
  }

  const System& system_;
  std::optional<IncompleteLu> preconditioner_;
  Doubles residual_, shadow_, direction_, image_, correction_, second_image_;
  double rho_ = 1.0;
  double alpha_ = 1.0;
  double omega_ = 1.0;
};

}  // namespace

Candidate make_ilut_bicgstab(const System& system, Monitor& monitor) {
  std::optional<IncompleteLu> factors = IncompleteLu::factorise(system, kDrop, kFill, kMostWork, monitor);
  if (!factors) return {nullptr, "its factors would fill"};
  return {std::make_unique<Bicgstab>(system, std::move(factors)), {}};
}

Candidate make_bicgstab(const System& system, Monitor&) {
  return {std::make_unique<Bicgstab>(system, std::nullopt), {}};
}

}  // namespace rlcore::linear
