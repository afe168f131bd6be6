#include "rlcore/planning.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string>
#include <cstdio>
#include <cstdlib>
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

/// The problem, and what all methods need to know of it.
struct Problem {
  const Mdp& mdp;
  double discount;
  Interval w;  // encloses 1 - discount * row sum
  double largest_reward;
  double tolerance;
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

  bool meets(double tolerance) const { return error + kUnitRoundoff * norm <= tolerance * norm; }
};

/// From the extents of T v and T v - v, each number of which is wrong by at most `rounding`.
Proof proof_of(const BellmanSweep& sweep, double rounding, Interval w) {
  if (!sweep.value.finite() || !sweep.change.finite()) return {};
  const double slack = rounding + kUnitRoundoff * sweep.change.largest();
  const Interval distance = distance_to_fixed_point({sweep.change.lower - slack, sweep.change.upper + slack}, w);
  const Interval rest = distance_after_sweep(distance, w);
  const double shift = rest.lower / 2.0 + rest.upper / 2.0;
  const double width = std::max(rest.upper - shift, shift - rest.lower);
  const double norm = std::max(std::fabs(sweep.value.lower + shift), std::fabs(sweep.value.upper + shift));
  return {(width + rounding) * kOutward, shift, norm, sweep.change.largest() + slack, (slack / w.lower) * kOutward};
}

/// The best vector that was proven so far, and how it was found.
class Record {
 public:
  explicit Record(const Problem& problem) : problem_(problem) {}

  /// Keeps T v, moved by the shift of its proof, if the proof is the best.
  void offer(const Proof& proof, ConstVector image) {
    if (!(proof.error < proof_.error)) return;
    proof_ = proof;
    twofold_.clear();
    value_.resize(image.size());
    problem_.team.for_blocks(ssize(image), kBlock, [&](Index first, Index last, Index) {
      for (auto i = at(first); i < at(last); ++i) value_[i] = image[i] + proof.shift;
    });
  }

  /// The same of a twofold vector.
  void offer(const Proof& proof, const TwofoldVector& image) {
    if (!(proof.error < proof_.error)) return;
    proof_ = proof;
    twofold_.resize(image.size());
    for (std::size_t i = 0; i < image.size(); ++i) twofold_[i] = image[i] + proof.shift;
    value_ = rounded(twofold_);
  }

  void tell(std::string_view method, Index iterations, std::string_view how) {
    certificate_.iterations += iterations;
    certificate_.method = method;
    certificate_.story += std::string(method) + ": " + std::to_string(iterations) + " " + std::string(how) +
                          ", proven relative error " +
                          format_briefly(proof_.norm > 0.0 ? proof_.error / proof_.norm : proof_.error) + "\n";
  }

  bool meets(double tolerance) const { return tolerance > 0.0 && proof_.meets(tolerance); }
  const Proof& proof() const { return proof_; }
  ConstVector value() const { return value_; }
  const TwofoldVector& twofold() const { return twofold_; }
  linear::Certificate& certificate() { return certificate_; }

 private:
  const Problem& problem_;
  Proof proof_;
  Doubles value_;
  TwofoldVector twofold_;  // the same with all its digits, if it has more
  linear::Certificate certificate_;
};

/// Sweeps of the stored model in doubles, and their proof.
Proof sweep_and_prove(const Problem& problem, ConstVector v, Vector image, Choices& choices) {
  const BellmanSweep sweep = bellman_sweep(problem.mdp, problem.discount, v, image, choices, problem.team);
  const double scale = problem.largest_reward + extent_of(v, problem.team).largest();
  return proof_of(sweep, bellman_error_in_doubles(problem.mdp, scale), problem.w);
}

// ---- value iteration ----

/// Value iteration whose error is the span of its changes (MacQueen 1966), with a few sweeps of the greedy policy
/// alone between two sweeps of all actions (Puterman & Shin 1978). It suits models that mix fast.
class ValueIteration {
 public:
  ValueIteration(const Problem& problem, Record& record) : problem_(problem), record_(record) {}

  /// False if it promises to take too long; with `stubborn`, if it gains nothing any more.
  bool run(bool stubborn) {
    const Index size = problem_.size();
    Doubles v(at(size), 0.0);
    Doubles image(at(size));
    Choices choices(at(size));
    if (!record_.value().empty()) std::copy(record_.value().begin(), record_.value().end(), v.begin());
    for (;;) {
      const Proof proof = sweep_and_prove(problem_, v, image, choices);
      ++sweeps_;
      history_.push_back(proof.error);
      problem_.monitor.poll({"value iteration", sweeps_, proof.error / proof.norm, problem_.tolerance});
      const bool goes_on = !proof.meets(problem_.tolerance) && (stubborn ? still_contracts() : contracts_in_time(proof));
      if (!goes_on) {
        record_.offer(proof, image);
        return tell();
      }
      std::swap(v, image);
      for (Index k = 0; history_.size() >= kProbe && k < kPolicySweeps; ++k) {
        policy_sweep(problem_.mdp, problem_.discount, choices, v, image, problem_.team);
        std::swap(v, image);
      }
    }
  }

 private:
  static constexpr std::size_t kProbe = 6;
  static constexpr Index kPolicySweeps = 4;
  static constexpr double kPatience = 40.0;
  static constexpr std::size_t kWindow = 200;

  /// Extrapolates the contraction of the last sweeps.
  bool contracts_in_time(const Proof& proof) const {
    if (history_.size() < kProbe) return true;
    const double rate = std::pow(history_.back() / history_[history_.size() - 4], 1.0 / 3.0);
    if (!(rate < 1.0)) return false;
    const double needed = std::max(problem_.tolerance * proof.norm, 4.0 * proof.floor);
    return std::log(needed / history_.back()) / std::log(rate) < kPatience;
  }

  bool still_contracts() const {
    if (history_.size() <= kWindow) return true;
    return history_.back() < (1.0 - 1e-6) * history_[history_.size() - 1 - kWindow];
  }

  bool tell() {
    const bool met = record_.meets(problem_.tolerance);
    record_.tell("value iteration", sweeps_, met ? "sweeps" : "sweeps, gave up");
    return met;
  }

  const Problem& problem_;
  Record& record_;
  Index sweeps_ = 0;
  Doubles history_;  // of proven errors
};

// ---- inexact policy iteration ----

/// The system (I - gamma P_pi) x = b of a greedy policy.
linear::System system_of(const Problem& problem, const OrderedModel& model, const Choices& choices) {
  linear::System system{
      .matrix = {},
      .discount = problem.discount,
      .direction = linear::Direction::kForward,
      .conserves = !problem.mdp.can_end(),
      .amplification = 1.0 / problem.w.lower,
      .team = &problem.team,
  };
  CsrMatrix& matrix = system.matrix;
  matrix = CsrMatrix(model.num_states(), model.num_entries());
  std::vector<Index> entries(at(num_blocks(model.num_states())));
  problem.team.for_blocks(model.num_states(), kBlock, [&](Index first, Index last, Index block) {
    Index place = model.first_entry(model.first_pair(first));
    const Index begin = place;
    for (Index state = first; state < last; ++state) {
      const Row row = model.row(choices[at(state)]);
      matrix.first[state] = place;
      matrix.length[state] = static_cast<std::int32_t>(row.length);
      std::copy_n(row.column, row.length, matrix.column.data() + place);
      std::copy_n(row.probability, row.length, matrix.value.data() + place);
      place += row.length;
    }
    entries[at(block)] = place - begin;
  });
  for (const Index count : entries) matrix.num_entries += count;
  return system;
}

/// Policy iteration whose policies are solved for only as exactly as they deserve: by BiCGSTAB with rough incomplete
/// factors, between sweeps in place. It suits models that are local.
class InexactPolicyIteration {
 public:
  InexactPolicyIteration(const Problem& problem, Record& record)
      : problem_(problem),
        record_(record),
        model_(problem.mdp, problem.team),
        v_(at(problem.size()), 0.0),
        image_(v_.size()),
        choices_(v_.size()) {}

  bool run() {
    Doubles best(v_.size());
    Proof best_proof;
    for (Index policy = 0; policy < kMostPolicies; ++policy) {
      for (Index k = 0; k < kSweepsInPlace; ++k) bellman_sweep_in_place(model_, problem_.discount, true, v_);
      const Proof proof = look();
      problem_.monitor.poll({kName, policy, proof.error / proof.norm, problem_.tolerance});
      if (getenv("RL_DEBUG")) fprintf(stderr, "policy %ld error %g norm %g residual %g\n", (long)policy, proof.error, proof.norm, proof.residual);
      if (proof.meets(kSafety * problem_.tolerance)) return conclude(policy);
      if (!(proof.error < best_proof.error)) {
        return conclude(policy);
      }
      best = v_;
      best_proof = proof;
      improve(proof);
    }
    return conclude(kMostPolicies);
  }

 private:
  static constexpr const char* kName = "policy iteration, inexact";
  static constexpr Index kMostPolicies = 60;
  static constexpr Index kSweepsInPlace = 3;
  static constexpr double kSafety = 0.9;

  /// A sweep of the copy.
  Proof look() {
    const BellmanSweep sweep = bellman_sweep(model_, problem_.discount, v_, image_, choices_, problem_.team);
    return proof_of(sweep, 0.0, problem_.w);
  }

  /// v += (I - gamma P_pi)^-1 (T v - v), about, for the greedy policy pi of v.
  void improve(const Proof& proof) {
    const linear::System system = system_of(problem_, model_, choices_);
    const auto factors = linear::IncompleteLu::factorise(system, linear::kRoughFactors, problem_.monitor);
    Doubles b(v_.size());
    problem_.team.for_blocks(ssize(b), kBlock, [&](Index first, Index last, Index) {
      for (auto i = at(first); i < at(last); ++i) b[i] = image_[i] - v_[i];
    });
    Doubles x(v_.size());
    const double initial = system.residual_norm(b);
    const double target = problem_.tolerance * proof.norm * problem_.w.lower;
    const linear::Goal goal{.tolerance = 0.0, .known = 0.0, .initial = initial, .amplification = system.amplification,
                            .enough = std::max(0.3 * target, std::min(1e3 * target, 0.01 * initial))};
    const std::array lanes{linear::Lane{b, x, goal}};
    const linear::Operator<double> a{[&](ConstVector y, Vector z) { system.apply(y, z); },
                                     [&](ConstVector c, ConstVector y, Vector r) { system.residual(c, y, r); }};
    const auto outcome = linear::Bicgstab<double>(system, a, kName, &*factors, lanes).solve(problem_.monitor);
    if (getenv("RL_DEBUG")) fprintf(stderr, "   solve initial %g enough %g: %ld iterations %d\n", initial, goal.enough, (long)outcome.front().iterations, outcome.front().gave_up);
    iterations_ += outcome.front().iterations;
    problem_.team.for_blocks(ssize(b), kBlock, [&](Index first, Index last, Index) {
      for (auto i = at(first); i < at(last); ++i) v_[i] += x[i];
    });
  }

  /// Proves what was found on the model itself.
  bool conclude(Index policies) {
    Doubles v(v_.size());
    model_.undo(v_, v, problem_.team);
    Doubles image(v_.size());
    Choices choices(v_.size());
    record_.offer(sweep_and_prove(problem_, v, image, choices), image);
    record_.tell(kName, iterations_, "iterations for " + std::to_string(policies) + " policies");
    return record_.meets(problem_.tolerance);
  }

  const Problem& problem_;
  Record& record_;
  OrderedModel model_;
  Doubles v_, image_;
  Choices choices_;
  Index iterations_ = 0;
};

// ---- the policy ----

/// Takes in each state the first action that cannot be told from the best, and bounds what that may cost.
void choose_policy(const Problem& problem, const Record& record, Plan& plan) {
  const Mdp& mdp = problem.mdp;
  const ConstVector v = plan.value;
  const double rounding = bellman_error_in_doubles(mdp, problem.largest_reward + extent_of(v, problem.team).largest());
  const double slack = std::min(2.0 * problem.discount * plan.bounds.value,
                                problem.w.lower * std::max(problem.tolerance * record.proof().norm, plan.bounds.value));
  struct Found {
    Extent best, chosen;
    double lost = 0.0;
  };
  std::vector<Found> partial(at(num_blocks(problem.size())));
  plan.choices.resize(v.size());
  problem.team.for_blocks(problem.size(), kBlock, [&](Index first, Index last, Index block) {
    Doubles q(at(mdp.max_num_actions()));
    for (Index state = first; state < last; ++state) {
      const Index begin = mdp.first_pair(state);
      const Index end = mdp.first_pair(state + 1);
      double best = -kInfinity;
      for (Index pair = begin; pair < end; ++pair) {
        q[at(pair - begin)] = mdp.reward()[at(pair)] + problem.discount * mdp.row(pair).dot(v.data());
        best = std::max(best, q[at(pair - begin)]);
      }
      Index chosen = begin;
      while (q[at(chosen - begin)] < best - slack) ++chosen;
      plan.choices[at(state)] = chosen;
      Found& found = partial[at(block)];
      found.best.include(best - v[at(state)]);
      found.chosen.include(q[at(chosen - begin)] - v[at(state)]);
      found.lost = std::max(found.lost, best - q[at(chosen - begin)]);
    }
  });
  Found all;
  for (const Found& part : partial) {
    all.best.include(part.best);
    all.chosen.include(part.chosen);
    all.lost = std::max(all.lost, part.lost);
  }
  const double above = rounding + kUnitRoundoff * all.best.largest();
  const double below = rounding + kUnitRoundoff * all.chosen.largest();
  const double most = distance_to_fixed_point({0.0, all.best.upper + above}, problem.w).upper;
  const double least = distance_to_fixed_point({all.chosen.lower - below, 0.0}, problem.w).lower;
  const Interval rest = distance_after_sweep({least, most}, problem.w);
  plan.bounds.policy_value = (rest.upper - rest.lower + all.lost + 2.0 * rounding) * kOutward;
}

}  // namespace

Plan solve_discounted(const Mdp& mdp, double discount, const Options& options, Monitor& monitor) {
  mdp.ensure_checked(options.num_threads);
  const Interval w = discount_deficit(mdp, discount);
  Team team(mdp.num_entries() < kParallelEntries ? 1 : options.num_threads);
  const Problem problem{mdp, discount, w, extent_of(mdp.reward(), team).largest(), options.tolerance, team, monitor};
  Record record(problem);
  if (!ValueIteration(problem, record).run(false)) InexactPolicyIteration(problem, record).run();
  Plan plan;
  plan.value.assign(record.value().begin(), record.value().end());
  plan.bounds.value = (record.proof().error + kUnitRoundoff * record.proof().norm) * kOutward;
  choose_policy(problem, record, plan);
  if (const std::optional<Bounded> start = start_value(mdp, twofold(plan.value), plan.bounds.value)) {
    plan.start_value = start->value;
    plan.bounds.start_value = start->bound;
  }
  plan.certificate = std::move(record.certificate());
  plan.certificate.error_bound = plan.bounds.value;
  plan.certificate.residual = record.proof().residual;
  plan.certificate.converged = record.meets(options.tolerance);
  return plan;
}

Doubles policy_of(const Mdp& mdp, const Choices& choices) {
  Doubles policy(at(mdp.num_pairs()), 0.0);
  for (const Index pair : choices) policy[at(pair)] = 1.0;
  return policy;
}

}  // namespace rlcore
