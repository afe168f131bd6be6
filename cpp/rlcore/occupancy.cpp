#include "rlcore/occupancy.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>

#include "rlcore/batch.hpp"
#include "rlcore/errors.hpp"
#include "rlcore/policy.hpp"
#include "rlcore/reachability.hpp"

namespace rlcore {
namespace {

/// Bounds are formed from sums of at most `terms` numbers, each rounded at most so often.
double outward(Index terms) { return 1.0 + (static_cast<double>(terms) + 32.0) * kUnitRoundoff; }

/// Whether every doubtful state is begun in, or is entered from one that has more visits. Such steps back never return
/// to where they were: they end in a start, or in a state beyond doubt, and all doubtful states are reached.
bool all_are_fed(const Chain& chain, const TwofoldVector& initial, const TwofoldVector& visits,
                 const std::vector<char>& doubtful, Team& team) {
  std::vector<char> fed(visits.size());
  team.for_blocks(chain.size(), kBlock, [&](Index first, Index last, Index) {
    for (Index state = first; state < last; ++state) {
      const double has = visits[at(state)].hi;
      if (initial[at(state)].hi != 0.0) std::atomic_ref(fed[at(state)]).store(1, std::memory_order_relaxed);
      if (has == 0.0) continue;
      chain.for_chosen_pairs(state, [&](Index pair, double) {
        const Row row = chain.mdp().row(pair);
        for (Index k = 0; k < row.length; ++k) {
          prefetch(&visits[at(row.upcoming(k))]);
          const auto to = at(row.column[k]);
          if (row.probability[k] == 0.0 || !(visits[to].hi < has)) continue;
          std::atomic_ref(fed[to]).store(1, std::memory_order_relaxed);
        }
      });
    }
  });
  for (std::size_t state = 0; state < visits.size(); ++state) {
    if (doubtful[state] != 0 && fed[state] == 0) return false;
  }
  return true;
}

/// Visits are not negative, and states that cannot be reached are not visited: what rounding left there is
/// set to zero, which brings it nearer. More visits than can be in error are proof that a state is reached. And what is
/// too little for all the digits of a double counts as nothing.
void tidy(linear::Solution& solution, const Chain& chain, const TwofoldVector& initial, Team& team) {
  TwofoldVector& visits = solution.x;
  const double error = solution.certificate.error_bound;
  if (extent_of(visits, team).lower > error) return;
  constexpr double kLeast = std::numeric_limits<double>::min();
  std::vector<char> doubtful(visits.size());
  double lost = 0.0;
  bool has_noise = false;
  for (std::size_t state = 0; state < visits.size(); ++state) {
    doubtful[state] = visits[state].hi >= kLeast && visits[state].hi <= error ? 1 : 0;
    if (!(visits[state].hi < kLeast) || visits[state].hi == 0.0) continue;
    if (visits[state].hi > 0.0) {
      lost += kLeast;
    } else {
      has_noise = true;
    }
    visits[state] = {};
  }
  if (lost > 0.0) solution.certificate.error_bound = (error + lost) * outward(ssize(visits));
  if (std::find(doubtful.begin(), doubtful.end(), 1) == doubtful.end()) return;
  // Noise has peaks that nothing feeds, and half of it is negative.
  if (!has_noise && all_are_fed(chain, initial, visits, doubtful, team)) return;
  const std::vector<char> reached = reachable(chain, initial, doubtful);
  for (std::size_t state = 0; state < visits.size(); ++state) {
    if (doubtful[state] != 0 && reached[state] == 0) visits[state] = {};
  }
}

/// Adds a row, rounded to doubles.
void append(Doubles& rows, const TwofoldVector& row) {
  for (const Twofold& number : row) rows.push_back(number.hi);
}

/// What rounding loses of d and of the occupancy, in sum over all states and pairs.
struct Rounding {
  double state = 0.0;
  double pair = 0.0;
};

/// d = weight * visits and d(s) pi(a|s), each product right to the last digit.
Rounding scale_in_twofold(const Chain& chain, const TwofoldVector& visits, Twofold weight, Occupancy& out, Team& team) {
  const Mdp& mdp = chain.mdp();
  std::vector<Rounding> partial(at(num_blocks(mdp.num_states())));
  team.for_blocks(mdp.num_states(), kBlock, [&](Index first, Index last, Index block) {
    Rounding sum;
    for (Index state = first; state < last; ++state) {
      const Twofold d = visits[at(state)] * weight;
      out.state[at(state)] = d.hi;
      sum.state += std::fabs(d.lo);
      for (Index pair = mdp.first_pair(state); pair < mdp.first_pair(state + 1); ++pair) {
        const auto i = at(pair);
        const Twofold together = d * chain.policy()[i];
        out.pair[i] = together.hi;
        sum.pair += std::fabs(together.lo);
      }
    }
    partial[at(block)] = sum;
  });
  Rounding rounding;
  for (const Rounding& part : partial) {
    rounding.state += part.state;
    rounding.pair += part.pair;
  }
  return rounding;
}

/// The same in doubles.
void scale_in_doubles(const Chain& chain, const TwofoldVector& visits, double weight, Occupancy& out, Team& team) {
  const Mdp& mdp = chain.mdp();
  team.for_blocks(mdp.num_states(), kBlock, [&](Index first, Index last, Index) {
    for (Index state = first; state < last; ++state) {
      const double d = visits[at(state)].hi * weight;
      out.state[at(state)] = d;
      for (Index pair = mdp.first_pair(state); pair < mdp.first_pair(state + 1); ++pair) {
        out.pair[at(pair)] = d * chain.policy()[at(pair)];
      }
    }
  });
}

/// In doubles where their rounding is small beside the error of the visits: four roundings of each number, of the
/// visits, the weight and two products, and what may underflow. `total` is the sum of the visits.
Rounding scale(const Chain& chain, const TwofoldVector& visits, Twofold weight, double total, double error,
               Occupancy& out, Team& team) {
  constexpr double kSpare = 0.125;
  constexpr double kRelative = 5.0 * kUnitRoundoff;
  if (!(kRelative * total <= kSpare * error)) return scale_in_twofold(chain, visits, weight, out, team);
  scale_in_doubles(chain, visits, weight.hi, out, team);
  const double rounding = kRelative * total * weight.hi + underflow_error(chain.mdp().num_pairs());
  return {rounding, rounding * (1.0 + 2.0 * kRowTolerance)};
}

}  // namespace

void check_states(const Mdp& mdp, std::span<const Index> states, const char* argument) {
  for (const Index state : states) {
    if (state >= 0 && state < mdp.num_states()) continue;
    throw ModelError(
        argument, {},
        "expected states in 0 .. " + std::to_string(mdp.num_states() - 1) + ", got " + std::to_string(state));
  }
}

void check_initials(const Mdp& mdp, std::span<const ConstVector> initials) {
  for (std::size_t j = 0; j < initials.size(); ++j) {
    check_distribution(initials[j], mdp.num_states(), "initial", initials.size() > 1 ? static_cast<Index>(j) : -1);
  }
}

Occupancy scaled_occupancy(const Chain& chain, Twofold weight, double weight_error, linear::Solution solution,
                           Team& team) {
  const Mdp& mdp = chain.mdp();
  const TwofoldVector& visits = solution.x;
  Occupancy out;
  out.state = unset<Doubles>(mdp.num_states());
  out.pair = unset<Doubles>(mdp.num_pairs());
  const double error = solution.certificate.error_bound;
  const double total = extent_of(visits, team).l1;
  const Rounding rounding = scale(chain, visits, weight, total, error, out, team);
  const double scaled =
      (error + (0x1p-96 + weight_error) * (total + error)) * weight.hi + underflow_error(mdp.num_pairs());
  out.bounds.visits = (error + rounding_of(visits, team).l1) * outward(mdp.num_states());
  out.bounds.state = (scaled + rounding.state) * outward(mdp.num_states());
  out.bounds.pair = (scaled * (1.0 + 2.0 * kRowTolerance) + rounding.pair) * outward(mdp.num_pairs());
  out.certificate = std::move(solution.certificate);
  out.visits = rounded(visits, team);
  if (mdp.num_states() <= kBlock) {
    for (const Twofold& number : visits) out.rest_of_visits.low.push_back(number.lo);
    out.rest_of_visits.bound = error * outward(mdp.num_states());
  }
  return out;
}

Occupancy normalised_occupancy(const Chain& chain, const TwofoldVector& initial, linear::Solution visits, Team& team) {
  tidy(visits, chain, initial, team);
  TwofoldSum sum;
  for (const Twofold& number : visits.x) sum.add_product(number, 1.0);
  const Twofold total = sum.total();
  const double error = visits.certificate.error_bound + dot_error(chain.size()) * total.hi;
  const Twofold weight = quotient({1.0}, total);
  const double relative = error < total.hi ? error / (total.hi - error) : std::numeric_limits<double>::infinity();
  return scaled_occupancy(chain, weight, relative + 0x1p-96, std::move(visits), team);
}

std::vector<Occupancy> occupancy(const Mdp& mdp, std::span<const ConstVector> policies,
                                 std::span<const ConstVector> initials, double discount, const Options& options,
                                 Monitor& monitor) {
  mdp.ensure_checked(options.num_threads);
  check_initials(mdp, initials);
  std::vector<Occupancy> results(policies.size() * initials.size());
  for_policies(mdp, policies.size(), options.num_threads, monitor, [&](std::size_t i, Team& team, Monitor& watch) {
    const Interval sum = check_policy(mdp, policies[i], team, policies.size() > 1 ? static_cast<Index>(i) : -1);
    const Chain chain(mdp, policies[i], sum);
    std::vector<linear::Solution> solutions;
    {
      const linear::Kernel kernel(chain, discount);
      linear::Resolvent resolvent(kernel, team, watch);
      std::vector<linear::RightSide> starts;
      for (const ConstVector initial : initials) starts.push_back({twofold(initial, team)});
      solutions = resolvent.solve_transposed(starts, options.tolerance);
      for (std::size_t j = 0; j < starts.size(); ++j) tidy(solutions[j], chain, starts[j].value, team);
    }
    for (std::size_t j = 0; j < initials.size(); ++j) {
      results[i * initials.size() + j] =
          scaled_occupancy(chain, two_sum(1.0, -discount), 0.0, std::move(solutions[j]), team);
    }
  });
  return results;
}

StateRows state_distribution(const Mdp& mdp, ConstVector policy, ConstVector initial, Index steps,
                             const Options& options, Monitor& monitor) {
  mdp.ensure_checked(options.num_threads);
  check_distribution(initial, mdp.num_states(), "initial");
  const Chain chain(mdp, policy, check_policy(mdp, policy));
  Team team(mdp.num_entries() < kParallelEntries ? 1 : options.num_threads);
  StateRows out;
  out.rows.reserve(at((steps + 1) * mdp.num_states()));
  TwofoldVector now = twofold(initial, team);
  // Each step is wrong by its own arithmetic, and carries on what came before: K does not enlarge the
  // L1 norm by more than the model's own tolerance.
  const double growth = std::max(1.0, 1.0 - chain.deficit(1.0).lower);
  double error = 0.0;
  for (Index t = 0;; ++t) {
    append(out.rows, now);
    out.bounds.push_back((error + rounding_of(now, team).l1) * outward(mdp.num_states()));
    if (t == steps) break;
    monitor.poll({"state distribution", t, 0.0, 0.0});
    error = (error * growth + chain.residual_error_transposed(extent_of(now, team).l1)) * outward(0);
    now = chain.step(now, team);
  }
  out.certificate.error_bound = *std::max_element(out.bounds.begin(), out.bounds.end());
  out.certificate.converged = true;
  out.certificate.iterations = steps;
  out.certificate.method = "exact steps";
  return out;
}

StateRows successor_representation(const Mdp& mdp, ConstVector policy, double discount, std::span<const Index> states,
                                   const Options& options, Monitor& monitor) {
  mdp.ensure_checked(options.num_threads);
  check_states(mdp, states, "states");
  const Chain chain(mdp, policy, check_policy(mdp, policy));
  Team team(mdp.num_entries() < kParallelEntries ? 1 : options.num_threads);
  const linear::Kernel kernel(chain, discount);
  linear::Resolvent resolvent(kernel, team, monitor);
  StateRows out;
  out.certificate.converged = true;
  out.rows.reserve(states.size() * at(mdp.num_states()));
  for (std::size_t first = 0; first < states.size(); first += kMostLanes) {
    std::vector<linear::RightSide> starts;
    for (const Index state : states.subspan(first, std::min(kMostLanes, states.size() - first))) {
      starts.push_back({twofold_vector(mdp.num_states())});
      starts.back().value[at(state)].hi = 1.0;
    }
    std::vector<linear::Solution> solutions = resolvent.solve_transposed(starts, options.tolerance);
    for (std::size_t j = 0; j < starts.size(); ++j) {
      linear::Solution& row = solutions[j];
      tidy(row, chain, starts[j].value, team);
      linear::Certificate& proof = row.certificate;
      append(out.rows, row.x);
      out.bounds.push_back((proof.error_bound + rounding_of(row.x, team).l1) * outward(mdp.num_states()));
      out.certificate.error_bound = std::max(out.certificate.error_bound, out.bounds.back());
      out.certificate.residual = std::max(out.certificate.residual, proof.residual);
      out.certificate.converged = out.certificate.converged && proof.converged;
      out.certificate.iterations += proof.iterations;
      out.certificate.method = proof.method;
      out.certificate.story += proof.story;
    }
  }
  return out;
}

}  // namespace rlcore
