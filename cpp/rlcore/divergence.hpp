// How far apart two distributions over actions are: total variation and Kullback-Leibler divergence (theory 1, 9).
//
// Both are formed from the differences q - p, which are exact or right to the last digit, so that they keep their
// digits for policies that hardly differ: KL is the sum of p phi((q - p) / p), phi(x) = x - log(1 + x) >= 0, in which
// nothing cancels but in phi, which has a series.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include "rlcore/mdp.hpp"
#include "rlcore/storage.hpp"
#include "rlcore/twofold.hpp"

namespace rlcore {

/// Bounds the relative error of a KL of rows of n actions; that of TV is a few ulp. Of the terms of KL those just
/// outside of the series are the worst: x and log(1 + x), each off by a few roundings, nearly cancel there.
inline double divergence_error(Index num_actions) {
  return 2.5e-13 + (static_cast<double>(num_actions) + 8.0) * kUnitRoundoff;
}

/// p phi(x), x = (q - p) / p, given q - p; q if p = 0, and infinite if q = 0 < p.
inline double kl_term(double p, double q, double change) {
  constexpr double kSeries = 1e-2;
  constexpr double kLeastQuotient = 1e-290;
  if (p == 0.0) return q;
  if (q == 0.0) return std::numeric_limits<double>::infinity();
  const double x = change / p;
  if (std::fabs(x) < kSeries) {
    double sum = 1.0 / 10.0;
    for (int k = 9; k >= 2; --k) sum = 1.0 / k - x * sum;
    return change * x * sum;
  }
  if (x > -0.5 && x <= std::numeric_limits<double>::max()) return change - p * std::log1p(x);
  // q / p loses digits below the normal numbers, and above the largest.
  const double quotient = q / p;
  const bool is_normal = quotient >= kLeastQuotient && quotient <= std::numeric_limits<double>::max();
  return change - p * (is_normal ? std::log(quotient) : std::log(q) - std::log(p));
}

/// What separates two rows of a policy.
struct RowDivergence {
  double tv = 0.0;
  double kl = 0.0;          // of the new one from the old one: KL(old || new)
  double sum_change = 0.0;  // sum q - sum p, what rounding left: 0 but for about an ulp
};

/// Calls each(action, change) on the way, the difference q - p.
template <class Each>
RowDivergence row_divergence(const double* p, const double* q, Index num_actions, Each&& each) {
  RowDivergence found;
  Twofold sum;
  for (Index action = 0; action < num_actions; ++action) {
    const Twofold change = two_sum(q[action], -p[action]);
    if (change.hi == 0.0) continue;
    found.tv += std::fabs(change.hi);
    found.kl += kl_term(p[action], q[action], change.hi);
    sum = sum + change;
    each(action, change.hi);
  }
  found.tv *= 0.5;
  found.kl = std::max(found.kl, 0.0);
  found.sum_change = sum.hi;
  return found;
}

inline RowDivergence row_divergence(const double* p, const double* q, Index num_actions) {
  return row_divergence(p, q, num_actions, [](Index, double) {});
}

/// What separates two policies in each state, (num_states) each.
struct Divergences {
  Doubles tv;
  Doubles kl;
};

/// Throws PolicyError if one of them is no policy.
Divergences divergences(const Mdp& mdp, ConstVector policy, ConstVector candidate);

}  // namespace rlcore
