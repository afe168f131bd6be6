// A square sparse matrix by rows, as the solvers read it.
#pragma once

#include <algorithm>

#include "rlcore/lanes.hpp"
#include "rlcore/parallel.hpp"
#include "rlcore/storage.hpp"
#include "rlcore/types.hpp"

namespace rlcore {

/// Row i holds length[i] entries from first[i] on. Rows of one block of kBlock rows are neighbours;
/// between blocks there may be gaps, which are never written and so take no memory.
struct CsrMatrix {
  Index size = 0;
  Index num_entries = 0;
  Buffer<Index> first;
  Buffer<std::int32_t> length;
  Buffer<Column> column;
  Buffer<double> value;

  CsrMatrix() = default;
  CsrMatrix(Index rows, Index capacity) : size(rows), first(rows), length(rows), column(capacity), value(capacity) {}

  /// (M x)(row), of every lane of x.
  template <class Number>
  Number row_product(Index row, const Number* x) const {
    const Index begin = first[row];
    const Index end = begin + length[row];
    const Column* columns = column.data();
    const double* values = value.data();
    prefetch_stream(columns + begin, columns + end);
    prefetch_stream(values + begin, values + end);
    // Two sums: the additions of one need not wait for each other.
    Number even{};
    Number odd{};
    Index entry = begin;
    for (; entry + 1 < end; entry += 2) {
      even += values[entry] * x[columns[entry]];
      odd += values[entry + 1] * x[columns[entry + 1]];
    }
    if (entry < end) even += values[entry] * x[columns[entry]];
    return even + odd;
  }

  /// Asks for the lanes of x that products will need some rows later, in a loop over rows before `row_end` of one
  /// block. Single numbers come fast enough by themselves.
  template <class Number>
  RLCORE_INLINE void fetch_ahead(Index row, Index row_end, const Number* x) const {
    if constexpr (kLanesOf<Number> > 1) {
      const Index last = first[row_end - 1] + length[row_end - 1] - 1;
      for (Index entry = first[row]; entry < first[row] + length[row]; ++entry) {
        prefetch(x + column[std::min(entry + kLookahead, last)]);
      }
    }
  }
};

}  // namespace rlcore
