#include "rlcore/long_run/renewal.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace rlcore {
namespace {

using linear::Direction;

/// Covers the roundings of a few operations on bounds.
constexpr double kOutward = 1.0 + 64.0 * kUnitRoundoff;

/// What must be left of the L1 distance from stationarity for the anchor to be chosen.
constexpr double kRough = 1e-2;

/// How much of 1 the residual of the time to the anchor may be.
constexpr double kNearEnough = 0.25;

/// How much of what is asked for a solve aims at: proofs are a little larger than estimates.
constexpr double kAim = 0.4;

/// A correction that does not cut the proven error by this factor is the last.
constexpr double kWorthwhile = 0.1;

/// What the best attainable must be for an answer to be given: where it is worse, cycles may do better.
constexpr double kBest = 0x1p-44;

/// How much of the tolerance of h its mean may use up: it is found in passing, or by a few steps.
constexpr double kPartOfMean = 0.25;

}  // namespace

Renewal::Renewal(const Chain& chain, CsrMatrix transition, Team& team, Monitor& monitor)
    : chain_(chain), team_(team), running_(chain, std::move(transition), team, monitor) {}

/// From the uniform distribution on, until the state that is visited most is known.
bool Renewal::find_anchor() {
  if (anchor_ >= 0) return horizon_.w.lower > 0.0;
  const auto size = at(chain_.size());
  const Doubles uniform(size, 1.0 / static_cast<double>(size));
  Doubles moved(size);
  Doubles correction(size);
  running_.system(Direction::kTransposed).residual(Doubles(size, 0.0), uniform, moved);
  if (!running_.solve(Direction::kTransposed, moved, kRough, correction)) return false;
  d_.assign(size, {uniform.front()});
  correct(correction);
  anchor_ = std::max_element(d_.begin(), d_.end(), [](Twofold a, Twofold b) { return a.hi < b.hi; }) - d_.begin();
  return find_time_to_anchor();
}

/// d + correction, and what is less than nothing is nothing.
void Renewal::correct(ConstVector correction) {
  for_states([&](std::size_t i) {
    d_[i] = d_[i] + correction[i];
    if (!(d_[i].hi > 0.0)) d_[i] = {};
  });
}

bool Renewal::find_time_to_anchor() {
  const auto size = at(chain_.size());
  Doubles visits(size, 0.0);
  visits[at(anchor_)] = 1.0;
  Doubles bias(size);
  if (!running_.solve(Direction::kForward, visits, kNearEnough * d_[at(anchor_)].hi, bias)) return false;
  const linear::System& p = running_.system(Direction::kForward);
  Doubles& gain = visits;
  p.residual(visits, bias, gain);  // in place
  const double least_gain = extent_of(gain, team_).lower;
  if (!(least_gain > 0.0)) return false;

  const double most = extent_of(bias, team_).upper;
  TwofoldVector t(size);
  for_states([&](std::size_t i) { t[i] = {(most - bias[i]) / least_gain}; });
  t[at(anchor_)] = {};
  double until_return = 1.0;
  const CsrMatrix& m = p.matrix;
  for (Index k = m.first[anchor_]; k < m.first[anchor_] + m.length[anchor_]; ++k) {
    until_return += m.value[k] * t[at(m.column[k])].hi;
  }
  t[at(anchor_)] = {until_return};

  std::vector<char> stops(size, 0);
  stops[at(anchor_)] = 1;
  kernel_.emplace(chain_, std::move(stops), team_);
  Doubles left(size);
  horizon_ = linear::horizon_of(*kernel_, std::move(t), left, team_);
  return horizon_.w.lower > 0.0;
}

std::optional<linear::Solution> Renewal::stationary(double tolerance) {
  if (!find_anchor()) return std::nullopt;
  const auto s = at(anchor_);
  Doubles residual(d_.size());
  Doubles correction(d_.size());
  running_.system(Direction::kTransposed).residual(Doubles(d_.size(), 0.0), rounded(d_, team_), residual);
  double before = std::numeric_limits<double>::infinity();
  while (true) {
    // Nothing comes or goes: what is missing elsewhere is at the anchor.
    residual[s] = 0.0;
    TwofoldSum elsewhere;
    for (const double part : residual) elsewhere.add_product({part}, 1.0);
    residual[s] = -elsewhere.total().hi;
    const double enough = kAim * tolerance * horizon_.w.lower / horizon_.most;
    if (!running_.solve(Direction::kTransposed, residual, enough, correction)) return std::nullopt;
    correct(correction);

    linear::RightSide start{twofold_vector(chain_.size())};
    start.value[s] = d_[s];
    const linear::Proof proof = linear::prove(*kernel_, horizon_, Direction::kTransposed, linear::Arithmetic::kTwofold,
                                              start, d_, residual, team_);
    TwofoldSum sum;
    for (const Twofold& share : d_) sum.add_product(share, 1.0);
    const Twofold total = sum.total();
    const double summing = dot_error(chain_.size()) + 0x1p-90;
    const double relative = 2.0 * (proof.error + summing * total.hi) / total.hi * kOutward;
    const double error = relative / std::max(1.0 - relative, 0x1p-1000) * kOutward;
    const bool met = error <= (tolerance > 0.0 ? tolerance : kBest);
    const bool helps = error <= kWorthwhile * before;
    if (!met && !helps) return std::nullopt;
    if (met && (tolerance > 0.0 || !helps)) {
      linear::Solution solution{TwofoldVector(d_.size()), certificate(error, proof.residual)};
      for_states([&](std::size_t i) { solution.x[i] = quotient(d_[i], total); });
      return solution;
    }
    before = error;
  }
}

/// Of a b that is right to `error`: corrects h until half the span of its residual is at most `tolerance` times `norm`
/// of the extent of h; or, if the tolerance is 0, for as long as that helps. False if it cannot be had.
template <class Norm>
bool Renewal::mend(Poisson& poisson, const TwofoldVector& b, double error, double tolerance, Norm&& norm) {
  auto& [h, gain, half_span, bias_of_h] = poisson;
  const double scale = extent_of(b, team_).largest();
  TwofoldVector above_gain(h.size());
  Doubles residual(h.size());
  Doubles correction(h.size());
  Doubles its_bias(bias_of_h.size());
  double before = std::numeric_limits<double>::infinity();
  while (true) {
    const Extent of_h = extent_of(h, team_);
    for_states([&](std::size_t i) { above_gain[i] = b[i] - gain.value; });
    if (of_h.largest() > 0.0) {
      kernel_->residual(Direction::kForward, above_gain, h, residual, team_);
    } else {
      for_states([&](std::size_t i) { residual[i] = above_gain[i].hi; });
    }
    const Extent found = extent_of(residual, team_);
    if (!found.finite() || !of_h.finite()) return false;
    const double middle = (found.lower + found.upper) / 2.0;
    const double size = 2.0 * scale + std::fabs(gain.value.hi) + of_h.largest();
    const double slack =
        kernel_->residual_error(Direction::kForward, size) + error + kUnitRoundoff * found.largest() + 0x1p-98 * size;
    half_span = ((found.upper - found.lower) / 2.0 + slack) * kOutward;
    gain = {gain.value + middle, half_span + 0x1p-98 * size};
    const double allowed = norm(of_h);
    const bool met = half_span <= (tolerance > 0.0 ? tolerance : kBest) * allowed;
    const bool helps = half_span <= kWorthwhile * before;
    if (!met && !helps) return false;
    if (met && (tolerance > 0.0 || !helps)) return true;
    before = half_span;
    for_states([&](std::size_t i) { residual[i] -= middle; });
    if (!running_.solve(Direction::kForward, residual, kAim * tolerance * allowed, correction, its_bias)) return false;
    const double level = correction[at(anchor_)];
    for_states([&](std::size_t i) { h[i] = h[i] + (Twofold{correction[i]} - level); });
    if (!bias_of_h.empty()) for_states([&](std::size_t i) { bias_of_h[i] += its_bias[i]; });
  }
}

std::optional<Renewal::Earnings> Renewal::earnings(const linear::RightSide& reward, double tolerance) {
  if (!find_anchor()) return std::nullopt;
  const double scale = extent_of(reward.value, team_).largest();
  const double amplification = 2.0 * horizon_.amplification() * kOutward;
  Poisson poisson{twofold_vector(chain_.size())};
  poisson.bias_of_h.resize(d_.size());
  const auto norm = [&](const Extent& h) { return std::max((h.upper - h.lower) / 2.0, scale) / amplification; };
  if (!mend(poisson, reward.value, reward.error, tolerance, norm)) return std::nullopt;
  const double error = poisson.half_span * amplification * kOutward;
  Earnings earnings{poisson.gain, {}, {}};
  if (running_.mixes()) earnings.mean_above = mean(poisson.h, poisson.bias_of_h, kPartOfMean * tolerance);
  earnings.above = {std::move(poisson.h), certificate(error, poisson.half_span)};
  return earnings;
}

/// d'h, the gain of earning h, relative to the largest h.
std::optional<Renewal::Gain> Renewal::mean(const TwofoldVector& h, ConstVector bias_of_h, double tolerance) {
  Poisson poisson{twofold_vector(chain_.size())};
  const double level = bias_of_h[at(anchor_)];
  for_states([&](std::size_t i) { poisson.h[i] = {bias_of_h[i] - level}; });
  const double largest = extent_of(h, team_).largest();
  if (!mend(poisson, h, 0.0, tolerance, [&](const Extent&) { return largest; })) return std::nullopt;
  return poisson.gain;
}

linear::Certificate Renewal::certificate(double error, double residual) {
  linear::Certificate certificate;
  certificate.error_bound = error;
  certificate.residual = residual;
  certificate.converged = true;
  certificate.iterations = running_.count_iterations();
  certificate.method = running_.method();
  certificate.story = certificate.method + ": " + std::to_string(certificate.iterations) + " iterations\n";
  return certificate;
}

}  // namespace rlcore
