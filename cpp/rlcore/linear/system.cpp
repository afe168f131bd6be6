#include "rlcore/linear/system.hpp"

#include <algorithm>
#include <vector>

namespace rlcore::linear {

System::Sweep System::sweep(ConstVector b, ConstVector x, Vector y) const {
  std::vector<Sweep> partial(at(num_blocks(size())));
  team->for_blocks(size(), kBlock, [&](Index first, Index last, Index block) {
    Sweep extent;
    for (Index row = first; row < last; ++row) {
      const auto i = at(row);
      y[i] = b[i] + discount * matrix.row_product(row, x.data());
      extent.value.include(y[i]);
      extent.change.include(y[i] - x[i]);
    }
    partial[at(block)] = extent;
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
      const auto i = at(row);
      r[i] = b[i] + discount * matrix.row_product(row, x.data()) - x[i];
    }
  });
}

void System::apply(ConstVector x, Vector y) const {
  team->for_blocks(size(), kBlock, [&](Index first, Index last, Index) {
    for (Index row = first; row < last; ++row) {
      const auto i = at(row);
      y[i] = x[i] - discount * matrix.row_product(row, x.data());
    }
  });
}

double System::residual_norm(ConstVector r) const {
  const Extent extent = extent_of(r, *team);
  if (direction == Direction::kTransposed) return extent.l1;
  return constants_are_free() ? (extent.upper - extent.lower) / 2.0 : extent.largest();
}

void System::guess(ConstVector b, Vector x) const {
  double level = 0.0;
  if (conserves && direction == Direction::kTransposed) {
    double mass = 0.0;
    for (const double weight : b) mass += weight;
    level = mass / (1.0 - discount) / static_cast<double>(x.size());
  }
  std::fill(x.begin(), x.end(), level);
}

void System::remove_free_part(Vector x) const {
  if (!constants_are_free()) return;
  Doubles partial(at(num_blocks(size())));
  team->for_blocks(size(), kBlock, [&](Index first, Index last, Index block) {
    double sum = 0.0;
    for (auto i = at(first); i < at(last); ++i) sum += x[i];
    partial[at(block)] = sum;
  });
  double mean = 0.0;
  for (const double part : partial) mean += part;
  mean /= static_cast<double>(size());
  team->for_blocks(size(), kBlock, [&](Index first, Index last, Index) {
    for (auto i = at(first); i < at(last); ++i) x[i] -= mean;
  });
}

void System::restore_free_part(ConstVector b, Vector x) const {
  if (!constants_are_free()) return;
  Doubles r(x.size());
  residual(b, x, r);
  const Extent extent = extent_of(r, *team);
  const double constant = (extent.lower + extent.upper) / 2.0 / (1.0 - discount);
  team->for_blocks(size(), kBlock, [&](Index first, Index last, Index) {
    for (auto i = at(first); i < at(last); ++i) x[i] += constant;
  });
}

double dot(ConstVector x, ConstVector y, Team& team) {
  Doubles partial(at(num_blocks(ssize(x))));
  team.for_blocks(ssize(x), kBlock, [&](Index first, Index last, Index block) {
    double sum = 0.0;
    for (auto i = at(first); i < at(last); ++i) sum += x[i] * y[i];
    partial[at(block)] = sum;
  });
  double sum = 0.0;
  for (const double part : partial) sum += part;
  return sum;
}

}  // namespace rlcore::linear
