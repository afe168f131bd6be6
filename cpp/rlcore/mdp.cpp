#include "rlcore/mdp.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "rlcore/format.hpp"
#include "rlcore/twofold.hpp"

namespace rlcore {
namespace {

void check_size(const char* argument, std::size_t got, Index expected, const char* of_what) {
  if (static_cast<Index>(got) == expected) return;
  throw ModelError(
      argument, {},
      "expected " + std::to_string(expected) + " numbers, one for each " + of_what + ", got " + std::to_string(got));
}

void check_shapes(const MdpArrays& arrays) {
  const Index num_pairs = arrays.row_start.size() - 1;
  if (arrays.num_states < 1) throw ModelError("transition", {}, "expected at least one state, got none");
  if (arrays.num_states > std::numeric_limits<Column>::max()) {
    throw ModelError("transition", {}, "expected fewer than 2^31 states, got " + std::to_string(arrays.num_states));
  }
  check_size("pair_start", arrays.pair_start.size(), arrays.num_states + 1, "state and one more");
  check_size("transition", arrays.probability.size(), static_cast<Index>(arrays.column.size()), "stored column");
  check_size("reward", arrays.reward.size(), num_pairs, "pair");
  if (!arrays.termination.empty()) check_size("termination", arrays.termination.size(), num_pairs, "pair");
  if (!arrays.initial.empty()) check_size("initial", arrays.initial.size(), arrays.num_states, "state");
}

void check_pair_start(const MdpArrays& arrays) {
  const Index num_pairs = arrays.row_start.size() - 1;
  const auto start = [&](Index state) { return arrays.pair_start[at(state)]; };
  if (start(0) != 0) throw ModelError("pair_start", {}, "expected to begin with 0, got " + std::to_string(start(0)));
  for (Index state = 0; state < arrays.num_states; ++state) {
    if (start(state + 1) <= start(state)) {
      // Unsigned, for the numbers of a damaged file may be too far apart to subtract.
      const auto count = static_cast<std::uint64_t>(start(state + 1)) - static_cast<std::uint64_t>(start(state));
      throw ModelError("pair_start", {.state = state},
                       "expected at least one action, got " + std::to_string(static_cast<Index>(count)));
    }
  }
  if (start(arrays.num_states) != num_pairs) {
    throw ModelError("pair_start", {},
                     "expected to end with the number of pairs, " + std::to_string(num_pairs) + ", got " +
                         std::to_string(start(arrays.num_states)));
  }
}

[[noreturn]] void bad_row_start(const MdpArrays& arrays) {
  throw ModelError("transition", {},
                   "expected row offsets that grow from 0 to the number of entries, " +
                       std::to_string(arrays.column.size()) + "; the sparse matrix is damaged");
}

/// The ends of the offsets; those between are checked with their rows.
void check_row_start(const MdpArrays& arrays) {
  const Offsets& start = arrays.row_start;
  if (start[0] != 0 || start[start.size() - 1] != static_cast<Index>(arrays.column.size())) bad_row_start(arrays);
}

/// Row `pair` lies within the entries.
void check_row_bounds(const MdpArrays& arrays, Index pair) {
  const Index begin = arrays.row_start[pair];
  const Index end = arrays.row_start[pair + 1];
  if (begin < 0 || begin > end || end > static_cast<Index>(arrays.column.size())) bad_row_start(arrays);
}

/// What one pass over the rows of a range of states finds.
struct RowScan {
  double least_sum = 2.0;
  double most_sum = 0.0;
  Index longest_row = 0;
  Index fewest_actions = std::numeric_limits<Index>::max();
  Index most_actions = 0;
  bool ends = false;

  void include(const RowScan& other) {
    least_sum = std::min(least_sum, other.least_sum);
    most_sum = std::max(most_sum, other.most_sum);
    longest_row = std::max(longest_row, other.longest_row);
    fewest_actions = std::min(fewest_actions, other.fewest_actions);
    most_actions = std::max(most_actions, other.most_actions);
    ends = ends || other.ends;
  }
};

/// Reads row by row: each fault has its own sentence, and the first in order is the one reported.
class RowReader {
 public:
  explicit RowReader(const MdpArrays& arrays) : arrays_(arrays) {}

  void read_state(Index state, RowScan& scan) const {
    const Index first = arrays_.pair_start[at(state)];
    const Index last = arrays_.pair_start[at(state) + 1];
    for (Index pair = first; pair < last; ++pair) read_pair({.state = state, .action = pair - first}, pair, scan);
    scan.fewest_actions = std::min(scan.fewest_actions, last - first);
    scan.most_actions = std::max(scan.most_actions, last - first);
  }

 private:
  void read_pair(Place place, Index pair, RowScan& scan) const {
    check_row_bounds(arrays_, pair);
    const double sum = row_sum(place, pair);
    const double ending = termination(place, pair);
    check_reward(arrays_.reward[at(pair)], place);
    if (!(std::fabs(sum + ending - 1.0) <= kRowTolerance)) bad_sum(place, pair, sum, ending);
    scan.least_sum = std::min(scan.least_sum, sum);
    scan.most_sum = std::max(scan.most_sum, sum);
    scan.longest_row = std::max(scan.longest_row, arrays_.row_start[pair + 1] - arrays_.row_start[pair]);
    scan.ends = scan.ends || ending > 0.0;
  }

  /// One pass without branches; a row that is not sound is read again for what is wrong with it.
  double row_sum(Place place, Index pair) const {
    double sum = 0.0;
    Index previous = -1;
    bool sound = true;
    const Column* const column = arrays_.column.data();
    const double* const probabilities = arrays_.probability.data();
    const Index end = arrays_.row_start[pair + 1];
    for (Index entry = arrays_.row_start[pair]; entry < end; ++entry) {
      const Index successor = column[entry];
      const double probability = probabilities[entry];
      sound &= (successor > previous) & (successor < arrays_.num_states) & (probability >= 0.0);
      previous = successor;
      sum += probability;
    }
    if (!sound || !std::isfinite(sum)) explain(place, pair);
    return sum;
  }

  void explain(Place place, Index pair) const {
    Index previous = -1;
    for (Index entry = arrays_.row_start[pair]; entry < arrays_.row_start[pair + 1]; ++entry) {
      const Index successor = arrays_.column[at(entry)];
      const double probability = arrays_.probability[at(entry)];
      if (successor <= previous || successor >= arrays_.num_states) bad_column(place, successor);
      if (!(probability >= 0.0 && std::isfinite(probability))) bad_probability(place, successor, probability);
      previous = successor;
    }
  }

  double termination(Place place, Index pair) const {
    if (arrays_.termination.empty()) return 0.0;
    const double ending = arrays_.termination[at(pair)];
    if (!(ending >= 0.0 && ending <= 1.0 + kRowTolerance)) {
      throw ModelError("termination", place, "expected a probability in [0, 1], got " + format(ending));
    }
    return ending;
  }

  [[noreturn]] void bad_column(Place place, Index successor) const {
    const bool outside = successor < 0 || successor >= arrays_.num_states;
    throw ModelError("transition", place,
                     outside ? "expected successors in 0 .. " + std::to_string(arrays_.num_states - 1) + ", got " +
                                   std::to_string(successor)
                             : "expected increasing successors, got " + std::to_string(successor) + " out of order");
  }

  [[noreturn]] static void bad_probability(Place place, Index successor, double probability) {
    throw ModelError(
        "transition", place,
        "expected a probability in [0, 1] for successor " + std::to_string(successor) + ", got " + format(probability));
  }

  [[noreturn]] void bad_sum(Place place, Index pair, double sum, double ending) const {
    const bool empty = arrays_.row_start[pair] == arrays_.row_start[pair + 1];
    if (empty && ending == 0.0) {
      throw ModelError("transition", place,
                       "expected probabilities that sum to 1, got an empty row; give its successors, or "
                       "termination = 1 if the process ends there");
    }
    throw ModelError("transition", place,
                     "expected probabilities that sum to 1 within 1e-9" +
                         std::string(arrays_.termination.empty() ? "" : " together with termination") + ", got " +
                         format(sum + ending) +
                         "; correct the row, declare what is missing as termination, or pass normalize=True");
  }

  const MdpArrays& arrays_;
};

}  // namespace

bool rows_are_canonical(const MdpArrays& arrays) {
  check_row_start(arrays);
  const Index num_rows = arrays.row_start.size() - 1;
  Team team(static_cast<Index>(arrays.column.size()) < kParallelEntries ? 1 : 0);
  std::vector<char> canonical(at(num_blocks(num_rows)), 1);
  team.for_blocks(num_rows, kBlock, [&](Index first, Index last, Index block) {
    bool increasing = true;
    for (Index pair = first; pair < last; ++pair) {
      check_row_bounds(arrays, pair);
      for (Index entry = arrays.row_start[pair] + 1; entry < arrays.row_start[pair + 1]; ++entry) {
        increasing = increasing && arrays.column[at(entry - 1)] < arrays.column[at(entry)];
      }
    }
    canonical[at(block)] = increasing ? 1 : 0;
  });
  return std::all_of(canonical.begin(), canonical.end(), [](char yes) { return yes != 0; });
}

void check_reward(double reward, Place place) {
  if (!std::isfinite(reward)) throw ModelError("reward", place, "expected a finite number, got " + format(reward));
  if (std::fabs(reward) > kLargestReward) {
    throw ModelError("reward", place, "expected at most 1e200 in magnitude, got " + format(reward) + "; rescale");
  }
}

void check_distribution(ConstVector weights, Index num_states, const char* argument, Index item) {
  if (ssize(weights) != num_states) {
    throw ModelError(argument, {.item = item},
                     "expected one probability for each of the " + std::to_string(num_states) + " states, got " +
                         std::to_string(weights.size()));
  }
  Twofold all;  // a plain sum of 10^8 weights would be off by more than the tolerance
  for (Index state = 0; state < num_states; ++state) {
    const double weight = weights[at(state)];
    if (!(weight >= 0.0 && std::isfinite(weight))) {
      throw ModelError(argument, {.state = state, .item = item},
                       "expected a probability in [0, 1], got " + format(weight));
    }
    const Twofold sum = two_sum(all.hi, weight);
    all = {sum.hi, all.lo + sum.lo};
  }
  const double sum = all.rounded();
  if (!(std::fabs(sum - 1.0) <= kRowTolerance)) {
    throw ModelError(
        argument, {.item = item},
        "expected probabilities that sum to 1 within 1e-9, got a sum of " + format(sum) + "; divide by the sum");
  }
}

Mdp::Mdp(MdpArrays arrays, int num_threads, Check check) : arrays_(std::move(arrays)) {
  check_shapes(arrays_);
  if (check == Check::kNow) ensure_checked(num_threads);
}

void Mdp::ensure_checked(int num_threads) const {
  std::call_once(checked_, [&] { findings_ = check_numbers(num_threads); });
}

Mdp::Findings Mdp::check_numbers(int num_threads) const {
  check_pair_start(arrays_);
  check_row_start(arrays_);
  if (!arrays_.initial.empty()) check_distribution(arrays_.initial, arrays_.num_states, "initial");

  const RowReader reader(arrays_);
  std::vector<RowScan> scans(at(num_blocks(num_states())));
  Team team(num_entries() < kParallelEntries ? 1 : num_threads);
  team.for_blocks(num_states(), kBlock, [&](Index first, Index last, Index block) {
    RowScan scan;
    for (Index state = first; state < last; ++state) reader.read_state(state, scan);
    scans[at(block)] = scan;
  });
  RowScan all;
  for (const RowScan& scan : scans) all.include(scan);

  const double rounding = 2.0 * static_cast<double>(all.longest_row) * kUnitRoundoff;
  return {
      .max_row_length = all.longest_row,
      .max_num_actions = all.most_actions,
      .uniform_num_actions = all.fewest_actions == all.most_actions ? all.most_actions : 0,
      .can_end = all.ends,
      .row_sum = {all.least_sum * (1.0 - rounding), all.most_sum * (1.0 + rounding)},
  };
}

}  // namespace rlcore
