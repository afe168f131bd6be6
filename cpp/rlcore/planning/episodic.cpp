// Policy iteration among policies that surely end (Bertsekas & Tsitsiklis 1991), bounded from above by the values of a
// process that is paid a little more for every step (theory 3.7).
#include "rlcore/planning/episodic.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include "rlcore/chain_structure.hpp"
#include "rlcore/errors.hpp"
#include "rlcore/extent.hpp"
#include "rlcore/linear/resolvent.hpp"
#include "rlcore/linear/shared_fronts.hpp"
#include "rlcore/planning/derived_mdp.hpp"
#include "rlcore/planning/end_components.hpp"
#include "rlcore/planning/excess.hpp"
#include "rlcore/planning/flat_parts.hpp"
#include "rlcore/planning/inexact_episodes.hpp"
#include "rlcore/planning/predecessors.hpp"
#include "rlcore/policy.hpp"

namespace rlcore {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr Column kUnknown = -1;
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

/// Covers the roundings of a few operations on bounds.
constexpr double kOutward = 1.0 + 32.0 * kUnitRoundoff;

/// A few states of many, for a message.
std::string few_states(std::span<const Column> states) {
  constexpr std::size_t kFew = 5;
  std::string text;
  for (std::size_t i = 0; i < std::min(states.size(), kFew); ++i) {
    text += (i > 0 ? ", " : "") + std::to_string(states[i]);
  }
  return states.size() > kFew ? text + ", ... (" + std::to_string(states.size()) + " states)" : text;
}

[[noreturn]] void throw_unbounded(std::span<const Column> states) {
  throw UnboundedValueError("mdp", {states.front(), -1, -1},
                            "expected no way to collect reward without end before the process ends, but the longer it "
                            "stays among the states {" +
                                few_states(states) + "} the more it earns; use Average() or Discounted(gamma)");
}

/// The components in which rewards recur for ever that are not below zero.
EndComponents costless_components(const Mdp& mdp, const std::vector<char>& usable, Team& team, Monitor& monitor) {
  std::vector<char> marked = usable;
  for (std::size_t pair = 0; pair < marked.size(); ++pair) {
    if (mdp.reward()[pair] < 0.0) marked[pair] = 0;
  }
  return end_components(mdp, marked, team, monitor);
}

/// One in which a reward above zero does.
std::optional<Index> paid_component(const Mdp& mdp, const EndComponents& components) {
  for (Index component = 0; component < components.count(); ++component) {
    for (const Column state : components.states(component)) {
      for (Index pair = mdp.first_pair(state); pair < mdp.first_pair(Index{state} + 1); ++pair) {
        if (components.stays[at(pair)] != 0 && mdp.reward()[at(pair)] > 0.0) return component;
      }
    }
  }
  return std::nullopt;
}

/// The next state, if a state can but step to it, surely and for nothing; else the state itself.
Column only_step(const Mdp& mdp, Column state) {
  const Index pair = mdp.first_pair(state);
  const Row row = mdp.row(pair);
  const bool steps = mdp.first_pair(state + 1) == pair + 1 && mdp.reward()[at(pair)] == 0.0 && row.length == 1 &&
                     row.probability[0] == 1.0 && (mdp.termination().empty() || mdp.termination()[at(pair)] == 0.0);
  return steps ? row.column[0] : state;
}

/// The state that each acts as: where its sure steps end. They go round nowhere, for there is a way to an end from
/// each.
EndComponents::Columns acting_states(const Mdp& mdp) {
  EndComponents::Columns acting(at(mdp.num_states()), kUnknown);
  EndComponents::Columns path;
  for (Column first = 0; first < mdp.num_states(); ++first) {
    path.assign(1, first);
    while (acting[at(path.back())] == kUnknown) {
      const Column next = only_step(mdp, path.back());
      if (next == path.back()) acting[at(next)] = next;
      path.push_back(next);
    }
    for (const Column state : path) acting[at(state)] = acting[at(path.back())];
  }
  return acting;
}

class ProperPolicyIteration {
 public:
  ProperPolicyIteration(const Mdp& mdp, Choice proper, const Options& options, Monitor& monitor)
      : mdp_(mdp),
        choice_(std::move(proper)),
        options_(options),
        monitor_(monitor),
        team_(mdp_.num_entries() < kParallelEntries ? 1 : options.num_threads),
        fronts_(mdp, team_),
        acting_(acting_states(mdp)) {}

  BestChoice run() {
    if (!begin_nearly_best()) begin_with_best_against_uniform();
    climb();
    bound_from_above();
    return result();
  }

 private:
  static constexpr double kClimbingTolerance = 1e-9;
  static constexpr double kRoughTolerance = 1e-4;
  static constexpr Index kMostPolicies = 1000;

  /// Improves the choice as long as an action is proven to be better, and by so much that it counts. A choice that may
  /// then go on for ever has a gain above zero where it does (theory 3.7).
  void climb() {
    evaluate(kClimbingTolerance);
    while (num_policies_ < kMostPolicies) {
      const double threshold = std::max(2.0 * value_error_, 0.25 * worth_a_step());
      if (!switch_actions(value_, threshold)) return;
      if (const auto states = find_endless_class()) throw_unbounded(*states);
      const Choice proven = choice_;
      sweep(threshold);
      if (find_endless_class()) choice_ = proven;
      evaluate(kClimbingTolerance);
      if (value_error_ <= kRoughTolerance * largest_value()) continue;
      choice_ = proven;  // what sweeps have led to may take too long to be solved
      evaluate(kClimbingTolerance);
    }
  }

  /// What moves values by a quarter of the tolerance, if every step of the choice earns it.
  double worth_a_step() { return 0.25 * options_.tolerance * largest_value() / extent_of(time_, team_).upper; }

  /// Sweeps to and fro that let improvements bear upon each other, from values that are too low and stay so: the choice
  /// that they leave ends surely but for rounding, and is worth more.
  void sweep(double threshold) {
    constexpr int kSweeps = 10;
    constexpr double kBeyondRounding = 0x1p-44;
    const double least = std::max(threshold, kBeyondRounding * largest_value());
    Doubles v = rounded(value_, team_);
    bool changes = true;
    for (int number = 0; number < kSweeps && changes; ++number) {
      monitor_.poll({"value iteration", num_policies_, 0.0, options_.tolerance});
      changes = false;
      for (Index i = 0; i < mdp_.num_states(); ++i) {
        const Index state = number % 2 == 0 ? i : mdp_.num_states() - 1 - i;
        if (joins(state)) {
          v[at(state)] = v[at(acting_state(state))];
          continue;
        }
        for (Index pair = mdp_.first_pair(state); pair < mdp_.first_pair(state + 1); ++pair) {
          const double earned = mdp_.reward()[at(pair)] + mdp_.row(pair).dot(v.data());
          if (!(earned > v[at(state)] + least)) continue;
          v[at(state)] = earned;
          choice_[at(state)] = pair;
          changes = true;
        }
      }
    }
  }

  /// Whether policy iteration in doubles led to a choice that surely ends.
  bool begin_nearly_best() {
    std::optional<Choice> found = nearly_best_choice(mdp_, choice_, team_, monitor_);
    if (!found) return false;
    const Choice proper = std::exchange(choice_, std::move(*found));
    if (!find_endless_class()) return true;
    choice_ = proper;
    return false;
  }

  /// What is best for one step, if all actions are equally likely from then on, is nearer to the optimum than a short
  /// way to an end; but not where it matters little, for there it may take its time.
  void begin_with_best_against_uniform() {
    constexpr double kMatters = 1e-6;
    const Choice proper = choice_;
    evaluate(uniform_policy(mdp_), kRoughTolerance);
    const double threshold = kMatters * largest_value();
    over_states([&](Index state) {
      if (joins(state)) return 0.0;
      double best = excess(mdp_, state, proper[at(state)], value_).value + threshold;
      for (Index pair = mdp_.first_pair(state); pair < mdp_.first_pair(state + 1); ++pair) {
        const double found = excess(mdp_, state, pair, value_).value;
        if (!(found > best)) continue;
        best = found;
        choice_[at(state)] = pair;
      }
      return 0.0;
    });
    if (find_endless_class()) choice_ = proper;
  }

  /// Looks for an upper bound of all values: those of a choice if every step earned a little more. Under those rewards
  /// the choice must be improved first, and what goes round for next to nothing then pays, for as long as it takes: so
  /// as little is added as solving leaves room for, and what values hardly differ in is one state, if that bound will
  /// do. The last try, or the only one, solves for as many digits as there are.
  void bound_from_above() {
    constexpr double kLittle = 0x1p-54;
    constexpr double kMostDigits = 1e-24;
    const Choice proper = choice_;
    const double little = kLittle * worth_a_step();
    if (options_.tolerance > 0.0) {
      if (bounds(bound_of_flattened(little, kMostDigits))) return;
      if (bounds(bound_with(little, kMostDigits))) return;
      choice_ = proper;
    }
    if (bounds(bound_with(0.0, 0.0))) return;
    choice_ = proper;
    evaluate(kClimbingTolerance);
  }

  /// Whether that is an upper bound, near enough to the value of the choice.
  bool bounds(const std::optional<TwofoldVector>& bound) {
    if (!bound || !dominates(*bound)) return false;
    upper_ = rounded_up(*bound);
    return options_.tolerance == 0.0 || gap() <= options_.tolerance * largest_value();
  }

  /// Improves the choice under rewards larger by `more`, or by what solving leaves over, until no action is better:
  /// then what it is worth under these is the bound. A choice that lasts long is taken back, if there is a bound in a
  /// model in which what it stays in is one state.
  std::optional<TwofoldVector> bound_with(double more, double tolerance) {
    constexpr Index kMostSteps = 100;
    constexpr double kLastDigits = 0x1p-103;  // v + more t is rounded by 2^-106 of it
    evaluate(tolerance);
    for (Index step = 0; step < kMostSteps && std::isfinite(value_error_); ++step) {
      more = std::max({more, 16.0 * largest_excess_of_choice(), kLastDigits * largest_value()});
      Choice current = choice_;
      if (!switch_actions(value_with(more), -0.5 * more)) return value_with(more);
      if (ends_in_time(more, tolerance)) continue;
      std::swap(choice_, current);
      evaluate(tolerance);
      if (std::optional<TwofoldVector> bound = bound_of_flattened(more, tolerance)) return bound;
      choice_ = std::move(current);
      if (find_endless_class()) break;
      evaluate(tolerance);
    }
    return std::nullopt;
  }

  /// Finds v and t of the choice. Returns whether it ends, and soon enough: before `more` for every step becomes too
  /// much, and while a digit of twofold numbers still tells what single steps of all that time are worth.
  bool ends_in_time(double more, double tolerance) {
    constexpr double kLongest = 0x1p44;
    if (find_endless_class()) return false;
    evaluate(tolerance);
    const double longest = extent_of(time_, team_).upper;
    return std::isfinite(value_error_) && longest <= kLongest && more * longest <= 0.25 * smallest_gap();
  }

  /// The bound in a model in which the process is free to go about where values hardly differ, and need not stay there:
  /// no policy can do more. What then recurs for nothing acts as one state too.
  std::optional<TwofoldVector> bound_of_flattened(double more, double tolerance) {
    constexpr double kFlat = 0x1p-6;
    const double flat = kFlat * smallest_gap() / static_cast<double>(mdp_.num_states());
    const EndComponents parts = flat_parts(mdp_, value_, flat);
    if (!frees(parts)) return std::nullopt;
    const std::vector<char> all(at(mdp_.num_pairs()), 1);
    DerivedMdp flattened = collapsed_mdp(mdp_, mdp_.reward(), all, parts, {});
    Choice choice = choice_in(flattened.mdp(), parts, mdp_, choice_);
    const std::vector<char> all_left(at(flattened.mdp().num_pairs()), 1);
    const EndComponents loops = costless_components(flattened.mdp(), all_left, team_, monitor_);
    if (paid_component(flattened.mdp(), loops)) return std::nullopt;
    const DerivedMdp free = collapsed_mdp(flattened.mdp(), flattened.mdp().reward(), all_left, loops, {});
    choice = choice_in(free.mdp(), loops, flattened.mdp(), choice);
    return ProperPolicyIteration(free.mdp(), std::move(choice), options_, monitor_).bound_with(more, tolerance);
  }

  /// Whether some state is free to move in a part that it is not bound to already.
  bool frees(const EndComponents& parts) const {
    for (Index state = 0; state < mdp_.num_states(); ++state) {
      for (Index pair = mdp_.first_pair(state); pair < mdp_.first_pair(state + 1) && !joins(state); ++pair) {
        if (parts.stays[at(pair)] != 0) return true;
      }
    }
    return false;
  }

  /// A choice in a model whose parts act as one state each: they are left by the pair that gains most for leaving.
  Choice choice_in(const Mdp& collapsed, const EndComponents& parts, const Mdp& mdp, const Choice& before) const {
    Choice choice(before.size());
    for (Index state = 0; state < mdp.num_states(); ++state) {
      const Column part = parts.of[at(state)];
      choice[at(state)] = collapsed.first_pair(state);
      if (part == EndComponents::kNone) {
        choice[at(state)] += before[at(state)] - mdp.first_pair(state);
      } else if (parts.states(part).front() == state) {
        choice[at(state)] = best_exit(collapsed, parts, state);
      }
    }
    return choice;
  }

  Index best_exit(const Mdp& collapsed, const EndComponents& parts, Index state) const {
    Index found = collapsed.first_pair(state);
    double best = -kInfinity;
    for (Index pair = found; pair < collapsed.first_pair(state + 1); ++pair) {
      double leaving = collapsed.termination()[at(pair)];
      double gained = collapsed.reward()[at(pair)] - leaving * value_[at(state)].hi;
      const Row row = collapsed.row(pair);
      for (Index k = 0; k < row.length; ++k) {
        if (parts.of[at(row.column[k])] == parts.of[at(state)]) continue;
        leaving += row.probability[k];
        gained += row.probability[k] * (value_[at(row.column[k])] - value_[at(state)]).hi;
      }
      if (!(gained > best * leaving)) continue;
      best = gained / leaving;
      found = pair;
    }
    return found;
  }

  /// The gap between bounds that is asked for, or good enough where none is.
  double smallest_gap() { return std::max(options_.tolerance, 0x1p-48) * largest_value(); }

  /// States in which the process may stay for ever.
  std::optional<std::vector<Column>> find_endless_class() {
    const ChainStructure structure = chain_structure(mdp_, policy_of(mdp_, choice_), options_.num_threads, monitor_);
    if (structure.num_classes() == 0) return std::nullopt;
    const auto states = structure.states(0);
    return std::vector<Column>(states.begin(), states.end());
  }

  /// Finds v and t of the choice, which ends surely.
  void evaluate(double tolerance) { evaluate(policy_of(mdp_, choice_), tolerance); }
  void evaluate(const Doubles& policy, double tolerance) {
    ++num_policies_;
    monitor_.poll({"policy iteration", num_policies_, 0.0, options_.tolerance});
    const Chain chain(mdp_, policy, check_policy(mdp_, policy, team_));
    const linear::Kernel kernel(chain, {}, team_, &fronts_);
    linear::Resolvent resolvent(kernel, team_, monitor_);
    if (!(resolvent.horizon().w.lower > 0.0)) return give_up();  // without a time nothing is proven
    linear::Solution found = resolvent.solve({chain.mean_over_actions(mdp_.reward(), team_)}, tolerance);
    value_ = std::move(found.x);
    time_ = resolvent.horizon().remaining;  // nearly X 1: what an answer is proven with
    for (Index state = 0; state < mdp_.num_states(); ++state) {
      if (!joins(state)) continue;  // states that act as one are worth the same
      value_[at(state)] = value_[at(acting_state(state))];
      time_[at(state)] = time_[at(acting_state(state))];
    }
    certificate_ = std::move(found.certificate);
    value_error_ = certificate_.error_bound;
  }
  void give_up() {
    value_ = time_ = twofold_vector(mdp_.num_states());
    certificate_ = {};
    value_error_ = certificate_.error_bound = kInfinity;
  }

  /// v + more t
  TwofoldVector value_with(double more) const {
    TwofoldVector sum(value_.size());
    for (std::size_t s = 0; s < sum.size(); ++s) sum[s] = value_[s] + time_[s] * more;
    return sum;
  }

  /// What is left over by solving: the chosen pairs' largest excess, rounding included.
  double largest_excess_of_choice() {
    return over_states([&](Index state) {
      if (joins(state)) return 0.0;
      const Excess found = excess(mdp_, state, choice_[at(state)], value_);
      return std::fabs(found.value) + found.error;
    });
  }

  /// Takes in each state the pair with the largest excess beyond v, if that is proven to be above the threshold.
  /// Returns whether the choice has changed anywhere.
  bool switch_actions(const TwofoldVector& v, double threshold) {
    return over_states([&](Index state) {
             Index& chosen = choice_[at(state)];
             const Index before = chosen;
             double best = threshold;
             for (Index pair = mdp_.first_pair(state); pair < mdp_.first_pair(state + 1); ++pair) {
               if (pair == before || joins(state)) continue;
               const Excess found = excess(mdp_, state, pair, v);
               if (!(found.lower() > best)) continue;
               best = found.value;
               chosen = pair;
             }
             return chosen != before ? 1.0 : 0.0;
           }) > 0.0;
  }

  /// Whether no pair earns more than v allows: then no policy that surely ends is worth more than v (theory 3.7).
  bool dominates(const TwofoldVector& v) {
    return over_states([&](Index state) {
             for (Index pair = mdp_.first_pair(state); pair < mdp_.first_pair(state + 1) && !joins(state); ++pair) {
               const Excess found = excess(mdp_, state, pair, v);
               if (!(found.upper() <= 0.0)) return 1.0;
             }
             return 0.0;
           }) == 0.0;
  }

  /// The largest of a number of each state, none of which is negative.
  template <class Get>
  double over_states(Get&& number) {
    return std::max(extent_over(mdp_.num_states(), team_, [&](std::size_t s) { return number(Index(s)); }).upper, 0.0);
  }

  bool joins(Index state) const { return acting_state(state) != state; }
  Column acting_state(Index state) const { return acting_[at(state)]; }

  static Doubles rounded_up(const TwofoldVector& v) {
    Doubles above(v.size());
    for (std::size_t s = 0; s < v.size(); ++s) above[s] = v[s].lo > 0.0 ? std::nextafter(v[s].hi, kInfinity) : v[s].hi;
    return above;
  }

  double largest_value() {
    const double largest = extent_of(value_, team_).largest();
    return largest > 0.0 ? largest : extent_of(mdp_.reward(), team_).largest();
  }

  double gap() {
    if (upper_.empty()) return kInfinity;
    return over_states([&](Index state) { return upper_[at(state)] - value_[at(state)].hi; });
  }

  BestChoice result() {
    BestChoice best;
    best.choice = std::move(choice_);
    best.value = rounded(value_, team_);
    best.value_error = (value_error_ + rounding_of(value_, team_).largest()) * kOutward;
    best.upper = upper_.empty() ? Doubles(best.value.size(), kInfinity) : std::move(upper_);
    best.certificate = std::move(certificate_);
    best.certificate.method = "policy iteration";
    best.certificate.iterations = num_policies_;
    return best;
  }

  const Mdp& mdp_;
  Choice choice_;
  const Options& options_;
  Monitor& monitor_;
  Team team_;
  linear::SharedFronts fronts_;
  EndComponents::Columns acting_;  // the state that each acts as
  TwofoldVector value_;            // v of the choice
  TwofoldVector time_;             // its expected time to the end
  double value_error_ = 0.0;
  linear::Certificate certificate_;
  Doubles upper_;
  Index num_policies_ = 0;
};

/// Where some policy surely ends, and one that does.
struct ProperPolicy {
  Choice choice;            // kNoPair where none does
  std::vector<char> pairs;  // those that lead only to states with a choice
};

/// Strikes what may lead to where the end is out of reach, until it is out of reach nowhere.
ProperPolicy proper_policy(const Mdp& mdp, const Predecessors& predecessors, Monitor& monitor) {
  ProperPolicy found{{}, std::vector<char>(at(mdp.num_pairs()), 1)};
  std::vector<char> is_out(at(mdp.num_states()), 0);
  for (bool complete = false; !complete;) {
    monitor.poll({"proper policies", 0, 0.0, 0.0});
    found.choice.assign(at(mdp.num_states()), kNoPair);
    for (Index pair = mdp.num_pairs() - 1; pair >= 0 && !mdp.termination().empty(); --pair) {
      if (found.pairs[at(pair)] != 0 && mdp.termination()[at(pair)] > 0.0) {
        found.choice[at(predecessors.state_of(pair))] = pair;
      }
    }
    find_ways(predecessors, found.pairs, found.choice);
    complete = true;
    for (std::size_t state = 0; state < is_out.size(); ++state) {
      if (found.choice[state] != kNoPair || is_out[state] != 0) continue;
      is_out[state] = 1;
      for (const Index pair : predecessors.pairs(static_cast<Index>(state))) found.pairs[at(pair)] = 0;
      for (Index pair = mdp.first_pair(static_cast<Index>(state)); pair < mdp.first_pair(static_cast<Index>(state) + 1);
           ++pair) {
        found.pairs[at(pair)] = 0;
      }
      complete = false;
    }
  }
  return found;
}

void ensure_can_end(const Mdp& mdp, const Choice& proper) {
  std::vector<Column> endless;
  for (std::size_t state = 0; state < mdp.initial().size(); ++state) {
    if (mdp.initial()[state] > 0.0 && proper[state] == kNoPair) endless.push_back(static_cast<Column>(state));
  }
  if (endless.empty()) return;
  throw ImproperPolicyError("initial", {endless.front(), -1, -1},
                            "expected to start where some policy ends with probability 1, but none does from the "
                            "states {" +
                                few_states(endless) +
                                "}: only `termination` ends a process; use Average(), Discounted(gamma), or another "
                                "start distribution");
}

}  // namespace

Choice shortest_ends(const Mdp& mdp, Monitor& monitor) { return proper_policy(mdp, Predecessors(mdp), monitor).choice; }

double BestChoice::gap() const {
  double most = 0.0;
  for (std::size_t s = 0; s < upper.size(); ++s) most = std::max(most, upper[s] - value[s]);
  return most * kOutward;
}

BestChoice best_choice(const Mdp& mdp, Choice proper, const Options& options, Monitor& monitor) {
  return ProperPolicyIteration(mdp, std::move(proper), options, monitor).run();
}

UndiscountedOptimum solve_episodic(const Mdp& mdp, const Options& options, Monitor& monitor) {
  mdp.ensure_checked(options.num_threads);
  Team team(mdp.num_entries() < kParallelEntries ? 1 : options.num_threads);
  const Predecessors predecessors(mdp);
  const ProperPolicy proper = proper_policy(mdp, predecessors, monitor);
  ensure_can_end(mdp, proper.choice);
  const EndComponents components = costless_components(mdp, proper.pairs, team, monitor);
  if (const auto paid = paid_component(mdp, components)) throw_unbounded(components.states(*paid));
  const bool whole = components.count() == 0 &&
                     std::all_of(proper.pairs.begin(), proper.pairs.end(), [](char usable) { return usable != 0; });
  const DerivedMdp derived = whole ? same_mdp(mdp) : collapsed_mdp(mdp, mdp.reward(), proper.pairs, components, {});
  BestChoice best =
      best_choice(derived.mdp(), whole ? proper.choice : shortest_ends(derived.mdp(), monitor), options, monitor);

  UndiscountedOptimum out;
  out.policy = policy_of(mdp, lifted(derived, best.choice, components, predecessors));
  const double gap = best.gap();
  out.bounds.value = std::max(gap, best.value_error);
  out.bounds.policy_value = (gap + best.value_error) * kOutward;
  out.value = std::move(best.value);
  for (std::size_t s = 0; s < out.value.size(); ++s) {
    if (proper.choice[s] == kNoPair) out.value[s] = kNaN;
  }
  if (const std::optional<Bounded> eta = start_value(mdp, twofold(out.value, team), out.bounds.value)) {
    out.start_value = eta->value;
    out.bounds.start_value = eta->bound;
  }
  double largest = 0.0;
  for (const double v : out.value) largest = std::fabs(v) > largest ? std::fabs(v) : largest;
  if (largest == 0.0) largest = extent_of(mdp.reward(), team).largest();
  out.certificate = std::move(best.certificate);
  out.certificate.error_bound = out.bounds.value;
  out.certificate.converged =
      std::isfinite(out.bounds.value) && (options.tolerance == 0.0 || out.bounds.value <= options.tolerance * largest);
  return out;
}

}  // namespace rlcore
