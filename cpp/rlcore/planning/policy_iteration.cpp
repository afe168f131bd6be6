#include "rlcore/planning/policy_iteration.hpp"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "rlcore/chain.hpp"
#include "rlcore/linear/resolvent.hpp"

namespace rlcore::planning {
namespace {

class PolicyIteration {
 public:
  PolicyIteration(const Problem& problem, double tolerance, Record& record)
      : problem_(problem), tolerance_(tolerance), record_(record), choice_(at(problem.size())) {}

  void run() {
    Doubles image(choice_.size());
    bellman_sweep(problem_.mdp, problem_.discount, record_.value(), image, choice_, problem_.team);
    for (bool goes_on = true; goes_on && policies_ < kMostPolicies;) {
      linear::Solution solved = evaluate_policy();
      const double before = record_.proof().error;
      const bool changed = improve_and_prove(solved);
      ++policies_;
      problem_.monitor.poll({kName, policies_, record_.proof().relative_error(), tolerance_});
      goes_on = changed && (!record_.meets(tolerance_) || record_.proof().error < before);
    }
    record_.tell(kName, policies_, std::to_string(policies_) + " policies");
  }

 private:
  static constexpr const char* kName = "policy iteration";
  static constexpr Index kMostPolicies = 200;

  linear::Solution evaluate_policy() {
    const Doubles policy = policy_of(problem_.mdp, choice_);
    const Chain chain(problem_.mdp, policy, {1.0, 1.0});
    const linear::Kernel kernel(chain, problem_.discount);
    linear::Resolvent resolvent(kernel, problem_.team, problem_.monitor);
    const linear::RightSide reward{chain.mean_over_actions(problem_.mdp.reward(), problem_.team),
                                   chain.mean_error(problem_.largest_reward)};
    return resolvent.solve(reward, kShare * tolerance_);
  }

  /// Sweeps the value of the policy once, and changes actions that are worse than others beyond all doubt. Whether
  /// there were any.
  bool improve_and_prove(const linear::Solution& solved) {
    const TwofoldVector& v = solved.x;
    const double scale = problem_.largest_reward + extent_of(v, problem_.team).largest();
    const double rounding = bellman_error(problem_.mdp, scale);
    const double doubt = 4.0 * (rounding + problem_.discount * solved.certificate.error_bound);
    TwofoldVector image(v.size());
    std::vector<BellmanSweep> partial(at(num_blocks(problem_.size())));
    std::vector<char> changed(partial.size(), 0);
    problem_.team.for_blocks(problem_.size(), kBlock, [&](Index first, Index last, Index block) {
      for (Index state = first; state < last; ++state) {
        const std::size_t s = at(state);
        const auto q = [&](Index pair) {
          return twofold_action_value(problem_.mdp, problem_.discount, pair, v.data());
        };
        const Twofold current = q(choice_[s]);
        Twofold best = current;
        Index best_pair = choice_[s];
        for (Index pair = problem_.mdp.first_pair(state); pair < problem_.mdp.first_pair(state + 1); ++pair) {
          const Twofold value = q(pair);
          if (!((value - best).rounded() > 0.0)) continue;
          best = value;
          best_pair = pair;
        }
        if ((best - current).rounded() > doubt) {
          choice_[s] = best_pair;
          changed[at(block)] = 1;
        }
        image[s] = best;
        partial[at(block)].value.include(best.hi);
        partial[at(block)].change.include((best - v[s]).rounded());
      }
    });
    BellmanSweep sweep;
    for (const BellmanSweep& part : partial) sweep.include(part);
    record_.offer(proof_of(problem_, sweep, rounding), std::move(image));
    return std::find(changed.begin(), changed.end(), 1) != changed.end();
  }

  /// The part of the tolerance that the solution for a policy may use up.
  static constexpr double kShare = 0.1;

  const Problem& problem_;
  double tolerance_;
  Record& record_;
  Choice choice_;
  Index policies_ = 0;
};

}  // namespace

void policy_iteration(const Problem& problem, double tolerance, Record& record) {
  PolicyIteration(problem, tolerance, record).run();
}

}  // namespace rlcore::planning
