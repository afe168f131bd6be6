#include "rlcore/improvement.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "rlcore/divergence.hpp"
#include "rlcore/parallel.hpp"
#include "rlcore/policy.hpp"
#include "rlcore/twofold.hpp"

namespace rlcore {
namespace {

/// Candidates that are dealt with together, while the rows of the base stay in the cache.
constexpr Index kTogether = 8;
constexpr Index kChangesTogether = 256;

/// States whose terms are formed together, and summed before their sum is added to the rest.
constexpr Index kRun = 64;

/// Rows that hardly differ get the exact difference of their sums.
constexpr double kNear = 0x1p-10;

/// A sum in twofold arithmetic, which is infinite if a term is.
class Sum {
 public:
  void add(double term) {
    if (std::isinf(term)) {
      is_infinite_ = true;
    } else {
      sum_.add_product({term}, 1.0);
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

/// Sums over a run of states, in doubles.
struct RunSums {
  double tv = 0.0, kl = 0.0, root_kl = 0.0, gain = 0.0, gain_scale = 0.0;
  double sum_change = 0.0, drift = 0.0, drift_error = 0.0;
};

/// sum q - sum p of the rows of a state, and a bound on its error.
struct SumChange {
  double value = 0.0;
  double error = 0.0;
};

SumChange exact_sum_change(Index num_actions, const double* p, const double* q) {
  Twofold sum;
  for (Index action = 0; action < num_actions; ++action) sum = sum + two_sum(q[action], -p[action]);
  return {sum.hi, 4.0 * kUnitRoundoff * std::fabs(sum.hi)};
}

/// What some states tell of a candidate.
class Findings {
 public:
  /// The rows of the states [first, first + count), which follow one another. Leaves their Abar in `abar`, which is of
  /// all states, or empty.
  void include(const Base& base, Index first, Index count, const double* rows, Index item, Doubles& scratch,
               Vector abar) {
    const Mdp& mdp = base.mdp;
    const Index first_pair = mdp.first_pair(first);
    const Index num_pairs = mdp.first_pair(first + count) - first_pair;
    scratch.resize(std::max(scratch.size(), at(2 * num_pairs)));
    double* const change = scratch.data();
    double* const kl = change + num_pairs;
    divergence_terms(num_pairs, base.policy.data() + first_pair, rows, change, kl);
    RunSums sums;
    for (Index state = first; state < first + count; ++state) {
      const Index begin = mdp.first_pair(state) - first_pair;
      const double found = include_state(base, state, rows + begin, change + begin, kl + begin, item, sums);
      if (!abar.empty()) abar[at(state)] = found;
    }
    tv_.add(sums.tv);
    kl_.add(sums.kl);
    root_kl_.add(sums.root_kl);
    gain_.add(sums.gain);
    gain_scale_.add(sums.gain_scale);
    sum_change_.add(sums.sum_change);
    drift_.add(sums.drift);
    drift_error_.add(sums.drift_error);
  }

  void include(const Findings& other) {
    num_states_ += other.num_states_;
    Comparison& mine = extremes_;
    const Comparison& more = other.extremes_;
    mine.row_sum = {std::min(mine.row_sum.lower, more.row_sum.lower), std::max(mine.row_sum.upper, more.row_sum.upper)};
    mine.alpha = std::max(mine.alpha, more.alpha);
    mine.kl_max = std::max(mine.kl_max, more.kl_max);
    mine.abar_min = std::min(mine.abar_min, more.abar_min);
    mine.abar_max = std::max(mine.abar_max, more.abar_max);
    mine.abar_scale = std::max(mine.abar_scale, more.abar_scale);
    mine.tv_visited = std::max(mine.tv_visited, more.tv_visited);
    mine.kl_visited = std::max(mine.kl_visited, more.kl_visited);
    mine.abar_visited = std::max(mine.abar_visited, more.abar_visited);
    mine.drift_max = std::max(mine.drift_max, more.drift_max);
    tv_.add(other.tv_);
    kl_.add(other.kl_);
    root_kl_.add(other.root_kl_);
    gain_.add(other.gain_);
    gain_scale_.add(other.gain_scale_);
    sum_change_.add(other.sum_change_);
    drift_.add(other.drift_);
    drift_error_.add(other.drift_error_);
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
    found.drift_error = drift_error_.total();
    return found;
  }

 private:
  /// Returns Abar.
  double include_state(const Base& base, Index state, const double* row, const double* change, const double* kl_terms,
                       Index item, RunSums& sums) {
    const Mdp& mdp = base.mdp;
    const Index first = mdp.first_pair(state);
    const Index num_actions = mdp.first_pair(state + 1) - first;
    const double* const advantage = base.advantage.data() + first;
    double row_sum = 0.0, distance = 0.0, kl = 0.0, abar = 0.0, scale = 0.0, difference = 0.0;
    bool is_negative = false;
    for (Index action = 0; action < num_actions; ++action) {
      const double term = change[action] * advantage[action];
      is_negative = is_negative || !(row[action] >= 0.0);
      row_sum += row[action];
      distance += std::fabs(change[action]);
      kl += kl_terms[action];
      abar += term;
      scale += std::fabs(term);
      difference += change[action];
    }
    if (is_negative || !(std::fabs(row_sum - 1.0) <= kRowTolerance)) {
      check_policy_row(mdp, state, row, "candidates", item);
    }
    // Half of the least positive number would be 0, which is kept for rows that do not change.
    const double tv = std::max(0.5 * distance, std::min(distance, std::numeric_limits<double>::denorm_min()));
    const bool is_near = tv < kNear;
    const SumChange sum_change =
        is_near && tv > 0.0
            ? exact_sum_change(num_actions, base.policy.data() + first, row)
            : SumChange{difference, static_cast<double>(num_actions + 1) * 2.0 * kUnitRoundoff * distance};
    const double excess = std::fabs(sum_change.value) + sum_change.error;
    const double worth = std::fabs(base.value[at(state)]);
    ++num_states_;
    Comparison& most = extremes_;
    most.row_sum = {std::min(most.row_sum.lower, row_sum), std::max(most.row_sum.upper, row_sum)};
    most.alpha = std::max(most.alpha, tv);
    most.kl_max = std::max(most.kl_max, kl);
    most.abar_min = std::min(most.abar_min, abar);
    most.abar_max = std::max(most.abar_max, abar);
    most.abar_scale = std::max(most.abar_scale, scale);
    most.drift_max = std::max(most.drift_max, worth * excess);
    const double weight = base.weight[at(state)];
    if (weight == 0.0 || tv == 0.0) return abar;
    most.tv_visited = std::max(most.tv_visited, tv);
    most.kl_visited = std::max(most.kl_visited, kl);
    most.abar_visited = std::max(most.abar_visited, std::fabs(abar));
    sums.tv += weight * tv;
    sums.kl += weight * kl;
    sums.root_kl += weight * std::sqrt(0.5 * kl);
    sums.gain += weight * abar;
    sums.gain_scale += weight * scale;
    sums.sum_change += weight * excess;
    sums.drift += weight * base.value[at(state)] * sum_change.value;
    sums.drift_error += weight * worth * (sum_change.error + kComparisonError * std::fabs(sum_change.value));
    return abar;
  }

  static constexpr double kNone = std::numeric_limits<double>::infinity();
  Index num_states_ = 0;
  Comparison extremes_{.abar_min = kNone, .abar_max = -kNone, .row_sum = {kNone, -kNone}};
  Sum tv_, kl_, root_kl_, gain_, gain_scale_, sum_change_, drift_, drift_error_;
};

/// TV, Abar and their sums once more, in twofold arithmetic.
class SharpFindings {
 public:
  SharpFindings(const Base& base, const Candidates& candidates, Index candidate) {
    const Index size = base.mdp.num_states();
    Index seen = 0;
    candidates.for_rows(candidate, 0, size, [&](Index state, const double* row) {
      include(base, state, row);
      ++seen;
    });
    if (seen < size) include_extreme({});  // where nothing changes Abar is 0
  }

  void write(Comparison& found) const {
    found.alpha = alpha_.hi;
    found.alpha_low = alpha_.lo;
    found.tv = tv_.hi;
    found.tv_low = tv_.lo;
    found.abar_min = least_.hi;
    found.abar_min_low = least_.lo;
    found.abar_max = most_.hi;
    found.abar_max_low = most_.lo;
    found.gain = gain_.hi;
    found.gain_low = gain_.lo;
    if (!kl_is_sharp_) return;
    found.kl_max = kl_max_.hi;
    found.kl_max_low = kl_max_.lo;
    found.kl = kl_.hi;
    found.kl_low = kl_.lo;
    found.kl_error = kl_error_ * (1.0 + 64.0 * kUnitRoundoff);
  }

 private:
  void include(const Base& base, Index state, const double* row) {
    const Index first = base.mdp.first_pair(state);
    const Twofold weight = base.twofold_weight()[at(state)];
    Twofold distance, abar;
    for (Index pair = first; pair < base.mdp.first_pair(state + 1); ++pair) {
      const Twofold change = two_sum(row[pair - first], -base.policy[at(pair)]);
      distance = distance + magnitude(change);
      abar = abar + change * base.twofold_advantage()[at(pair)];
    }
    include_kl(weight, base.mdp.first_pair(state + 1) - first, base.policy.data() + first, row);
    const bool vanishes = 0.5 * distance.hi == 0.0;  // if so, of rows that do change, as above
    const Twofold tv = vanishes ? distance : distance * 0.5;
    if (is_less(alpha_, tv)) alpha_ = tv;
    include_extreme(abar);
    tv_ = tv_ + weight * tv;
    gain_ = gain_ + weight * abar;
  }

  void include_extreme(Twofold abar) {
    if (is_less(abar, least_)) least_ = abar;
    if (is_less(most_, abar)) most_ = abar;
  }

  /// KL of a row; what is not finite or not sharp is left to doubles.
  void include_kl(Twofold weight, Index num_actions, const double* p, const double* q) {
    Twofold kl;
    double error = 0.0;
    for (Index action = 0; action < num_actions && kl_is_sharp_; ++action) {
      const std::optional<SharpKlTerm> term = sharp_kl_term(p[action], q[action]);
      kl_is_sharp_ = term && std::isfinite(term->value.hi);
      if (!kl_is_sharp_) return;
      kl = kl + term->value;
      error += term->error;
    }
    if (kl.hi > 0.0) kl_error_ = std::max(kl_error_, error / kl.hi);
    if (is_less(kl_max_, kl)) kl_max_ = kl;
    kl_ = kl_ + weight * kl;
  }

  static bool is_less(Twofold a, Twofold b) { return a.hi < b.hi || (a.hi == b.hi && a.lo < b.lo); }

  Twofold alpha_, tv_, kl_max_, kl_, gain_;
  bool kl_is_sharp_ = true;
  double kl_error_ = 0.0;  // the largest of a row, relative to its KL
  Twofold least_{std::numeric_limits<double>::infinity()}, most_{-std::numeric_limits<double>::infinity()};
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

std::vector<Comparison> compare(const Base& base, const Candidates& candidates, Team& team, Monitor& monitor,
                                Vector abar) {
  const Index blocks = candidates.are_changes() ? 1 : num_blocks(base.mdp.num_states());
  std::vector<Findings> parts(at(candidates.size() * blocks));
  for_candidates(base, candidates, team, monitor, [&](Index candidate, Index first, Index last, Index block) {
    Findings findings;
    Doubles scratch;
    const std::size_t size = abar.empty() ? 0 : at(base.mdp.num_states());
    const Vector of_candidate = abar.subspan(at(candidate) * size, size);
    candidates.for_runs(candidate, first, last, kRun, [&](Index begin, Index count, const double* rows) {
      findings.include(base, begin, count, rows, candidate, scratch, of_candidate);
    });
    parts[at(candidate * blocks + block)] = findings;
  });
  std::vector<Comparison> found;
  for (Index candidate = 0; candidate < candidates.size(); ++candidate) {
    Findings& all = parts[at(candidate * blocks)];
    for (Index block = 1; block < blocks; ++block) all.include(parts[at(candidate * blocks + block)]);
    found.push_back(all.conclude(base.mdp));
    found.back().kl_error = kl_error(base.mdp.max_num_actions());
  }
  if (!base.is_sharp()) return found;
  team.for_blocks(candidates.size(), kTogether, [&](Index first, Index last, Index) {
    for (Index candidate = first; candidate < last; ++candidate) {
      SharpFindings(base, candidates, candidate).write(found[at(candidate)]);
    }
  });
  return found;
}

}  // namespace rlcore
