#include "rlcore/twofold_rows.hpp"

#include <cmath>

// The loops are templates over how a product's error is found, and must be inlined into functions that
// are compiled for a machine with fma: elsewhere std::fma would be a slow call.

namespace rlcore {
namespace {

struct BySplitting {
  template <class Number>
  RLCORE_INLINE static TwofoldOf<Number> product(const Number& a, double b) {
    return two_product(a, in_every_lane<Number>(b));
  }
};

struct ByFma {
  RLCORE_INLINE static Twofold product(double a, double b) {
    const double rounded = a * b;
    return {rounded, std::fma(a, b, -rounded)};
  }
  template <int kCount>
  RLCORE_INLINE static TwofoldOf<LaneArray<kCount>> product(const LaneArray<kCount>& a, double b) {
    TwofoldOf<LaneArray<kCount>> result{a * b, {}};
    for (std::size_t k = 0; k < kCount; ++k) result.lo.lane[k] = std::fma(a.lane[k], b, -result.hi.lane[k]);
    return result;
  }
};

/// sum += x p (Dot2).
template <class Exact, class Number>
RLCORE_INLINE void add_product(const TwofoldOf<Number>& x, double p, Number& sum, Number& rest) {
  const TwofoldOf<Number> product = Exact::product(x.hi, p);
  const Number next = sum + product.hi;
  const Number from_product = next - sum;
  rest += (product.lo + ((sum - (next - from_product)) + (product.hi - from_product))) + x.lo * p;
  sum = next;
}

/// The lanes of a state may be two cache lines.
template <class Number>
RLCORE_INLINE void prefetch_all(const TwofoldOf<Number>* x) {
  constexpr std::size_t kCacheLine = 64;
  prefetch(x);
  if constexpr (sizeof(*x) > kCacheLine) prefetch(&x->lo);
}

template <class Exact, class Number>
RLCORE_INLINE TwofoldOf<Number> dot(const Row& row, const TwofoldOf<Number>* x) {
  Number sum{};
  Number rest{};
  row.prefetch_next();
  for (Index k = 0; k < row.length; ++k) {
    prefetch_all(x + row.upcoming(k));
    add_product<Exact>(x[row.column[k]], row.probability[k], sum, rest);
  }
  return two_sum(sum, rest);
}

template <class Exact, class Number>
RLCORE_INLINE void add_dot(double weight, const Row& row, const TwofoldOf<Number>* x, TwofoldOf<Number>& sum) {
  add_product<Exact>(dot<Exact>(row, x), weight, sum.hi, sum.lo);
}

template <class Exact, class Number>
RLCORE_INLINE void scatter(const TwofoldOf<Number>& weight, const Row& row, TwofoldOf<Number>* sums) {
  row.prefetch_next();
  for (Index k = 0; k < row.length; ++k) {
    prefetch_all(sums + row.upcoming(k));
    TwofoldOf<Number>& sum = sums[row.column[k]];
    add_product<Exact>(weight, row.probability[k], sum.hi, sum.lo);
  }
}

template <class Exact>
RLCORE_INLINE void sum_range(const Mdp& mdp, ConstVector x, ConstVector weight, Index first, Index last,
                             TwofoldVector& out) {
  for (Index state = first; state < last; ++state) {
    double sum = 0.0;
    double rest = 0.0;
    for (auto i = at(mdp.first_pair(state)); i < at(mdp.first_pair(state + 1)); ++i) {
      add_product<Exact>(Twofold{x[i]}, weight[i], sum, rest);
    }
    out[at(state)] = two_sum(sum, rest);
  }
}

void sum_range_portably(const Mdp& mdp, ConstVector x, ConstVector weight, Index first, Index last,
                        TwofoldVector& out) {
  sum_range<BySplitting>(mdp, x, weight, first, last, out);
}

template <class Number>
struct Portable {
  using Twofolds = TwofoldOf<Number>;
  static Twofolds dot_rows(const Row& row, const Twofolds* x) { return dot<BySplitting>(row, x); }
  static void add_dot_rows(double weight, const Row& row, const Twofolds* x, Twofolds& sum) {
    add_dot<BySplitting>(weight, row, x, sum);
  }
  static void scatter_rows(const Twofolds& weight, const Row& row, Twofolds* sums) {
    scatter<BySplitting>(weight, row, sums);
  }
  static constexpr TwofoldRowsOf<Number> kRows{dot_rows, add_dot_rows, scatter_rows};
};

#if defined(__GNUC__) && defined(__x86_64__)
template <class Number>
struct Fused {
  using Twofolds = TwofoldOf<Number>;
  [[gnu::target("fma")]] static Twofolds dot_rows(const Row& row, const Twofolds* x) { return dot<ByFma>(row, x); }
  [[gnu::target("fma")]] static void add_dot_rows(double weight, const Row& row, const Twofolds* x, Twofolds& sum) {
    add_dot<ByFma>(weight, row, x, sum);
  }
  [[gnu::target("fma")]] static void scatter_rows(const Twofolds& weight, const Row& row, Twofolds* sums) {
    scatter<ByFma>(weight, row, sums);
  }
  static constexpr TwofoldRowsOf<Number> kRows{dot_rows, add_dot_rows, scatter_rows};
};

[[gnu::target("fma")]] void sum_range_fused(const Mdp& mdp, ConstVector x, ConstVector weight, Index first, Index last,
                                            TwofoldVector& out) {
  sum_range<ByFma>(mdp, x, weight, first, last, out);
}

bool machine_has_fma() { return __builtin_cpu_supports("fma") != 0; }
#else
template <class Number>
using Fused = Portable<Number>;

constexpr auto* sum_range_fused = sum_range_portably;

bool machine_has_fma() { return false; }
#endif

}  // namespace

template <class Number>
const TwofoldRowsOf<Number>& twofold_rows_of() {
  return machine_has_fma() ? Fused<Number>::kRows : Portable<Number>::kRows;
}

void sum_over_actions(const Mdp& mdp, ConstVector x, ConstVector weight, Index first, Index last, TwofoldVector& out) {
  (machine_has_fma() ? sum_range_fused : sum_range_portably)(mdp, x, weight, first, last, out);
}

template const TwofoldRowsOf<double>& twofold_rows_of<double>();
template const TwofoldRowsOf<LaneArray<2>>& twofold_rows_of<LaneArray<2>>();
template const TwofoldRowsOf<LaneArray<4>>& twofold_rows_of<LaneArray<4>>();
template const TwofoldRowsOf<LaneArray<8>>& twofold_rows_of<LaneArray<8>>();

}  // namespace rlcore
