#include "rlcore/long_run/gain_and_bias.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "rlcore/batch.hpp"
#include "rlcore/long_run/long_run.hpp"
#include "rlcore/undiscounted.hpp"

namespace rlcore {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// Covers the roundings of a few operations on bounds.
constexpr double kOutward = 1.0 + 64.0 * kUnitRoundoff;

/// Where the model's process starts: anywhere, if it has no start distribution.
void ensure_goes_on(const LongRun& run) {
  const ConstVector initial = run.chain().mdp().initial();
  if (initial.empty()) {
    run.ensure_goes_on_everywhere();
  } else {
    run.ensure_goes_on_from(initial);
  }
}

/// Gains by state, what each state earns above its gain until the next cycle, and bounds on their errors.
struct Cycles {
  TwofoldVector gain;
  double gain_error = 0.0;
  TwofoldVector above;
  double above_error = 0.0;
  std::optional<Renewal::Gain> mean_above;  // in the long run, where one class is all there is
};

double error_at_anchor(LongRun& run, const linear::Solution& solution) {
  return error_at(run.anchor(0), solution, run.resolvent().horizon(), run.team());
}

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
  const double error_of_time = error_at_anchor(run, time);
  const double shortest = time.x[anchor].hi - error_of_time;
  const double error_of_more =
      shortest > 0.0 ? (error_at_anchor(run, left) + std::fabs(more.hi) * error_of_time) / shortest * kOutward
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
  std::optional<Renewal::Earnings> found = run.earnings({reward.value, error}, run.options().tolerance * 0.35);
  if (!found) return std::nullopt;
  Cycles cycles;
  cycles.gain = TwofoldVector(reward.value.size(), found->gain.value);
  cycles.gain_error = found->gain.error;
  cycles.above = std::move(found->above.x);
  cycles.above_error = found->above.certificate.error_bound;
  cycles.mean_above = found->mean_above;
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
  cycles.gain_error = (run.stationary().error + 4.0 * dot_error(run.size())) * scale * kOutward + mean_error;
  cycles.gain = run.by_class(gains, cycles.gain_error);
  linear::RightSide b{twofold_vector(run.size()), (mean_error + cycles.gain_error + 0x1p-98 * scale) * kOutward};
  for (std::size_t s = 0; s < r_pi.size(); ++s) b.value[s] = r_pi[s] - cycles.gain[s];
  linear::Solution above = run.until_anchor(b, run.options().tolerance * 0.1);
  cycles.above = std::move(above.x);
  cycles.above_error = above.certificate.error_bound;
  return cycles;
}

/// Takes the mean over each class out of what cycles earn, P* h = 0. Returns what the mean may be wrong by.
double centre(LongRun& run, Cycles& cycles, double largest) {
  TwofoldVector& bias = cycles.above;
  if (cycles.mean_above) {
    const Twofold mean = cycles.mean_above->value;
    run.team().for_blocks(std::ssize(bias), kBlock, [&](Index first, Index last, Index) {
      for (auto s = at(first); s < at(last); ++s) bias[s] = bias[s] - mean;
    });
    return cycles.mean_above->error;
  }
  std::vector<Twofold> shifts;
  for (Index c = 0; c < run.structure().num_classes(); ++c) shifts.push_back(-run.mean_in_class(c, bias));
  double error = (run.stationary().error + 4.0 * dot_error(run.size())) * largest;
  const TwofoldVector shift = run.by_class(shifts, error);
  for (std::size_t s = 0; s < bias.size(); ++s) bias[s] = bias[s] + shift[s];
  return error;
}

/// g, and h with bounds on its error, also but for a constant.
struct GainAndBias {
  Cycles cycles;  // `above` is h
  double error = 0.0;
  double relative_error = 0.0;
};

/// Of earnings r_pi none of which is larger than `scale` (theory 3.2).
GainAndBias gain_and_bias(LongRun& run, const linear::RightSide& r_pi, double scale, Team& team) {
  std::optional<Cycles> running = running_cycles(run, r_pi, scale);
  const bool mends = run.has_one_cycle();
  Cycles cycles =
      running ? std::move(*running) : (mends ? mended_cycles(run, r_pi, scale) : cycles_by_class(run, r_pi, scale));

  const double largest = extent_of(cycles.above, team).largest();
  const double error_of_mean = cycles.above_error + centre(run, cycles, largest);
  const double error = (cycles.above_error + error_of_mean + 0x1p-98 * largest) * kOutward;
  const double relative_error = run.chain().conserves() ? cycles.above_error : error;
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

}  // namespace

std::vector<Evaluation> evaluate_average(const Mdp& mdp, std::span<const ConstVector> policies,
                                         std::span<const ConstVector> rewards, const Options& options,
                                         Monitor& monitor) {
  mdp.ensure_checked(options.num_threads);
  check_rewards(mdp, rewards);
  std::vector<Evaluation> results(policies.size() * rewards.size());
  for_policies(mdp, policies.size(), options.num_threads, monitor, [&](std::size_t i, Team& team, Monitor& watch) {
    LongRun run(mdp, policies[i], policies.size() > 1 ? static_cast<Index>(i) : -1, options, team, watch);
    ensure_goes_on(run);
    for (std::size_t j = 0; j < rewards.size(); ++j) {
      results[i * rewards.size() + j] = evaluation(run, rewards[j], team);
    }
  });
  return results;
}

std::vector<linear::Solution> biases(const Mdp& mdp, ConstVector policy, std::span<const linear::RightSide> sides,
                                     Index item, const Options& options, Team& team, Monitor& monitor) {
  LongRun run(mdp, policy, item, options, team, monitor);
  ensure_goes_on(run);
  std::vector<linear::Solution> solutions;
  for (const linear::RightSide& side : sides) {
    GainAndBias found = gain_and_bias(run, side, extent_of(side.value, team).largest() + side.error, team);
    solutions.push_back({std::move(found.cycles.above), run.certificate()});
    solutions.back().certificate.error_bound = found.error;
  }
  return solutions;
}

}  // namespace rlcore
