#include "rlcore/trust_region.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "rlcore/decreasing_root.hpp"
#include "rlcore/divergence.hpp"
#include "rlcore/kl_ball.hpp"
#include "rlcore/policy.hpp"
#include "rlcore/twofold.hpp"

namespace rlcore {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// How near the shared number must come to its place, relative to what it makes of the states together.
constexpr double kSharedTolerance = 0x1p-44;

/// Prices below this, or relative to smaller coefficients, are divided by way of their logarithms.
constexpr double kLeastPlain = 1e-200;

/// Levels of KL beyond this are no doubles.
constexpr double kLogMostLevel = 709.0;

/// Pairs that are dealt with between two looks at the monitor.
constexpr Index kPortion = Index{1} << 22;

/// A sum in twofold arithmetic, of numbers some of which may be infinite.
class Sum {
 public:
  void add(double term) {
    if (std::isinf(term)) {
      is_infinite_ = true;
      return;
    }
    const Twofold sum = two_sum(sum_, term);
    sum_ = sum.hi;
    rest_ += sum.lo;
  }
  void add(const Sum& other) {
    is_infinite_ = is_infinite_ || other.is_infinite_;
    add(other.sum_);
    rest_ += other.rest_;
  }
  double total() const { return is_infinite_ ? kInfinity : sum_ + rest_; }

 private:
  double sum_ = 0.0;
  double rest_ = 0.0;
  bool is_infinite_ = false;
};

/// What sums over states and their derivatives need: of the numbers and of how they change with the one that is shared.
struct Response {
  Sum value, fall, rounding;
  void include(const Response& other) {
    value.add(other.value);
    fall.add(other.fall);
    rounding.add(other.rounding);
  }
};

/// What a first look at the states tells.
struct Survey {
  Sum spread;  // of w times the standard deviation of A
  Sum lead;    // of w x0 where A is the same on the support
  Sum mass;    // of w
  double most_lead = 0.0;
  double most_gain = 0.0;
  bool any_moves = false;
  bool any_spread = false;
  void include(const Survey& other) {
    spread.add(other.spread);
    lead.add(other.lead);
    mass.add(other.mass);
    most_lead = std::max(most_lead, other.most_lead);
    most_gain = std::max(most_gain, other.most_gain);
    any_moves = any_moves || other.any_moves;
    any_spread = any_spread || other.any_spread;
  }

  /// The logarithm of what the states could gain together, from above; the factors may underflow together.
  double log_most_gain() const { return std::log(mass.total()) + std::log(most_gain) + kMargin; }

 private:
  static constexpr double kMargin = 0x1p-20;  // more than what rounding does to logarithms of doubles
};

/// What the step comes to.
struct Account {
  Sum scale;   // of the magnitudes in the gap
  Sum gap;     // of w (dual bound - Abar)
  Sum kl;      // of w KL of the policy as it is stored, rounded up
  Sum shares;  // of the multipliers
  double most_kl = 0.0;
  double kl_error = 0.0;
  void include(const Account& other) {
    gap.add(other.gap);
    scale.add(other.scale);
    kl.add(other.kl);
    shares.add(other.shares);
    most_kl = std::max(most_kl, other.most_kl);
    kl_error = std::max(kl_error, other.kl_error);
  }
};

/// The row of a state: the old one, the advantages, and the new one.
struct StateRow {
  Index state;
  double weight;
  std::span<const double> p;
  std::span<const double> advantage;
  Vector q;
  Vector change, kl;  // scratch
};

/// What a row that was written is, as it is stored.
struct Stored {
  double kl = 0.0;
  double kl_least = 0.0, kl_most = 0.0;  // the same, rounded down and up
  double abar = 0.0;                     // sum (q - p) A, rounded down
};

class Stepper {
 public:
  Stepper(const OldPolicy& old, Team& team, Monitor& monitor) : old_(old), team_(team), monitor_(monitor) {
    old.mdp.ensure_checked(team.size());
    check_policy(old.mdp, old.policy, team);
    step_.policy.assign(old.policy.begin(), old.policy.end());
    step_.kl.resize(at(old.mdp.num_states()));
    step_.multiplier.resize(at(old.mdp.num_states()));
    start_.resize(at(old.mdp.num_states()));
  }

  TrustRegionStep take() { return std::move(step_); }

  /// Nothing changes, for nothing else is allowed. To rows that would move KL is worth any price.
  void stay() {
    const Survey survey = over_states<Survey>([&](KlBall& ball, const StateRow& row, Survey& sums) {
      ball.read(row.p, row.advantage, old_.tie);
      if (!ball.moves()) return;
      sums.any_moves = true;
      step_.multiplier[at(row.state)] = kInfinity;
    });
    step_.price = survey.any_moves ? kInfinity : 0.0;
  }

  /// Nothing changes, for everything else costs more than it gains. The first little KL is worth any price where A has
  /// a spread, and x0 elsewhere.
  void stay_at_any_price() {
    over_states<Survey>([&](KlBall& ball, const StateRow& row, Survey&) {
      ball.read(row.p, row.advantage, old_.tie);
      if (!ball.moves()) return;
      step_.multiplier[at(row.state)] = ball.has_spread() ? kInfinity : row.weight * ball.outside_lead();
    });
  }

  /// Every row that moves becomes greedy.
  void be_greedy() {
    const Account account = over_states<Account>([&](KlBall& ball, const StateRow& row, Account& sums) {
      ball.read(row.p, row.advantage, old_.tie);
      if (ball.moves()) ball.write_greedy(row.q);
      const Stored stored = measured(row);
      step_.kl[at(row.state)] = ball.moves() ? stored.kl : 0.0;
      book(row, stored, ball.greedy_bound(), step_.kl[at(row.state)], sums);
    });
    close(account, 0.0);
  }

  /// Every state by itself, to KL = radius.
  void to_radius(double radius) {
    const double level = radius * (1.0 - slack_of(radius));
    const Account account = over_states<Account>([&](KlBall& ball, const StateRow& row, Account& sums) {
      ball.read(row.p, row.advantage, old_.tie);
      if (!ball.moves() || !(level > 0.0)) return keep(ball, row, sums);
      const KlPoint point = ball.at_level(level, 0.0);
      ball.write(point, row.q);
      Stored stored = measured(row);
      for (double more = slack_of(radius); stored.kl_most > radius; more *= 2.0) {
        retreat(row, std::max(radius / stored.kl_most - more, 0.0));
        stored = measured(row);
      }
      const double price = ball.price(point);
      step_.kl[at(row.state)] = point.kl;
      step_.multiplier[at(row.state)] = price;
      book(row, stored, ball.dual_bound(point, price) + price * radius * (1.0 + 2.0 * kUnitRoundoff), point.kl, sums);
    });
    close(account, 0.0);
  }

  /// One price for all states, at which the mean of KL is the radius.
  void to_mean(double share, double radius) {
    const Survey survey = look_around();
    if (!survey.any_moves) return to_price(share, radius, -kInfinity);
    const double aim = radius * (1.0 - kSharedTolerance - slack_of(radius));
    // The gain is concave in the radius, and the price its slope: price radius <= gain.
    const double most = std::log(share) + survey.log_most_gain() - std::log(aim);
    double start = std::log(share) + std::log(survey.spread.total()) - 0.5 * std::log(2.0 * radius);
    if (!std::isfinite(start)) start = std::log(survey.most_lead) - 1.0;
    if (!(start > -kInfinity && start < most)) start = most;
    const double log_price = from_sample(start, [&](double from, double tolerance) {
      return decreasing_root(from, -kInfinity, most, [&](double candidate) {
        const Response found = kl_at_price(share, candidate);
        const double kl = found.value.total() * sampled_;
        const bool will_do = std::fabs(kl - aim) <= 0.5 * tolerance * radius + 4.0 * found.rounding.total();
        const double step =
            (straightened(aim) - straightened(kl)) / (straightened_slope(kl) * -found.fall.total() * sampled_);
        return Look{will_do || tells_nothing(kl), kl > aim, step};
      });
    });
    to_price(share, radius, log_price);
  }

  /// One level for all states, at which the prices that they would pay for more sum to the coefficient.
  void to_penalty(double coefficient) {
    const Survey survey = look_around();
    if (!survey.any_spread && survey.lead.total() <= coefficient * (1.0 - kSharedTolerance)) {
      return to_common_level(coefficient, 0.0);
    }
    const double log_coefficient = std::log(coefficient);
    // The gain is concave in the level, and the price its slope: price level <= gain.
    const double most = std::min(survey.log_most_gain() - log_coefficient, kLogMostLevel);
    double start = 2.0 * (std::log(survey.spread.total()) - log_coefficient) - std::log(2.0);
    if (!survey.any_spread) start = std::log(std::log(survey.lead.total()) - log_coefficient);
    if (!(start > -kInfinity && start < most)) start = most;
    const double log_level = from_sample(start, [&](double from, double tolerance) {
      return decreasing_root(from, -kInfinity, most, [&](double candidate) {
        const double level = std::exp(candidate);
        const Response found = price_at_level(level, coefficient, log_coefficient);
        const double relative = found.value.total() * sampled_;  // to the coefficient
        const double miss = std::log(relative);
        const double fall = found.fall.total() * sampled_ / relative * level;  // of log relative with log level
        // The logarithm of the price falls like that of the level at first, and like the level in the end.
        const double along_level = miss / fall;
        const double step = along_level > 0.0 && level > 1.0 ? std::log1p(along_level) : along_level;
        return Look{std::fabs(relative - 1.0) <= 0.5 * tolerance || tells_nothing(relative), relative > 1.0, step};
      });
    });
    to_common_level(coefficient, std::exp(log_level));
  }

 private:
  // ---- passes over the states ----

  /// solve(start, tolerance) for all states, from where it leads with a sample of them if they are many: most passes
  /// are spent on coming near.
  template <class Solve>
  double from_sample(double start, Solve&& solve) {
    constexpr Index kStride = 16;
    constexpr Index kFewestSampled = 4;  // blocks
    constexpr double kRough = 1e-3;
    const Index blocks = num_blocks(old_.mdp.num_states());
    if (blocks >= kFewestSampled * kStride) {
      stride_ = kStride;
      sampled_ = static_cast<double>(blocks) / static_cast<double>((blocks + kStride - 1) / kStride);
      start = solve(start, kRough);
      stride_ = 1;
      sampled_ = 1.0;
    }
    return solve(start, kSharedTolerance);
  }

  /// Whether a sample holds none of the states that count.
  bool tells_nothing(double response) const { return stride_ > 1 && !(response > 0.0); }

  /// Calls visit(ball, row, sums) for every state that is visited, and adds up the sums in a fixed order.
  template <class Sums, class Visit>
  Sums over_states(Visit&& visit) {
    const Mdp& mdp = old_.mdp;
    const Index num_states = mdp.num_states();
    std::vector<Sums> parts(at(num_blocks(num_states)));
    const Index portion = std::max<Index>(1, kPortion / (kBlock * std::max<Index>(1, mdp.num_pairs() / num_states)));
    for (Index done = 0; done < num_states; done += portion * kBlock) {
      monitor_.poll({"trust region", step_.passes, 0.0, 0.0});
      const Index count = std::min(portion * kBlock, num_states - done);
      team_.for_blocks(count, kBlock, [&](Index first, Index last, Index) {
        if ((done + first) / kBlock % stride_ != 0) return;
        KlBall ball;
        Doubles scratch(at(2 * mdp.max_num_actions()));
        Sums& sums = parts[at((done + first) / kBlock)];
        for (Index state = done + first; state < done + last; ++state) {
          const double weight = old_.weight[at(state)];
          if (!(weight > 0.0)) continue;
          const auto pair = at(mdp.first_pair(state));
          const std::size_t num_actions = at(mdp.first_pair(state + 1)) - pair;
          visit(ball,
                StateRow{state, weight, old_.policy.subspan(pair, num_actions),
                         old_.advantage.subspan(pair, num_actions), Vector(step_.policy).subspan(pair, num_actions),
                         Vector(scratch).first(num_actions), Vector(scratch).last(num_actions)},
                sums);
        }
      });
    }
    if (stride_ == 1) ++step_.passes;
    Sums all;
    for (const Sums& part : parts) all.include(part);
    return all;
  }

  Survey look_around() {
    return over_states<Survey>([&](KlBall& ball, const StateRow& row, Survey& sums) {
      ball.read(row.p, row.advantage, old_.tie);
      if (!ball.moves()) return;
      sums.any_moves = true;
      sums.mass.add(row.weight);
      sums.most_lead = std::max(sums.most_lead, ball.outside_lead());
      sums.most_gain = std::max(sums.most_gain, ball.most_gain());
      if (ball.has_spread()) {
        sums.any_spread = true;
        sums.spread.add(row.weight * ball.deviation());
      } else {
        sums.lead.add(row.weight * ball.outside_lead());
      }
    });
  }

  /// sum d KL at a price, and how it falls with the logarithm of the price.
  Response kl_at_price(double share, double log_price) {
    return over_states<Response>([&](KlBall& ball, const StateRow& row, Response& sums) {
      ball.read(row.p, row.advantage, old_.tie);
      if (!ball.moves()) return;
      const KlPoint point = ball.at_price(log_price, start_[at(row.state)]);
      start_[at(row.state)] = point.x;
      const double d = share * row.weight;
      sums.value.add(d * point.kl);
      sums.fall.add(d * -point.kl_slope / point.price_slope);
      sums.rounding.add(d * point.kl_rounding);
    });
  }

  /// sum w lambda / C at a level, and how it falls with the level.
  Response price_at_level(double level, double coefficient, double log_coefficient) {
    return over_states<Response>([&](KlBall& ball, const StateRow& row, Response& sums) {
      ball.read(row.p, row.advantage, old_.tie);
      if (!ball.moves()) return;
      const KlPoint point = ball.at_level(level, start_[at(row.state)]);
      start_[at(row.state)] = point.x;
      const bool is_plain = ball.price(point) > kLeastPlain && coefficient > kLeastPlain;
      const double price =
          row.weight * (is_plain ? ball.price(point) / coefficient : std::exp(ball.log_price(point) - log_coefficient));
      sums.value.add(price);
      sums.fall.add(price * point.price_slope / -point.kl_slope);
    });
  }

  // ---- the last pass ----

  /// How far below the radius, relative to it, to aim, so that a row as it is stored mostly stays within it: rounding
  /// moves KL by about 2 TV ulp, and what is proven of it is a little more.
  double slack_of(double radius) const {
    return std::min(0.25, 0x1p-45 + kl_error(old_.mdp.max_num_actions()) + 8.0 * kUnitRoundoff / std::sqrt(radius));
  }

  /// All states at one price. If rounding has taken the mean of KL beyond the radius, all rows go back a little: KL is
  /// convex along the way.
  void to_price(double share, double radius, double log_price) {
    const double price = std::exp(log_price);
    double part = 1.0;
    Account account;
    for (double more = slack_of(radius);; more *= 2.0) {
      account = over_states<Account>([&](KlBall& ball, const StateRow& row, Account& sums) {
        ball.read(row.p, row.advantage, old_.tie);
        if (!ball.moves()) return keep(ball, row, sums);
        const KlPoint point = ball.at_price(log_price, start_[at(row.state)]);
        ball.write(point, row.q);
        if (part < 1.0) retreat(row, part);
        step_.kl[at(row.state)] = point.kl;
        book(row, measured(row), ball.dual_bound(point, price), point.kl, sums);
      });
      const double kl = share * account.kl.total() * (1.0 + 4.0 * kUnitRoundoff);
      if (kl <= radius) break;
      part *= std::max(radius / kl - more, 0.0);
    }
    step_.price = price;
    close(account, price * radius / share);
  }

  /// All states at one level of KL. Multipliers are taken a little smaller, so that they sum to less than C for
  /// certain.
  void to_common_level(double coefficient, double level) {
    double scale = 1.0 - 2.0 * kSharedTolerance;
    Account account;
    while (true) {
      account = over_states<Account>([&](KlBall& ball, const StateRow& row, Account& sums) {
        ball.read(row.p, row.advantage, old_.tie);
        if (!ball.moves()) return keep(ball, row, sums);
        if (level == 0.0) {
          step_.multiplier[at(row.state)] = row.weight * ball.outside_lead();
          return keep(ball, row, sums);
        }
        const KlPoint point = ball.at_level(level, start_[at(row.state)]);
        ball.write(point, row.q);
        const double price = scale * ball.price(point);
        step_.kl[at(row.state)] = point.kl;
        step_.multiplier[at(row.state)] = row.weight * price;
        sums.shares.add(row.weight * price);
        book(row, measured(row), ball.dual_bound(point, price), point.kl, sums);
      });
      const double total = account.shares.total() * (1.0 + 4.0 * kUnitRoundoff);
      if (total <= coefficient) break;
      scale *= coefficient / total * (1.0 - kSharedTolerance);
    }
    step_.price = coefficient;
    close(account, coefficient * account.most_kl);
  }

  /// A row that stays as it is: what it could gain is less than a tie.
  void keep(const KlBall& ball, const StateRow& row, Account& sums) const {
    sums.gap.add(row.weight * (step_.multiplier[at(row.state)] > 0.0 ? ball.tied_bound() : ball.greedy_bound()));
  }

  /// Goes back to a part of the way from p to q.
  static void retreat(const StateRow& row, double part) {
    for (std::size_t a = 0; a < row.q.size(); ++a) {
      const double there = row.p[a] + part * (row.q[a] - row.p[a]);
      row.q[a] = row.p[a] > 0.0 ? std::max(there, std::numeric_limits<double>::denorm_min()) : std::max(there, 0.0);
    }
  }

  static Stored measured(const StateRow& row) {
    const Index num_actions = ssize(row.p);
    divergence_terms(num_actions, row.p.data(), row.q.data(), row.change.data(), row.kl.data());
    Stored stored;
    double sum = 0.0, mean = 0.0, scale = 0.0;
    for (std::size_t a = 0; a < row.p.size(); ++a) {
      stored.kl += row.kl[a];
      if (row.p[a] > 0.0) {
        sum += row.p[a];
        mean += row.p[a] * row.advantage[a];
      }
      if (row.change[a] == 0.0) continue;
      const double term = row.change[a] * row.advantage[a];
      stored.abar += term;
      scale += std::fabs(term);
    }
    const double roundings = static_cast<double>(num_actions + 4) * kUnitRoundoff;
    stored.kl_least = stored.kl * (1.0 - kl_error(num_actions));
    stored.kl_most = stored.kl * (1.0 + kl_error(num_actions));
    // Other policies sum to 1, and p nearly.
    stored.abar -= roundings * scale + (std::fabs(sum - 1.0) + roundings) * std::fabs(mean);
    return stored;
  }

  /// Enters a row that was written; `bound` is what the dual allows it to gain, `kl` what is reported.
  static void book(const StateRow& row, const Stored& stored, double bound, double kl, Account& sums) {
    sums.gap.add(row.weight * (bound - stored.abar));
    sums.scale.add(row.weight * (bound + std::fabs(stored.abar)));
    sums.kl.add(row.weight * stored.kl_most);
    sums.most_kl = std::max(sums.most_kl, stored.kl_most);
    if (std::isinf(stored.kl)) return;
    const double error = std::max(stored.kl_most - kl, kl - stored.kl_least) * (1.0 + 4.0 * kUnitRoundoff);
    const double underflow = static_cast<double>(row.p.size() + 1) * std::numeric_limits<double>::denorm_min();
    sums.kl_error = std::max(sums.kl_error, error + underflow);
  }

  void close(const Account& account, double constant) {
    const double rounding = 16.0 * kUnitRoundoff * (account.scale.total() + constant);
    step_.dual_gap = std::max(account.gap.total() + constant, 0.0) + rounding;
    step_.kl_error = account.kl_error;
  }

  const OldPolicy& old_;
  Team& team_;
  Monitor& monitor_;
  Doubles start_;         // x of each state, where its next search begins
  Index stride_ = 1;      // one block of states in so many is looked at
  double sampled_ = 1.0;  // all blocks for each that is
  TrustRegionStep step_;
};

}  // namespace

TrustRegionStep max_kl_step(const OldPolicy& old, double radius, Team& team, Monitor& monitor) {
  Stepper stepper(old, team, monitor);
  if (radius == 0.0) {
    stepper.stay();
  } else if (radius == kInfinity) {
    stepper.be_greedy();
  } else {
    stepper.to_radius(radius);
  }
  return stepper.take();
}

TrustRegionStep mean_kl_step(const OldPolicy& old, double share, double radius, Team& team, Monitor& monitor) {
  Stepper stepper(old, team, monitor);
  if (radius == 0.0) {
    stepper.stay();
  } else if (radius == kInfinity) {
    stepper.be_greedy();
  } else {
    stepper.to_mean(share, radius);
  }
  return stepper.take();
}

TrustRegionStep kl_penalty_step(const OldPolicy& old, double coefficient, Team& team, Monitor& monitor) {
  Stepper stepper(old, team, monitor);
  if (coefficient == kInfinity) {
    stepper.stay_at_any_price();
  } else if (coefficient == 0.0) {
    stepper.be_greedy();
  } else {
    stepper.to_penalty(coefficient);
  }
  return stepper.take();
}

}  // namespace rlcore
