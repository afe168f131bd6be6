#include "rlcore/planning/inexact_policy_iteration.hpp"

#include <algorithm>
#include <array>
#include <string>

#include "rlcore/linear/bicgstab.hpp"
#include "rlcore/planning/ordered_model.hpp"

namespace rlcore::planning {
namespace {

/// The system (I - gamma P_pi) x = b of a greedy policy.
linear::System system_of(const Problem& problem, const OrderedModel& model, const Choice& choice) {
  return {
      .matrix = model.policy_rows(choice, problem.team),
      .discount = problem.discount,
      .direction = linear::Direction::kForward,
      .conserves = !problem.mdp.can_end(),
      .amplification = 1.0 / problem.w.lower,
      .team = &problem.team,
  };
}

class InexactPolicyIteration {
 public:
  InexactPolicyIteration(const Problem& problem, Record& record)
      : problem_(problem),
        record_(record),
        model_(problem.mdp, problem.team, problem.monitor),
        v_(at(problem.size()), 0.0),
        image_(v_.size()),
        best_(v_.size()),
        choice_(v_.size()) {}

  void run() {
    double best_error = kInfinity;
    for (Index idle = 0; idle < kMostIdle; ++idle) {
      for (Index k = 0; k < kSweepsInPlace; ++k) bellman_sweep_in_place(model_, problem_.discount, true, v_);
      const Proof proof = look();
      problem_.monitor.poll({kName, policies_, proof.relative_error(), problem_.tolerance});
      if (proof.error < best_error) {
        if (proof.error < kWorthwhile * best_error) idle = -1;
        best_error = proof.error;
        best_ = v_;
        if (proof.meets(kSafety * problem_.tolerance)) break;
      } else if (!(proof.error <= kBlownUp * best_error)) {
        v_ = best_;  // and sweeps go on from there
        continue;
      }
      if (!improve(proof)) break;
    }
    conclude();
  }

 private:
  static constexpr const char* kName = "inexact policy iteration";
  static constexpr Index kMostIdle = 5;
  static constexpr double kWorthwhile = 0.9;  // what the error must fall by to count as a gain
  static constexpr Index kSweepsInPlace = 5;

  /// The bound of a better policy may be worse for a while; that of a failed solve is worse by far.
  static constexpr double kBlownUp = 100.0;

  /// Leaves room for what the proof on the model itself adds.
  static constexpr double kSafety = 0.9;

  /// What a sweep of the copy would prove without rounding.
  Proof look() {
    const BellmanSweep sweep = bellman_sweep(model_, problem_.discount, v_, image_, choice_, problem_.team);
    return proof_of(problem_, sweep, 0.0);
  }

  /// v += (I - gamma P_pi)^-1 (T v - v), about, for the greedy policy pi of v; false if pi has no sparse factors.
  bool improve(const Proof& proof) {
    const linear::System system = system_of(problem_, model_, choice_);
    const auto factors = linear::IncompleteLu::factorise(system, linear::kRoughFactors, problem_.monitor);
    if (!factors) return false;
    Doubles residual(v_.size());
    for_states([&](std::size_t i) { residual[i] = image_[i] - v_[i]; });
    Doubles correction(v_.size());
    const std::array lanes{linear::Lane{residual, correction, goal_of(system, residual, proof)}};
    const linear::Operator<double> a{[&](ConstVector x, Vector y) { system.apply(x, y); },
                                     [&](ConstVector b, ConstVector x, Vector r) { system.residual(b, x, r); }};
    linear::Bicgstab<double> solver(system, a, kName, &*factors, lanes);
    iterations_ += solver.solve(problem_.monitor).front().iterations;
    for_states([&](std::size_t i) { v_[i] += correction[i]; });
    ++policies_;
    return true;
  }

  /// Two digits of the correction, but no more than the answer asks for, and not much fewer.
  linear::Goal goal_of(const linear::System& system, ConstVector residual, const Proof& proof) const {
    constexpr double kDigits = 0.01;
    constexpr double kFinal = 0.3;
    constexpr double kLoosest = 1e3;
    const double initial = system.residual_norm(residual);
    const double target = problem_.tolerance * proof.scale * problem_.w.lower;
    linear::Goal goal{.initial = initial, .amplification = system.amplification};
    goal.enough = std::max(kFinal * target, std::min(kLoosest * target, kDigits * initial));
    return goal;
  }

  /// Proves what was found on the model itself.
  void conclude() {
    Doubles v(v_.size());
    model_.order().undo(best_, v, problem_.team);
    Doubles image(v.size());
    Choice choice(v.size());
    record_.offer(sweep_and_prove(problem_, v, image, choice), image);
    record_.tell(kName, iterations_,
                 std::to_string(policies_) + " policies, " + std::to_string(iterations_) + " iterations");
  }

  template <class Body>
  void for_states(Body&& body) {
    problem_.team.for_blocks(ssize(v_), kBlock, [&](Index first, Index last, Index) {
      for (auto i = at(first); i < at(last); ++i) body(i);
    });
  }

  const Problem& problem_;
  Record& record_;
  OrderedModel model_;
  Doubles v_, image_, best_;
  Choice choice_;
  Index policies_ = 0;
  Index iterations_ = 0;
};

}  // namespace

void inexact_policy_iteration(const Problem& problem, Record& record) { InexactPolicyIteration(problem, record).run(); }

}  // namespace rlcore::planning
