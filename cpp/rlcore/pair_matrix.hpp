// Features and scores times the weights of a gradient, in twofold arithmetic (theory 4.1, 9).
#pragma once

#include "rlcore/storage.hpp"
#include "rlcore/twofold.hpp"
#include "rlcore/types.hpp"

namespace rlcore {

/// A matrix with a row for each pair, whose entries stand row by row.
struct PairMatrix {
  std::span<const Index> first;   // (num_pairs + 1)
  std::span<const Index> column;  // (num_entries)
  ConstVector entry;
  Index num_columns;
};

struct TransposedProduct {
  Doubles value;  // (num_columns)
  Doubles bound;  // on the error of each
};

/// The transpose times numbers of pairs.
TransposedProduct transposed_product(const PairMatrix& matrix, TwofoldView weight);

}  // namespace rlcore
