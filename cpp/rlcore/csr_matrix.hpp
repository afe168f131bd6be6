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
  RLCORE_INLINE Number row_product(Index row, const Number* x) const {
    const Column* columns = column.data() + first[row];
    const double* values = value.data() + first[row];
    const Index count = length[row];
    prefetch_stream(columns, columns + count);
    prefetch_stream(values, values + count);
    if constexpr (kLanesOf<Number> == 1) {
      // Short rows without a loop: neighbours mostly have as many entries, and branches are foreseen.
      switch (count) {
        case 1:
          return product<1>(columns, values, x);
        case 2:
          return product<2>(columns, values, x);
        case 3:
          return product<3>(columns, values, x);
        case 4:
          return product<4>(columns, values, x);
        case 5:
          return product<5>(columns, values, x);
        default:
          break;
      }
    }
    return product(columns, values, count, x);
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

 private:
  /// Two sums: the additions of one need not wait for each other.
  template <class Number>
  RLCORE_INLINE static Number product(const Column* columns, const double* values, Index count, const Number* x) {
    Number even{};
    Number odd{};
    Index k = 0;
    for (; k + 1 < count; k += 2) {
      even += values[k] * x[columns[k]];
      odd += values[k + 1] * x[columns[k + 1]];
    }
    if (k < count) even += values[k] * x[columns[k]];
    return even + odd;
  }

  template <Index kCount, class Number>
  RLCORE_INLINE static Number product(const Column* columns, const double* values, const Number* x) {
    return product(columns, values, kCount, x);
  }
};

}  // namespace rlcore
