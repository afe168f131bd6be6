#include "rlcore/long_run.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "rlcore/batch.hpp"
#include "rlcore/elimination.hpp"
#include "rlcore/errors.hpp"
#include "rlcore/linear/lines.hpp"
#include "rlcore/policy.hpp"
#include "rlcore/reachability.hpp"
#include "rlcore/renewal.hpp"
#include "rlcore/undiscounted.hpp"

namespace rlcore {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// No two distributions are further apart, in L1: what is said where nothing could be proven.
constexpr double kNothingKnown = 2.0;

/// Covers the roundings of a few operations on bounds.
constexpr double kOutward = 1.0 + 64.0 * kUnitRoundoff;

/// What proves a solution in the sup norm proves more where the time that remains is short (theory 10.3).
double error_at(Column state, const linear::Solution& solution, const linear::Horizon& horizon, Team& team) {
  const double share = horizon.remaining[at(state)].hi / horizon.most;
  return (solution.certificate.error_bound * share + 0x1p-98 * extent_of(solution.x, team).largest()) * kOutward;
}

/// A policy's chain in the long run.
class LongRun {
 public:
  LongRun(const Mdp& mdp, ConstVector policy, Index item, const Options& options, Team& team, Monitor& monitor)
      : chain_(mdp, policy, check_policy(mdp, policy, item)),
        steps_(possible_steps(chain_, team)),
        structure_(chain_structure(chain_, steps_, team, monitor)),
        item_(item),
        options_(options),
        team_(team),
        monitor_(monitor) {
    certificate_.converged = true;
    stationary_tolerance_ = 0.1 * options.tolerance;
    if (!has_small_classes()) line_ = linear::order_along_lines(steps_);
    if (is_unichain() && chain_.conserves() && !has_small_classes()) {
      renewal_.emplace(chain_, std::move(steps_), team, monitor);
    }
    steps_ = {};
  }

  const Chain& chain() const { return chain_; }
  const ChainStructure& structure() const { return structure_; }
  bool is_unichain() const { return structure_.num_classes() == 1; }

  /// Whether every class is small enough to be reduced state by state, wherever its states lead.
  bool has_small_classes() const {
    for (Index c = 0; c < structure_.num_classes(); ++c) {
      if (std::ssize(structure_.states(c)) > kFewStates) return false;
    }
    return true;
  }
  Index size() const { return chain_.size(); }
  linear::Certificate& certificate() { return certificate_; }

  /// Throws if a process that starts in one of the marked states can end.
  void ensure_goes_on(const std::vector<char>& reached) const {
    const Mdp& mdp = chain_.mdp();
    if (mdp.termination().empty()) return;
    for (Index state = 0; state < size(); ++state) {
      if (reached[at(state)] == 0) continue;
      for (Index pair = mdp.first_pair(state); pair < mdp.first_pair(state + 1); ++pair) {
        if (chain_.policy()[at(pair)] == 0.0 || mdp.termination()[at(pair)] == 0.0) continue;
        throw SettingError("setting", {state, pair - mdp.first_pair(state), item_},
                           "expected a process that never ends in Average(), but this action, which the policy takes, "
                           "ends it with probability " +
                               std::to_string(mdp.termination()[at(pair)]) + "; use Episodic() or Discounted(gamma)");
      }
    }
  }

  /// Asks for stationary distributions as sharp as gains must be: what a gain is wrong by counts until the cycle
  /// ends.
  void sharpen() {
    if (options_.tolerance > 0.0 && !is_reduced())
      stationary_tolerance_ = 0.05 * options_.tolerance / resolvent().horizon().most;
  }

  /// The stationary distributions of all classes, in one vector, each with sum 1; and a bound on the L1 error of
  /// each class's.
  const TwofoldVector& stationary() {
    if (!is_reduced() && stationary_.empty()) find_stationary();
    return stationary_;
  }
  double stationary_error() const { return stationary_error_; }

  /// sum_j d_C(j) x(j) of a class.
  Twofold mean_in_class(Index number, const TwofoldVector& x) {
    TwofoldSum sum;
    for (const Column state : structure_.states(number)) {
      const Twofold product = stationary()[at(state)] * x[at(state)];
      sum.add_product(product, 1.0);
    }
    return sum.total();
  }

  /// Where the cycles of a class begin.
  Column anchor(Index number) {
    if (anchors_.empty()) find_anchors();
    return anchors_[at(number)];
  }

  /// X b with an error bound, X the resolvent of the process stopped on entering an anchor.
  linear::Solution until_anchor(const linear::RightSide& b, double tolerance) {
    linear::Solution solution = resolvent().solve(b, tolerance);
    certificate_.include(solution.certificate);
    return solution;
  }

  double error_at_anchor(const linear::Solution& solution) {
    return error_at(anchor(0), solution, resolvent().horizon(), team_);
  }

  linear::Solution visits_until_anchor(const linear::RightSide& b, double tolerance) {
    linear::Solution solution = resolvent().solve_transposed(b, tolerance);
    certificate_.include(solution.certificate);
    return solution;
  }

  /// What a number per class is worth on average from each state: its own class's where it is recurrent, and the
  /// mean over where it ends up elsewhere; its error is added to `error`.
  TwofoldVector by_class(const std::vector<Twofold>& of_class, double& error) {
    TwofoldVector result = twofold_vector(size());
    const bool one_value = std::all_of(of_class.begin(), of_class.end(), [&](const Twofold& number) {
      return number.hi == of_class.front().hi && number.lo == of_class.front().lo;
    });
    if (structure_.transient.empty() || (one_value && !chain_.mdp().can_end())) {
      for (std::size_t s = 0; s < result.size(); ++s) {
        result[s] = of_class[structure_.class_of[s] >= 0 ? at(structure_.class_of[s]) : 0];
      }
      return result;
    }
    // The mean over the first entry of an anchor, by one solve.
    TwofoldVector entered = twofold_vector(size());
    double largest = 0.0;
    for (std::size_t c = 0; c < of_class.size(); ++c) {
      entered[at(anchor(static_cast<Index>(c)))] = of_class[c];
      largest = std::max(largest, std::fabs(of_class[c].hi));
    }
    linear::RightSide b{twofold_vector(size()), 2.0 * chain_.residual_error(largest)};
    for (Index state = 0; state < size(); ++state) b.value[at(state)] = chain_.mean_ahead(state, entered.data());
    const linear::Solution mean = until_anchor(b, 0.0);
    error += mean.certificate.error_bound;
    for (std::size_t s = 0; s < result.size(); ++s) {
      result[s] = structure_.class_of[s] >= 0 ? of_class[at(structure_.class_of[s])] : mean.x[s];
    }
    return result;
  }

  /// Gain and earnings above it, of a chain with one class that can be solved without stopping it.
  std::optional<Renewal::Earnings> earnings(const linear::RightSide& reward, double tolerance) {
    if (!renewal_) return std::nullopt;
    std::optional<Renewal::Earnings> found = renewal_->earnings(reward, tolerance);
    if (found) certificate_.include(found->above.certificate);
    return found;
  }

  linear::Resolvent& resolvent() {
    if (!resolvent_) {
      std::vector<char> stops(at(size()), 0);
      for (Index c = 0; c < structure_.num_classes(); ++c) stops[at(anchor(c))] = 1;
      kernel_.emplace(chain_, std::move(stops), team_);
      resolvent_.emplace(*kernel_, team_, monitor_);
    }
    return *resolvent_;
  }

  const Options& options() const { return options_; }
  Team& team() { return team_; }

 private:
  void find_stationary() {
    if (std::optional<linear::Solution> found = without_stopping()) {
      certificate_.include(found->certificate);
      stationary_error_ = found->certificate.error_bound;
      stationary_ = std::move(found->x);
    } else {
      stationary_ = twofold_vector(size());
      solve_cycles();
    }
  }

  std::optional<linear::Solution> without_stopping() {
    if (!renewal_) return std::nullopt;
    return renewal_->stationary(stationary_tolerance_);
  }

  /// Whether stationary distributions are found by state reduction: of small classes, and of walks on lines.
  bool is_reduced() {
    if (!is_reduced_) {
      is_reduced_ = has_small_classes() ? reduce_small_classes() : line_ && reduce_along_lines();
      if (*is_reduced_ && certificate_.method.empty()) certificate_.method = "state reduction";
    }
    return *is_reduced_;
  }

  bool reduce_small_classes() {
    stationary_ = twofold_vector(size());
    for (Index c = 0; c < structure_.num_classes(); ++c) {
      const auto states = structure_.states(c);
      const Index width = std::ssize(states) - 1;
      stationary_error_ = std::max(stationary_error_, elimination_error(std::ssize(states), width));
      if (reduce(states, width)) continue;
      stationary_error_ = kNothingKnown;
      for (const Column state : states) stationary_[at(state)] = {1.0 / static_cast<double>(states.size())};
    }
    return true;
  }

  bool reduce_along_lines() {
    std::vector<StateOrder::Columns> states(at(structure_.num_classes()));
    for (const Column state : *line_) {
      if (structure_.class_of[at(state)] >= 0) states[at(structure_.class_of[at(state)])].push_back(state);
    }
    stationary_ = twofold_vector(size());
    for (const auto& class_states : states) {
      if (reduce(class_states, std::min(linear::kWidthOfLines, std::ssize(class_states) - 1))) continue;
      stationary_.clear();
      return false;
    }
    stationary_error_ = elimination_error(size(), linear::kWidthOfLines);
    return true;
  }

  /// The stationary distribution of a class whose states, in this order, lead no further than `width`. False if its
  /// numbers leave the range of doubles.
  bool reduce(std::span<const Column> states, Index width) {
    number_.resize(at(size()), -1);
    const std::optional<TwofoldVector> found = stationary_by_elimination(Rates(chain_, states, width, number_));
    if (!found) return false;
    for (std::size_t i = 0; i < states.size(); ++i) stationary_[at(states[i])] = (*found)[i];
    return true;
  }

  /// A state of each class that is visited often, from wherever the process was: cycles from there are short, and so
  /// is the time until they begin. From one that is hardly ever visited they may last longer than any number.
  void find_anchors() {
    const Doubles often = is_reduced() ? rounded(stationary_) : where_it_gathers();
    for (Index c = 0; c < structure_.num_classes(); ++c) {
      const auto states = structure_.states(c);
      anchors_.push_back(*std::max_element(
          states.begin(), states.end(), [&](Column one, Column other) { return often[at(one)] < often[at(other)]; }));
    }
  }

  /// The distribution after some steps from everywhere: a few tell which way a process drifts, and where that ends.
  Doubles where_it_gathers() {
    constexpr int kSteps = 64;
    const linear::System transposed{
        .matrix = chain_.transposed_transition(team_),
        .discount = 1.0,
        .direction = linear::Direction::kTransposed,
        .team = &team_,
    };
    const Doubles nothing(at(size()), 0.0);
    Doubles now(at(size()), 1.0);
    Doubles next(at(size()));
    for (int step = 0; step < kSteps; ++step) {
      transposed.sweep(nothing, now, next);
      std::swap(now, next);
      monitor_.poll({"looking for anchors", step});
    }
    return now;
  }

  /// One cycle from every anchor at once: their classes do not mix.
  void solve_cycles() {
    linear::RightSide start{twofold_vector(size())};
    for (Index c = 0; c < structure_.num_classes(); ++c) start.value[at(anchor(c))] = {1.0};
    linear::Solution cycle = visits_until_anchor(start, stationary_tolerance_);
    const double error = cycle.certificate.error_bound;
    for (Index c = 0; c < structure_.num_classes(); ++c) {
      TwofoldSum sum;
      for (const Column state : structure_.states(c)) {
        Twofold& visits = cycle.x[at(state)];
        if (visits.hi < 0.0) visits = {};
        sum.add_product(visits, 1.0);
      }
      const Twofold length = sum.total();
      const double relative = 2.0 * (error + (dot_error(size()) + 0x1p-90) * length.hi) / length.hi;
      if (!(relative < 0.5)) {
        for (const Column state : structure_.states(c)) {
          stationary_[at(state)] = {1.0 / static_cast<double>(structure_.states(c).size())};
        }
        stationary_error_ = kNothingKnown;
        continue;
      }
      for (const Column state : structure_.states(c)) {
        stationary_[at(state)] = quotient(cycle.x[at(state)], length);
      }
      stationary_error_ = std::max(stationary_error_, relative / (1.0 - relative));
    }
  }

  Chain chain_;
  CsrMatrix steps_;  // handed on to the one who solves
  ChainStructure structure_;
  Index item_;
  const Options& options_;
  Team& team_;
  Monitor& monitor_;
  std::optional<Renewal> renewal_;
  std::optional<linear::Kernel> kernel_;
  std::optional<linear::Resolvent> resolvent_;
  double stationary_tolerance_;
  std::optional<StateOrder::Columns> line_;  // the states along lines, if the chain consists of such
  std::vector<Column> number_;               // scratch
  std::vector<Column> anchors_;
  std::optional<bool> is_reduced_;
  TwofoldVector stationary_;
  double stationary_error_ = 0.0;
  linear::Certificate certificate_;
};

/// Where the model's process can be: everywhere, if it has no start distribution.
std::vector<char> reached_from_start(const Chain& chain) {
  const Mdp& mdp = chain.mdp();
  if (mdp.initial().empty()) return std::vector<char>(at(mdp.num_states()), 1);
  return reachable(chain, twofold(mdp.initial()));
}

/// Gains by state, what each state earns above its gain until the next cycle, and bounds on their errors.
struct Cycles {
  TwofoldVector gain;
  double gain_error = 0.0;
  TwofoldVector above;
  double above_error = 0.0;
};

/// X 1, as sharp as what a cycle left over needs: the sharper, the further the guess at the gain was off.
linear::Solution time_to_anchor(LongRun& run, const linear::Solution& left) {
  constexpr double kRough = 1e-6;
  const auto anchor = at(run.anchor(0));
  const linear::Horizon& horizon = run.resolvent().horizon();
  const double more = std::fabs(left.x[anchor].hi) / horizon.remaining[anchor].hi;
  const double needed =
      run.options().tolerance * 0.05 * extent_of(left.x, run.team()).largest() / (more * horizon.most);
  return run.until_anchor({TwofoldVector(left.x.size(), Twofold{1.0})}, needed < kRough ? needed : kRough);
}

/// One class, in which every process ends up: a guess at the gain is mended by what it leaves over in a cycle. With
/// u = X (r - g~) and t = X 1, g = g~ + u(s) / t(s) at the anchor s, and X (r - g) = u - (g - g~) t.
Cycles mended_cycles(LongRun& run, const linear::RightSide& reward, double scale) {
  const TwofoldVector& r_pi = reward.value;
  const Twofold guess = run.mean_in_class(0, r_pi);
  linear::RightSide b{twofold_vector(run.size()), (reward.error + 0x1p-98 * scale) * kOutward};
  for (std::size_t s = 0; s < r_pi.size(); ++s) b.value[s] = r_pi[s] - guess;
  linear::Solution left = run.until_anchor(b, run.options().tolerance * 0.05);
  const linear::Solution time = time_to_anchor(run, left);

  const auto anchor = at(run.anchor(0));
  const Twofold more = quotient(left.x[anchor], time.x[anchor]);
  const double error_of_time = run.error_at_anchor(time);
  const double shortest = time.x[anchor].hi - error_of_time;
  const double error_of_more =
      shortest > 0.0 ? (run.error_at_anchor(left) + std::fabs(more.hi) * error_of_time) / shortest * kOutward
                     : kInfinity;
  Cycles cycles;
  const Twofold gain = guess + more;
  cycles.gain = TwofoldVector(r_pi.size(), gain);
  cycles.gain_error = error_of_more + 0x1p-98 * (scale + std::fabs(gain.hi));
  cycles.above = std::move(left.x);
  double longest = 0.0;
  for (std::size_t s = 0; s < r_pi.size(); ++s) {
    cycles.above[s] = cycles.above[s] - more * time.x[s];
    longest = std::max(longest, time.x[s].hi);
  }
  cycles.above_error = (left.certificate.error_bound + std::fabs(more.hi) * time.certificate.error_bound +
                        error_of_more * (longest + time.certificate.error_bound)) *
                       kOutward;
  return cycles;
}

/// The same by a process that does not stop, where that can be solved.
std::optional<Cycles> running_cycles(LongRun& run, const linear::RightSide& reward, double scale) {
  const double error = (reward.error + 0x1p-98 * scale) * kOutward;
  std::optional<Renewal::Earnings> found = run.earnings({reward.value, error}, run.options().tolerance * 0.3);
  if (!found) return std::nullopt;
  Cycles cycles;
  cycles.gain = TwofoldVector(reward.value.size(), found->gain);
  cycles.gain_error = found->gain_error;
  cycles.above = std::move(found->above.x);
  cycles.above_error = found->above.certificate.error_bound;
  return cycles;
}

/// Several classes, or a process that may end: gains first, as sharp as the cycles are long.
Cycles cycles_by_class(LongRun& run, const linear::RightSide& reward, double scale) {
  run.sharpen();
  const TwofoldVector& r_pi = reward.value;
  std::vector<Twofold> gains;
  for (Index c = 0; c < run.structure().num_classes(); ++c) gains.push_back(run.mean_in_class(c, r_pi));
  const double mean_error = reward.error;
  Cycles cycles;
  cycles.gain_error = (run.stationary_error() + 4.0 * dot_error(run.size())) * scale * kOutward + mean_error;
  cycles.gain = run.by_class(gains, cycles.gain_error);
  linear::RightSide b{twofold_vector(run.size()), (mean_error + cycles.gain_error + 0x1p-98 * scale) * kOutward};
  for (std::size_t s = 0; s < r_pi.size(); ++s) b.value[s] = r_pi[s] - cycles.gain[s];
  linear::Solution above = run.until_anchor(b, run.options().tolerance * 0.1);
  cycles.above = std::move(above.x);
  cycles.above_error = above.certificate.error_bound;
  return cycles;
}

/// g, and h with bounds on its error, also but for a constant.
struct GainAndBias {
  Cycles cycles;  // `above` is h
  double error = 0.0;
  double relative_error = 0.0;
};

/// Of earnings r_pi none of which is larger than `scale` (theory 3.2).
GainAndBias gain_and_bias(LongRun& run, const linear::RightSide& r_pi, double scale, Team& team) {
  const Chain& chain = run.chain();
  const ChainStructure& structure = run.structure();
  std::optional<Cycles> running = running_cycles(run, r_pi, scale);
  const bool mends = run.is_unichain() && chain.conserves() && !run.has_small_classes();
  Cycles cycles =
      running ? std::move(*running) : (mends ? mended_cycles(run, r_pi, scale) : cycles_by_class(run, r_pi, scale));

  // Shifted so that P* h = 0.
  TwofoldVector& bias = cycles.above;
  std::vector<Twofold> shifts;
  for (Index c = 0; c < structure.num_classes(); ++c) shifts.push_back(-run.mean_in_class(c, bias));
  const double largest = extent_of(bias, team).largest();
  double shift_error = cycles.above_error + run.stationary_error() * largest + 4.0 * dot_error(run.size()) * largest;
  const TwofoldVector shift = run.by_class(shifts, shift_error);
  for (std::size_t s = 0; s < bias.size(); ++s) bias[s] = bias[s] + shift[s];
  const double error = (cycles.above_error + shift_error + 0x1p-98 * largest) * kOutward;
  const double relative_error = chain.conserves() ? cycles.above_error : error;
  return {std::move(cycles), error, relative_error};
}

Evaluation evaluation(LongRun& run, ConstVector reward, Team& team) {
  const Chain& chain = run.chain();
  const double scale = extent_of(reward, team).largest();
  const linear::RightSide r_pi{chain.mean_over_actions(reward, team), chain.mean_error(scale)};
  const auto [cycles, error, relative_error] = gain_and_bias(run, r_pi, scale, team);
  const TwofoldVector& bias = cycles.above;
  Evaluation out =
      undiscounted_evaluation(chain.mdp(), reward, {bias, error, relative_error, &cycles.gain, cycles.gain_error},
                              run.options().remainders, team);
  if (!run.is_unichain()) {
    out.action_value.clear();
    out.advantage.clear();
    out.bounds.action_value = out.bounds.advantage = 0.0;
  }
  out.gain.resize(at(run.size()));
  double rounding = 0.0;
  for (std::size_t s = 0; s < out.gain.size(); ++s) {
    out.gain[s] = cycles.gain[s].hi;
    rounding = std::max(rounding, std::fabs(cycles.gain[s].lo));
  }
  out.bounds.gain = (cycles.gain_error + rounding) * kOutward;
  out.certificate = run.certificate();
  out.certificate.error_bound = error;
  const double norm = extent_of(bias, team).largest();
  out.certificate.converged =
      std::isfinite(error) && (run.options().tolerance == 0.0 || out.bounds.value <= run.options().tolerance * norm ||
                               out.bounds.value <= run.options().tolerance * scale);
  return out;
}

/// What a measure puts into each class in the long run; for a start distribution, the probabilities of ending there.
std::vector<Twofold> class_weights(LongRun& run, const TwofoldVector& initial, double& error) {
  const ChainStructure& structure = run.structure();
  std::vector<Twofold> weights(at(structure.num_classes()));
  linear::RightSide passing{twofold_vector(run.size())};  // what is put into transient states
  TwofoldSum passing_mass;
  bool passes = false;
  for (std::size_t s = 0; s < initial.size(); ++s) {
    if (initial[s].hi == 0.0) continue;
    if (structure.class_of[s] >= 0) {
      weights[at(structure.class_of[s])] = weights[at(structure.class_of[s])] + initial[s];
    } else {
      passing.value[s] = initial[s];
      passing_mass.add_product(initial[s], 1.0);
      passes = true;
    }
  }
  if (!passes) return weights;
  if (run.is_unichain() && run.chain().conserves()) {
    weights.front() = weights.front() + passing_mass.total();
    return weights;
  }
  const linear::Solution visits = run.visits_until_anchor(passing, 0.0);
  error += visits.certificate.error_bound;
  const TwofoldVector entered = run.chain().arrivals(1.0, visits.x, run.team());
  for (Index c = 0; c < structure.num_classes(); ++c) {
    weights[at(c)] = weights[at(c)] + entered[at(run.anchor(c))];
  }
  return weights;
}

Occupancy occupancy_of(LongRun& run, ConstVector initial) {
  const Chain& chain = run.chain();
  const ChainStructure& structure = run.structure();
  const TwofoldVector start = twofold(initial);
  run.ensure_goes_on(reachable(chain, start));
  double error = 0.0;
  const std::vector<Twofold> weights = class_weights(run, start, error);
  const TwofoldVector& stationary = run.stationary();
  linear::Solution shares{twofold_vector(run.size()), {}};
  for (Index c = 0; c < structure.num_classes(); ++c) {
    if (!(weights[at(c)].hi > 0.0)) continue;
    for (const Column state : structure.states(c)) shares.x[at(state)] = stationary[at(state)] * weights[at(c)];
  }
  shares.certificate = run.certificate();
  shares.certificate.error_bound = error + run.stationary_error() + 0x1p-96;
  Occupancy out = scaled_occupancy(chain, {1.0}, 0.0, std::move(shares), run.team());
  out.visits.clear();
  out.bounds.visits = out.bounds.state;
  out.certificate.converged = std::isfinite(out.bounds.state) &&
                              (run.options().tolerance == 0.0 || out.bounds.state <= run.options().tolerance);
  return out;
}

}  // namespace

std::vector<Evaluation> evaluate_average(const Mdp& mdp, std::span<const ConstVector> policies,
                                         std::span<const ConstVector> rewards, const Options& options,
                                         Monitor& monitor) {
  mdp.ensure_checked(options.num_threads);
  check_rewards(mdp, rewards);
  std::vector<Evaluation> results(policies.size() * rewards.size());
  for_policies(mdp, policies.size(), options.num_threads, monitor, [&](std::size_t i, Team& team, Monitor& watch) {
    LongRun run(mdp, policies[i], policies.size() > 1 ? static_cast<Index>(i) : -1, options, team, watch);
    run.ensure_goes_on(reached_from_start(run.chain()));
    for (std::size_t j = 0; j < rewards.size(); ++j) {
      results[i * rewards.size() + j] = evaluation(run, rewards[j], team);
    }
  });
  return results;
}

std::vector<Occupancy> occupancy_average(const Mdp& mdp, std::span<const ConstVector> policies,
                                         std::span<const ConstVector> initials, const Options& options,
                                         Monitor& monitor) {
  mdp.ensure_checked(options.num_threads);
  check_initials(mdp, initials);
  std::vector<Occupancy> results(policies.size() * initials.size());
  for_policies(mdp, policies.size(), options.num_threads, monitor, [&](std::size_t i, Team& team, Monitor& watch) {
    LongRun run(mdp, policies[i], policies.size() > 1 ? static_cast<Index>(i) : -1, options, team, watch);
    for (std::size_t j = 0; j < initials.size(); ++j) {
      results[i * initials.size() + j] = occupancy_of(run, initials[j]);
    }
  });
  return results;
}

std::vector<linear::Solution> biases(const Mdp& mdp, ConstVector policy, std::span<const linear::RightSide> sides,
                                     Index item, const Options& options, Team& team, Monitor& monitor) {
  LongRun run(mdp, policy, item, options, team, monitor);
  run.ensure_goes_on(reached_from_start(run.chain()));
  std::vector<linear::Solution> solutions;
  for (const linear::RightSide& side : sides) {
    GainAndBias found = gain_and_bias(run, side, extent_of(side.value, team).largest() + side.error, team);
    solutions.push_back({std::move(found.cycles.above), run.certificate()});
    solutions.back().certificate.error_bound = found.error;
  }
  return solutions;
}

StateRows deviation_rows(const Mdp& mdp, ConstVector policy, std::span<const Index> states, const Options& options,
                         Monitor& monitor) {
  mdp.ensure_checked(options.num_threads);
  check_states(mdp, states, "states");
  Team team(mdp.num_entries() < kParallelEntries ? 1 : options.num_threads);
  LongRun run(mdp, policy, -1, options, team, monitor);
  run.ensure_goes_on(std::vector<char>(at(mdp.num_states()), 1));
  run.sharpen();
  const ChainStructure& structure = run.structure();
  StateRows out;
  for (const Index state : states) {
    TwofoldVector start = twofold_vector(mdp.num_states());
    start[at(state)] = {1.0};
    double error = 0.0;
    const std::vector<Twofold> weights = class_weights(run, start, error);
    // y (I - P) = e_i - p*_i off the anchors; what is left is stationary, and P* must not see it.
    linear::RightSide b{std::move(start), error + run.stationary_error() + 0x1p-96};
    for (Index c = 0; c < structure.num_classes(); ++c) {
      for (const Column j : structure.states(c))
        b.value[at(j)] = b.value[at(j)] - run.stationary()[at(j)] * weights[at(c)];
      b.value[at(run.anchor(c))] = {};
    }
    linear::Solution row = run.visits_until_anchor(b, 0.0);
    double row_error = row.certificate.error_bound;
    const std::vector<Twofold> sums = class_weights(run, row.x, row_error);
    const double l1 = extent_of(row.x, team).l1;
    for (Index c = 0; c < structure.num_classes(); ++c) {
      for (const Column j : structure.states(c)) row.x[at(j)] = row.x[at(j)] - run.stationary()[at(j)] * sums[at(c)];
    }
    const double bound = (row.certificate.error_bound + row_error + (run.stationary_error() + 0x1p-90) * (l1 + 1.0) +
                          rounding_of(row.x, team).l1) *
                         (1.0 + static_cast<double>(mdp.num_states() + 64) * kUnitRoundoff);
    for (const Twofold& number : row.x) out.rows.push_back(number.hi);
    out.bounds.push_back(bound);
    const double scale = std::max(extent_of(row.x, team).l1, std::numeric_limits<double>::min());
    const double most = std::max(out.certificate.error_bound, bound);
    const bool converged = (out.bounds.size() == 1 || out.certificate.converged) && std::isfinite(bound) &&
                           (options.tolerance == 0.0 || bound <= options.tolerance * std::max(scale, 1.0));
    out.certificate = run.certificate();
    out.certificate.error_bound = most;
    out.certificate.converged = converged;
  }
  if (states.empty()) out.certificate.converged = true;
  return out;
}

StateRows kemeny_constant(const Mdp& mdp, ConstVector policy, const Options& options, Monitor& monitor) {
  mdp.ensure_checked(options.num_threads);
  Team team(mdp.num_entries() < kParallelEntries ? 1 : options.num_threads);
  LongRun run(mdp, policy, -1, options, team, monitor);
  run.ensure_goes_on(std::vector<char>(at(mdp.num_states()), 1));
  if (!run.is_unichain()) {
    throw SettingError("policy", {},
                       "expected one recurrent class, for which Kemeny's constant is defined, got " +
                           std::to_string(run.structure().num_classes()));
  }
  // Every recurrent state meets the anchor without passing transient ones, from where it may take long.
  const Column anchor = run.anchor(0);
  std::vector<char> stops(at(run.size()), 0);
  for (const Column state : run.structure().transient) stops[at(state)] = 1;
  stops[at(anchor)] = 1;
  const linear::Kernel kernel(run.chain(), std::move(stops), team);
  linear::Resolvent resolvent(kernel, team, monitor);

  // The trace of the deviation matrix (I - 1 d') X (I - 1 d') is that of X less d' X 1, where the anchor counts as
  // stopped already. No number in a column of X is larger than that on the diagonal.
  linear::Certificate certificate;
  certificate.converged = true;
  TwofoldSum trace;
  double error = 0.0;
  const auto states = run.structure().states(0);
  for (std::size_t first = 0; first < states.size(); first += kMostLanes) {
    const auto block = states.subspan(first, std::min(kMostLanes, states.size() - first));
    std::vector<linear::RightSide> units;
    for (const Column state : block) {
      units.push_back({twofold_vector(run.size())});
      units.back().value[at(state)] = {1.0};
    }
    const std::vector<linear::Solution> columns = resolvent.solve(units, 0.1 * options.tolerance);
    for (std::size_t k = 0; k < block.size(); ++k) {
      certificate.include(columns[k].certificate);
      if (block[k] == anchor) continue;
      trace.add_product(columns[k].x[at(block[k])], 1.0);
      error += error_at(block[k], columns[k], resolvent.horizon(), team);
    }
  }
  linear::Solution time = resolvent.solve({TwofoldVector(at(run.size()), Twofold{1.0})}, 0.1 * options.tolerance);
  certificate.include(time.certificate);
  time.x[at(anchor)] = {};
  const Twofold total = trace.total() - run.mean_in_class(0, time.x);
  const double longest = extent_of(time.x, team).largest();
  const double bound = (error + time.certificate.error_bound + run.stationary_error() * longest +
                        (dot_error(run.size()) + 0x1p-96) * (trace.total().hi + longest) + std::fabs(total.lo)) *
                       (1.0 + static_cast<double>(run.size() + 64) * kUnitRoundoff);
  StateRows out;
  out.rows.push_back(total.hi);
  out.bounds.push_back(bound);
  out.certificate = std::move(certificate);
  out.certificate.error_bound = bound;
  out.certificate.converged =
      std::isfinite(bound) && (options.tolerance == 0.0 || bound <= options.tolerance * std::max(total.hi, 1.0));
  return out;
}

}  // namespace rlcore
