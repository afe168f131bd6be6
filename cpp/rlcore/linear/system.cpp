#include "rlcore/linear/system.hpp"

#include <vector>

namespace rlcore::linear {

System::Sweep System::sweep(ConstVector b, ConstVector x, Vector y) const {
  std::vector<Sweep> partial(static_cast<std::size_t>(num_blocks(size())));
  team->for_blocks(size(), kBlock, [&](Index first, Index last, Index block) {
    Sweep extent;
    for (Index row = first; row < last; ++row) {
      const auto i = static_cast<std::size_t>(row);
      y[i] = b[i] + discount * matrix.row_product(row, x.data());
      extent.value.include(y[i]);
      extent.change.include(y[i] - x[i]);
    }
    partial[static_cast<std::size_t>(block)] = extent;
  });
  Sweep all;
  for (const Sweep& extent : partial) {
    all.value.include(extent.value);
    all.change.include(extent.change);
  }
  return all;
}

void System::residual(ConstVector b, ConstVector x, Vector r) const {
  team->for_blocks(size(), kBlock, [&](Index first, Index last, Index) {
    for (Index row = first; row < last; ++row) {
      const auto i = static_cast<std::size_t>(row);
      r[i] = b[i] + discount * matrix.row_product(row, x.data()) - x[i];
    }
  });
}

void System::apply(ConstVector x, Vector y) const {
  team->for_blocks(size(), kBlock, [&](Index first, Index last, Index) {
    for (Index row = first; row < last; ++row) {
      const auto i = static_cast<std::size_t>(row);
      y[i] = x[i] - discount * matrix.row_product(row, x.data());
    }
  });
}

double System::norm(ConstVector x) const {
  const Extent extent = extent_of(x, *team);
  return direction == Direction::kTransposed ? extent.l1 : extent.largest();
}

double System::residual_norm(ConstVector r) const {
  const Extent extent = extent_of(r, *team);
  if (direction == Direction::kTransposed) return extent.l1;
  return conserves ? (extent.upper - extent.lower) / 2.0 : extent.largest();
}

double dot(ConstVector x, ConstVector y, Team& team) {
  std::vector<double> partial(static_cast<std::size_t>(num_blocks(ssize(x))));
  team.for_blocks(ssize(x), kBlock, [&](Index first, Index last, Index block) {
    double sum = 0.0;
    for (auto i = static_cast<std::size_t>(first); i < static_cast<std::size_t>(last); ++i) sum += x[i] * y[i];
    partial[static_cast<std::size_t>(block)] = sum;
  });
  double sum = 0.0;
  for (const double part : partial) sum += part;
  return sum;
}

}  // namespace rlcore::linear
