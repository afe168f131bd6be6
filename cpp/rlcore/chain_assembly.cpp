// P_pi and its transpose as merged matrices.
#include <algorithm>
#include <bit>
#include <utility>
#include <vector>

#include "rlcore/chain.hpp"
#include "rlcore/shared_successors.hpp"

namespace rlcore {
namespace {

/// Collects the entries of one row after the other, summing those of a row that share a column.
///
/// A hash table says where in the matrix a column stands. It stays in cache where rows are short, which a table of all
/// columns would not; and as far as it does, it has so many slots that hardly two columns of a row meet in one.
class RowMerger {
 public:
  RowMerger(CsrMatrix& matrix, Index most_entries)
      : num_bits_(bits_for(most_entries)),
        place_(std::size_t{1} << num_bits_, -1),
        column_(matrix.column.data()),
        value_(matrix.value.data()) {}

  /// The next row's entries go from `begin` on, behind all rows before it.
  void begin_row(Index begin) { begin_ = end_ = begin; }

  void add(const Row& row, double weight) {
    row.prefetch_next();
    for (Index k = 0; k < row.length; ++k) {
      const Column column = row.column[k];
      Index& place = slot(column);
      const double value = weight * row.probability[k];
      if (place >= begin_) {
        value_[place] += value;
      } else {
        place = end_;
        column_[end_] = column;
        value_[end_] = value;
        ++end_;
      }
    }
  }

  Index end() const { return end_; }

 private:
  /// Where the column stands, or the free slot where it belongs.
  Index& slot(Column column) {
    const std::size_t last = place_.size() - 1;
    std::size_t i = (at(column) * kGoldenRatio) >> (64 - num_bits_);
    while (place_[i] >= begin_ && column_[place_[i]] != column) i = (i + 1) & last;
    return place_[i];
  }

  static int bits_for(Index most_entries) {
    constexpr Index kRoomy = 32;
    constexpr Index kSlotsInCache = 2048;
    const Index slots = std::max(2 * most_entries, std::min(kRoomy * most_entries, kSlotsInCache));
    return std::max(1, static_cast<int>(std::bit_width(at(slots))));
  }

  static constexpr std::uint64_t kGoldenRatio = 0x9E3779B97F4A7C15;  // 2^64 / phi (Knuth, TAOCP 3, 6.4)

  int num_bits_;
  std::vector<Index, LargeAllocator<Index>> place_;  // before begin_ it belongs to an earlier row: the slot is free
  Column* column_;
  double* value_;
  Index begin_ = 0;
  Index end_ = 0;
};

/// Calls body(row, weight) for the actions that the policy takes in a state.
template <class Body>
void for_chosen_rows(const Chain& chain, Index state, Body&& body) {
  chain.for_chosen_pairs(state, [&](Index pair, double weight) { body(chain.mdp().row(pair), weight); });
}

/// Where the blocks of P_pi begin when no rows merge: the sums of the chosen rows' lengths.
std::vector<Index> block_starts(const Chain& chain, Team& team) {
  std::vector<Index> start(at(num_blocks(chain.size())) + 1, 0);
  team.for_blocks(chain.size(), kBlock, [&](Index first, Index last, Index block) {
    Index entries = 0;
    for (Index state = first; state < last; ++state) {
      for_chosen_rows(chain, state, [&](const Row& row, double) { entries += row.length; });
    }
    start[at(block + 1)] = entries;
  });
  for (std::size_t block = 1; block < start.size(); ++block) start[block] += start[block - 1];
  return start;
}

/// The transpose by distribution: entries are first dealt out to buckets of neighbouring columns, each of
/// which is written in sequence; then every bucket is put in order on its own, in cache. Filling the columns
/// directly would touch distant memory for every entry.
///
/// Chunks of states and buckets are fixed by the model, so entries come in the same order for every team.
/// for_rows(state, body) calls body(row, weight) for the rows that a state's row is the sum of.
template <class ForRows>
class Transposer {
 public:
  Transposer(Index size, ForRows for_rows, Team& team)
      : size_(size),
        for_rows_(std::move(for_rows)),
        team_(team),
        num_buckets_(num_blocks(size)),
        num_chunks_(std::min<Index>(16, num_buckets_)) {}

  CsrMatrix transpose() {
    count();
    CsrMatrix matrix(size_, bucket_start_.back());
    place_in_bucket_ = Buffer<std::uint16_t>(bucket_start_.back());
    team_.for_blocks(num_chunks_, 1, [&](Index chunk, Index, Index) { deal(chunk, matrix); });
    std::vector<Index> entries(at(num_buckets_));
    team_.for_blocks(num_buckets_, 1,
                     [&](Index bucket, Index, Index) { entries[at(bucket)] = arrange(bucket, matrix); });
    for (const Index of_bucket : entries) matrix.num_entries += of_bucket;
    return matrix;
  }

 private:
  /// Calls body(state, row, weight) for the rows of a chunk.
  template <class Body>
  void for_rows_of_chunk(Index chunk, Body&& body) const {
    const Index end = size_ * (chunk + 1) / num_chunks_;
    for (Index state = size_ * chunk / num_chunks_; state < end; ++state) {
      for_rows_(state, [&](const Row& row, double weight) { body(static_cast<Column>(state), row, weight); });
    }
  }

  /// How many entries each chunk has for each bucket, and so where everything goes.
  void count() {
    cursor_.assign(at(num_chunks_), std::vector<Index>(at(num_buckets_), 0));
    team_.for_blocks(num_chunks_, 1, [&](Index chunk, Index, Index) {
      std::vector<Index>& entries = cursor_[at(chunk)];
      for_rows_of_chunk(chunk, [&](Column, const Row& row, double) {
        for (Index k = 0; k < row.length; ++k) ++entries[at(row.column[k] / kBlock)];
      });
    });
    bucket_start_.assign(at(num_buckets_ + 1), 0);
    Index place = 0;
    for (Index bucket = 0; bucket < num_buckets_; ++bucket) {
      for (std::vector<Index>& cursor : cursor_) place += std::exchange(cursor[at(bucket)], place);
      bucket_start_[at(bucket + 1)] = place;
    }
  }

  /// Writes a chunk's entries to the buckets, in the matrix's own arrays.
  void deal(Index chunk, CsrMatrix& matrix) {
    std::vector<Index>& cursor = cursor_[at(chunk)];
    for_rows_of_chunk(chunk, [&](Column state, const Row& row, double weight) {
      for (Index k = 0; k < row.length; ++k) {
        const Column column = row.column[k];
        const Index place = cursor[at(column / kBlock)]++;
        prefetch_next_line(matrix.column.data() + place);
        prefetch_next_line(matrix.value.data() + place);
        prefetch_next_line(place_in_bucket_.data() + place);
        matrix.column[place] = state;
        matrix.value[place] = weight * row.probability[k];
        place_in_bucket_[place] = static_cast<std::uint16_t>(column % kBlock);
      }
    });
  }

  /// Sorts a bucket by column and merges; returns how many entries are left. Entries come state by state, so
  /// those that merge follow each other within their column.
  Index arrange(Index bucket, CsrMatrix& matrix) {
    const Index begin = bucket_start_[at(bucket)];
    const Index entries = bucket_start_[at(bucket + 1)] - begin;
    const std::vector<Column> state(matrix.column.data() + begin, matrix.column.data() + begin + entries);
    const std::vector<double> value(matrix.value.data() + begin, matrix.value.data() + begin + entries);
    const std::uint16_t* const row_of = place_in_bucket_.data() + begin;

    const Index first_row = bucket * kBlock;
    const Index num_rows = std::min(kBlock, size_ - first_row);
    std::vector<Column> last_state(at(num_rows), -1);
    std::vector<Index> next(at(num_rows), 0);
    for (std::size_t k = 0; k < state.size(); ++k) {
      next[row_of[k]] += last_state[row_of[k]] != state[k];
      last_state[row_of[k]] = state[k];
    }
    Index place = begin;
    for (Index row = 0; row < num_rows; ++row) {
      matrix.first[first_row + row] = place;
      matrix.length[first_row + row] = static_cast<std::int32_t>(next[at(row)]);
      place += std::exchange(next[at(row)], place);
    }
    std::fill(last_state.begin(), last_state.end(), -1);
    for (std::size_t k = 0; k < state.size(); ++k) {
      Index& to = next[row_of[k]];
      if (last_state[row_of[k]] == state[k]) {
        matrix.value[to - 1] += value[k];
      } else {
        matrix.column[to] = last_state[row_of[k]] = state[k];
        matrix.value[to++] = value[k];
      }
    }
    return place - begin;
  }

  static_assert(kBlock <= 65536);

  Index size_;
  ForRows for_rows_;
  Team& team_;
  Index num_buckets_;
  Index num_chunks_;
  std::vector<Index> bucket_start_;         // before merging
  std::vector<std::vector<Index>> cursor_;  // by chunk and bucket: where the next entry goes
  Buffer<std::uint16_t> place_in_bucket_;
};

}  // namespace

CsrMatrix Chain::transition(Team& team) const {
  const std::vector<Index> start = block_starts(*this, team);
  CsrMatrix matrix(size(), start.back());
  const Index most_entries = std::min(size(), mdp().max_row_length() * mdp().max_num_actions());
  std::vector<Index> entries(start.size(), 0);
  std::atomic<Index> next{0};
  team.run([&](int) {
    RowMerger merger(matrix, most_entries);
    // Each member takes blocks in increasing order, as the merger asks for.
    for (Index block = next++; block < num_blocks(size()); block = next++) {
      Index begin = start[at(block)];
      for (Index state = block * kBlock; state < std::min((block + 1) * kBlock, size()); ++state) {
        merger.begin_row(begin);
        for_chosen_rows(*this, state, [&](const Row& row, double weight) { merger.add(row, weight); });
        matrix.first[state] = begin;
        matrix.length[state] = static_cast<std::int32_t>(merger.end() - begin);
        begin = merger.end();
      }
      entries[at(block)] = begin - start[at(block)];
    }
  });
  for (const Index count : entries) matrix.num_entries += count;
  return matrix;
}

CsrMatrix Chain::transposed_transition(Team& team) const {
  const auto chosen = [this](Index state, auto&& body) { for_chosen_rows(*this, state, body); };
  const auto unweighted = [&](Index state, auto&& body) { chosen(state, [&](const Row& row, double) { body(row); }); };
  if (!share_successors(size(), unweighted)) return Transposer(size(), chosen, team).transpose();
  // Fewer entries to deal out are worth another pass.
  const CsrMatrix merged = transition(team);
  const auto once = [&](Index state, auto&& body) {
    const Index first = merged.first[state];
    body(Row{merged.column.data() + first, merged.value.data() + first, merged.length[state]}, 1.0);
  };
  return Transposer(size(), once, team).transpose();
}

}  // namespace rlcore
