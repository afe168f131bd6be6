#include "rlcore/twofold_rows.hpp"

#include <cmath>

// The loops are templates over how a product's error is found, and must be inlined into functions that
// are compiled for a machine with fma: elsewhere std::fma would be a slow call.
#if defined(__GNUC__)
#define RLCORE_INLINE [[gnu::always_inline]] inline
#else
#define RLCORE_INLINE inline
#endif

namespace rlcore {
namespace {

struct BySplitting {
  RLCORE_INLINE static Twofold product(double a, double b) { return two_product(a, b); }
};

struct ByFma {
  RLCORE_INLINE static Twofold product(double a, double b) {
    const double rounded = a * b;
    return {rounded, std::fma(a, b, -rounded)};
  }
};

template <class Exact>
RLCORE_INLINE Twofold dot(const Row& row, const Twofold* x) {
  double sum = 0.0;
  double rest = 0.0;
  for (Index k = 0; k < row.length; ++k) {
    prefetch(x + row.upcoming(k));
    const double probability = row.probability[k];
    const Twofold value = x[row.column[k]];
    const Twofold product = Exact::product(value.hi, probability);
    const double next = sum + product.hi;
    const double from_product = next - sum;
    rest += (product.lo + ((sum - (next - from_product)) + (product.hi - from_product))) + value.lo * probability;
    sum = next;
  }
  return two_sum(sum, rest);
}

template <class Exact>
RLCORE_INLINE void scatter(Twofold weight, const Row& row, Twofold* sums) {
  for (Index k = 0; k < row.length; ++k) {
    prefetch(sums + row.upcoming(k));
    const double probability = row.probability[k];
    Twofold& sum = sums[row.column[k]];
    const Twofold product = Exact::product(weight.hi, probability);
    const double next = sum.hi + product.hi;
    const double from_product = next - sum.hi;
    sum.lo += (product.lo + ((sum.hi - (next - from_product)) + (product.hi - from_product))) + weight.lo * probability;
    sum.hi = next;
  }
}

Twofold dot_by_splitting(const Row& row, const Twofold* x) { return dot<BySplitting>(row, x); }
void scatter_by_splitting(Twofold weight, const Row& row, Twofold* sums) { scatter<BySplitting>(weight, row, sums); }
constexpr TwofoldRows kBySplitting{dot_by_splitting, scatter_by_splitting};

#if defined(__GNUC__) && defined(__x86_64__)
[[gnu::target("fma")]] Twofold dot_by_fma(const Row& row, const Twofold* x) { return dot<ByFma>(row, x); }
[[gnu::target("fma")]] void scatter_by_fma(Twofold weight, const Row& row, Twofold* sums) {
  scatter<ByFma>(weight, row, sums);
}
constexpr TwofoldRows kByFma{dot_by_fma, scatter_by_fma};

bool machine_has_fma() { return __builtin_cpu_supports("fma") != 0; }
#else
constexpr const TwofoldRows& kByFma = kBySplitting;

bool machine_has_fma() { return false; }
#endif

}  // namespace

const TwofoldRows& twofold_rows() { return machine_has_fma() ? kByFma : kBySplitting; }

}  // namespace rlcore
