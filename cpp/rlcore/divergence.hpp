// How far apart two distributions over actions are: total variation and Kullback-Leibler divergence (theory 1, 9).
//
// Both are formed from the differences q - p, which are exact or right to the last digit, so that they keep their
// digits for policies that hardly differ: KL is the sum of p phi(x), x = (q - p) / p, phi(x) = x - log(1 + x) >= 0.
// With s = x / (2 + x) = (q - p) / (q + p), log(1 + x) = 2 atanh(s) and phi(x) = s x - 2 (s^3/3 + s^5/5 + ...):
// nothing cancels in that.
#pragma once

#include <optional>

#include "rlcore/mdp.hpp"
#include "rlcore/storage.hpp"
#include "rlcore/twofold.hpp"
#include "rlcore/types.hpp"

namespace rlcore {

/// Writes the differences q - p and the terms p phi((q - p) / p) of KL(p || q): q where p = 0, and infinity where
/// q = 0 < p. Each term is right to 64 units of roundoff.
void divergence_terms(Index count, const double* p, const double* q, double* change, double* kl);

/// Bounds the relative error of a KL of rows of n actions.
double kl_error(Index num_actions);

/// A term of KL, and a bound on its error but for a few roundings of twofold arithmetic.
struct SharpKlTerm {
  Twofold value;
  double error = 0.0;
};

/// One term of KL in twofold arithmetic, but for a small part of it in doubles. Nothing, where quotients of p and q are
/// too large for that.
std::optional<SharpKlTerm> sharp_kl_term(double p, double q);

/// What separates two policies in each state, (num_states) each.
struct Divergences {
  Doubles tv;
  Doubles kl;
};

/// Throws PolicyError if one of them is no policy.
Divergences divergences(const Mdp& mdp, ConstVector policy, ConstVector candidate);

}  // namespace rlcore
