#include "rlcore/improvement.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "rlcore/divergence.hpp"
#include "rlcore/parallel.hpp"
#include "rlcore/policy.hpp"
#include "rlcore/twofold.hpp"

namespace rlcore {
namespace {

/// Candidates that are dealt with together, while the rows of the base stay in the cache.
constexpr Index kTogether = 8;
constexpr Index kChangesTogether = 256;

/// A sum of weight times f(s) >= 0, which is infinite if a term is.
class Sum {
 public:
  void add(double f, double weight) {
    if (std::isinf(f)) {
      is_infinite_ = true;
    } else {
      sum_.add_product({f}, weight);
    }
  }
  void add(const Sum& other) {
    is_infinite_ = is_infinite_ || other.is_infinite_;
    sum_.add_product(other.sum_.total(), 1.0);
  }
  double total() const { return is_infinite_ ? std::numeric_limits<double>::infinity() : sum_.total().hi; }

 private:
  TwofoldSum sum_;
  bool is_infinite_ = false;
};

/// What some states tell of a candidate.
class Findings {
 public:
  void include(const Base& base, Index state, const double* row, Index item) {
    const Mdp& mdp = base.mdp;
    const Index first = mdp.first_pair(state);
    const double* const advantage = base.advantage.data() + first;
    const double row_sum = check_policy_row(mdp, state, row, "candidates", item);
    double abar = 0.0;
    double scale = 0.0;
    const RowDivergence apart = row_divergence(base.policy.data() + first, row, mdp.first_pair(state + 1) - first,
                                               [&](Index action, double change) {
                                                 const double term = change * advantage[action];
                                                 abar += term;
                                                 scale += std::fabs(term);
                                               });
    ++num_states_;
    extremes_.row_sum = {std::min(extremes_.row_sum.lower, row_sum), std::max(extremes_.row_sum.upper, row_sum)};
    extremes_.alpha = std::max(extremes_.alpha, apart.tv);
    extremes_.kl_max = std::max(extremes_.kl_max, apart.kl);
    extremes_.abar_min = std::min(extremes_.abar_min, abar);
    extremes_.abar_max = std::max(extremes_.abar_max, abar);
    extremes_.abar_scale = std::max(extremes_.abar_scale, scale);
    const double drift = base.value[at(state)] * apart.sum_change;
    extremes_.drift_max = std::max(extremes_.drift_max, std::fabs(drift));
    const double weight = base.weight[at(state)];
    if (weight == 0.0 || apart.tv == 0.0) return;
    extremes_.tv_visited = std::max(extremes_.tv_visited, apart.tv);
    extremes_.kl_visited = std::max(extremes_.kl_visited, apart.kl);
    extremes_.abar_visited = std::max(extremes_.abar_visited, std::fabs(abar));
    tv_.add(apart.tv, weight);
    kl_.add(apart.kl, weight);
    root_kl_.add(std::sqrt(apart.kl / 2.0), weight);
    gain_.add(abar, weight);
    gain_scale_.add(scale, weight);
    sum_change_.add(std::fabs(apart.sum_change), weight);
    drift_.add(drift, weight);
  }

  void include(const Findings& other) {
    num_states_ += other.num_states_;
    Comparison& mine = extremes_;
    const Comparison& more = other.extremes_;
    mine.row_sum = {std::min(mine.row_sum.lower, more.row_sum.lower), std::max(mine.row_sum.upper, more.row_sum.upper)};
    mine.alpha = std::max(mine.alpha, more.alpha);
    mine.kl_max = std::max(mine.kl_max, more.kl_max);
    mine.tv_visited = std::max(mine.tv_visited, more.tv_visited);
    mine.kl_visited = std::max(mine.kl_visited, more.kl_visited);
    mine.abar_visited = std::max(mine.abar_visited, more.abar_visited);
    mine.abar_min = std::min(mine.abar_min, more.abar_min);
    mine.abar_max = std::max(mine.abar_max, more.abar_max);
    mine.abar_scale = std::max(mine.abar_scale, more.abar_scale);
    mine.drift_max = std::max(mine.drift_max, more.drift_max);
    tv_.add(other.tv_);
    kl_.add(other.kl_);
    root_kl_.add(other.root_kl_);
    gain_.add(other.gain_);
    gain_scale_.add(other.gain_scale_);
    sum_change_.add(other.sum_change_);
    drift_.add(other.drift_);
  }

  Comparison conclude(const Mdp& mdp) const {
    Comparison found = extremes_;
    if (num_states_ < mdp.num_states()) {  // where nothing changes Abar is 0
      found.abar_min = std::min(found.abar_min, 0.0);
      found.abar_max = std::max(found.abar_max, 0.0);
    }
    found.row_sum = num_states_ > 0 ? enclosed_sum(mdp, found.row_sum) : Interval{1.0, 1.0};
    found.tv = tv_.total();
    found.kl = kl_.total();
    found.root_kl = root_kl_.total();
    found.gain = gain_.total();
    found.gain_scale = gain_scale_.total();
    found.sum_change = sum_change_.total();
    found.drift = drift_.total();
    return found;
  }

 private:
  static constexpr double kNone = std::numeric_limits<double>::infinity();
  Index num_states_ = 0;
  Comparison extremes_{.abar_min = kNone, .abar_max = -kNone, .row_sum = {kNone, -kNone}};
  Sum tv_, kl_, root_kl_, gain_, gain_scale_, sum_change_, drift_;
};

/// Calls body(candidate, first, last, block) for every candidate and block of states, a few candidates after one
/// another in each block. Candidates that list what they change have one block.
template <class Body>
void for_candidates(const Base& base, const Candidates& candidates, Team& team, Monitor& monitor, Body&& body) {
  const Index block_size = candidates.are_changes() ? base.mdp.num_states() : kBlock;
  const Index together = candidates.are_changes() ? kChangesTogether : kTogether;
  const Index blocks = (base.mdp.num_states() + block_size - 1) / block_size;
  const Index at_once = together * static_cast<Index>(4 * team.size());
  for (Index done = 0; done < candidates.size(); done += at_once) {
    monitor.poll({"candidates", done, 0.0, 0.0});
    const Index count = std::min(at_once, candidates.size() - done);
    const Index groups = (count + together - 1) / together;
    team.for_blocks(groups * blocks, 1, [&](Index task, Index, Index) {
      const Index block = task % blocks;
      const Index group = task / blocks;
      const Index first = block * block_size;
      const Index last = std::min(first + block_size, base.mdp.num_states());
      for (Index i = group * together; i < std::min((group + 1) * together, count); ++i) {
        body(done + i, first, last, block);
      }
    });
  }
}

}  // namespace

std::vector<Comparison> compare(const Base& base, const Candidates& candidates, Team& team, Monitor& monitor) {
  const Index blocks = candidates.are_changes() ? 1 : num_blocks(base.mdp.num_states());
  std::vector<Findings> parts(at(candidates.size() * blocks));
  for_candidates(base, candidates, team, monitor, [&](Index candidate, Index first, Index last, Index block) {
    Findings findings;
    candidates.for_rows(candidate, first, last,
                        [&](Index state, const double* row) { findings.include(base, state, row, candidate); });
    parts[at(candidate * blocks + block)] = findings;
  });
  std::vector<Comparison> found;
  for (Index candidate = 0; candidate < candidates.size(); ++candidate) {
    Findings& all = parts[at(candidate * blocks)];
    for (Index block = 1; block < blocks; ++block) all.include(parts[at(candidate * blocks + block)]);
    found.push_back(all.conclude(base.mdp));
  }
  return found;
}

Doubles mean_advantages(const Base& base, const Candidates& candidates, Team& team, Monitor& monitor) {
  const Mdp& mdp = base.mdp;
  Doubles abar(at(candidates.size() * mdp.num_states()));
  for_candidates(base, candidates, team, monitor, [&](Index candidate, Index first, Index last, Index) {
    candidates.for_rows(candidate, first, last, [&](Index state, const double* row) {
      const Index pair = mdp.first_pair(state);
      double sum = 0.0;
      row_divergence(base.policy.data() + pair, row, mdp.first_pair(state + 1) - pair,
                     [&](Index action, double change) { sum += change * base.advantage[at(pair + action)]; });
      abar[at(candidate * mdp.num_states() + state)] = sum;
    });
  });
  return abar;
}

}  // namespace rlcore
