#include "rlcore/planning.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include "rlcore/chain.hpp"
#include "rlcore/format.hpp"
#include "rlcore/linear/bicgstab.hpp"
#include "rlcore/ordered_model.hpp"

namespace rlcore {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// Bounds are formed from few numbers, each rounded at most so often.
constexpr double kOutward = 1.0 + 32.0 * kUnitRoundoff;

/// The relative error down to which methods in doubles are asked to go.
constexpr double kInDoubles = 1e-9;

/// Models with so few states are answered to the last digit: their policies have dense factors.
constexpr Index kSmall = 128;

/// The entries from which a team is worth its while: policies are solved for in many short loops.
constexpr Index kWorthATeam = 4 * kParallelEntries;

/// The best attainable must say something of the answer to count.
constexpr double kSomeDigits = 0.1;

/// A shift this small beside the values is lost in their own rounding.
constexpr double kBelowRounding = kUnitRoundoff / 64.0;

/// What adding a shift to a twofold number can cost.
constexpr double kTwofoldRounding = 0x1p-100;

/// The problem, and what all methods need to know of it.
struct Problem {
  const Mdp& mdp;
  double discount;
  Interval w;  // encloses 1 - discount * row sum
  double largest_reward;
  double tolerance;  // relative, of what is found in doubles
  Team& team;
  Monitor& monitor;

  Index size() const { return mdp.num_states(); }
};

/// What the sweep of a vector v proves: V* - T v lies within `error` of `shift`.
struct Proof {
  double error = kInfinity;
  double shift = 0.0;
  double norm = 0.0;      // max|T v + shift|
  double residual = 0.0;  // the largest of T v - v
  double floor = 0.0;     // the part of `error` that is due to arithmetic
  double scale = 0.0;     // what errors are relative to: the norm, or max|r| if that is 0

  double relative_error() const { return scale > 0.0 ? error / scale : error; }
  bool meets(double tolerance) const { return error + kUnitRoundoff * norm <= tolerance * scale; }

  /// Whether more sweeps would gain nothing.
  bool is_best_attainable() const { return error <= 4.0 * floor; }
};

/// From the extents of T v and T v - v, each number of which is wrong by at most `rounding`.
Proof proof_of(const Problem& problem, const BellmanSweep& sweep, double rounding) {
  const Interval w = problem.w;
  if (!sweep.value.finite() || !sweep.change.finite()) return {};
  const double slack = rounding + kUnitRoundoff * sweep.change.largest();
  const Interval distance = distance_to_fixed_point({sweep.change.lower - slack, sweep.change.upper + slack}, w);
  const Interval rest = distance_after_sweep(distance, w);
  const double middle = rest.lower / 2.0 + rest.upper / 2.0;
  // Where the process can end a shift would leave a residual of its own. One that is lost in rounding would only turn
  // exact zeros into dust.
  const bool shifts = !problem.mdp.can_end() && std::fabs(middle) > kBelowRounding * sweep.value.largest();
  const double shift = shifts ? middle : 0.0;
  const double width = std::max(rest.upper - shift, shift - rest.lower);
  const double norm = std::max(std::fabs(sweep.value.lower + shift), std::fabs(sweep.value.upper + shift));
  return {(width + rounding + kTwofoldRounding * norm) * kOutward,
          shift,
          norm,
          sweep.change.largest() + slack,
          rounding / w.lower * kOutward,
          norm > 0.0 ? norm : problem.largest_reward};
}

/// The best vector that was proven so far, and how it was found.
class Record {
 public:
  explicit Record(Team& team) : team_(team) {}

  /// Keeps T v, moved by the shift of its proof, if no proof was better.
  void offer(const Proof& proof, ConstVector image) {
    if (!(proof.error < proof_.error)) return;
    proof_ = proof;
    twofold_.clear();
    value_.resize(image.size());
    team_.for_blocks(ssize(image), kBlock, [&](Index first, Index last, Index) {
      for (auto i = at(first); i < at(last); ++i) value_[i] = image[i] + proof.shift;
    });
    error_bound_ = (proof.error + kUnitRoundoff * proof.norm) * kOutward;
  }

  /// The same of a twofold vector.
  void offer(const Proof& proof, TwofoldVector image) {
    if (!(proof.error < proof_.error)) return;
    proof_ = proof;
    twofold_ = std::move(image);
    for (Twofold& value : twofold_) value = value + proof.shift;
    value_ = rounded(twofold_);
    error_bound_ = (proof.error + rounding_of(twofold_, team_).largest()) * kOutward;
  }

  void tell(std::string_view method, Index iterations, std::string_view what) {
    certificate_.iterations += iterations;
    certificate_.method = method;
    certificate_.story += std::string(method) + ": " + std::string(what) + ", proven relative error " +
                          format_briefly(proof_.relative_error()) + "\n";
  }

  bool meets(double tolerance) const { return proof_.meets(tolerance); }
  const Proof& proof() const { return proof_; }
  double error_bound() const { return error_bound_; }  // of value(), its rounding included
  const Doubles& value() const { return value_; }      // empty before the first offer
  const TwofoldVector& twofold() const { return twofold_; }
  const linear::Certificate& certificate() const { return certificate_; }

 private:
  Team& team_;
  Proof proof_;
  double error_bound_ = kInfinity;
  Doubles value_;
  TwofoldVector twofold_;  // the same with all its digits, if it has more
  linear::Certificate certificate_;
};

/// Sweeps of the stored model in doubles, and their proof.
Proof sweep_and_prove(const Problem& problem, ConstVector v, Vector image, Choices& choices) {
  const BellmanSweep sweep = bellman_sweep(problem.mdp, problem.discount, v, image, choices, problem.team);
  const double scale = problem.largest_reward + extent_of(v, problem.team).largest();
  return proof_of(problem, sweep, bellman_error_in_doubles(problem.mdp, scale));
}

// ---- value iteration ----

/// Value iteration whose error is the span of its changes (MacQueen 1966), with a few sweeps of the greedy policy
/// alone between two sweeps of all actions (Puterman & Shin 1978). It suits models that mix fast.
class ValueIteration {
 public:
  ValueIteration(const Problem& problem, Record& record) : problem_(problem), record_(record) {}

  /// Gives up if the first sweeps promise too many more.
  void run() {
    Doubles v(at(problem_.size()), 0.0);
    Doubles image(v.size());
    Choices choices(v.size());
    Index most_policy_sweeps = 0;
    for (;;) {
      const Proof proof = sweep_and_prove(problem_, v, image, choices);
      ++sweeps_;
      problem_.monitor.poll({kName, sweeps_, proof.relative_error(), problem_.tolerance});
      const bool done = proof.meets(problem_.tolerance) || proof.is_best_attainable();
      const double left = done ? 0.0 : sweeps_left(proof);
      if (done || !(left < (sweeps_ == kProbe ? kPatience : kInfinity))) {
        record_.offer(proof, image);
        record_.tell(kName, sweeps_, std::to_string(sweeps_) + (done ? " sweeps" : " sweeps, gave up"));
        return;
      }
      std::swap(v, image);
      if (sweeps_ >= kProbe) most_policy_sweeps += 2;  // the better the policy, the longer it is worth following
      for (Index k = 0; k < most_policy_sweeps && static_cast<double>(k) + 1.0 < left; ++k) {
        policy_sweep(problem_.mdp, problem_.discount, choices, v, image, problem_.team);
        std::swap(v, image);
        ++sweeps_;
      }
    }
  }

 private:
  static constexpr const char* kName = "value iteration";

  /// Sweeps after which the contraction is judged, and how many more it may promise to take.
  static constexpr Index kProbe = 4;
  static constexpr double kPatience = 40.0;

  /// Extrapolates the contraction since the last look; infinite, if there was none.
  double sweeps_left(const Proof& proof) {
    const double needed = std::max(problem_.tolerance * proof.scale, 4.0 * proof.floor);
    const double gained = std::log(last_error_ / proof.error);
    const double left = std::log(proof.error / needed) * static_cast<double>(sweeps_ - last_look_) / gained;
    last_error_ = proof.error;
    last_look_ = sweeps_;
    if (sweeps_ < kProbe) return 0.0;
    return gained > 0.0 ? left : kInfinity;
  }

  const Problem& problem_;
  Record& record_;
  Index sweeps_ = 0;
  Index last_look_ = 0;  // after so many sweeps
  double last_error_ = kInfinity;
};

// ---- inexact policy iteration ----

/// The system (I - gamma P_pi) x = b of a greedy policy.
linear::System system_of(const Problem& problem, const OrderedModel& model, const Choices& choices) {
  return {
      .matrix = model.policy_rows(choices, problem.team),
      .discount = problem.discount,
      .direction = linear::Direction::kForward,
      .conserves = !problem.mdp.can_end(),
      .amplification = 1.0 / problem.w.lower,
      .team = &problem.team,
  };
}

/// Policy iteration whose policies are solved for only as exactly as they deserve: by BiCGSTAB with rough incomplete
/// factors, between sweeps in place. It suits models that are local.
class InexactPolicyIteration {
 public:
  InexactPolicyIteration(const Problem& problem, Record& record)
      : problem_(problem),
        record_(record),
        model_(problem.mdp, problem.team, problem.monitor),
        v_(at(problem.size()), 0.0),
        image_(v_.size()),
        best_(v_.size()),
        choices_(v_.size()) {}

  /// Gives up if several policies in a row gain nothing.
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
  static constexpr Index kSweepsInPlace = 3;

  /// The bound of a better policy may be worse for a while; that of a failed solve is worse by far.
  static constexpr double kBlownUp = 100.0;

  /// Leaves room for what the proof on the model itself adds.
  static constexpr double kSafety = 0.9;

  /// What a sweep of the copy would prove without rounding.
  Proof look() {
    const BellmanSweep sweep = bellman_sweep(model_, problem_.discount, v_, image_, choices_, problem_.team);
    return proof_of(problem_, sweep, 0.0);
  }

  /// v += (I - gamma P_pi)^-1 (T v - v), about, for the greedy policy pi of v; false if pi has no sparse factors.
  bool improve(const Proof& proof) {
    const linear::System system = system_of(problem_, model_, choices_);
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
    model_.undo(best_, v, problem_.team);
    Doubles image(v.size());
    Choices choices(v.size());
    record_.offer(sweep_and_prove(problem_, v, image, choices), image);
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
  Choices choices_;
  Index policies_ = 0;
  Index iterations_ = 0;
};

// ---- policy iteration ----

/// Policy iteration (Howard 1960): every policy is solved for by the portfolio of methods, and improved and proven in
/// twofold precision. It finishes what doubles leave over.
class PolicyIteration {
 public:
  /// A tolerance of 0 asks for the best attainable.
  PolicyIteration(const Problem& problem, double tolerance, Record& record)
      : problem_(problem), tolerance_(tolerance), record_(record), choices_(at(problem.size())) {}

  void run() {
    Doubles image(choices_.size());
    bellman_sweep(problem_.mdp, problem_.discount, record_.value(), image, choices_, problem_.team);
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
    const Doubles policy = policy_of(problem_.mdp, choices_, problem_.monitor);
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
        const Twofold current = q(choices_[s]);
        Twofold best = current;
        Index best_pair = choices_[s];
        for (Index pair = problem_.mdp.first_pair(state); pair < problem_.mdp.first_pair(state + 1); ++pair) {
          const Twofold value = q(pair);
          if (!((value - best).rounded() > 0.0)) continue;
          best = value;
          best_pair = pair;
        }
        if ((best - current).rounded() > doubt) {
          choices_[s] = best_pair;
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
  Choices choices_;
  Index policies_ = 0;
};

// ---- the policy ----

/// Q(s,a) of vectors in doubles, or twofold.
double action_value(const Problem& problem, Index pair, const double* v) {
  return problem.mdp.reward()[at(pair)] + problem.discount * problem.mdp.row(pair).dot(v);
}
Twofold action_value(const Problem& problem, Index pair, const Twofold* v) {
  return twofold_action_value(problem.mdp, problem.discount, pair, v);
}

double difference(double a, double b) { return a - b; }
double difference(Twofold a, Twofold b) { return (a - b).rounded(); }

/// Takes in each state the first action that cannot be told from the best, and returns a bound on what the value of
/// that policy falls short of V* (theory 2.10). Each Q(s,a) is wrong by at most `rounding`; `error` is that of v.
template <class Number>
double choose_policy(const Problem& problem, std::span<const Number> v, double error, double rounding, double spare,
                     Choices& choices) {
  // Actions are told apart by twice the error of Q, unless that would cost the policy more than the tolerance.
  const double indistinct = std::min(2.0 * problem.discount * error, problem.w.lower * std::max(spare, error));
  struct Found {
    double most = -kInfinity;  // of max_a Q - v
    double least = kInfinity;  // of Q(s, pi(s)) - v
    double lost = 0.0;         // by not taking the best action
    double sum = 0.0;          // not finite if anything is not
  };
  std::vector<Found> partial(at(num_blocks(problem.size())));
  problem.team.for_blocks(problem.size(), kBlock, [&](Index first, Index last, Index block) {
    std::vector<Number> q(at(problem.mdp.max_num_actions()));
    Found& found = partial[at(block)];
    for (Index state = first; state < last; ++state) {
      const Index begin = problem.mdp.first_pair(state);
      const Index num_actions = problem.mdp.first_pair(state + 1) - begin;
      std::size_t best = 0;
      for (Index a = 0; a < num_actions; ++a) {
        q[at(a)] = action_value(problem, begin + a, v.data());
        if (difference(q[at(a)], q[best]) > 0.0) best = at(a);
      }
      std::size_t chosen = 0;
      while (chosen < best && difference(q[best], q[chosen]) > indistinct) ++chosen;
      choices[at(state)] = begin + static_cast<Index>(chosen);
      const double above = difference(q[best], v[at(state)]);
      const double below = difference(q[chosen], v[at(state)]);
      found.most = std::max(found.most, above);
      found.least = std::min(found.least, below);
      found.lost = std::max(found.lost, difference(q[best], q[chosen]));
      found.sum += std::fabs(above) + std::fabs(below);
    }
  });
  Found all;
  for (const Found& part : partial) {
    all.most = std::max(all.most, part.most);
    all.least = std::min(all.least, part.least);
    all.lost = std::max(all.lost, part.lost);
    all.sum += part.sum;
  }
  if (!std::isfinite(all.sum)) return kInfinity;
  const double slack = rounding + 2.0 * kUnitRoundoff * std::max(std::fabs(all.most), std::fabs(all.least));
  const double above = distance_to_fixed_point({0.0, std::max(all.most + slack, 0.0)}, problem.w).upper;
  const double below = distance_to_fixed_point({std::min(all.least - slack, 0.0), 0.0}, problem.w).lower;
  const Interval rest = distance_after_sweep({below, above}, problem.w);
  return (rest.upper - rest.lower + all.lost + 4.0 * rounding) * kOutward;
}

/// From what was proven to what is returned.
Plan plan_of(const Problem& problem, const Record& record, double tolerance) {
  const Mdp& mdp = problem.mdp;
  Plan plan;
  plan.value = record.value();
  plan.choices.resize(plan.value.size());
  plan.bounds.value = record.error_bound();
  const double scale = problem.largest_reward + extent_of(plan.value, problem.team).largest();
  const double spare = tolerance * record.proof().scale;
  if (record.twofold().empty()) {
    plan.bounds.policy_value = choose_policy<double>(problem, plan.value, plan.bounds.value,
                                                     bellman_error_in_doubles(mdp, scale), spare, plan.choices);
  } else {
    plan.bounds.policy_value = choose_policy<Twofold>(problem, record.twofold(), record.proof().error,
                                                      bellman_error(mdp, scale), spare, plan.choices);
  }
  const bool rounds = record.twofold().empty();
  if (const auto start = start_value(mdp, rounds ? twofold(plan.value) : record.twofold(),
                                     rounds ? plan.bounds.value : record.proof().error)) {
    plan.start_value = start->value;
    plan.bounds.start_value = start->bound;
  }
  plan.certificate = record.certificate();
  plan.certificate.error_bound = plan.bounds.value;
  plan.certificate.residual = record.proof().residual;
  plan.certificate.converged =
      tolerance == 0.0 ? record.proof().relative_error() <= kSomeDigits : record.meets(tolerance);
  return plan;
}

}  // namespace

Plan solve_discounted(const Mdp& mdp, double discount, const Options& options, Monitor& monitor) {
  mdp.ensure_checked(options.num_threads);
  const Interval w = discount_deficit(mdp, discount);
  Team team(mdp.num_entries() < kWorthATeam ? 1 : options.num_threads);
  const double largest_reward = extent_of(mdp.reward(), team).largest();
  const Problem problem{mdp, discount, w, largest_reward, std::max(options.tolerance, kInDoubles), team, monitor};
  Record record(team);
  ValueIteration(problem, record).run();
  if (!record.meets(problem.tolerance)) InexactPolicyIteration(problem, record).run();
  if (!record.meets(options.tolerance) || mdp.num_states() <= kSmall) {
    PolicyIteration(problem, mdp.num_states() <= kSmall ? 0.0 : options.tolerance, record).run();
  }
  return plan_of(problem, record, options.tolerance);
}

Doubles policy_of(const Mdp& mdp, const Choices& choices, Monitor& monitor) {
  const Index steps = std::ssize(choices) / mdp.num_states();
  Doubles policies;
  policies.reserve(at(steps * mdp.num_pairs()));
  for (Index step = 0; step < steps; ++step) {
    monitor.poll({"writing policies", step});
    policies.resize(at((step + 1) * mdp.num_pairs()), 0.0);
    double* const policy = policies.data() + step * mdp.num_pairs();
    const Index* const taken = choices.data() + step * mdp.num_states();
    for (Index state = 0; state < mdp.num_states(); ++state) policy[taken[state]] = 1.0;
  }
  return policies;
}

}  // namespace rlcore
