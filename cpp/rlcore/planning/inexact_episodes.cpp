// Under a discount every policy counts as one that ends. Policies are improved under one that takes next to nothing in
// a step, but more than doubles can tell: so they stay away from those that gain as little by going on for as long as
// that pays, whose values could not be found.
#include "rlcore/planning/inexact_episodes.hpp"

#include <algorithm>
#include <array>

#include "rlcore/extent.hpp"
#include "rlcore/linear/bicgstab.hpp"
#include "rlcore/planning/bellman.hpp"
#include "rlcore/planning/ordered_model.hpp"

namespace rlcore {
namespace {

class InexactEpisodes {
 public:
  InexactEpisodes(const Mdp& mdp, const Choice& proper, Team& team, Monitor& monitor)
      : mdp_(mdp),
        team_(team),
        monitor_(monitor),
        model_(mdp, team, monitor),
        value_(at(mdp.num_states()), 0.0),
        change_(value_.size()),
        choice_(value_.size()) {
    for (Index state = 0; state < mdp.num_states(); ++state) {
      const Column old = model_.order().old_of_new(state);
      choice_[at(state)] = model_.first_pair(state) + proper[at(old)] - mdp.first_pair(old);
    }
  }

  std::optional<Choice> run() {
    if (!climb()) return std::nullopt;
    return stored_choice();
  }

 private:
  static constexpr double kDeficit = 1e-10;
  static constexpr double kDiscount = 1.0 - kDeficit;

  static constexpr const char* kName = "inexact policy iteration";

  /// Between a rough and a fine preconditioner: a few iterations solve for a policy, at any discount.
  static constexpr linear::IncompleteLu::Thresholds kFactors{
      .drop = 0.003, .fill = 6, .keeps_row_sums = false, .most_work = 1000.0};

  /// Improves until a step earns no more than a hundredth of what the discount takes from it.
  bool climb() {
    constexpr double kRough = 0.01;
    constexpr int kMostPolicies = 100;
    constexpr int kSweepsInPlace = 10;
    for (int policy = 0; policy < kMostPolicies; ++policy) {
      monitor_.poll({kName, policy});
      for (int k = 0; k < kSweepsInPlace; ++k) bellman_sweep_in_place(model_, kDiscount, true, value_);
      const double enough = kRough * kDeficit * extent_of(value_, team_).largest();
      const Extent change = improve(0.5 * enough);
      if (!change.finite()) return false;
      if (change.largest() <= enough) return true;
      if (!correct(change.largest(), enough)) return false;
    }
    return false;
  }

  /// Takes the best actions, but keeps those that are worse by no more than `least`. Returns how values change by it.
  Extent improve(double least) {
    return extent_over(model_.num_states(), team_, [&](std::size_t s) {
      const Best best = best_action(model_, kDiscount, static_cast<Index>(s), value_.data());
      double earned = model_.reward()[at(choice_[s])] + kDiscount * model_.row(choice_[s]).dot(value_.data());
      if (best.value > earned + least) {
        choice_[s] = best.pair;
        earned = best.value;
      }
      change_[s] = earned - value_[s];
      return change_[s];
    });
  }

  /// v += (I - gamma P_pi)^-1 (T_pi v - v), about; false if that is too hard.
  bool correct(double initial, double enough) {
    constexpr double kDigits = 0.01;
    constexpr double kSpare = 0.25;
    const linear::System system{.matrix = model_.policy_rows(choice_, team_), .discount = kDiscount, .team = &team_};
    const auto factors = linear::IncompleteLu::factorise(system, kFactors, monitor_);
    if (!factors) return false;
    Doubles correction(value_.size());
    const linear::Goal goal{.initial = initial, .enough = std::max(kSpare * enough, kDigits * initial)};
    const std::array lanes{linear::Lane{change_, correction, goal}};
    const linear::Operator<double> a{[&](ConstVector x, Vector y) { system.apply(x, y); },
                                     [&](ConstVector b, ConstVector x, Vector r) { system.residual(b, x, r); }};
    linear::Bicgstab<double> solver(system, a, kName, &*factors, lanes);
    if (solver.solve(monitor_).front().gave_up) return false;
    for (std::size_t s = 0; s < value_.size(); ++s) value_[s] += correction[s];
    return true;
  }

  Choice stored_choice() const {
    Choice found(choice_.size());
    for (Index state = 0; state < model_.num_states(); ++state) {
      const Column old = model_.order().old_of_new(state);
      found[at(old)] = mdp_.first_pair(old) + choice_[at(state)] - model_.first_pair(state);
    }
    return found;
  }

  const Mdp& mdp_;
  Team& team_;
  Monitor& monitor_;
  OrderedModel model_;
  Doubles value_;
  Doubles change_;
  Choice choice_;
};

}  // namespace

std::optional<Choice> nearly_best_choice(const Mdp& mdp, const Choice& proper, Team& team, Monitor& monitor) {
  return InexactEpisodes(mdp, proper, team, monitor).run();
}

}  // namespace rlcore
