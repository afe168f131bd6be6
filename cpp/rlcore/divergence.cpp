#include "rlcore/divergence.hpp"

#include <cmath>
#include <limits>

#include "rlcore/logarithm.hpp"
#include "rlcore/policy.hpp"
#include "rlcore/twofold.hpp"

namespace rlcore {
namespace {

/// Below this p or q / p the quotient loses digits.
constexpr double kLeast = 1e-290;

/// Numbers below this can be scaled up by 2^600.
constexpr double kSmall = 1e-100;

/// p phi((q - p) / p) for p and q / p of ordinary size.
RLCORE_INLINE double kl_term(double p, double q, double change) {
  const auto [k, m] = scaled(q / p);
  const bool near = k == 0.0;
  const double s = (near ? change : m - 1.0) / (near ? p + q : m + 1.0);
  const double tail = 2.0 * p * s * s * s * atanh_tail(s * s);
  return (near ? s * change : change - p * (log_high(k) + (log_low(k) + 2.0 * s))) - tail;
}

// Compiled for wide vectors too, and chosen by the machine; the bits are the same either way.
RLCORE_INLINE void terms(Index count, const double* p, const double* q, double* change, double* kl) {
  for (Index i = 0; i < count; ++i) {
    const double difference = q[i] - p[i];
    change[i] = difference;
    kl[i] = kl_term(p[i], q[i], difference);
  }
}

void terms_portably(Index count, const double* p, const double* q, double* change, double* kl) {
  terms(count, p, q, change, kl);
}

using Terms = void (*)(Index, const double*, const double*, double*, double*);

#if defined(__GNUC__) && defined(__x86_64__)
[[gnu::target("avx2")]] void terms_by_avx2(Index count, const double* p, const double* q, double* change, double* kl) {
  terms(count, p, q, change, kl);
}
Terms terms_for_this_machine() { return __builtin_cpu_supports("avx2") != 0 ? terms_by_avx2 : terms_portably; }
#else
Terms terms_for_this_machine() { return terms_portably; }
#endif

/// The same where p or q is zero or nearly so.
double unusual_kl_term(double p, double q, double change) {
  if (p == 0.0) return q;
  if (q == 0.0) return std::numeric_limits<double>::infinity();
  // The difference of logarithms is right only if it is not small beside them.
  constexpr int kUp = 600;
  if (p < kSmall && q < kSmall) {
    const double larger = kl_term(std::ldexp(p, kUp), std::ldexp(q, kUp), std::ldexp(change, kUp));
    return std::ldexp(larger, -kUp);
  }
  return change - p * (std::log(q) - std::log(p));
}

}  // namespace

void divergence_terms(Index count, const double* p, const double* q, double* change, double* kl) {
  terms_for_this_machine()(count, p, q, change, kl);
  for (Index i = 0; i < count; ++i) {
    const bool usual = p[i] >= kLeast && q[i] >= kLeast * p[i] && q[i] >= kLeast;
    if (!usual) kl[i] = unusual_kl_term(p[i], q[i], change[i]);
  }
}

/// With the same k and s as above, p phi is s (q - p), or q - p - p (k log 2 + 2 s), less the tail 2 p (s^3/3 + ...).
/// The tail is below 0.07 of what is left, as |s| <= 0.172, and right to 20 units of roundoff.
std::optional<SharpKlTerm> sharp_kl_term(double p, double q) {
  constexpr Twofold kLogOfTwo{0x1.62e42fefa39efp-1, 0x1.abc9e3b39803fp-56};
  if (p == 0.0) return SharpKlTerm{{q}};
  if (q == 0.0) return SharpKlTerm{{std::numeric_limits<double>::infinity()}};
  if (!(p >= kLeast && q >= kLeast * p && q >= kLeast)) return std::nullopt;
  const double k = scaled(q / p).k;
  const double near_q = std::ldexp(p, static_cast<int>(k));
  const Twofold change = two_sum(q, -p);
  const Twofold s = quotient(two_sum(q, -near_q), two_sum(q, near_q));
  const double tail = 2.0 * p * s.hi * s.hi * s.hi * atanh_tail(s.hi * s.hi);
  const Twofold rest = k == 0.0 ? s * change : change - (kLogOfTwo * k + s * 2.0) * p;
  return SharpKlTerm{rest - tail, 20.0 * kUnitRoundoff * std::fabs(tail)};
}

double kl_error(Index num_actions) { return (static_cast<double>(num_actions) + 128.0) * kUnitRoundoff; }

Divergences divergences(const Mdp& mdp, ConstVector policy, ConstVector candidate) {
  mdp.ensure_checked();
  check_policy(mdp, policy);
  check_policy(mdp, candidate, -1, "candidate");
  Divergences found{Doubles(at(mdp.num_states())), Doubles(at(mdp.num_states()))};
  Doubles change(at(mdp.max_num_actions()));
  Doubles kl(at(mdp.max_num_actions()));
  for (Index state = 0; state < mdp.num_states(); ++state) {
    const Index first = mdp.first_pair(state);
    const Index num_actions = mdp.first_pair(state + 1) - first;
    divergence_terms(num_actions, policy.data() + first, candidate.data() + first, change.data(), kl.data());
    for (auto action = at(0); action < at(num_actions); ++action) {
      found.tv[at(state)] += 0.5 * std::fabs(change[action]);
      found.kl[at(state)] += kl[action];
    }
  }
  return found;
}

}  // namespace rlcore
