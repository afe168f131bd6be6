#include "rlcore/long_run/first_passage_times.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>
#include <utility>
#include <vector>

#include "rlcore/chain_structure.hpp"
#include "rlcore/linear/lines.hpp"
#include "rlcore/long_run/elimination.hpp"
#include "rlcore/policy.hpp"

namespace rlcore {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// Covers the roundings of a few operations on bounds.
constexpr double kOutward = 1.0 + 64.0 * kUnitRoundoff;

/// The passages of one chain.
class Passages {
 public:
  Passages(const Mdp& mdp, ConstVector policy, const Options& options, Team& team, Monitor& monitor)
      : chain_(mdp, policy, check_policy(mdp, policy)), options_(options), team_(team), monitor_(monitor) {
    const CsrMatrix steps = possible_steps(chain_, team);
    structure_ = chain_structure(chain_, steps, team, monitor);
    line_ = linear::order_along_lines(steps);
    note_steps(mdp);
  }

  /// m_ij for one target, as a further row.
  void add(Index target, StateRows& out) {
    const std::vector<char> misses = may_miss(target);
    std::optional<linear::Solution> found;
    if (line_) found = by_elimination(target, misses, *line_, linear::kWidthOfLines);
    if (!found) found = by_solving(target, misses);
    if (!found->certificate.converged && chain_.size() <= kFewStates) {
      StateOrder::Columns all(misses.size());
      std::iota(all.begin(), all.end(), 0);
      if (auto better = by_elimination(target, misses, all, chain_.size() - 1)) found = std::move(better);
    }
    double rounding = 0.0;
    for (std::size_t s = 0; s < misses.size(); ++s) {
      out.rows.push_back(misses[s] == 0 ? found->x[s].hi : kInfinity);
      if (misses[s] == 0) rounding = std::max(rounding, std::fabs(found->x[s].lo));
    }
    out.bounds.push_back((found->certificate.error_bound + rounding) * kOutward);
    out.certificate.include(found->certificate);
    out.certificate.error_bound = std::max(out.certificate.error_bound, out.bounds.back());
  }

 private:
  /// Who leads to each state, and where the process may end: what tells whether a target is hit surely.
  void note_steps(const Mdp& mdp) {
    predecessors_.resize(at(chain_.size()));
    ends_.resize(at(chain_.size()), 0);
    for (Index state = 0; state < chain_.size(); ++state) {
      chain_.for_chosen_pairs(state, [&](Index pair, double) {
        if (!mdp.termination().empty() && mdp.termination()[at(pair)] > 0.0) ends_[at(state)] = 1;
        const Row row = mdp.row(pair);
        for (Index k = 0; k < row.length; ++k) {
          if (row.probability[k] > 0.0) predecessors_[at(row.column[k])].push_back(static_cast<Column>(state));
        }
      });
    }
  }

  /// The states from which the target is not hit surely: those that can get, without passing through it, to where
  /// the process ends or to a class in which it stays without meeting it.
  std::vector<char> may_miss(Index target) const {
    const Column own = structure_.class_of[at(target)];
    std::vector<char> misses(ends_.size(), 0);
    std::vector<Column> found;
    const auto mark = [&](Index state) {
      if (misses[at(state)] != 0) return;
      misses[at(state)] = 1;
      if (state != target) found.push_back(static_cast<Column>(state));
    };
    for (Index state = 0; state < std::ssize(ends_); ++state) {
      const Column number = structure_.class_of[at(state)];
      if (ends_[at(state)] != 0 || (number >= 0 && number != own)) mark(state);
    }
    while (!found.empty()) {
      const Column state = found.back();
      found.pop_back();
      for (const Column before : predecessors_[at(state)]) mark(before);
    }
    return misses;
  }

  linear::Solution by_solving(Index target, const std::vector<char>& misses) {
    std::vector<char> stops(misses);
    stops[at(target)] = 1;
    const linear::Kernel kernel(chain_, std::move(stops), team_);
    linear::Resolvent resolvent(kernel, team_, monitor_);
    linear::RightSide one{TwofoldVector(misses.size(), Twofold{1.0})};
    for (std::size_t s = 0; s < misses.size(); ++s) {
      if (misses[s] != 0) one.value[s] = {};
    }
    return resolvent.solve(one, options_.tolerance);
  }

  /// The states that do not miss the target lead elsewhere only where they enter it.
  std::optional<linear::Solution> by_elimination(Index target, const std::vector<char>& misses,
                                                 const StateOrder::Columns& order, Index width) {
    monitor_.poll({"state reduction", target});
    StateOrder::Columns states;
    for (const Column state : order) {
      if (state != target && misses[at(state)] == 0) states.push_back(state);
    }
    number_.resize(misses.size(), -1);
    const std::optional<TwofoldVector> times = times_by_elimination(Rates(chain_, states, width, number_));
    if (!times) return std::nullopt;
    linear::Solution found{twofold_vector(chain_.size()), {}};
    for (std::size_t i = 0; i < states.size(); ++i) found.x[at(states[i])] = (*times)[i];
    if (misses[at(target)] == 0) found.x[at(target)] = chain_.mean_ahead(target, found.x.data()) + 1.0;
    const double longest = extent_of(found.x, team_).largest();
    linear::Certificate& certificate = found.certificate;
    certificate.error_bound = (elimination_error(std::ssize(states), width) + 0x1p-90) * longest * kOutward;
    certificate.residual = certificate.error_bound;
    certificate.converged = std::isfinite(certificate.error_bound);
    certificate.method = "state reduction";
    certificate.story = "state reduction: right to the last digit\n";
    return found;
  }

  Chain chain_;
  const Options& options_;
  Team& team_;
  Monitor& monitor_;
  ChainStructure structure_;
  std::optional<StateOrder::Columns> line_;
  std::vector<std::vector<Column>> predecessors_;
  std::vector<char> ends_;
  std::vector<Column> number_;  // scratch
};

}  // namespace

StateRows first_passage_times(const Mdp& mdp, ConstVector policy, std::span<const Index> targets,
                              const Options& options, Monitor& monitor) {
  mdp.ensure_checked(options.num_threads);
  check_states(mdp, targets, "targets");
  Team team(mdp.num_entries() < kParallelEntries ? 1 : options.num_threads);
  Passages passages(mdp, policy, options, team, monitor);
  StateRows out;
  out.certificate.converged = true;
  for (const Index target : targets) passages.add(target, out);
  return out;
}

}  // namespace rlcore
