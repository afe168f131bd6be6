#include "rlcore/episodic.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "rlcore/batch.hpp"
#include "rlcore/chain_structure.hpp"
#include "rlcore/errors.hpp"
#include "rlcore/policy.hpp"
#include "rlcore/undiscounted.hpp"

namespace rlcore {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

/// A policy's chain, cut down to the states from which it surely ends.
class Episodes {
 public:
  Episodes(const Mdp& mdp, ConstVector policy, Index item, Team& team, Monitor& monitor)
      : chain_(mdp, policy, check_policy(mdp, policy, item)),
        structure_(chain_structure(chain_, team, monitor)),
        kernel_(chain_, improper_states(), team),
        resolvent_(kernel_, team, monitor),
        item_(item),
        team_(team) {}

  const Chain& chain() const { return chain_; }
  const std::vector<char>& proper() const { return structure_.proper; }
  linear::Resolvent& resolvent() { return resolvent_; }

  void ensure_proper_from(const TwofoldVector& initial) const {
    const std::vector<Index> classes = reachable_classes(structure_, chain_, initial);
    if (classes.empty()) return;
    std::string named;
    for (std::size_t i = 0; i < std::min<std::size_t>(classes.size(), 3); ++i) {
      named += (i > 0 ? ", {" : "{") + states_of(classes[i]) + "}";
    }
    if (classes.size() > 3) named += " and " + std::to_string(classes.size() - 3) + " more";
    throw ImproperPolicyError("policy", {structure_.representative(classes.front()), -1, item_},
                              "expected to end with probability 1 from every state that `initial` can reach, but the "
                              "process may stay for ever among the states " +
                                  named + "; use Average(), Discounted(gamma), or another start distribution");
  }

  /// X b of each right-hand side, NaN where the policy is improper.
  std::vector<linear::Solution> values(std::vector<linear::RightSide> sides, double tolerance) {
    const auto set_improper = [&](TwofoldVector& x, Twofold value) {
      for (std::size_t s = 0; s < x.size(); ++s) {
        if (structure_.proper[s] == 0) x[s] = value;
      }
    };
    for (linear::RightSide& b : sides) set_improper(b.value, {});
    std::vector<linear::Solution> solutions = resolvent_.solve(sides, tolerance);
    for (linear::Solution& solution : solutions) set_improper(solution.x, {kNaN, kNaN});
    return solutions;
  }

 private:
  std::vector<char> improper_states() const {
    std::vector<char> improper;
    if (structure_.num_classes() == 0) return improper;
    for (const char proper : structure_.proper) improper.push_back(proper == 0 ? 1 : 0);
    return improper;
  }

  std::string states_of(Index number) const {
    constexpr std::size_t kFew = 5;
    const auto states = structure_.states(number);
    std::string text;
    for (std::size_t i = 0; i < std::min(states.size(), kFew); ++i) {
      text += (i > 0 ? ", " : "") + std::to_string(states[i]);
    }
    return states.size() > kFew ? text + ", ... (" + std::to_string(states.size()) + " states)" : text;
  }

  Chain chain_;
  ChainStructure structure_;
  linear::Kernel kernel_;
  linear::Resolvent resolvent_;
  Index item_;
  Team& team_;
};

linear::RightSide right_side(const Chain& chain, ConstVector reward, Team& team) {
  return {chain.mean_over_actions(reward, team), chain.mean_error(extent_of(reward, team).largest())};
}

Evaluation evaluation(const Episodes& episodes, ConstVector reward, linear::Solution solution, bool remainders,
                      Team& team) {
  const Mdp& mdp = episodes.chain().mdp();
  const double error = solution.certificate.error_bound;
  Evaluation out = undiscounted_evaluation(mdp, reward, {solution.x, error, error}, remainders, team);
  out.proper = episodes.proper();
  out.certificate = std::move(solution.certificate);
  if (const std::optional<Bounded> eta = start_value(mdp, solution.x, error)) {
    out.start_value = eta->value;
    out.bounds.start_value = eta->bound;
  }
  return out;
}

}  // namespace

std::vector<Evaluation> evaluate_episodic(const Mdp& mdp, std::span<const ConstVector> policies,
                                          std::span<const ConstVector> rewards, const Options& options,
                                          Monitor& monitor) {
  mdp.ensure_checked(options.num_threads);
  check_rewards(mdp, rewards);
  std::vector<Evaluation> results(policies.size() * rewards.size());
  for_policies(mdp, policies.size(), options.num_threads, monitor, [&](std::size_t i, Team& team, Monitor& watch) {
    Episodes episodes(mdp, policies[i], policies.size() > 1 ? static_cast<Index>(i) : -1, team, watch);
    if (!mdp.initial().empty()) episodes.ensure_proper_from(twofold(mdp.initial(), team));
    std::vector<linear::RightSide> sides;
    for (const ConstVector reward : rewards) sides.push_back(right_side(episodes.chain(), reward, team));
    std::vector<linear::Solution> solutions = episodes.values(std::move(sides), options.tolerance);
    for (std::size_t j = 0; j < rewards.size(); ++j) {
      results[i * rewards.size() + j] =
          evaluation(episodes, rewards[j], std::move(solutions[j]), options.remainders, team);
    }
  });
  return results;
}

std::vector<linear::Solution> episodic_sums(const Mdp& mdp, ConstVector policy, std::vector<linear::RightSide> sides,
                                            Index item, const Options& options, Team& team, Monitor& monitor) {
  Episodes episodes(mdp, policy, item, team, monitor);
  if (!mdp.initial().empty()) episodes.ensure_proper_from(twofold(mdp.initial(), team));
  return episodes.values(std::move(sides), options.tolerance);
}

std::vector<Occupancy> occupancy_episodic(const Mdp& mdp, std::span<const ConstVector> policies,
                                          std::span<const ConstVector> initials, const Options& options,
                                          Monitor& monitor) {
  mdp.ensure_checked(options.num_threads);
  check_initials(mdp, initials);
  std::vector<Occupancy> results(policies.size() * initials.size());
  for_policies(mdp, policies.size(), options.num_threads, monitor, [&](std::size_t i, Team& team, Monitor& watch) {
    Episodes episodes(mdp, policies[i], policies.size() > 1 ? static_cast<Index>(i) : -1, team, watch);
    std::vector<linear::RightSide> starts;
    for (const ConstVector initial : initials) {
      starts.push_back({twofold(initial, team)});
      episodes.ensure_proper_from(starts.back().value);
    }
    std::vector<linear::Solution> visits = episodes.resolvent().solve_transposed(starts, options.tolerance);
    for (std::size_t j = 0; j < initials.size(); ++j) {
      results[i * initials.size() + j] =
          normalised_occupancy(episodes.chain(), starts[j].value, std::move(visits[j]), team);
    }
  });
  return results;
}

StateRows episode_length(const Mdp& mdp, ConstVector policy, const Options& options, Monitor& monitor) {
  mdp.ensure_checked(options.num_threads);
  Team team(mdp.num_entries() < kParallelEntries ? 1 : options.num_threads);
  Episodes episodes(mdp, policy, -1, team, monitor);
  const TwofoldVector one(at(mdp.num_states()), Twofold{1.0});
  const linear::Solution mean = std::move(episodes.values({{one}}, options.tolerance).front());

  // E[T^2] = X (2 E[T] - 1).
  linear::RightSide b{twofold_vector(mdp.num_states()), 2.0 * mean.certificate.error_bound};
  double most = 0.0;
  for (std::size_t s = 0; s < one.size(); ++s) {
    if (episodes.proper()[s] == 0) continue;
    b.value[s] = mean.x[s] + mean.x[s] - 1.0;
    most = std::max(most, mean.x[s].hi);
  }
  const linear::Solution square = std::move(episodes.values({b}, options.tolerance).front());

  StateRows out;
  Doubles variances;
  double rounding = 0.0;
  for (std::size_t s = 0; s < one.size(); ++s) {
    const Twofold variance = square.x[s] - mean.x[s] * mean.x[s];
    const bool exists = episodes.proper()[s] != 0;
    out.rows.push_back(exists ? mean.x[s].hi : kNaN);
    variances.push_back(exists ? std::max(variance.hi, 0.0) : kNaN);
    // What is set to zero where rounding left less counts as rounding too.
    if (exists) rounding = std::max({rounding, std::fabs(variance.lo), -variance.hi});
  }
  out.rows.insert(out.rows.end(), variances.begin(), variances.end());
  const double error = mean.certificate.error_bound;
  const double outward = 1.0 + 32.0 * kUnitRoundoff;
  out.bounds.push_back((error + kUnitRoundoff * most) * outward);
  out.bounds.push_back(
      (square.certificate.error_bound + error * (2.0 * most + error) + rounding + 0x1p-96 * most * most) * outward);
  out.certificate = square.certificate;
  out.certificate.error_bound = out.bounds.front();
  out.certificate.converged = mean.certificate.converged && square.certificate.converged;
  return out;
}

}  // namespace rlcore
