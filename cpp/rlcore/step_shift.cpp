#include "rlcore/step_shift.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <optional>

#include "rlcore/lanes.hpp"
#include "rlcore/parallel.hpp"
#include "rlcore/twofold_rows.hpp"

namespace rlcore {
namespace {

/// States are dealt with in a few parts with sums of their own: how many depends on the model alone, so that each
/// number is summed in the same order for every team.
constexpr Index kMostParts = 4;

/// Smaller models do not need to share passes.
constexpr Index kFewestStates = 512;

/// Candidates that one thread deals with at a time, where there are many small ones.
constexpr Index kTogether = 16;

/// Bounds the error of sums of products that are formed in twofold arithmetic, relative to those of the magnitudes: of
/// at most all stored entries, twice where the diagonal is mended.
double twofold_error(const Mdp& mdp) { return 4.0 * dot_error(mdp.num_entries() + 64); }

/// Sums over y, as far as they are formed.
struct Sums {
  Twofold l1, mass, carried;

  void include(Twofold y) {
    l1 = l1 + magnitude(y);
    mass = mass + y;
  }
  void include(const Sums& other) {
    l1 = l1 + other.l1;
    mass = mass + other.mass;
    carried = carried + other.carried;
  }
};

/// f of a candidate, if there is one.
using Function = std::optional<TwofoldView>;

/// Finds the y of one candidate after the other, always in the same memory.
class Shift {
 public:
  Shift(const Base& base, const Candidates& candidates, bool undiscounted)
      : base_(base),
        candidates_(candidates),
        undiscounted_(undiscounted),
        num_parts_(candidates.are_changes() ? 1 : std::min(kMostParts, num_blocks(base.mdp.num_states()))),
        parts_(at(num_parts_)),
        ended_(at(num_parts_)),
        moved_(at(num_parts_)) {
    for (TwofoldVector& part : parts_) part = twofold_vector(base.mdp.num_states());
  }

  /// Whether more than one thread can work at one candidate.
  bool is_shared() const { return num_parts_ > 1; }

  StepShift find(Index candidate, const Function& f, Team& team) {
    const Index size = base_.mdp.num_states();
    team.for_blocks(num_parts_, 1, [&](Index part, Index, Index) {
      ended_[at(part)] = {};
      moved_[at(part)] = 0.0;
      candidates_.for_rows(candidate, size * part / num_parts_, size * (part + 1) / num_parts_,
                           [&](Index state, const double* row) { add_row(state, row, part); });
    });
    Sums sums = candidates_.are_changes() ? sums_where_touched(f) : sums_over_all(f, team);
    Twofold ended;
    for (const Twofold& part : ended_) ended = ended + part;
    sums.include(ended);
    double moved = 0.0;
    for (const double part : moved_) moved += part;
    const double error = twofold_error(base_.mdp) * moved;
    const double rounded = error + 4.0 * kUnitRoundoff * moved;
    return {sums.l1.hi, sums.mass.hi, sums.carried.hi, rounded, sums.l1.lo, sums.carried.lo, error};
  }

 private:
  void add_row(Index state, const double* row, Index part) {
    const Mdp& mdp = base_.mdp;
    const Twofold weight = base_.twofold_weight()[at(state)];
    if (weight.hi == 0.0) return;
    const Index first = mdp.first_pair(state);
    for (Index pair = first; pair < mdp.first_pair(state + 1); ++pair) {
      const Twofold change = two_sum(row[pair - first], -base_.policy[at(pair)]);
      if (change.hi == 0.0) continue;
      const Twofold more = change * weight;
      moved_[at(part)] += std::fabs(more.hi);
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

  void include(std::size_t state, const Function& f, Sums& sums) {
    const Twofold y = taken(state);
    if (y.hi == 0.0) return;
    sums.include(y);
    if (f) sums.carried = sums.carried + y * (*f)[state];
  }

  Sums sums_where_touched(const Function& f) {
    Sums sums;
    for (const Column state : touched_) include(at(state), f, sums);
    touched_.clear();
    return sums;
  }

  Sums sums_over_all(const Function& f, Team& team) {
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
  std::vector<double> moved_;    // sum w |pi' - pi|
  std::vector<Column> touched_;  // the states to which changed rows lead
};

/// The y of a few whole candidates at a time, in doubles; the parts are as above.
class SharedShift {
 public:
  using Number = LaneArray<static_cast<int>(kMostLanes)>;

  SharedShift(const Base& base, Team& team)
      : base_(base), team_(team), num_parts_(std::min(kMostParts, num_blocks(base.mdp.num_states()))) {
    for (Index part = 0; part < num_parts_; ++part) parts_.emplace_back(at(base.mdp.num_states()));
    count_arrivals();
  }

  void find(std::span<const ConstVector> policies, const double* functions, std::span<StepShift> found) {
    const Index size = base_.mdp.num_states();
    std::vector<Moves> moves(at(num_parts_));
    team_.for_blocks(num_parts_, 1, [&](Index part, Index, Index) {
      for (Index state = size * part / num_parts_; state < size * (part + 1) / num_parts_; ++state) {
        add_state(policies, state, parts_[at(part)], moves[at(part)]);
      }
    });
    std::vector<LaneSums> blocks(at(num_blocks(size)));
    team_.for_blocks(size, kBlock, [&](Index first, Index last, Index block) {
      for (Index state = first; state < last; ++state) {
        const Number y = taken(state);
        Number f{};
        for (std::size_t k = 0; functions != nullptr && k < policies.size(); ++k) {
          f.lane[k] = functions[static_cast<Index>(k) * size + state];
        }
        blocks[at(block)].include(y, f);
      }
    });
    LaneSums all;
    for (const LaneSums& block : blocks) all.include(block);
    Moves total;
    for (const Moves& part : moves) total.include(part);
    for (std::size_t k = 0; k < found.size(); ++k) {
      const double ended = total.ended.lane[k];
      found[k] = {all.l1.lane[k] + std::fabs(ended), all.mass.lane[k] + ended, all.carried.lane[k],
                  error_of(total.distance.lane[k])};
    }
  }

 private:
  /// What ends, and sum w |pi' - pi|.
  struct Moves {
    Number ended{}, distance{};

    void include(const Moves& other) {
      ended += other.ended;
      distance += other.distance;
    }
  };

  struct LaneSums {
    Number l1{}, mass{}, carried{};

    void include(const Number& y, const Number& f) {
      l1 += fabs(y);
      mass += y;
      carried += y * f;
    }
    void include(const LaneSums& other) {
      l1 += other.l1;
      mass += other.mass;
      carried += other.carried;
    }
  };

  void add_state(std::span<const ConstVector> policies, Index state, Numbers<Number>& sums, Moves& moves) const {
    const Mdp& mdp = base_.mdp;
    const double weight = base_.weight[at(state)];
    if (weight == 0.0) return;
    for (Index pair = mdp.first_pair(state); pair < mdp.first_pair(state + 1); ++pair) {
      Number more{};
      for (std::size_t k = 0; k < policies.size(); ++k) {
        more.lane[k] = weight * (policies[k][at(pair)] - base_.policy[at(pair)]);
      }
      moves.distance += fabs(more);
      const Row row = mdp.row(pair);
      for (Index k = 0; k < row.length; ++k) {
        prefetch(sums.data() + row.upcoming(k));
        sums[at(row.column[k])] += row.probability[k] * more;
      }
      if (!mdp.termination().empty()) moves.ended += mdp.termination()[at(pair)] * more;
    }
  }

  /// y(state), of which nothing is left.
  Number taken(Index state) {
    Number y{};
    for (Numbers<Number>& part : parts_) {
      y += part[at(state)];
      part[at(state)] = {};
    }
    return y;
  }

  void count_arrivals() {
    std::vector<Column> arrivals(at(base_.mdp.num_states()));
    for (Index pair = 0; pair < base_.mdp.num_pairs(); ++pair) {
      const Row row = base_.mdp.row(pair);
      for (Index k = 0; k < row.length; ++k) ++arrivals[at(row.column[k])];
    }
    most_arrivals_ = *std::max_element(arrivals.begin(), arrivals.end());
  }

  /// Each number of y is a sum of so many products; blocks and then the states are summed after that. What ends is
  /// summed over all pairs.
  double error_of(double distance) const {
    const Index ending = base_.mdp.can_end() ? base_.mdp.num_pairs() : 0;
    const Index terms = most_arrivals_ + kBlock + num_blocks(base_.mdp.num_states()) + ending + 16;
    return 2.0 * static_cast<double>(terms) * kUnitRoundoff * distance;
  }

  const Base& base_;
  Team& team_;
  Index num_parts_;
  Index most_arrivals_ = 0;
  std::vector<Numbers<Number>> parts_;
};

void find_shared_shifts(const Base& base, const Candidates& candidates, ConstVector functions, Team& team,
                        Monitor& monitor, std::span<StepShift> found) {
  SharedShift shift(base, team);
  const Index size = base.mdp.num_states();
  for (std::size_t first = 0; first < found.size(); first += kMostLanes) {
    monitor.poll({"steps of candidates", static_cast<Index>(first), 0.0, 0.0});
    const std::size_t count = std::min(kMostLanes, found.size() - first);
    const double* const f = functions.empty() ? nullptr : functions.data() + static_cast<Index>(first) * size;
    shift.find(candidates.policies().subspan(first, count), f, found.subspan(first, count));
  }
}

}  // namespace

std::vector<StepShift> step_shifts(const Base& base, const Candidates& candidates, TwofoldView functions,
                                   bool undiscounted, Team& team, Monitor& monitor) {
  const Index count = candidates.size();
  std::vector<StepShift> found(at(count));
  const auto function_of = [&](Index candidate) -> Function {
    if (functions.high.empty()) return std::nullopt;
    const std::size_t size = at(base.mdp.num_states());
    const auto part = [&](ConstVector x) { return x.empty() ? x : x.subspan(at(candidate) * size, size); };
    return TwofoldView{part(functions.high), part(functions.low)};
  };
  if (!undiscounted && !candidates.are_changes() && base.mdp.num_states() >= kFewestStates) {
    find_shared_shifts(base, candidates, functions.high, team, monitor, found);
    return found;
  }
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

}  // namespace rlcore
