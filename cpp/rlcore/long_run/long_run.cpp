#include "rlcore/long_run/long_run.hpp"

#include <algorithm>
#include <cmath>

#include "rlcore/errors.hpp"
#include "rlcore/linear/lines.hpp"
#include "rlcore/long_run/anchors.hpp"
#include "rlcore/policy.hpp"
#include "rlcore/reachability.hpp"

namespace rlcore {
namespace {

/// Covers the roundings of a few operations on bounds.
constexpr double kOutward = 1.0 + 64.0 * kUnitRoundoff;

}  // namespace

double error_at(Column state, const linear::Solution& solution, const linear::Horizon& horizon, Team& team) {
  const double share = horizon.remaining[at(state)].hi / horizon.most;
  return (solution.certificate.error_bound * share + 0x1p-98 * extent_of(solution.x, team).largest()) * kOutward;
}

LongRun::LongRun(const Mdp& mdp, ConstVector policy, Index item, const Options& options, Team& team, Monitor& monitor)
    : chain_(mdp, policy, check_policy(mdp, policy, team, item)),
      steps_(possible_steps(chain_, team)),
      structure_(chain_structure(chain_, steps_, team, monitor)),
      item_(item),
      options_(options),
      team_(team),
      monitor_(monitor),
      has_small_classes_(has_small_classes(structure_)),
      stationary_tolerance_(0.1 * options.tolerance) {
  certificate_.converged = true;
  if (!has_small_classes_) line_ = linear::order_along_lines(steps_);
  if (has_one_cycle()) renewal_.emplace(chain_, std::move(steps_), team, monitor);
  steps_ = {};
}

bool LongRun::has_one_cycle() const { return is_unichain() && chain_.conserves() && !has_small_classes_; }

void LongRun::ensure_goes_on_from(ConstVector initial) const {
  if (chain_.mdp().can_end()) ensure_goes_on(reachable(chain_, twofold(initial, team_)));
}

void LongRun::ensure_goes_on_everywhere() const {
  if (chain_.mdp().can_end()) ensure_goes_on(std::vector<char>(at(size()), 1));
}

/// No process that comes to one of the marked states may end there.
void LongRun::ensure_goes_on(const std::vector<char>& reached) const {
  const Mdp& mdp = chain_.mdp();
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

void LongRun::sharpen() {
  if (options_.tolerance > 0.0 && !is_reduced()) {
    stationary_tolerance_ = 0.05 * options_.tolerance / resolvent().horizon().most;
  }
}

const StationaryDistributions& LongRun::stationary() {
  if (is_reduced() || stationary_) return *stationary_;
  stationary_ = without_stopping();
  if (!stationary_) stationary_ = by_cycles();
  return *stationary_;
}

bool LongRun::is_reduced() {
  if (is_reduced_) return *is_reduced_;
  if (has_small_classes_) {
    stationary_ = reduce_small_classes(chain_, structure_);
  } else if (line_) {
    stationary_ = reduce_along_lines(chain_, structure_, *line_);
  }
  is_reduced_ = stationary_.has_value();
  if (*is_reduced_ && certificate_.method.empty()) certificate_.method = "state reduction";
  return *is_reduced_;
}

std::optional<StationaryDistributions> LongRun::without_stopping() {
  if (!renewal_) return std::nullopt;
  std::optional<linear::Solution> found = renewal_->stationary(stationary_tolerance_);
  if (!found) return std::nullopt;
  certificate_.include(found->certificate);
  return StationaryDistributions{std::move(found->x), found->certificate.error_bound};
}

/// One cycle from every anchor at once: their classes do not mix.
StationaryDistributions LongRun::by_cycles() {
  linear::RightSide start{twofold_vector(size())};
  for (Index c = 0; c < structure_.num_classes(); ++c) start.value[at(anchor(c))] = {1.0};
  return stationary_by_cycles(structure_, visits_until_anchor(start, stationary_tolerance_));
}

Twofold LongRun::mean_in_class(Index number, const TwofoldVector& x) {
  const TwofoldVector& probability = stationary().probability;
  TwofoldSum sum;
  for (const Column state : structure_.states(number)) {
    const Twofold product = probability[at(state)] * x[at(state)];
    sum.add_product(product, 1.0);
  }
  return sum.total();
}

TwofoldVector LongRun::by_class(const std::vector<Twofold>& of_class, double& error) {
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

std::vector<Twofold> LongRun::class_weights(const TwofoldVector& measure, double& error) {
  std::vector<Twofold> weights(at(structure_.num_classes()));
  linear::RightSide passing{twofold_vector(size())};  // what is put into transient states
  TwofoldSum passing_mass;
  bool passes = false;
  for (std::size_t s = 0; s < measure.size(); ++s) {
    if (measure[s].hi == 0.0) continue;
    if (structure_.class_of[s] >= 0) {
      Twofold& weight = weights[at(structure_.class_of[s])];
      weight = weight + measure[s];
    } else {
      passing.value[s] = measure[s];
      passing_mass.add_product(measure[s], 1.0);
      passes = true;
    }
  }
  if (!passes) return weights;
  if (is_unichain() && chain_.conserves()) {
    weights.front() = weights.front() + passing_mass.total();
    return weights;
  }
  const linear::Solution visits = visits_until_anchor(passing, 0.0);
  error += visits.certificate.error_bound;
  const TwofoldVector entered = chain_.arrivals(1.0, visits.x, team_);
  for (Index c = 0; c < structure_.num_classes(); ++c) {
    weights[at(c)] = weights[at(c)] + entered[at(anchor(c))];
  }
  return weights;
}

Column LongRun::anchor(Index number) {
  if (anchors_.empty()) {
    const Doubles often =
        is_reduced() ? rounded(stationary_->probability, team_) : where_it_gathers(chain_, team_, monitor_);
    anchors_ = most_visited(structure_, often);
  }
  return anchors_[at(number)];
}

linear::Solution LongRun::until_anchor(const linear::RightSide& b, double tolerance) {
  linear::Solution solution = resolvent().solve(b, tolerance);
  certificate_.include(solution.certificate);
  return solution;
}

linear::Solution LongRun::visits_until_anchor(const linear::RightSide& b, double tolerance) {
  linear::Solution solution = resolvent().solve_transposed(b, tolerance);
  certificate_.include(solution.certificate);
  return solution;
}

linear::Resolvent& LongRun::resolvent() {
  if (!resolvent_) {
    std::vector<char> stops(at(size()), 0);
    for (Index c = 0; c < structure_.num_classes(); ++c) stops[at(anchor(c))] = 1;
    kernel_.emplace(chain_, std::move(stops), team_);
    resolvent_.emplace(*kernel_, team_, monitor_);
  }
  return *resolvent_;
}

std::optional<Renewal::Earnings> LongRun::earnings(const linear::RightSide& reward, double tolerance) {
  if (!renewal_) return std::nullopt;
  std::optional<Renewal::Earnings> found = renewal_->earnings(reward, tolerance);
  if (found) certificate_.include(found->above.certificate);
  return found;
}

}  // namespace rlcore
