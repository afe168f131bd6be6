"""How far apart two distributions are, and two policies: total variation and relative entropy (theory 1, 5.6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import inf

from .rational import Number, Vector, exact
from .real import ACCURACY, Extended, expectation, logarithm


@dataclass(frozen=True, slots=True)
class PolicyDivergences:
    """How far a policy is from another: in each state, at most, and on average over given weights.

    Attributes
    ----------
    total_variation
        TV(pi(.|s), pi'(.|s)), indexed [s].
    kl
        KL(pi(.|s) || pi'(.|s)), indexed [s].
    reverse_kl
        KL(pi'(.|s) || pi(.|s)), indexed [s].
    max_total_variation, max_kl, max_reverse_kl
        The largest over all states.
    mean_total_variation, mean_kl, mean_reverse_kl
        The sum over the states with the weights, 0 inf = 0; None without weights.
    """

    total_variation: Vector
    kl: list[Extended]
    reverse_kl: list[Extended]
    max_total_variation: Fraction
    max_kl: Extended
    max_reverse_kl: Extended
    mean_total_variation: Fraction | None
    mean_kl: Extended | None
    mean_reverse_kl: Extended | None


def total_variation(p: Sequence[Number], q: Sequence[Number]) -> Fraction:
    """Return the exact total variation distance of two distributions (theory 1).

    Half of what has to be taken away in some places and added in others::

        TV(p, q) = 1/2 sum_i |p_i - q_i|

    Parameters
    ----------
    p, q
        Two distributions over the same outcomes.

    Raises
    ------
    ValueError
        If the lengths differ.

    References
    ----------
    D. A. Levin and Y. Peres (2017), Markov Chains and Mixing Times, section 4.1.

    Examples
    --------
    >>> total_variation([0.5, 0.5], [0.75, 0.25])
    Fraction(1, 4)
    """
    return sum((abs(x - y) for x, y in zip(exact(p), exact(q), strict=True)), Fraction(0)) / 2


def kl_divergence(p: Sequence[Number], q: Sequence[Number]) -> Extended:
    """Return the relative entropy of two distributions with a relative error of at most 1e-60 (theory 1, 9).

    In a form whose terms are all >= 0, so that nothing cancels::

        KL(p || q) = sum_i p_i log(p_i / q_i) + q_i - p_i

    Of distributions that sum to 1 the additions amount to nothing. Of rows that miss 1 by rounding this is still
    >= 0, and 0 only if they are the same.

    Parameters
    ----------
    p, q
        Two distributions over the same outcomes, the old one first.

    Returns
    -------
    Fraction or inf
        Infinite if q is 0 where p is not.

    Raises
    ------
    ValueError
        If the lengths differ.

    References
    ----------
    S. Kullback and R. A. Leibler (1951), On information and sufficiency, Annals of Mathematical Statistics 22, 79-86.

    Examples
    --------
    >>> float(kl_divergence([0.5, 0.5], [0.25, 0.75]))
    0.14384103622589045
    >>> kl_divergence([0.5, 0.5], [0, 1]), kl_divergence([0, 1], [0, 1])
    (inf, Fraction(0, 1))
    """
    terms = [_kl_term(x, y) for x, y in zip(exact(p), exact(q), strict=True)]
    return inf if inf in terms else sum(terms, Fraction(0))


def policy_divergences(
    policy: Sequence[Sequence[Number]],
    candidate: Sequence[Sequence[Number]],
    weights: Sequence[Number] | None = None,
) -> PolicyDivergences:
    """Return how far the candidate is from the policy, in either direction (theory 1).

    The maxima run over all states, also those that nobody visits. The means are those of E_d, never renormalised::

        max_s TV(pi(.|s), pi'(.|s)),    sum_s d(s) TV(pi(.|s), pi'(.|s)),    and so for KL

    Parameters
    ----------
    policy
        pi(a | s), indexed [s][a].
    candidate
        pi'(a | s), indexed [s][a].
    weights
        d(s), indexed [s]; optional.

    Returns
    -------
    PolicyDivergences
        Total variations as exact fractions, relative entropies to sixty digits.

    Raises
    ------
    ValueError
        If the shapes do not fit.

    References
    ----------
    J. Schulman, S. Levine, P. Moritz, M. Jordan and P. Abbeel (2015), Trust region policy optimization, section 3.

    Examples
    --------
    A KL of infinity counts where the policy goes, and only there:

    >>> result = policy_divergences([[0.5, 0.5], [1]], [[1, 0], [1]], weights=[0, 1])
    >>> result.max_total_variation, result.max_kl, result.mean_kl
    (Fraction(1, 2), inf, Fraction(0, 1))
    """
    rows = list(zip(exact(policy), exact(candidate), strict=True))
    variation = [total_variation(p, q) for p, q in rows]
    forwards = [kl_divergence(p, q) for p, q in rows]
    backwards = [kl_divergence(q, p) for p, q in rows]
    d = None if weights is None else exact(weights)
    return PolicyDivergences(
        total_variation=variation,
        kl=forwards,
        reverse_kl=backwards,
        max_total_variation=max(variation),
        max_kl=max(forwards),
        max_reverse_kl=max(backwards),
        mean_total_variation=None if d is None else Fraction(expectation(d, variation)),
        mean_kl=None if d is None else expectation(d, forwards),
        mean_reverse_kl=None if d is None else expectation(d, backwards),
    )


def _kl_term(p: Fraction, q: Fraction) -> Extended:
    """Return ``p log(p / q) + q - p``, which is ``p (x - log(1 + x))`` with x = (q - p) / p."""
    if p == q or p == 0:
        return q - p
    if q == 0:
        return inf
    x = (q - p) / p
    # x - log(1 + x) >= x^2 / (2 max(1, 1 + x)): both are 0 at 0, and the difference grows on either side.
    least = x * x / (2 * max(Fraction(1), 1 + x))
    return p * (x - logarithm(1 + x, ACCURACY * least))
