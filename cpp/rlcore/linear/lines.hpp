// Chains in which every state has at most two neighbours: walks, queues and cycles, however they are numbered.
//
// A search from one state waits for memory at every step, for each tells where the next one is. Walks from many states
// at once wait together (Helman & JaJa 1999 rank lists so), and are joined where they meet.
#pragma once

#include <optional>

#include "rlcore/csr_matrix.hpp"
#include "rlcore/state_order.hpp"

namespace rlcore::linear {

/// How far apart neighbours are in that order: in a ring, which is gone around both ways.
inline constexpr Index kWidthOfLines = 2;

/// The states line by line, each along its line; a ring goes from one state both ways at once, so that neighbours
/// remain near each other. Nothing if some state has three neighbours.
std::optional<StateOrder::Columns> order_along_lines(const CsrMatrix& matrix);

}  // namespace rlcore::linear
