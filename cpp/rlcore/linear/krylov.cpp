// BiCGSTAB (van der Vorst 1992): plain, and preconditioned from the right by incomplete LU factors.
#include <algorithm>
#include <cmath>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include "rlcore/linear/incomplete_lu.hpp"
#include "rlcore/linear/method.hpp"

namespace rlcore::linear {
namespace {

/// On grids, factors with a few entries a row do for horizons of up to a thousand steps.
constexpr IncompleteLu::Thresholds kRough{.drop = 0.03, .fill = 2, .keeps_row_sums = true, .most_work = 100.0};
constexpr double kFarthest = 1.5e3;

/// Policies that drift and get caught want more, at any horizon.
constexpr IncompleteLu::Thresholds kFine{.drop = 1e-4, .fill = 15, .keeps_row_sums = false, .most_work = 1000.0};

constexpr Index kMostIterations = 2000;

/// Iterations without a new best residual after which the solve has stagnated.
constexpr Index kStagnation = 100;

/// The cosine between the shadow and the residual below which the recurrence has broken down.
constexpr double kBreakdown = 1e-14;

/// What the residual must fall by before the answer is put by again, or is worth anything.
constexpr double kProgress = 0.1;

/// One solve in one direction.
class Bicgstab {
 public:
  Bicgstab(const System& system, const char* name, const IncompleteLu* preconditioner)
      : system_(system),
        team_(*system.team),
        name_(name),
        preconditioner_(preconditioner),
        residual_(at(system.size())),
        shadow_(at(system.size())),
        search_(at(system.size())),
        image_(at(system.size())),
        correction_(at(system.size())),
        second_image_(at(system.size())) {}

  Outcome solve(ConstVector b, Vector x, const Goal& goal, Monitor& monitor) {
    // The preconditioner's own answer is the first guess.
    precondition(b, x);
    begin(b, x);
    double now = system_.residual_norm(residual_);
    Best best{now, 0, Doubles(x.begin(), x.end())};
    Index iteration = 0;
    while (iteration < kMostIterations && iteration - best.iteration < kStagnation && !goal.met(now, system_.norm(x))) {
      ++iteration;
      const bool sound = step(x);
      now = system_.residual_norm(residual_);
      monitor.poll({name_, iteration, goal.error(now, system_.norm(x)), goal.tolerance});
      if (now < kProgress * best.residual) best = {now, iteration, Doubles(x.begin(), x.end())};
      if (!sound || !std::isfinite(now)) {
        // A breakdown: the shadow lost sight of the residual. Begin again from an answer that was good.
        std::copy(best.x.begin(), best.x.end(), x.begin());
        begin(b, x);
        now = system_.residual_norm(residual_);
      }
    }
    if (best.residual < now) std::copy(best.x.begin(), best.x.end(), x.begin());
    system_.restore_free_part(b, x);
    const double left = std::min(now, best.residual);
    return {iteration, !goal.met(left, system_.norm(x)) && !(left <= kProgress * goal.initial)};
  }

 private:
  struct Best {
    double residual;
    Index iteration;
    Doubles x;
  };

  /// Starts the recurrence from x, with the residual as its own shadow.
  void begin(ConstVector b, ConstVector x) {
    system_.residual(b, x, residual_);
    system_.remove_free_part(residual_);
    std::copy(residual_.begin(), residual_.end(), shadow_.begin());
    std::fill(search_.begin(), search_.end(), 0.0);
    std::fill(image_.begin(), image_.end(), 0.0);
    rho_ = alpha_ = omega_ = 1.0;
    shadow_square_ = residual_square_ = shadow_residual_ = dot(residual_, residual_, team_);
  }

  /// One iteration: a step along the search direction, then one that minimises the residual. False if the
  /// recurrence broke down.
  bool step(Vector x) {
    const double rho = shadow_residual_;
    if (!(std::fabs(rho) > kBreakdown * std::sqrt(shadow_square_ * residual_square_))) return false;
    const double beta = (rho / rho_) * (alpha_ / omega_);
    rho_ = rho;
    for_states([&](std::size_t i) { search_[i] = residual_[i] + beta * (search_[i] - omega_ * image_[i]); });
    precondition(search_, correction_);
    apply(correction_, image_);
    alpha_ = rho_ / dot(shadow_, image_, team_);
    for_states([&](std::size_t i) {
      residual_[i] -= alpha_ * image_[i];
      x[i] += alpha_ * correction_[i];
    });
    precondition(residual_, correction_);
    apply(correction_, second_image_);
    const auto [square, overlap] = sums(
        [&](std::size_t i) { return std::pair{second_image_[i] * second_image_[i], second_image_[i] * residual_[i]}; });
    if (!(square > 0.0)) return false;
    omega_ = overlap / square;
    std::tie(residual_square_, shadow_residual_) = sums([&](std::size_t i) {
      x[i] += omega_ * correction_[i];
      residual_[i] -= omega_ * second_image_[i];
      return std::pair{residual_[i] * residual_[i], shadow_[i] * residual_[i]};
    });
    return omega_ != 0.0;
  }

  void precondition(ConstVector b, Vector x) const {
    if (preconditioner_ != nullptr) {
      preconditioner_->solve(system_.direction, b, x);
    } else {
      std::copy(b.begin(), b.end(), x.begin());
    }
    system_.remove_free_part(x);
  }

  void apply(ConstVector x, Vector y) const {
    system_.apply(x, y);
    system_.remove_free_part(y);
  }

  template <class Body>
  void for_states(Body&& body) const {
    team_.for_blocks(system_.size(), kBlock, [&](Index first, Index last, Index) {
      for (auto i = at(first); i < at(last); ++i) body(i);
    });
  }

  /// Two sums over the states, block by block in a fixed order.
  template <class Terms>
  std::pair<double, double> sums(Terms&& terms) const {
    std::vector<std::pair<double, double>> partial(at(num_blocks(system_.size())));
    team_.for_blocks(system_.size(), kBlock, [&](Index first, Index last, Index block) {
      std::pair<double, double> sum{0.0, 0.0};
      for (auto i = at(first); i < at(last); ++i) {
        const auto [one, other] = terms(i);
        sum.first += one;
        sum.second += other;
      }
      partial[at(block)] = sum;
    });
    std::pair<double, double> all{0.0, 0.0};
    for (const auto& [one, other] : partial) all = {all.first + one, all.second + other};
    return all;
  }

  const System& system_;
  Team& team_;
  const char* name_;
  const IncompleteLu* preconditioner_;
  Doubles residual_, shadow_, search_, image_, correction_, second_image_;
  double rho_ = 1.0;
  double alpha_ = 1.0;
  double omega_ = 1.0;
  double shadow_square_ = 0.0;
  double residual_square_ = 0.0;
  double shadow_residual_ = 0.0;
};

class BicgstabMethod final : public Method {
 public:
  BicgstabMethod(Systems& systems, const char* name, std::optional<IncompleteLu> preconditioner)
      : systems_(systems), name_(name), preconditioner_(std::move(preconditioner)) {}

  Outcome solve(Direction direction, ConstVector b, Vector x, const Goal& goal, Monitor& monitor) override {
    const IncompleteLu* const preconditioner = preconditioner_ ? &*preconditioner_ : nullptr;
    return Bicgstab(systems_[direction], name_, preconditioner).solve(b, x, goal, monitor);
  }

 private:
  Systems& systems_;
  const char* name_;
  std::optional<IncompleteLu> preconditioner_;
};

Candidate make_preconditioned(Systems& systems, const char* name, const IncompleteLu::Thresholds& thresholds,
                              Monitor& monitor) {
  std::optional<IncompleteLu> factors = IncompleteLu::factorise(systems[Direction::kForward], thresholds, monitor);
  if (!factors) return {nullptr, "its factors would fill"};
  return {std::make_unique<BicgstabMethod>(systems, name, std::move(factors)), {}};
}

}  // namespace

Candidate make_milut_bicgstab(Systems& systems, Direction wanted, Monitor& monitor) {
  const System& system = systems[wanted];
  if (system.conserves && system.amplification > kFarthest) return {nullptr, "too long a horizon for rough factors"};
  return make_preconditioned(systems, "MILUT-BiCGSTAB", kRough, monitor);
}

Candidate make_ilut_bicgstab(Systems& systems, Direction, Monitor& monitor) {
  return make_preconditioned(systems, "ILUT-BiCGSTAB", kFine, monitor);
}

Candidate make_bicgstab(Systems& systems, Direction, Monitor&) {
  return {std::make_unique<BicgstabMethod>(systems, "BiCGSTAB", std::nullopt), {}};
}

}  // namespace rlcore::linear
