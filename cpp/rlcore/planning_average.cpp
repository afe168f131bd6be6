// Gains are found in two steps (theory 3.8). Within a maximal end component every state can have the component's best
// gain: relative value iteration, then policy iteration, in all components at once. Then the question is where to
// settle: episodes that end by settling in a component, paid by its gain.
#include "rlcore/planning_average.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "rlcore/chain_structure.hpp"
#include "rlcore/errors.hpp"
#include "rlcore/excess.hpp"
#include "rlcore/extent.hpp"
#include "rlcore/long_run.hpp"

namespace rlcore {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// Covers the roundings of a few operations on bounds.
constexpr double kOutward = 1.0 + 32.0 * kUnitRoundoff;

void ensure_goes_on(const Mdp& mdp) {
  if (!mdp.can_end()) return;
  for (Index state = 0; state < mdp.num_states(); ++state) {
    for (Index pair = mdp.first_pair(state); pair < mdp.first_pair(state + 1); ++pair) {
      if (mdp.termination()[at(pair)] == 0.0) continue;
      throw SettingError("mdp", {state, pair - mdp.first_pair(state), -1},
                         "expected a process that goes on for ever, but this pair has a termination above 0; use "
                         "Episodic() or Discounted(gamma)");
    }
  }
}

Evaluation evaluated(const Mdp& mdp, const Choice& choice, const Options& options, Monitor& monitor) {
  const Doubles policy = policy_of(mdp, choice);
  const std::array<ConstVector, 1> policies{policy};
  const std::array<ConstVector, 1> rewards{mdp.reward()};
  return std::move(evaluate_average(mdp, policies, rewards, options, monitor).front());
}

/// The best gain of each component, and a choice within it that has it from everywhere.
class ComponentGains {
 public:
  ComponentGains(const Mdp& inside, const EndComponents& components, const Options& options, Team& team,
                 Monitor& monitor)
      : mdp_(inside),
        components_(components),
        options_(options),
        team_(team),
        monitor_(monitor),
        largest_reward_(extent_of(inside.reward(), team).largest()),
        upper_(at(components.count()), kInfinity) {}

  void find() {
    lower_upper_bounds(twofold(iterate_relative_values()));
    while (num_policies_ < kMostPolicies) {
      evaluate();
      if (!stays_in_one_class()) continue;
      const TwofoldVector bias = twofold(evaluation_.value);
      lower_upper_bounds(bias);
      if (width() <= target() || !switch_actions(bias)) break;
    }
  }

  const Choice& choice() const { return choice_; }
  const Evaluation& evaluation() const { return evaluation_; }
  Index num_policies() const { return num_policies_; }
  double lower(Index component) const {
    return (gain(component) - evaluation_.bounds.gain) - kUnitRoundoff * std::fabs(gain(component));
  }
  double upper(Index component) const { return upper_[at(component)]; }

  /// The largest distance of a gain from what no policy exceeds.
  double width() const {
    double most = 0.0;
    for (Index c = 0; c < components_.count(); ++c) most = std::max(most, upper(c) - lower(c));
    return most * kOutward;
  }

 private:
  static constexpr Index kMostPolicies = 1000;
  static constexpr double kTolerance = 1e-9;  // of biases

  double gain(Index component) const { return evaluation_.gain[at(components_.states(component).front())]; }

  /// What bounds may be apart.
  double target() const {
    double largest = 0.0;
    for (Index c = 0; c < components_.count(); ++c) largest = std::max(largest, std::fabs(gain(c)));
    return 0.25 * options_.tolerance * (largest > evaluation_.bounds.gain ? largest : largest_reward_);
  }

  /// h <- h + (T h - h) / 2, which no period upsets (Puterman 1994, 8.5.4), until T h - h is nearly the same in all
  /// states of each component, or that is far off. Sets the choice to the actions that are best beyond the last h, and
  /// returns it.
  Doubles iterate_relative_values() {
    constexpr Index kProbe = 16;
    constexpr Index kMostSweeps = 200;
    Doubles h(at(mdp_.num_states()), 0.0);
    Doubles change(h.size());
    choice_.resize(h.size());
    double at_probe = kInfinity;
    for (Index sweep = 0;; ++sweep) {
      monitor_.poll({"relative value iteration", sweep, 0.0, options_.tolerance});
      const double span = find_changes(h, change);
      if (span <= 0.25 * options_.tolerance * extent_of(ConstVector(change), team_).largest()) return h;
      if (sweep == kProbe / 2) at_probe = span;
      if (sweep == kProbe && !(span < 0.5 * at_probe)) return h;
      if (sweep == kMostSweeps) return h;
      for (std::size_t s = 0; s < h.size(); ++s) h[s] += 0.5 * change[s];
    }
  }

  /// T h - h and the actions that attain it; returns the largest of its spans over the components.
  double find_changes(ConstVector h, Vector change) {
    team_.for_blocks(mdp_.num_states(), kBlock, [&](Index first, Index last, Index) {
      for (Index state = first; state < last; ++state) {
        double best = -kInfinity;
        for (Index pair = mdp_.first_pair(state); pair < mdp_.first_pair(state + 1); ++pair) {
          const double earned = mdp_.reward()[at(pair)] + mdp_.row(pair).dot(h.data());
          if (!(earned > best)) continue;
          best = earned;
          choice_[at(state)] = pair;
        }
        change[at(state)] = best - h[at(state)];
      }
    });
    double most = 0.0;
    for (Index c = 0; c < components_.count(); ++c) {
      Extent extent;
      for (const Column state : components_.states(c)) extent.include(change[at(state)]);
      most = std::max(most, extent.upper - extent.lower);
    }
    return most;
  }

  /// No policy has a larger gain in a component than the largest of T h - h there, for any h.
  void lower_upper_bounds(const TwofoldVector& h) {
    Doubles most(h.size());
    team_.for_blocks(mdp_.num_states(), kBlock, [&](Index first, Index last, Index) {
      for (Index state = first; state < last; ++state) {
        double upper = -kInfinity;
        for (Index pair = mdp_.first_pair(state); pair < mdp_.first_pair(state + 1); ++pair) {
          const double here = excess(mdp_, state, pair, h).upper();
          upper = here <= upper ? upper : here;  // NaN stays
        }
        most[at(state)] = std::nextafter(upper, kInfinity);
      }
    });
    for (Index c = 0; c < components_.count(); ++c) {
      Extent extent;
      for (const Column state : components_.states(c)) extent.include(most[at(state)]);
      if (extent.finite() && extent.upper < upper_[at(c)]) upper_[at(c)] = extent.upper;
    }
  }

  void evaluate() {
    ++num_policies_;
    monitor_.poll({"policy iteration", num_policies_, 0.0, options_.tolerance});
    evaluation_ = evaluated(mdp_, choice_, {std::min(kTolerance, options_.tolerance), options_.num_threads}, monitor_);
  }

  /// Whether the choice has one recurrent class in each component; if not, all its states are led to the class of the
  /// largest gain.
  bool stays_in_one_class() {
    const ChainStructure structure = chain_structure(mdp_, policy_of(mdp_, choice_), options_.num_threads, monitor_);
    std::vector<Index> best(at(components_.count()), -1);
    bool one = true;
    for (Index number = 0; number < structure.num_classes(); ++number) {
      const Column component = components_.of[at(structure.representative(number))];
      if (component == EndComponents::kNone) continue;
      Index& known = best[at(component)];
      one = one && known < 0;
      const auto gain_of = [&](Index k) { return evaluation_.gain[at(structure.representative(k))]; };
      if (known < 0 || gain_of(number) > gain_of(known)) known = number;
    }
    if (one) return true;
    Choice led(choice_.size(), kNoPair);
    for (std::size_t s = 0; s < led.size(); ++s) {
      const Column component = components_.of[s];
      const bool stays = component == EndComponents::kNone || structure.class_of[s] == best[at(component)];
      if (stays) led[s] = choice_[s];
    }
    find_ways(Predecessors(mdp_), std::vector<char>(at(mdp_.num_pairs()), 1), led);
    choice_ = std::move(led);
    return false;
  }

  /// Takes in each state the pair that earns most beyond gain and bias, if that is more than the choice by more than
  /// the answers may be wrong.
  bool switch_actions(const TwofoldVector& bias) {
    const double left_over = extent_over(mdp_.num_states(), team_, [&](std::size_t s) {
                               const Excess found = excess(mdp_, Index(s), choice_[s], bias);
                               return std::fabs(found.value - evaluation_.gain[s]) + found.error;
                             }).upper;
    const double threshold = std::max(0.25 * target(), 4.0 * left_over);
    return extent_over(mdp_.num_states(), team_, [&](std::size_t s) {
             const Index before = choice_[s];
             double best = evaluation_.gain[s] + threshold;
             for (Index pair = mdp_.first_pair(Index(s)); pair < mdp_.first_pair(Index(s) + 1); ++pair) {
               const Excess found = excess(mdp_, Index(s), pair, bias);
               if (pair == before || !(found.lower() > best)) continue;
               best = found.value;
               choice_[s] = pair;
             }
             return choice_[s] != before ? 1.0 : 0.0;
           }).upper > 0.0;
  }

  const Mdp& mdp_;
  const EndComponents& components_;
  const Options& options_;
  Team& team_;
  Monitor& monitor_;
  double largest_reward_;
  Choice choice_;
  Evaluation evaluation_;  // of the choice
  Doubles upper_;          // of each component
  Index num_policies_ = 0;
};

/// A choice, and a bound on the gain of any from each state.
struct Settled {
  Choice choice;
  Doubles upper;
};

/// Where to settle, if the best gains of the components are known.
Settled settle(const Mdp& mdp, const DerivedMdp& inside, const EndComponents& components, const ComponentGains& gains,
               const Options& options, Monitor& monitor) {
  const std::vector<char> all(at(mdp.num_pairs()), 1);
  const Predecessors predecessors(mdp);
  Settled found;
  std::vector<char> is_settled(at(components.count()), 1);
  if (components.count() == 1) {
    found.choice.assign(at(mdp.num_states()), kNoPair);
    found.upper.assign(at(mdp.num_states()), gains.upper(0));
  } else {
    Doubles settling;
    for (Index c = 0; c < components.count(); ++c) settling.push_back(gains.lower(c));
    const Doubles nothing(at(mdp.num_pairs()), 0.0);
    const DerivedMdp collapsed = collapsed_mdp(mdp, nothing, all, components, settling);
    const Options finer{0.25 * options.tolerance, options.num_threads};
    BestChoice best = best_choice(collapsed, shortest_ends(collapsed.mdp(), monitor), finer, monitor);
    found.choice = lifted(collapsed, best.choice, components, predecessors);
    found.upper = std::move(best.upper);
    // Gains that are larger by the width settle for no more than that.
    for (double& upper : found.upper) upper = std::nextafter(upper + gains.width(), kInfinity);
    for (Index c = 0; c < components.count(); ++c) {
      const Index chosen = best.choice[at(components.states(c).front())];
      is_settled[at(c)] = collapsed.origin(chosen) == DerivedMdp::kSettle ? 1 : 0;
    }
  }
  for (Index c = 0; c < components.count(); ++c) {
    if (is_settled[at(c)] == 0) continue;
    for (const Column state : components.states(c)) found.choice[at(state)] = inside.origin(gains.choice()[at(state)]);
  }
  find_ways(predecessors, all, found.choice);
  return found;
}

}  // namespace

UndiscountedOptimum solve_average(const Mdp& mdp, const Options& options, Monitor& monitor) {
  mdp.ensure_checked(options.num_threads);
  ensure_goes_on(mdp);
  Team team(mdp.num_entries() < kParallelEntries ? 1 : options.num_threads);
  const EndComponents components = end_components(mdp, std::vector<char>(at(mdp.num_pairs()), 1), team, monitor);
  const bool communicates = components.is_whole_model();
  const DerivedMdp inside = communicates ? same_mdp(mdp) : restricted_mdp(mdp, components.stays);
  ComponentGains gains(inside.mdp(), components, options, team, monitor);
  gains.find();

  Settled settled{gains.choice(), Doubles(at(mdp.num_states()), gains.upper(0))};
  Evaluation evaluation = gains.evaluation();
  if (!communicates) {
    settled = settle(mdp, inside, components, gains, options, monitor);
    evaluation = evaluated(mdp, settled.choice, {std::min(1e-9, options.tolerance), options.num_threads}, monitor);
  }

  UndiscountedOptimum out;
  out.policy = policy_of(mdp, settled.choice);
  double gap = 0.0;
  for (std::size_t s = 0; s < settled.upper.size(); ++s) {
    const double here = settled.upper[s] - evaluation.gain[s];
    gap = here <= gap ? gap : here;
  }
  out.bounds.gain = std::max(gap * kOutward, evaluation.bounds.gain);
  out.bounds.policy_gain = (std::max(gap, 0.0) + evaluation.bounds.gain) * kOutward;
  out.bounds.value = evaluation.bounds.value;
  out.gain = std::move(evaluation.gain);
  out.value = std::move(evaluation.value);
  const double largest = extent_of(ConstVector(out.gain), team).largest();
  const double scale = largest > out.bounds.gain ? largest : extent_of(mdp.reward(), team).largest();
  out.certificate = std::move(evaluation.certificate);
  out.certificate.method = gains.num_policies() > 1 ? "policy iteration" : "relative value iteration";
  out.certificate.iterations = gains.num_policies();
  out.certificate.error_bound = out.bounds.gain;
  out.certificate.converged =
      std::isfinite(out.bounds.gain) && (options.tolerance == 0.0 || out.bounds.gain <= options.tolerance * scale);
  return out;
}

}  // namespace rlcore
