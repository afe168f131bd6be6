"""Policies with parameters: the probabilities, and how they change with each parameter (theory 4.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from .linear import dot
from .rational import Matrix, Number, Vector, exact
from .real import exponential

Slopes = list[Matrix]
"""The derivative of each probability by each parameter, indexed [s][a][k]."""


@dataclass(frozen=True, slots=True)
class PolicyFamily:
    """A family of policies, seen from one of its members.

    Attributes
    ----------
    policy
        pi(a | s), indexed [s][a].
    slopes
        The derivative of pi(a | s) by each parameter, indexed [s][a][k].
    """

    policy: Matrix
    slopes: Slopes

    @property
    def num_parameters(self) -> int:
        """The number of parameters."""
        return len(self.slopes[0][0])

    @property
    def scores(self) -> Slopes:
        """The derivative of log pi(a | s) by each parameter, indexed [s][a][k]; 0 where the probability stays 0.

        Raises
        ------
        ValueError
            If a probability is 0 and can grow: its logarithm has no derivative.
        """
        return [
            [_score(p, slope) for p, slope in zip(actions, slopes, strict=True)]
            for actions, slopes in zip(self.policy, self.slopes, strict=True)
        ]


def direct(policy: Sequence[Sequence[Number]]) -> PolicyFamily:
    """Return the family whose parameters are the probabilities themselves, numbered pair by pair (theory 4.1).

    Parameters
    ----------
    policy
        pi(a | s), indexed [s][a].

    Examples
    --------
    >>> direct([[1], [Fraction(1, 2), Fraction(1, 2)]]).slopes[1]
    [[Fraction(0, 1), Fraction(1, 1), Fraction(0, 1)], [Fraction(0, 1), Fraction(0, 1), Fraction(1, 1)]]
    """
    pi = exact(policy)
    return PolicyFamily(policy=pi, slopes=_one_for_each_pair(pi))


def scored(policy: Sequence[Sequence[Number]], scores: Sequence[Sequence[Sequence[Number]]]) -> PolicyFamily:
    """Return the family with these scores: ``slope = pi(a | s) psi(s, a)`` (theory 4.1).

    Parameters
    ----------
    policy
        pi(a | s), indexed [s][a].
    scores
        psi(s, a), indexed [s][a][k].

    Raises
    ------
    ValueError
        If the shapes do not fit.

    Examples
    --------
    >>> half = Fraction(1, 2)
    >>> scored([[half, half]], [[[1], [-1]]]).slopes
    [[[Fraction(1, 2)], [Fraction(-1, 2)]]]
    """
    pi, psi = exact(policy), exact(scores)
    return PolicyFamily(
        policy=pi,
        slopes=[
            [[p * x for x in score] for p, score in zip(actions, rows, strict=True)]
            for actions, rows in zip(pi, psi, strict=True)
        ],
    )


def tabular_softmax(theta: Sequence[Sequence[Number]]) -> PolicyFamily:
    """Return the softmax policies with one parameter for each pair, numbered pair by pair (theory 4.1).

    Parameters
    ----------
    theta
        theta(s, a), indexed [s][a].

    Examples
    --------
    >>> family = tabular_softmax([[7, 7]])
    >>> family.policy, family.slopes[0][0]
    ([[Fraction(1, 2), Fraction(1, 2)]], [Fraction(1, 4), Fraction(-1, 4)])
    """
    logits = exact(theta)
    return _softmax(logits, _one_for_each_pair(logits))


def linear_softmax(features: Sequence[Sequence[Sequence[Number]]], theta: Sequence[Number]) -> PolicyFamily:
    """Return the softmax policies whose logits are linear in features (theory 4.1).

    The policy is the exact softmax of logits that miss theirs by at most 1e-60, so that its slopes belong to it
    exactly::

        pi(a | s) = exp(f(s, a)^T theta) / sum_b exp(f(s, b)^T theta),    psi(s, a) = f(s, a) - sum_b pi(b | s) f(s, b)

    Parameters
    ----------
    features
        f(s, a), indexed [s][a][k].
    theta
        The parameters, indexed [k].

    Raises
    ------
    ValueError
        If the shapes do not fit.

    References
    ----------
    R. S. Sutton, D. McAllester, S. Singh and Y. Mansour (2000), Policy gradient methods for reinforcement learning
    with function approximation, NIPS 12.

    Examples
    --------
    >>> linear_softmax([[[1], [0]]], [0]).slopes
    [[[Fraction(1, 4)], [Fraction(-1, 4)]]]
    """
    f, parameters = exact(features), exact(theta)
    return _softmax([[dot(feature, parameters) for feature in rows] for rows in f], f)


def _softmax(logits: Matrix, features: Slopes) -> PolicyFamily:
    policy = [_shares([exponential(x - max(row)) for x in row]) for row in logits]
    scores = []
    for actions, rows in zip(policy, features, strict=True):
        mean = [dot(actions, list(column)) for column in zip(*rows, strict=True)]
        scores.append([[x - m for x, m in zip(row, mean, strict=True)] for row in rows])
    return scored(policy, scores)


def _shares(weights: Vector) -> Vector:
    total = sum(weights)
    return [weight / total for weight in weights]


def _one_for_each_pair(pairs: Matrix) -> Slopes:
    """Return the unit vector of each pair, indexed [s][a][pair]."""
    size = sum(len(row) for row in pairs)
    units = iter([[Fraction(k == pair) for k in range(size)] for pair in range(size)])
    return [[next(units) for _ in row] for row in pairs]


def _score(p: Fraction, slope: Vector) -> Vector:
    if p == 0:
        if any(slope):
            raise ValueError("policy: expected probabilities > 0 where they can change, got 0; scores divide by them")
        return slope
    return [x / p for x in slope]
