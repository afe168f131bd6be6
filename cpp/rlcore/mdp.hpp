// A finite Markov decision process (theory 1): borrowed arrays, checked once, immutable.
#pragma once

#include <algorithm>
#include <memory>
#include <mutex>

#include "rlcore/errors.hpp"
#include "rlcore/lanes.hpp"
#include "rlcore/parallel.hpp"
#include "rlcore/storage.hpp"
#include "rlcore/types.hpp"

namespace rlcore {

/// How far a row of probabilities may be from summing to one.
inline constexpr double kRowTolerance = 1e-9;

/// Larger rewards could overflow in twofold products.
inline constexpr double kLargestReward = 1e200;

/// The arrays of a model as its owner holds them. A pair (s, a) is a row; pairs of a state are
/// neighbours. Row p of the transition matrix holds the entries row_start[p] .. row_start[p+1].
struct MdpArrays {
  Index num_states = 0;
  std::span<const Index> pair_start;  // (num_states + 1)
  Offsets row_start;                  // (num_pairs + 1)
  std::span<const Column> column;     // (num_entries), increasing within a row
  ConstVector probability;            // (num_entries)
  ConstVector reward;                 // (num_pairs)
  ConstVector termination;            // (num_pairs), or empty: nothing ends
  ConstVector initial;                // (num_states), or empty: no start distribution
  std::shared_ptr<const void> owner;  // keeps the arrays alive
};

/// What lies between two bounds, both proven.
struct Interval {
  double lower = 0.0;
  double upper = 0.0;
};

/// A row P(.|s,a): successors in increasing order, and their probabilities.
struct Row {
  const Column* column = nullptr;
  const double* probability = nullptr;
  Index length = 0;
  Index ahead = 0;  // column[length + ahead - 1] may still be read: it belongs to a later row

  /// sum_s' P(s'|s,a) x(s') in doubles, of every lane.
  template <class Number>
  Number dot(const Number* x) const {
    prefetch_next();
    // Two sums: the additions of one need not wait for each other.
    Number even{};
    Number odd{};
    Index k = 0;
    for (; k + 1 < length; k += 2) {
      // Single numbers come fast enough by themselves.
      if constexpr (kLanesOf<Number> > 1) {
        prefetch(x + upcoming(k));
        prefetch(x + upcoming(k + 1));
      }
      even += probability[k] * x[column[k]];
      odd += probability[k + 1] * x[column[k + 1]];
    }
    if (k < length) even += probability[k] * x[column[k]];
    return even + odd;
  }

  /// Asks for rows to come, where all are read in order.
  RLCORE_INLINE void prefetch_next() const {
    prefetch_stream(column, column + length);
    prefetch_stream(probability, probability + length);
  }

  /// The column that will be needed soon after entry k.
  Column upcoming(Index k) const { return column[k + ahead]; }

  /// The part of the row with successors in [begin, end).
  Row between(Index begin, Index end) const {
    const Column* const row_end = column + length;
    const Column* const from = std::lower_bound(column, row_end, begin);
    const Column* const to = std::lower_bound(from, row_end, end);
    return {from, probability + (from - column), to - from, std::min(kLookahead, row_end + ahead - to)};
  }
};

class Mdp {
 public:
  /// When the numbers of a model are checked: at once, or, for a file that is mapped into memory, before the
  /// first computation reads them. Sizes are checked at once in either case.
  enum class Check { kNow, kAtFirstUse };

  /// Throws ModelError.
  explicit Mdp(MdpArrays arrays, int num_threads = 0, Check check = Check::kNow);

  /// Reads every array once and checks it, unless that was done before; throws ModelError. Every computation
  /// begins with it, so that no unchecked column is ever followed.
  void ensure_checked(int num_threads = 0) const;

  Index num_states() const { return arrays_.num_states; }
  Index num_pairs() const { return arrays_.row_start.size() - 1; }
  Index num_entries() const { return static_cast<Index>(arrays_.column.size()); }
  Index first_pair(Index state) const { return arrays_.pair_start[at(state)]; }
  Index first_entry(Index pair) const { return arrays_.row_start[pair]; }
  RLCORE_INLINE Row row(Index pair) const {
    const Index first = first_entry(pair);
    const Index last = first_entry(pair + 1);
    return {arrays_.column.data() + first, arrays_.probability.data() + first, last - first,
            std::min(kLookahead, num_entries() - last)};
  }
  ConstVector reward() const { return arrays_.reward; }
  ConstVector termination() const { return arrays_.termination; }
  ConstVector initial() const { return arrays_.initial; }

  // What the check has found; valid after it.
  Index max_row_length() const { return findings_.max_row_length; }
  Index max_num_actions() const { return findings_.max_num_actions; }

  /// The number of actions if every state has the same, else 0.
  Index uniform_num_actions() const { return findings_.uniform_num_actions; }

  /// Whether some pair ends the process with positive probability.
  bool can_end() const { return findings_.can_end; }

  /// Encloses sum_s' P(s'|s,a) of every pair, rounding of the summation included.
  Interval row_sum() const { return findings_.row_sum; }

 private:
  struct Findings {
    Index max_row_length = 0;
    Index max_num_actions = 0;
    Index uniform_num_actions = 0;
    bool can_end = false;
    Interval row_sum;
  };
  Findings check_numbers(int num_threads) const;

  MdpArrays arrays_;
  mutable std::once_flag checked_;
  mutable Findings findings_;
};

/// Whether the columns of every row increase, in one pass; unsorted or repeated ones must be
/// brought into order before an Mdp is made. Throws ModelError on a column outside [0, num_states).
bool rows_are_canonical(const MdpArrays& arrays);

/// Checks the reward of a pair; throws ModelError.
void check_reward(double reward, Place place);

/// Checks that `weights` (num_states) is a distribution over states; throws ModelError.
void check_distribution(ConstVector weights, Index num_states, const char* argument, Index item = -1);

}  // namespace rlcore
