#include "rlcore/kl_ball.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "rlcore/decreasing_root.hpp"
#include "rlcore/logarithm.hpp"
#include "rlcore/twofold.hpp"

namespace rlcore {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kLeastPositive = std::numeric_limits<double>::denorm_min();

/// Below this, in units of the row, x is stood for by the odds of the top actions. Gaps below kLeastGap are ties, so
/// that x + g = g for all others there.
constexpr double kLogLeastX = -320.0;
const double kLeastX = std::exp(kLogLeastX);
constexpr double kLeastGap = 0x1p-400;

/// At prices beyond this, in units of the row, nothing moves that doubles could show.
constexpr double kLogMostPrice = 500.0;
const double kMostPrice = std::exp(kLogMostPrice);

/// How near to the level f must come, relative to it and to log(1 + D): what rounding leaves is an eighth of it.
constexpr double kLevelTolerance = 0x1p-47;
constexpr double kPriceTolerance = 0x1p-50;
constexpr int kMostSteps = 100;

/// log(1 + d) for d >= 0.
double log_one_plus(double d) { return rlcore::log_one_plus(d, 1.0 + d); }

/// log(1 + e^t).
double softplus(double t) { return t > 0.0 ? t + std::log1p(std::exp(-t)) : std::log1p(std::exp(t)); }
double sigmoid(double t) { return t > 0.0 ? 1.0 / (1.0 + std::exp(-t)) : std::exp(t) / (1.0 + std::exp(t)); }

}  // namespace

// ---- the row ----

void KlBall::read(std::span<const double> p, std::span<const double> advantage, double tie) {
  num_actions_ = static_cast<Index>(p.size());
  double sum = 0.0, top = -kInfinity, low = kInfinity, outside = -kInfinity;
  for (std::size_t a = 0; a < p.size(); ++a) {
    if (p[a] > 0.0) {
      sum += p[a];
      top = std::max(top, advantage[a]);
      low = std::min(low, advantage[a]);
    } else {
      outside = std::max(outside, advantage[a]);
    }
  }
  const double lead = outside - top;
  has_outside_ = lead > 0.0;
  is_flat_ = top - low <= tie;
  moves_ = !is_flat_ || lead > tie;

  int exponent = 0;
  std::frexp(std::max(top - low, has_outside_ ? lead : 0.0), &exponent);
  unit_ = std::ldexp(1.0, exponent);
  log_unit_ = exponent * 0x1.62e42fefa39efp-1;
  const double per_unit = std::ldexp(1.0, -exponent);
  barrier_ = has_outside_ ? lead * per_unit : 0.0;
  is_far_prepared_ = false;
  action_.clear();
  p_.clear();
  g_.clear();
  mean_ = top_mass_ = rest_mass_ = variance_ = 0.0;
  for (std::size_t a = 0; a < p.size(); ++a) {
    if (!(p[a] > 0.0)) continue;
    const double share = p[a] / sum;
    const double gap = (top - advantage[a]) * per_unit;
    const double g = gap < kLeastGap ? 0.0 : gap;
    action_.push_back(static_cast<Index>(a));
    p_.push_back(share);
    g_.push_back(g);
    mean_ += share * g;
    (g > 0.0 ? rest_mass_ : top_mass_) += share;
  }
  ignored_ = 0.0;
  if (is_flat_) {
    ignored_ = mean_;
    std::fill(g_.begin(), g_.end(), 0.0);
    mean_ = rest_mass_ = 0.0;
    top_mass_ = 1.0;
  }
  for (std::size_t k = 0; k < g_.size(); ++k) variance_ += p_[k] * (g_[k] - mean_) * (g_[k] - mean_);

  const auto first_within_tie = [&](double best, bool any) {
    for (std::size_t a = 0; a < p.size(); ++a) {
      if ((any || !(p[a] > 0.0)) && advantage[a] >= best - tie) return static_cast<Index>(a);
    }
    return Index{-1};
  };
  outside_action_ = has_outside_ ? first_within_tie(outside, false) : -1;
  greedy_action_ = first_within_tie(std::max(top, outside), true);
}

// ---- points ----

KlBall::Spread KlBall::spread_at(double x, bool with_phi) const {
  const double per_total = 1.0 / (x + mean_);
  const std::size_t n = p_.size();
  Spread found;
  for (std::size_t k = 0; k < n; ++k) {
    const double c = (g_[k] - mean_) * per_total;
    found.d += p_[k] * (c / ((x + g_[k]) * per_total) * c);
  }
  for (std::size_t k = 0; k < n; ++k) {
    const double c = (g_[k] - mean_) * per_total;
    const double deviation = c / ((x + g_[k]) * per_total) + found.d;  // of 1 / (1 + c) from its mean 1 + D, negated
    found.variance += p_[k] * deviation * deviation;
  }
  if (with_phi) {
    for (std::size_t k = 0; k < n; ++k) {
      found.phi += p_[k] * phi((g_[k] - mean_) * per_total, (x + g_[k]) * per_total);
    }
  }
  return found;
}

KlPoint KlBall::near_point(double x) const {
  const Spread spread = spread_at(x, true);
  const double total = x + mean_;
  const double log_d = log_one_plus(spread.d);
  KlPoint point;
  point.x = x;
  point.kl = std::max(log_d - spread.phi, 0.0);
  point.price = total / (1.0 + spread.d);
  point.log_price = logarithm(point.price);
  point.kl_slope = -x / total * spread.variance / (1.0 + spread.d);
  point.price_slope = x / total * (spread.variance / (1.0 + spread.d) + (1.0 + spread.d));
  point.kl_rounding = 0x1p-50 * log_d;
  return point;
}

void KlBall::prepare_far() {
  if (is_far_prepared_) return;
  is_far_prepared_ = true;
  mean_log_ = mean_inverse_ = 0.0;
  for (std::size_t k = 0; k < g_.size(); ++k) {
    if (g_[k] == 0.0) continue;
    mean_log_ += p_[k] * std::log(g_[k]);
    mean_inverse_ += p_[k] / g_[k];
  }
}

double KlBall::log_top_mass() const { return rest_mass_ < 0.5 ? std::log1p(-rest_mass_) : std::log(top_mass_); }
/// The odds of the top actions, log(p1 / x) - log(sum p / g): with x + g = g for all others they tell all.
double KlBall::far_odds(double log_x) const { return log_top_mass() - log_x - std::log(mean_inverse_); }
double KlBall::far_log_x(double odds) const { return log_top_mass() - odds - std::log(mean_inverse_); }

KlPoint KlBall::far_point(double odds) const {
  const double log_inverse = std::log(mean_inverse_);
  const double log_x = far_log_x(odds);
  KlPoint point;
  point.odds = odds;
  point.is_far = true;
  // f = sum p log g + p1 log x + log(p1 / x + sum p / g): two forms, in each of which nothing cancels.
  point.kl = odds > 0.0 ? mean_log_ - rest_mass_ * log_x + log_top_mass() + std::log1p(std::exp(-odds))
                        : mean_log_ + top_mass_ * log_x + log_inverse + std::log1p(std::exp(odds));
  point.kl = std::max(point.kl, 0.0);
  point.log_price = -log_inverse - softplus(odds);
  point.price = std::exp(point.log_price);
  point.kl_slope = odds > 0.0 ? sigmoid(-odds) - rest_mass_ : top_mass_ - sigmoid(odds);
  point.price_slope = sigmoid(odds);
  point.kl_rounding = 0x1p-50 * (point.kl + std::fabs(point.log_price) * rest_mass_);
  return point;
}

/// Beyond the barrier: the action outside the support has got all but e^log_rest, and x stays where it is.
KlPoint KlBall::beyond(const KlPoint& barrier, double log_rest) const {
  KlPoint point = barrier;
  point.log_rest = log_rest;
  point.kl = barrier.kl - log_rest;
  point.log_price = barrier.log_price + log_rest;
  point.price = std::exp(point.log_price);
  point.kl_slope = -1.0;  // both as functions of log lambda
  point.price_slope = 1.0;
  return point;
}

KlPoint KlBall::at_level(double level, double start) {
  double lower = kLogLeastX;  // of log x
  if (has_outside_) {
    const KlPoint barrier = near_point(barrier_);
    if (barrier.kl <= level) return beyond(barrier, barrier.kl - level);
    lower = std::log(barrier_);
  }
  double first = std::log(start);
  if (!(first > lower)) {
    const double gaussian = std::sqrt(variance_ / (2.0 * level));  // x + m, where KL is small
    first = std::max(std::log(std::max(gaussian - mean_, 0.25 * gaussian)), lower);
  }
  KlPoint point;
  const double target = straightened(level);
  decreasing_root(first, lower, [&](double log_x) {
    point = near_point(std::exp(log_x));
    const bool is_least = !has_outside_ && log_x <= kLogLeastX + 1.0;
    if (is_least && point.kl < level) {
      prepare_far();
      point = at_far_level(level);
      return Look{.will_do = true};
    }
    const double miss = point.kl - level;
    const double step = (target - straightened(point.kl)) / (straightened_slope(point.kl) * point.kl_slope);
    const bool will_do = std::fabs(miss) <= kLevelTolerance * level + 8.0 * point.kl_rounding;
    return Look{will_do, miss > 0.0, std::clamp(step, kLogLeastX - log_x + 0.5, 300.0)};
  });
  return point;
}

/// f is convex in the odds here, and grows from somewhere below the level to above it.
KlPoint KlBall::at_far_level(double level) const {
  double odds = far_odds(kLogLeastX);
  KlPoint point = far_point(odds);
  for (int step = 0; step < kMostSteps; ++step) {
    const double miss = level - point.kl;
    if (std::fabs(miss) <= kLevelTolerance * level + 8.0 * point.kl_rounding) break;
    const double before = odds;
    odds += std::min(miss / std::max(-point.kl_slope, kLeastPositive), std::numeric_limits<double>::max());
    if (odds == before) break;
    point = far_point(odds);
  }
  return point;
}

KlPoint KlBall::at_price(double absolute_log_price, double start) {
  const double log_price = std::min(absolute_log_price - log_unit_, kLogMostPrice);
  const double price = std::exp(log_price);
  if (is_flat_) {  // f = 0 and lambda = x
    KlPoint point;
    point.x = std::max(price, barrier_);
    point.price = point.x;
    point.log_price = price >= barrier_ ? log_price : std::log(barrier_);
    point.price_slope = 1.0;
    return price >= barrier_ ? point : beyond(point, log_price - point.log_price);
  }
  if (has_outside_) {
    const KlPoint barrier = near_point(barrier_);
    if (log_price <= barrier.log_price) return beyond(barrier, log_price - barrier.log_price);
  } else if (!(price * top_mass_ > kLeastX)) {
    prepare_far();
    const double excess = -std::log(mean_inverse_) - log_price;  // log(1 + e^odds)
    const double odds = excess > 40.0 ? excess : std::log(std::expm1(std::max(excess, kLeastPositive)));
    if (odds >= far_odds(kLogLeastX)) return far_point(odds);
  }
  return near_point(std::max(x_of_price(price, start), has_outside_ ? barrier_ : kLeastX));
}

/// Solves 1 / lambda = sum p / (x + g). Newton in x stays left of the root, for lambda is concave in x; Newton in 1 / x
/// stays right of it, for 1 / lambda is concave in 1 / x. The first is nearly linear for large x, the second for small
/// x.
double KlBall::x_of_price(double price, double start) const {
  const double least = std::max(price - mean_, top_mass_ * price);  // lambda <= x + m, and lambda <= x / p1
  double x = start > 0.0 && start <= price ? start : least;
  for (int step = 0; step < kMostSteps; ++step) {
    double first = 0.0, second = 0.0;  // sum p x / (x + g), sum p x^2 / (x + g)^2
    for (std::size_t k = 0; k < p_.size(); ++k) {
      const double part = x / (x + g_[k]);
      const double term = p_[k] * part;
      first += term;
      second += term * part;
    }
    const double miss = price - x / first;
    if (std::fabs(miss) <= kPriceTolerance * price) break;
    double next = 0.0;
    if (price > mean_) {
      next = std::max(x + miss * (first * first / second), least);
    } else {
      // The model sum p / (x + g) = pole / x + rest, here with the pole at second.
      const double rest = (first - second) / x * price;
      next = rest < 1.0 ? std::min(second * price / (1.0 - rest), price) : price;
    }
    if (std::fabs(next - x) <= kUnitRoundoff * x) break;
    x = next;
  }
  return x;
}

// ---- rows ----

void KlBall::write(const KlPoint& point, Vector q) const {
  std::fill(q.begin(), q.end(), 0.0);
  double sum = 0.0;
  if (point.is_far) {
    const double top = sigmoid(point.odds) / top_mass_;
    const double others = sigmoid(-point.odds) / mean_inverse_;
    for (std::size_t k = 0; k < p_.size(); ++k) {
      q[at(action_[k])] = g_[k] == 0.0 ? p_[k] * top : p_[k] / g_[k] * others;
    }
    sum = 1.0;
  } else {
    const double total = point.x + mean_;
    for (std::size_t k = 0; k < p_.size(); ++k) {
      const double weight = p_[k] * (total / (point.x + g_[k]));
      q[at(action_[k])] = weight;
      sum += weight;
    }
  }
  const double scale = std::exp(point.log_rest) / sum;
  // Where p is positive q must be, or KL would be infinite: the least positive number makes it finite, and less than f.
  for (const Index a : action_) q[at(a)] = std::max(q[at(a)] * scale, kLeastPositive);
  if (point.log_rest < 0.0) q[at(outside_action_)] = -std::expm1(point.log_rest);
}

void KlBall::write_greedy(Vector q) const {
  std::fill(q.begin(), q.end(), 0.0);
  q[at(greedy_action_)] = 1.0;
}

// ---- weak duality ----

double KlBall::dual_bound(const KlPoint& point, double price) const {
  // For any lambda > 0 and nu = top + x not below any A: max_q sum (q - p) A - lambda KL(p || q) is at most
  // lambda sum p phi(e), 1 + e = (x + g) / lambda.
  const double lambda = std::min(price / unit_, kMostPrice);  // less only makes the bound larger
  if (!(lambda > kLeastX)) return greedy_bound();
  const double x = point.x;  // 0 where it stands for a number that is too small
  const double y = x - lambda;
  double sum = 0.0, error = 0.0;
  for (std::size_t k = 0; k < p_.size(); ++k) {
    const double t = y + g_[k];
    const double ratio = (x + g_[k]) / lambda;
    const double e = t / lambda;
    const double size = std::fabs(e);
    if (ratio == 0.0) {
      const double log_ratio = far_log_x(point.odds) - std::log(lambda);
      sum += p_[k] * lambda * (-1.0 - log_ratio);
      error += p_[k] * lambda * (8.0 + std::fabs(log_ratio));
      continue;
    }
    sum += p_[k] * (ratio > 2.0 ? t - lambda * std::log(ratio) : lambda * phi(e, ratio));
    error += p_[k] * size / ratio * std::fabs(y);
    if (size > 0.25) error += 4.0 * p_[k] * lambda * (1.0 + size + size / ratio);
  }
  const double roundings = 2.0 * static_cast<double>(p_.size()) + 128.0;
  return (sum * (1.0 + roundings * kUnitRoundoff) + 4.0 * kUnitRoundoff * error + ignored_) * unit_;
}

double KlBall::greedy_bound() const {
  return (mean_ + ignored_ + barrier_) * (1.0 + static_cast<double>(2 * p_.size() + 16) * kUnitRoundoff) * unit_;
}

double KlBall::tied_bound() const {
  return ignored_ * (1.0 + static_cast<double>(2 * p_.size() + 16) * kUnitRoundoff) * unit_;
}

}  // namespace rlcore
