#include "rlcore/linear/system.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include "rlcore/linear/wavefront.hpp"

namespace rlcore::linear {
namespace {

/// The sum of the terms of all states, block by block in a fixed order.
template <class Number, class Term>
Number sum_over(Index size, Team& team, Term&& term) {
  Numbers<Number> partial(at(num_blocks(size)));
  team.for_blocks(size, kBlock, [&](Index first, Index last, Index block) {
    Number sum{};
    for (auto i = at(first); i < at(last); ++i) sum += term(i);
    partial[at(block)] = sum;
  });
  Number sum{};
  for (const Number& part : partial) sum += part;
  return sum;
}

/// A sweep over so many parts; for_parts(body) calls body(first, last, part).
template <class Number, class ForParts>
System::SweepOf<Number> sweep_over(const System& system, Index num_parts, std::span<const Number> b,
                                   std::span<const Number> x, std::span<Number> y, ForParts&& for_parts) {
  std::vector<System::SweepOf<Number>> partial(at(num_parts));
  for_parts([&](Index first, Index last, Index part) {
    System::SweepOf<Number> extent;
    for (Index row = first; row < last; ++row) {
      const auto i = at(row);
      system.matrix.fetch_ahead(row, last, x.data());
      y[i] = b[i] + system.discount * system.matrix.row_product(row, x.data());
      extent.value.include(y[i]);
      extent.change.include(y[i] - x[i]);
    }
    partial[at(part)] = extent;
  });
  System::SweepOf<Number> all;
  for (const System::SweepOf<Number>& extent : partial) {
    all.value.include(extent.value);
    all.change.include(extent.change);
  }
  return all;
}

}  // namespace

template <class Number>
System::SweepOf<Number> System::sweep(std::span<const Number> b, std::span<const Number> x, std::span<Number> y) const {
  return sweep_over(*this, num_blocks(size()), b, x, y, [&](auto&& body) { team->for_blocks(size(), kBlock, body); });
}

template <class Number>
System::SweepOf<Number> System::sweep(const Wavefront& front, std::span<const Number> b, std::span<const Number> x,
                                      std::span<Number> y) const {
  SweepOf<Number> all =
      sweep_over(*this, front.num_strips(), b, x, y, [&](auto&& body) { front.for_strips(*team, body); });
  if (!front.is_everywhere()) {
    all.value.include(Number{});
    all.change.include(Number{});
  }
  return all;
}

template <class Number>
void System::residual(std::span<const Number> b, std::span<const Number> x, std::span<Number> r) const {
  team->for_blocks(size(), kBlock, [&](Index first, Index last, Index) {
    for (Index row = first; row < last; ++row) {
      const auto i = at(row);
      matrix.fetch_ahead(row, last, x.data());
      r[i] = b[i] + discount * matrix.row_product(row, x.data()) - x[i];
    }
  });
}

template <class Number>
void System::apply(std::span<const Number> x, std::span<Number> y) const {
  team->for_blocks(size(), kBlock, [&](Index first, Index last, Index) {
    for (Index row = first; row < last; ++row) {
      const auto i = at(row);
      matrix.fetch_ahead(row, last, x.data());
      y[i] = x[i] - discount * matrix.row_product(row, x.data());
    }
  });
}

template <class Number>
Number System::residual_norm(std::span<const Number> r) const {
  return residual_norm(extent_over(std::ssize(r), *team, [&](std::size_t i) { return r[i]; }));
}

template <class Number>
void System::guess(std::span<const Number> b, std::span<Number> x) const {
  if (!conserves || direction == Direction::kForward) {
    team->for_blocks(size(), kBlock, [&](Index first, Index last, Index) {
      std::copy(b.begin() + first, b.begin() + last, x.begin() + first);
    });
    return;
  }
  // What rounding takes from the mass is found again at the pace of the discount alone.
  Number level = sum_over<Number>(size(), *team, [&](std::size_t i) { return b[i]; });
  for (std::size_t k = 0; k < kLanesOf<Number>; ++k) {
    lane(level, k) = lane(level, k) / (1.0 - discount) / static_cast<double>(x.size());
  }
  team->for_blocks(size(), kBlock,
                   [&](Index first, Index last, Index) { std::fill(x.begin() + first, x.begin() + last, level); });
}

template <class Number>
void System::remove_free_part(std::span<Number> x) const {
  if (!constants_are_free()) return;
  Number mean = sum_over<Number>(size(), *team, [&](std::size_t i) { return x[i]; });
  for (std::size_t k = 0; k < kLanesOf<Number>; ++k) lane(mean, k) /= static_cast<double>(size());
  team->for_blocks(size(), kBlock, [&](Index first, Index last, Index) {
    for (auto i = at(first); i < at(last); ++i) x[i] -= mean;
  });
}

template <class Number>
void System::restore_free_part(std::span<const Number> b, std::span<Number> x) const {
  if (!constants_are_free()) return;
  auto r = unset<Numbers<Number>>(size());
  residual<Number>(b, x, r);
  centre<Number>(r, x);
}

template <class Number>
void System::centre(std::span<const Number> r, std::span<Number> x) const {
  if (!constants_are_free()) return;
  const auto extent = extent_over(size(), *team, [&](std::size_t i) { return r[i]; });
  Number constant{};
  for (std::size_t k = 0; k < kLanesOf<Number>; ++k) lane(constant, k) = missing_constant(extent.of_lane(k));
  team->for_blocks(size(), kBlock, [&](Index first, Index last, Index) {
    for (auto i = at(first); i < at(last); ++i) x[i] += constant;
  });
}

System running_system(CsrMatrix matrix, Direction direction, Team& team) {
  return {.matrix = std::move(matrix), .discount = 1.0, .direction = direction, .conserves = true, .team = &team};
}

template <class Number>
Number dot(std::span<const Number> x, std::span<const Number> y, Team& team) {
  return sum_over<Number>(std::ssize(x), team, [&](std::size_t i) { return x[i] * y[i]; });
}

double dot(ConstVector x, ConstVector y, Team& team) { return dot<double>(x, y, team); }

#define RLCORE_FOR_LANES(Number)                                                                                      \
  template System::SweepOf<Number> System::sweep(std::span<const Number>, std::span<const Number>, std::span<Number>) \
      const;                                                                                                          \
  template System::SweepOf<Number> System::sweep(const Wavefront&, std::span<const Number>, std::span<const Number>,  \
                                                 std::span<Number>) const;                                            \
  template void System::residual(std::span<const Number>, std::span<const Number>, std::span<Number>) const;          \
  template void System::apply(std::span<const Number>, std::span<Number>) const;                                      \
  template void System::guess(std::span<const Number>, std::span<Number>) const;                                      \
  template void System::remove_free_part(std::span<Number>) const;                                                    \
  template void System::restore_free_part(std::span<const Number>, std::span<Number>) const;                          \
  template void System::centre(std::span<const Number>, std::span<Number>) const;                                     \
  template Number System::residual_norm(std::span<const Number>) const;                                               \
  template Number dot(std::span<const Number>, std::span<const Number>, Team&)
RLCORE_FOR_LANES(double);
RLCORE_FOR_LANES(LaneArray<2>);
RLCORE_FOR_LANES(LaneArray<4>);
RLCORE_FOR_LANES(LaneArray<8>);
#undef RLCORE_FOR_LANES

}  // namespace rlcore::linear
