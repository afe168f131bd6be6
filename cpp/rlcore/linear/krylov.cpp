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

/// Multiplications a row at which an incomplete factorisation is given up. Grids take a few hundred.
constexpr double kMostWork = 4000.0;

class Bicgstab final : public Method {
 public:
  Bicgstab(const System& system, std::optional<IncompleteLu> preconditioner)
      : system_(system), preconditioner_(std::move(preconditioner)) {}

  Index solve(ConstVector b, Vector x, const Goal& goal, Monitor& monitor) override {
    const std::size_t size = b.size();
    Team& team = *system_.team;
    // The preconditioner's own answer is the first guess.
    precondition(b, x);
    Doubles residual(size);
    system_.residual(b, x, residual);
    const Doubles shadow = residual;
    Doubles direction(size), image(size), correction(size), half_image(size);
    double rho = 1.0;
    double alpha = 1.0;
    double omega = 1.0;
    double best = system_.residual_norm(residual);
    Doubles best_x(x.begin(), x.end());
    Index iteration = 0;
    Index best_at = 0;
    while (iteration < kMostIterations && iteration - best_at < kStagnation && !goal.met(best, system_.norm(x))) {
      ++iteration;
      const double rho_next = dot(shadow, residual, team);
      const double beta = (rho_next / rho) * (alpha / omega);
      rho = rho_next;
      update(direction, [&](std::size_t i) { return residual[i] + beta * (direction[i] - omega * image[i]); });
      precondition(direction, correction);
      system_.apply(correction, image);
      alpha = rho / dot(shadow, image, team);
      update(residual, [&](std::size_t i) { return residual[i] - alpha * image[i]; });
      update(x, [&](std::size_t i) { return x[i] + alpha * correction[i]; });
      precondition(residual, correction);
      system_.apply(correction, half_image);
      const double square = dot(half_image, half_image, team);
      omega = square > 0.0 ? dot(half_image, residual, team) / square : 0.0;
      update(x, [&](std::size_t i) { return x[i] + omega * correction[i]; });
      update(residual, [&](std::size_t i) { return residual[i] - omega * half_image[i]; });
      const double now = system_.residual_norm(residual);
      monitor.poll({preconditioner_ ? "ILUT-BiCGSTAB" : "BiCGSTAB", iteration, goal.error(now, system_.norm(x)), goal.tolerance});
      if (!std::isfinite(now)) break;  // a breakdown: the best answer stands
      if (now < best) {
        best = now;
        best_at = iteration;
        std::copy(x.begin(), x.end(), best_x.begin());
      }
      if (omega == 0.0) break;
    }
    std::copy(best_x.begin(), best_x.end(), x.begin());
    return iteration;
  }

 private:
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
