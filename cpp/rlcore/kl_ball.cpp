#include "rlcore/kl_ball.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
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
constexpr int kMostShortSteps = 8;

/// log(1 + d) for d >= 0.
double log_one_plus(double d) { return rlcore::log_one_plus(d, 1.0 + d); }

/// log(1 + e^t).
double softplus(double t) { return t > 0.0 ? t + std::log1p(std::exp(-t)) : std::log1p(std::exp(t)); }
double sigmoid(double t) { return t > 0.0 ? 1.0 / (1.0 + std::exp(-t)) : std::exp(t) / (1.0 + std::exp(t)); }

/// The largest power of two that is not above x, so that dividing by it is exact; 2^-1000 for what is smaller.
double power_of_two_below(double x) {
  return std::max(std::bit_cast<double>(std::bit_cast<std::uint64_t>(x) & 0x7FF0000000000000), 0x1p-1000);
}

/// Rows are filled up to a multiple of four actions, which are formed together.
constexpr std::size_t padded(std::size_t count) { return (count + 3) / 4 * 4; }

/// Writes c / (1 + c), c^2 / (1 + c) and phi(c) of every action at a point, one after the other.
RLCORE_INLINE void form_terms(std::size_t count, const double* g, double mean, double x, double* terms) {
  double* const inverse = terms;
  double* const square = inverse + count;
  double* const phi_of = square + count;
  const double per_total = 1.0 / (x + mean);
  for (std::size_t first = 0; first < count; first += 4) {
    for (std::size_t k = first; k < first + 4; ++k) {
      const double c = (g[k] - mean) * per_total;
      const double ratio = (x + g[k]) * per_total;
      inverse[k] = c / ratio;
      square[k] = c * inverse[k];
      phi_of[k] = phi(c, ratio);
    }
  }
}

// Compiled for wide vectors too, and chosen by the machine; the bits are the same either way.
using FormTerms = void (*)(std::size_t, const double*, double, double, double*);
void form_terms_portably(std::size_t count, const double* g, double mean, double x, double* terms) {
  form_terms(count, g, mean, x, terms);
}

#if defined(__GNUC__) && defined(__x86_64__)
[[gnu::target("avx2")]] void form_terms_by_avx2(std::size_t count, const double* g, double mean, double x,
                                                double* terms) {
  form_terms(count, g, mean, x, terms);
}
FormTerms form_terms_for_this_machine() {
  return __builtin_cpu_supports("avx2") != 0 ? form_terms_by_avx2 : form_terms_portably;
}
#else
FormTerms form_terms_for_this_machine() { return form_terms_portably; }
#endif

}  // namespace

// ---- the row ----

void KlBall::reserve(std::size_t num_actions) {
  if (action_.size() >= padded(num_actions)) return;
  action_.resize(padded(num_actions));
  p_.resize(action_.size());
  g_.resize(action_.size());
  terms_.resize(3 * action_.size());
}

void KlBall::read(std::span<const double> p, std::span<const double> advantage, double tie) {
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

  unit_ = power_of_two_below(std::max(top - low, has_outside_ ? lead : 0.0));
  const double per_unit = 1.0 / unit_;
  barrier_ = has_outside_ ? lead * per_unit : 0.0;
  is_far_prepared_ = false;
  reserve(p.size());
  count_ = 0;
  mean_ = top_mass_ = rest_mass_ = variance_ = 0.0;
  for (std::size_t a = 0; a < p.size(); ++a) {
    if (!(p[a] > 0.0)) continue;
    const double share = p[a] / sum;
    const double gap = (top - advantage[a]) * per_unit;
    const double g = gap < kLeastGap ? 0.0 : gap;
    action_[count_] = static_cast<Index>(a);
    p_[count_] = share;
    g_[count_] = g;
    ++count_;
    mean_ += share * g;
    (g > 0.0 ? rest_mass_ : top_mass_) += share;
  }
  for (std::size_t k = count_; k < padded(count_); ++k) p_[k] = g_[k] = 0.0;
  ignored_ = 0.0;
  if (is_flat_) {
    ignored_ = mean_;
    std::fill(g_.begin(), g_.end(), 0.0);
    mean_ = rest_mass_ = 0.0;
    top_mass_ = 1.0;
  }
  for (std::size_t k = 0; k < count_; ++k) variance_ += p_[k] * (g_[k] - mean_) * (g_[k] - mean_);

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

KlPoint KlBall::near_point(double x) {
  form_terms_for_this_machine()(padded(count_), g_.data(), mean_, x, terms_.data());
  const double* const inverse = terms_.data();  // c / (1 + c): what 1 / (1 + c) is less than 1
  const double* const square = inverse + padded(count_);
  const double* const phi_of = square + padded(count_);
  double d = 0.0, phi_mean = 0.0, spread = 0.0;
  for (std::size_t k = 0; k < count_; ++k) {
    d += p_[k] * square[k];
    phi_mean += p_[k] * phi_of[k];
  }
  for (std::size_t k = 0; k < count_; ++k) {  // the variance of 1 / (1 + c), whose mean is 1 + D
    const double deviation = inverse[k] + d;
    spread += p_[k] * deviation * deviation;
  }
  const double total = x + mean_;
  const double log_d = log_one_plus(d);
  const double relative_spread = spread / (1.0 + d);
  KlPoint point;
  point.x = x;
  point.kl = std::max(log_d - phi_mean, 0.0);
  point.price = total / (1.0 + d);
  point.kl_slope = -x / total * relative_spread;
  point.price_slope = x / total * (relative_spread + (1.0 + d));
  point.kl_rounding = 0x1p-50 * log_d;
  return point;
}

void KlBall::prepare_far() {
  if (is_far_prepared_) return;
  is_far_prepared_ = true;
  mean_log_ = mean_inverse_ = 0.0;
  for (std::size_t k = 0; k < count_; ++k) {
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
  point.log_price = std::log(barrier.price) + log_rest;
  point.price = std::exp(point.log_price);
  point.kl_slope = -1.0;  // both as functions of log lambda
  point.price_slope = 1.0;
  return point;
}

KlPoint KlBall::at_level(double level, double start) {
  if (has_outside_) {
    const KlPoint barrier = near_point(barrier_);
    if (barrier.kl <= level) return beyond(barrier, barrier.kl - level);
  }
  // Far out f is nearly -(1 - p1) log x: rows that are almost greedy already go there at once.
  if (!has_outside_ && level > 100.0 * rest_mass_ && near_point(kLeastX).kl < level) {
    prepare_far();
    return at_far_level(level);
  }
  double x = start;
  if (!(x > kLeastX && x > barrier_)) {
    const double gaussian = std::sqrt(variance_ / (2.0 * level));  // x + m, where KL is small
    x = std::max({gaussian - mean_, 0.25 * gaussian, kLeastX, barrier_});
  }
  KlPoint point;
  const auto will_do = [&] { return std::fabs(point.kl - level) <= kLevelTolerance * level + 8.0 * point.kl_rounding; };
  // Where KL is small f^(-1/2) is all but linear in x, and elsewhere f in log x. Once the steps leap, or for too long,
  // a search in a bracket takes over.
  const double root = 1.0 / std::sqrt(level);
  for (int step = 0; step < kMostShortSteps; ++step) {
    point = near_point(x);
    if (will_do()) return point;
    const double along_x = -2.0 * point.kl * (root * std::sqrt(point.kl) - 1.0) / point.kl_slope;
    const double along_log = (level - point.kl) / point.kl_slope;
    const double growth = level < 0.5 ? 1.0 + along_x : along_log > 0.0 ? 1.0 + along_log : 1.0 / (1.0 - along_log);
    if (!(growth > 0x1p-5 && growth < 0x1p5 && x * growth > barrier_ && x * growth > kLeastX)) break;
    x *= growth;
  }
  const double target = straightened(level);
  const double lower = has_outside_ ? std::log(barrier_) : kLogLeastX;
  decreasing_root(std::log(x), lower, kInfinity, [&](double log_x) {
    point = near_point(std::max(std::exp(log_x), barrier_));
    const bool is_least = !has_outside_ && log_x <= kLogLeastX + 1.0;
    if (is_least && point.kl < level) {
      prepare_far();
      point = at_far_level(level);
      return Look{.will_do = true};
    }
    const double step = (target - straightened(point.kl)) / (straightened_slope(point.kl) * point.kl_slope);
    return Look{will_do(), point.kl > level, std::clamp(step, kLogLeastX - log_x + 0.5, 300.0)};
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
  const double log_price = std::min(absolute_log_price - std::log(unit_), kLogMostPrice);
  const double price = std::exp(log_price);
  if (is_flat_) {  // f = 0 and lambda = x
    KlPoint point;
    point.x = std::max(price, barrier_);
    point.price = point.x;
    point.price_slope = 1.0;
    return price >= barrier_ ? point : beyond(point, log_price - std::log(barrier_));
  }
  if (has_outside_) {
    const KlPoint barrier = near_point(barrier_);
    const double log_barrier = std::log(barrier.price);
    if (log_price <= log_barrier) return beyond(barrier, log_price - log_barrier);
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
    for (std::size_t k = 0; k < count_; ++k) {
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
    for (std::size_t k = 0; k < count_; ++k) {
      q[at(action_[k])] = g_[k] == 0.0 ? p_[k] * top : p_[k] / g_[k] * others;
    }
    sum = 1.0;
  } else {
    const double total = point.x + mean_;
    for (std::size_t k = 0; k < count_; ++k) {
      const double weight = p_[k] * (total / (point.x + g_[k]));
      q[at(action_[k])] = weight;
      sum += weight;
    }
  }
  const double scale = std::exp(point.log_rest) / sum;
  // Where p is positive q must be, or KL would be infinite: the least positive number makes it finite, and less than f.
  for (std::size_t k = 0; k < count_; ++k) {
    double& mass = q[at(action_[k])];
    mass = std::max(mass * scale, kLeastPositive);
  }
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
  for (std::size_t k = 0; k < count_; ++k) {
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
  const double roundings = 2.0 * static_cast<double>(count_) + 128.0;
  return (sum * (1.0 + roundings * kUnitRoundoff) + 4.0 * kUnitRoundoff * error + ignored_) * unit_;
}

double KlBall::greedy_bound() const {
  return (mean_ + ignored_ + barrier_) * (1.0 + static_cast<double>(2 * count_ + 16) * kUnitRoundoff) * unit_;
}

double KlBall::tied_bound() const {
  return ignored_ * (1.0 + static_cast<double>(2 * count_ + 16) * kUnitRoundoff) * unit_;
}

}  // namespace rlcore
