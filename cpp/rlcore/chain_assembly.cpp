// P_pi and its transpose as merged matrices.
#include <algorithm>
#include <vector>

#include "rlcore/chain.hpp"

namespace rlcore {
namespace {

/// Collects the entries of one row, summing those that share a column.
class RowMerger {
 public:
  RowMerger(Index num_columns, Column* columns, double* values)
      : place_(static_cast<std::size_t>(num_columns), -1), columns_(columns), values_(values) {}

  /// Later entries go from `begin` on. Places before it belong to earlier rows.
  void begin_row(Index begin) { begin_ = end_ = begin; }

  void add(Column column, double value) {
    Index& place = place_[static_cast<std::size_t>(column)];
    if (place >= begin_) {
      values_[place] += value;
    } else {
      place = end_;
      columns_[end_] = column;
      values_[end_] = value;
      ++end_;
    }
  }

  Index end() const { return end_; }

 private:
  std::vector<Index> place_;  // where each column was last written
  Column* columns_;
  double* values_;
  Index begin_ = 0;
  Index end_ = 0;
};

/// Calls body(pair, weight) for the actions that the policy takes.
template <class Body>
void for_chosen_pairs(const Chain& chain, Index state, Body&& body) {
  for (Index pair = chain.mdp().first_pair(state); pair < chain.mdp().first_pair(state + 1); ++pair) {
    const double weight = chain.policy()[static_cast<std::size_t>(pair)];
    if (weight != 0.0) body(pair, weight);
  }
}

/// How many entries the chosen rows of each block have before merging, summed up: where blocks begin.
std::vector<Index> block_starts(const Chain& chain, Team& team) {
  std::vector<Index> start(static_cast<std::size_t>(num_blocks(chain.size())) + 1, 0);
  team.for_blocks(chain.size(), kBlock, [&](Index first, Index last, Index block) {
    Index entries = 0;
    for (Index state = first; state < last; ++state) {
      for_chosen_pairs(chain, state, [&](Index pair, double) {
        entries += chain.mdp().first_entry(pair + 1) - chain.mdp().first_entry(pair);
      });
    }
    start[static_cast<std::size_t>(block) + 1] = entries;
  });
  for (std::size_t block = 1; block < start.size(); ++block) start[block] += start[block - 1];
  return start;
}

/// Calls body(state, column, weight, entry) for every entry that lands in [begin, end), rows in order.
template <class Body>
void for_entries_into(const Chain& chain, Index begin, Index end, Body&& body) {
  const Column* column = chain.mdp().column();
  const bool everywhere = begin == 0 && end == chain.size();
  for (Index state = 0; state < chain.size(); ++state) {
    for_chosen_pairs(chain, state, [&](Index pair, double weight) {
      const Column* const row_end = column + chain.mdp().first_entry(pair + 1);
      const Column* entry = column + chain.mdp().first_entry(pair);
      if (!everywhere) entry = std::lower_bound(entry, row_end, static_cast<Column>(begin));
      for (; entry < row_end && *entry < end; ++entry) body(state, *entry, weight, entry - column);
    });
  }
}

}  // namespace

CsrMatrix Chain::transition(Team& team) const {
  const std::vector<Index> start = block_starts(*this, team);
  CsrMatrix matrix(size(), start.back());
  std::vector<Index> entries(start.size(), 0);
  std::atomic<Index> next{0};
  team.run([&](int) {
    RowMerger merger(size(), matrix.column.get(), matrix.value.get());
    // Blocks are taken in increasing order, so what an earlier one left in the merger lies before.
    for (Index block = next++; block + 1 < static_cast<Index>(start.size()); block = next++) {
      Index begin = start[static_cast<std::size_t>(block)];
      for (Index state = block * kBlock; state < std::min((block + 1) * kBlock, size()); ++state) {
        merger.begin_row(begin);
        for_chosen_pairs(*this, state, [&](Index pair, double weight) {
          for (Index entry = mdp_.first_entry(pair); entry < mdp_.first_entry(pair + 1); ++entry) {
            merger.add(mdp_.column()[entry], weight * mdp_.probability()[entry]);
          }
        });
        matrix.first[static_cast<std::size_t>(state)] = begin;
        matrix.length[static_cast<std::size_t>(state)] = static_cast<std::int32_t>(merger.end() - begin);
        begin = merger.end();
      }
      entries[static_cast<std::size_t>(block)] = begin - start[static_cast<std::size_t>(block)];
    }
  });
  for (const Index count : entries) matrix.num_entries += count;
  return matrix;
}

CsrMatrix Chain::transposed_transition(Team& team) const {
  // First count, for each state, how many predecessors' rows enter it; then fill. Pairs come state by
  // state, so entries to merge are always the last two of their row.
  std::vector<std::int32_t> count(static_cast<std::size_t>(size()), 0);
  const auto range_begin = [&](int member) { return size() * member / team.size(); };
  {
    std::vector<Column> last_from(static_cast<std::size_t>(size()), -1);
    team.run([&](int member) {
      for_entries_into(*this, range_begin(member), range_begin(member + 1),
                       [&](Index state, Column successor, double, Index) {
                         Column& last = last_from[static_cast<std::size_t>(successor)];
                         count[static_cast<std::size_t>(successor)] += last != state;
                         last = static_cast<Column>(state);
                       });
    });
  }
  Index total = 0;
  for (const std::int32_t entries : count) total += entries;
  CsrMatrix matrix(size(), total);
  matrix.num_entries = total;
  Index begin = 0;
  for (Index row = 0; row < size(); ++row) {
    matrix.first[static_cast<std::size_t>(row)] = begin;
    matrix.length[static_cast<std::size_t>(row)] = 0;
    begin += count[static_cast<std::size_t>(row)];
  }
  team.run([&](int member) {
    for_entries_into(*this, range_begin(member), range_begin(member + 1),
                     [&](Index state, Column successor, double weight, Index entry) {
                       const auto row = static_cast<std::size_t>(successor);
                       const double value = weight * mdp_.probability()[entry];
                       Index place = matrix.first[row] + matrix.length[row];
                       if (matrix.length[row] > 0 && matrix.column[static_cast<std::size_t>(place - 1)] == state) {
                         matrix.value[static_cast<std::size_t>(place - 1)] += value;
                       } else {
                         matrix.column[static_cast<std::size_t>(place)] = static_cast<Column>(state);
                         matrix.value[static_cast<std::size_t>(place)] = value;
                         ++matrix.length[row];
                       }
                     });
  });
  return matrix;
}

}  // namespace rlcore
