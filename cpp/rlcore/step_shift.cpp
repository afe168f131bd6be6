#include "rlcore/step_shift.hpp"

#include <algorithm>
#include <cmath>

#include "rlcore/parallel.hpp"
#include "rlcore/twofold_rows.hpp"

namespace rlcore {
namespace {

/// States are dealt with in a few parts with sums of their own: how many depends on the model alone, so that each
/// number is summed in the same order for every team.
constexpr Index kMostParts = 4;

/// Candidates that one thread deals with at a time, where there are many small ones.
constexpr Index kTogether = 16;

/// Sums over y, as far as they are formed.
struct Sums {
  Twofold l1, mass, carried;

  void include(Twofold y) {
    l1 = l1 + (y.hi < 0.0 ? -y : y);
    mass = mass + y;
  }
  void include(const Sums& other) {
    l1 = l1 + other.l1;
    mass = mass + other.mass;
    carried = carried + other.carried;
  }
};

/// Finds the y of one candidate after the other, always in the same memory.
class Shift {
 public:
  Shift(const Base& base, const Candidates& candidates, bool undiscounted)
      : base_(base),
        candidates_(candidates),
        undiscounted_(undiscounted),
        num_parts_(candidates.are_changes() ? 1 : std::min(kMostParts, num_blocks(base.mdp.num_states()))),
        parts_(at(num_parts_)),
        ended_(at(num_parts_)) {
    for (TwofoldVector& part : parts_) part = twofold_vector(base.mdp.num_states());
  }

  /// Whether more than one thread can work at one candidate.
  bool is_shared() const { return num_parts_ > 1; }

  StepShift find(Index candidate, const double* f, Team& team) {
    const Index size = base_.mdp.num_states();
    team.for_blocks(num_parts_, 1, [&](Index part, Index, Index) {
      ended_[at(part)] = {};
      candidates_.for_rows(candidate, size * part / num_parts_, size * (part + 1) / num_parts_,
                           [&](Index state, const double* row) { add_row(state, row, part); });
    });
    Sums sums = candidates_.are_changes() ? sums_where_touched(f) : sums_over_all(f, team);
    Twofold ended;
    for (const Twofold& part : ended_) ended = ended + part;
    sums.include(ended);
    return {sums.l1.hi, sums.mass.hi, sums.carried.hi};
  }

 private:
  void add_row(Index state, const double* row, Index part) {
    const Mdp& mdp = base_.mdp;
    const double weight = base_.weight[at(state)];
    if (weight == 0.0) return;
    const Index first = mdp.first_pair(state);
    for (Index pair = first; pair < mdp.first_pair(state + 1); ++pair) {
      const Twofold change = two_sum(row[pair - first], -base_.policy[at(pair)]);
      if (change.hi == 0.0) continue;
      const Twofold more = change * weight;
      const Row successors = mdp.row(pair);
      twofold_rows().scatter(more, successors, parts_[at(part)].data());
      for (Index k = 0; k < successors.length; ++k) touch(successors.column[k]);
      const double ending = mdp.termination().empty() ? 0.0 : mdp.termination()[at(pair)];
      ended_[at(part)] = ended_[at(part)] + more * ending;
      if (!undiscounted_) continue;
      // In place of P(s|s,a) the rest of the row and its termination leave the state.
      Twofold& own = parts_[at(part)][at(state)];
      own = two_sum(own.hi, own.lo) - more * (sum_of(successors) + ending);
      touch(state);
    }
  }

  void touch(Index state) {
    if (candidates_.are_changes()) touched_.push_back(static_cast<Column>(state));
  }

  static Twofold sum_of(const Row& row) {
    TwofoldSum sum;
    for (Index k = 0; k < row.length; ++k) sum.add_product({row.probability[k]}, 1.0);
    return sum.total();
  }

  /// y(state), of which nothing is left.
  Twofold taken(std::size_t state) {
    Twofold y;
    for (TwofoldVector& part : parts_) {
      y = y + two_sum(part[state].hi, part[state].lo);
      part[state] = {};
    }
    return y;
  }

  void include(std::size_t state, const double* f, Sums& sums) {
    const Twofold y = taken(state);
    if (y.hi == 0.0) return;
    sums.include(y);
    if (f != nullptr) sums.carried = sums.carried + y * f[state];
  }

  Sums sums_where_touched(const double* f) {
    Sums sums;
    for (const Column state : touched_) include(at(state), f, sums);
    touched_.clear();
    return sums;
  }

  Sums sums_over_all(const double* f, Team& team) {
    const Index size = base_.mdp.num_states();
    std::vector<Sums> blocks(at(num_blocks(size)));
    team.for_blocks(size, kBlock, [&](Index first, Index last, Index block) {
      for (auto state = at(first); state < at(last); ++state) include(state, f, blocks[at(block)]);
    });
    Sums all;
    for (const Sums& block : blocks) all.include(block);
    return all;
  }

  const Base& base_;
  const Candidates& candidates_;
  bool undiscounted_;
  Index num_parts_;
  std::vector<TwofoldVector> parts_;
  std::vector<Twofold> ended_;
  std::vector<Column> touched_;  // the states to which changed rows lead
};

}  // namespace

std::vector<StepShift> step_shifts(const Base& base, const Candidates& candidates, ConstVector functions,
                                   bool undiscounted, Team& team, Monitor& monitor) {
  const Index count = candidates.size();
  std::vector<StepShift> found(at(count));
  const auto function_of = [&](Index candidate) {
    return functions.empty() ? nullptr : functions.data() + candidate * base.mdp.num_states();
  };
  std::vector<Shift> shifts;
  shifts.emplace_back(base, candidates, undiscounted);
  if (shifts.front().is_shared()) {
    for (Index candidate = 0; candidate < count; ++candidate) {
      monitor.poll({"steps of candidates", candidate, 0.0, 0.0});
      found[at(candidate)] = shifts.front().find(candidate, function_of(candidate), team);
    }
    return found;
  }
  for (int member = 1; member < team.size(); ++member) shifts.emplace_back(base, candidates, undiscounted);
  const Index at_once = kTogether * 64 * team.size();
  for (Index done = 0; done < count; done += at_once) {
    monitor.poll({"steps of candidates", done, 0.0, 0.0});
    const Index until = std::min(done + at_once, count);
    std::atomic<Index> next{done};
    team.run([&](int member) {
      Team alone(1);
      for (Index first = next.fetch_add(kTogether); first < until; first = next.fetch_add(kTogether)) {
        for (Index candidate = first; candidate < std::min(first + kTogether, until); ++candidate) {
          found[at(candidate)] = shifts[at(member)].find(candidate, function_of(candidate), alone);
        }
      }
    });
  }
  return found;
}

double step_shift_error(const Mdp& mdp) {
  // Every number of y is a sum of at most all stored entries, in twofold arithmetic, of products that sum to 2 w TV.
  return 4.0 * dot_error(mdp.num_entries() + 64) + 2.0 * kUnitRoundoff;
}

}  // namespace rlcore
