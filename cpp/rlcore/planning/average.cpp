// Gains are found in two steps (theory 3.8). Within a maximal end component every state can have the component's best
// gain: relative value iteration, then policy iteration, in all components at once. Then the question is where to
// settle: episodes that end by settling in a component, paid by its gain.
#include "rlcore/planning/average.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "rlcore/chain_structure.hpp"
#include "rlcore/errors.hpp"
#include "rlcore/extent.hpp"
#include "rlcore/linear/resolvent.hpp"
#include "rlcore/long_run/gain_and_bias.hpp"
#include "rlcore/planning/derived_mdp.hpp"
#include "rlcore/planning/end_components.hpp"
#include "rlcore/planning/excess.hpp"
#include "rlcore/planning/predecessors.hpp"
#include "rlcore/policy.hpp"

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

Evaluation evaluated(const Mdp& mdp, const Doubles& policy, const Options& options, Monitor& monitor) {
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
        gain_(at(components.count()), 0.0),
        lower_(at(components.count()), -kInfinity),
        upper_(at(components.count()), kInfinity) {}

  void find() {
    if (iterate_relative_values()) {
      enclose();
      if (width() <= target()) return;
    } else {
      begin_with_best_against_uniform();
    }
    for (;;) {
      evaluate();
      if (!ends_in_one_class()) continue;
      enclose();
      if (width() <= target() || num_policies_ >= kMostPolicies) return;
      const double left_over = largest_residual_of_choice();
      if (switch_actions(std::max(0.25 * target(), 4.0 * left_over))) continue;
      if (tolerance_ == 0.0) return;
      tolerance_ = tolerance_ > 1e-15 ? 1e-3 * tolerance_ : 0.0;
    }
  }

  const Choice& choice() const { return choice_; }
  Index num_policies() const { return num_policies_; }

  /// The gain of the choice is at least the one and no policy's is more than the other.
  double lower(Index component) const { return lower_[at(component)]; }
  double upper(Index component) const { return upper_[at(component)]; }

  /// The largest distance of the two.
  double width() const {
    double most = 0.0;
    for (Index c = 0; c < components_.count(); ++c) most = std::max(most, upper(c) - lower(c));
    return most * kOutward;
  }

 private:
  static constexpr Index kMostPolicies = 1000;
  static constexpr double kRoughTolerance = 1e-4;

  /// What bounds may be apart.
  double target() const {
    double largest = 0.0;
    for (const double gain : gain_) largest = std::max(largest, std::fabs(gain));
    return 0.25 * options_.tolerance * (largest > 0.0 ? largest : largest_reward_);
  }

  /// h <- h + (T h - h) / 2, which no period upsets (Puterman 1994, 8.5.4), until T h - h is nearly the same in all
  /// states of each component. The choice is then what is best beyond the last h. Returns false if that is far off.
  bool iterate_relative_values() {
    constexpr Index kProbe = 16;
    constexpr Index kMostSweeps = 200;
    Doubles h(at(mdp_.num_states()), 0.0);
    Doubles change(h.size());
    choice_.resize(h.size());
    double at_probe = kInfinity;
    for (Index sweep = 0;; ++sweep) {
      monitor_.poll({"relative value iteration", sweep, 0.0, options_.tolerance});
      const double span = find_changes(h, change);
      if (span <= 0.125 * options_.tolerance * extent_of(ConstVector(change), team_).largest()) {
        for (Index c = 0; c < components_.count(); ++c) gain_[at(c)] = change[at(components_.states(c).front())];
        bias_ = twofold(h, team_);
        return true;
      }
      if (sweep == kProbe / 2) at_probe = span;
      if (sweep == kMostSweeps || (sweep == kProbe && !(span < 0.5 * at_probe))) return false;
      for (std::size_t s = 0; s < h.size(); ++s) h[s] += 0.5 * change[s];
    }
  }

  /// What is best for one step, if all actions are equally likely from then on: every state of a component is then
  /// visited, and bears upon all others.
  void begin_with_best_against_uniform() {
    const Evaluation found = evaluated(mdp_, uniform_policy(mdp_), {kRoughTolerance, options_.num_threads}, monitor_);
    Doubles change(found.value.size());
    find_changes(found.value, change);
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

  /// Gains and biases of the choice, but for a constant in each class, from cycles between visits to one state of each
  /// class: of what is earned above the last gains, g - g~ = u(s) / t(s) in that state and h = u - (g - g~) t.
  void evaluate() {
    ++num_policies_;
    monitor_.poll({"policy iteration", num_policies_, 0.0, options_.tolerance});
    const Doubles policy = policy_of(mdp_, choice_);
    const Chain chain(mdp_, policy, check_policy(mdp_, policy, team_));
    structure_ = chain_structure(chain, team_, monitor_);
    std::vector<char> stops(at(mdp_.num_states()), 0);
    std::vector<Column> often;
    for (Index number = 0; number < structure_.num_classes(); ++number) {
      often.push_back(often_visited(structure_.representative(number)));
      stops[at(often.back())] = 1;
    }
    const linear::Kernel kernel(chain, std::move(stops), team_);
    linear::Resolvent resolvent(kernel, team_, monitor_);
    std::array sides{linear::RightSide{chain.mean_over_actions(mdp_.reward(), team_)},
                     linear::RightSide{TwofoldVector(at(mdp_.num_states()), Twofold{1.0})}};
    for (std::size_t s = 0; s < choice_.size(); ++s) sides[0].value[s] = sides[0].value[s] - last_gain(Index(s));
    std::vector<linear::Solution> found = resolvent.solve(sides, tolerance_);

    more_in_class_.clear();
    for (const Column state : often) more_in_class_.push_back(quotient(found[0].x[at(state)], found[1].x[at(state)]));
    bias_ = std::move(found[0].x);
    time_ = std::move(found[1].x);
  }

  double last_gain(Index state) const {
    const Column component = components_.of[at(state)];
    return component == EndComponents::kNone ? 0.0 : gain_[at(component)];
  }

  /// A state of a class that is never left: where the likeliest steps come round.
  Column often_visited(Column state) const {
    std::vector<char> seen(at(mdp_.num_states()), 0);
    while (seen[at(state)] == 0) {
      seen[at(state)] = 1;
      const Row row = mdp_.row(choice_[at(state)]);
      const auto likeliest = std::max_element(row.probability, row.probability + row.length) - row.probability;
      state = row.column[likeliest];
    }
    return state;
  }

  /// Whether the choice has one recurrent class in each component. If not, all its states are led to the class of the
  /// largest gain; if so, gains and biases are complete.
  bool ends_in_one_class() {
    std::vector<Index> best(at(components_.count()), -1);
    bool one = true;
    for (Index number = 0; number < structure_.num_classes(); ++number) {
      const Column component = components_.of[at(structure_.representative(number))];
      if (component == EndComponents::kNone) continue;
      Index& known = best[at(component)];
      one = one && known < 0;
      if (known < 0 || more_in_class_[at(number)].hi > more_in_class_[at(known)].hi) known = number;
    }
    if (!one) {
      lead_to(best);
      return false;
    }
    for (std::size_t s = 0; s < choice_.size(); ++s) {
      if (components_.of[s] == EndComponents::kNone) continue;
      bias_[s] = bias_[s] - time_[s] * more_in_class_[at(best[at(components_.of[s])])];
    }
    for (std::size_t c = 0; c < best.size(); ++c) gain_[c] += more_in_class_[at(best[c])].hi;
    return true;
  }

  /// Keeps the choice in one class of each component and goes there from everywhere else in it.
  void lead_to(const std::vector<Index>& classes) {
    Choice led(choice_.size(), kNoPair);
    for (std::size_t s = 0; s < led.size(); ++s) {
      const Column component = components_.of[s];
      if (component == EndComponents::kNone || structure_.class_of[s] == classes[at(component)]) led[s] = choice_[s];
    }
    find_ways(Predecessors(mdp_), std::vector<char>(at(mdp_.num_pairs()), 1), led);
    choice_ = std::move(led);
  }

  /// Whatever h is: the choice's gain is at least the least of r + P h - h over the chosen pairs of its component, and
  /// no policy's is more than the largest over all pairs (theory 3.8).
  void enclose() {
    Doubles least(choice_.size());
    Doubles most(choice_.size());
    team_.for_blocks(mdp_.num_states(), kBlock, [&](Index first, Index last, Index) {
      for (Index state = first; state < last; ++state) {
        double upper = -kInfinity;
        for (Index pair = mdp_.first_pair(state); pair < mdp_.first_pair(state + 1); ++pair) {
          const Excess found = excess(mdp_, state, pair, bias_);
          upper = found.upper() <= upper ? upper : found.upper();  // NaN stays
          if (pair == choice_[at(state)]) least[at(state)] = found.lower();
        }
        most[at(state)] = upper;
      }
    });
    for (Index c = 0; c < components_.count(); ++c) {
      Extent of_choice;
      Extent of_all;
      for (const Column state : components_.states(c)) {
        of_choice.include(least[at(state)]);
        of_all.include(most[at(state)]);
      }
      lower_[at(c)] = of_choice.finite() ? of_choice.lower : -kInfinity;
      if (of_all.finite()) upper_[at(c)] = std::min(upper_[at(c)], of_all.upper);
    }
  }

  /// What is left over by solving: how far r + P h - h is from the gain over the chosen pairs.
  double largest_residual_of_choice() {
    return extent_over(mdp_.num_states(), team_,
                       [&](std::size_t s) {
                         const Excess found = excess(mdp_, Index(s), choice_[s], bias_);
                         return std::fabs(found.value - last_gain(Index(s))) + found.error;
                       })
        .upper;
  }

  /// Takes in each state the pair that earns most beyond gain and bias, if that is more than the threshold.
  bool switch_actions(double threshold) {
    return extent_over(mdp_.num_states(), team_, [&](std::size_t s) {
             const Index before = choice_[s];
             double best = last_gain(Index(s)) + threshold;
             for (Index pair = mdp_.first_pair(Index(s)); pair < mdp_.first_pair(Index(s) + 1); ++pair) {
               const Excess found = excess(mdp_, Index(s), pair, bias_);
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
  double tolerance_ = 1e-10;            // of the biases
  ChainStructure structure_;            // of the choice
  std::vector<Twofold> more_in_class_;  // its gain in each class above the last gain of the component
  TwofoldVector bias_;                  // its bias, but for a constant in each component
  TwofoldVector time_;                  // steps until the states that are visited often
  Doubles gain_;                        // of each component
  Doubles lower_;
  Doubles upper_;
  Index num_policies_ = 0;
};

/// A choice, its gain from each state and a bound on its error, and a bound on the gain of any.
struct Settled {
  Choice choice;
  Doubles gain;
  double error = 0.0;
  Doubles upper;
};

/// The same gain from everywhere.
Settled settled_in_one(const ComponentGains& gains, Index num_states) {
  const double middle = gains.lower(0) / 2.0 + gains.upper(0) / 2.0;
  const double error = std::max(gains.upper(0) - middle, middle - gains.lower(0)) * kOutward;
  return {{}, Doubles(at(num_states), middle), error, Doubles(at(num_states), gains.upper(0))};
}

/// Where to settle, if the best gains of the components are known.
Settled settled_in_best(const Mdp& mdp, const EndComponents& components, const ComponentGains& gains,
                        const Predecessors& predecessors, const Options& options, Monitor& monitor) {
  Doubles settling;
  for (Index c = 0; c < components.count(); ++c) settling.push_back(gains.lower(c));
  const Doubles nothing(at(mdp.num_pairs()), 0.0);
  const std::vector<char> all(at(mdp.num_pairs()), 1);
  const DerivedMdp collapsed = collapsed_mdp(mdp, nothing, all, components, settling);
  const Options finer{0.25 * options.tolerance, options.num_threads};
  BestChoice best = best_choice(collapsed.mdp(), shortest_ends(collapsed.mdp(), monitor), finer, monitor);

  Settled found{lifted(collapsed, best.choice, components, predecessors), std::move(best.value), best.value_error,
                std::move(best.upper)};
  // Gains that are larger by no more than the width settle for no more than that.
  const double width = gains.width();
  found.error += width;
  for (double& upper : found.upper) upper += (width + kUnitRoundoff * std::fabs(upper)) * kOutward;
  return found;
}

/// The optimum with gains of the components, and of where to settle, to a tolerance relative to the largest of each.
UndiscountedOptimum optimum(const Mdp& mdp, const Options& options, Monitor& monitor) {
  Team team(mdp.num_entries() < kParallelEntries ? 1 : options.num_threads);
  const std::vector<char> all(at(mdp.num_pairs()), 1);
  const EndComponents components = end_components(mdp, all, team, monitor);
  const bool communicates = components.is_whole_model();
  const DerivedMdp inside = communicates ? same_mdp(mdp) : restricted_mdp(mdp, components.stays);
  ComponentGains gains(inside.mdp(), components, options, team, monitor);
  gains.find();

  Settled settled = settled_in_one(gains, mdp.num_states());
  if (communicates) {
    settled.choice = gains.choice();
  } else {
    const Predecessors predecessors(mdp);
    settled.choice.assign(at(mdp.num_states()), kNoPair);
    if (components.count() > 1) {
      settled = settled_in_best(mdp, components, gains, predecessors, options, monitor);
    }
    for (const Column state : components.members) {
      // What is not left is settled in.
      Index& chosen = settled.choice[at(state)];
      if (chosen == kNoPair) chosen = inside.origin(gains.choice()[at(state)]);
    }
    find_ways(predecessors, all, settled.choice);
  }

  UndiscountedOptimum out;
  out.policy = policy_of(mdp, settled.choice);
  double gap = 0.0;
  for (std::size_t s = 0; s < settled.upper.size(); ++s) {
    const double here = settled.upper[s] - settled.gain[s];
    gap = here <= gap ? gap : here;
  }
  out.bounds.gain = std::max(gap * kOutward, settled.error);
  out.bounds.policy_gain = (gap + settled.error) * kOutward;
  out.gain = std::move(settled.gain);
  Evaluation evaluation = evaluated(mdp, out.policy, {std::min(1e-9, options.tolerance), options.num_threads}, monitor);
  out.bounds.value = std::isfinite(evaluation.bounds.value) ? evaluation.bounds.value : kInfinity;
  out.value = std::move(evaluation.value);
  out.certificate = std::move(evaluation.certificate);
  out.certificate.method = gains.num_policies() > 1 ? "policy iteration" : "relative value iteration";
  out.certificate.iterations = gains.num_policies();
  out.certificate.error_bound = out.bounds.gain;
  return out;
}

/// What errors are relative to: the largest gain, or reward, if that gain cannot be told from zero.
double scale_of(const Mdp& mdp, const UndiscountedOptimum& found) {
  Team alone(1);
  const double largest = extent_of(ConstVector(found.gain), alone).largest();
  return largest > found.bounds.gain ? largest : extent_of(mdp.reward(), alone).largest();
}

}  // namespace

UndiscountedOptimum solve_average(const Mdp& mdp, const Options& options, Monitor& monitor) {
  mdp.ensure_checked(options.num_threads);
  ensure_goes_on(mdp);
  UndiscountedOptimum found = optimum(mdp, options, monitor);
  const auto most = [&] { return options.tolerance * scale_of(mdp, found); };
  if (options.tolerance > 0.0 && std::isfinite(found.bounds.gain) && found.bounds.gain > most()) {
    // Components that are not worth settling in can have by far the largest gains, below zero.
    const double finer = 0.125 * options.tolerance * most() / found.bounds.gain;
    found = optimum(mdp, {finer, options.num_threads}, monitor);
  }
  found.certificate.converged =
      std::isfinite(found.bounds.gain) && (options.tolerance == 0.0 || found.bounds.gain <= most());
  return found;
}

}  // namespace rlcore
