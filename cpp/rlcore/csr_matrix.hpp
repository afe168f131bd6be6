// A square sparse matrix by rows, as the solvers read it.
#pragma once

#include <memory>

#include "rlcore/parallel.hpp"
#include "rlcore/types.hpp"

namespace rlcore {

/// Row i holds length[i] entries from first[i] on. Rows of one block of kBlock rows are neighbours;
/// between blocks there may be gaps, which are never written and so take no memory.
struct CsrMatrix {
  Index size = 0;
  Index num_entries = 0;
  std::unique_ptr<Index[]> first;
  std::unique_ptr<std::int32_t[]> length;
  std::unique_ptr<Column[]> column;
  std::unique_ptr<double[]> value;

  CsrMatrix() = default;
  CsrMatrix(Index rows, Index capacity)
      : size(rows),
        first(uninitialised<Index>(rows)),
        length(uninitialised<std::int32_t>(rows)),
        column(uninitialised<Column>(capacity)),
        value(uninitialised<double>(capacity)) {}

  /// (M x)(row)
  double row_product(Index row, const double* x) const {
    const Index begin = first[static_cast<std::size_t>(row)];
    const Index end = begin + length[static_cast<std::size_t>(row)];
    const Column* columns = column.get();
    const double* values = value.get();
    double sum = 0.0;
    for (Index entry = begin; entry < end; ++entry) sum += values[entry] * x[columns[entry]];
    return sum;
  }
};

}  // namespace rlcore
