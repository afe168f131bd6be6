"""What is used in place of the gradient when the discount of the states is left out (theory 4.5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from .evaluation import evaluate
from .families import PolicyFamily
from .gradient import policy_gradient
from .linear import dot
from .long_run import stationary_distributions
from .occupancy import state_distribution
from .rational import Number, Vector, exact
from .real import Extended, square_root


@dataclass(frozen=True, slots=True)
class PracticalGradient:
    """The practical gradient beside the true one.

    Attributes
    ----------
    gradient
        sum_s w(s) sum_a grad pi(a | s) Q(s, a), indexed [k].
    true_gradient
        The gradient of the discounted return, indexed [k].
    inner_product
        The sum of the products of their components.
    cosine
        That of the angle between them, to sixty digits; None if one of them is 0.
    relative_error
        The length of their difference, divided by that of the true one, to sixty digits; None if that is 0.
    """

    gradient: Vector
    true_gradient: Vector
    inner_product: Fraction
    cosine: Fraction | None
    relative_error: Fraction | None


def practical_gradient(
    transition: Sequence[Sequence[Sequence[Number]]],
    reward: Sequence[Sequence[Number]],
    family: PolicyFamily,
    gamma: Number,
    initial: Sequence[Number],
    weights: Sequence[Number],
) -> PracticalGradient:
    """Return the sum over states with any weights in place of the discounted visits, beside the gradient (theory 4.5).

    ::

        g_w = sum_s w(s) sum_a grad pi(a | s) Q(s, a)

    Parameters
    ----------
    transition
        P(t | s, a), indexed [s][a][t]; the process ends with the probability that is missing in a row.
    reward
        r(s, a), indexed [s][a].
    family
        The policy and the derivatives of its probabilities.
    gamma
        The discount factor of Q, 0 <= gamma < 1.
    initial
        rho0(s), indexed [s].
    weights
        w(s), indexed [s]: :func:`stationary_weights`, :func:`horizon_weights`, or the visits of
        :func:`occupancy_episodic`.

    Returns
    -------
    PracticalGradient
        All numbers as fractions; lengths to sixty digits.

    Raises
    ------
    ValueError
        If gamma is not in [0, 1), or the shapes do not fit.

    References
    ----------
    C. Nota and P. S. Thomas (2020), Is the policy gradient a gradient?, AAMAS.

    Examples
    --------
    With twice the visits of the only state that matters it is twice the gradient:

    >>> from rlcore.reference import tabular_softmax
    >>> family = tabular_softmax([[0, 0], [0]])
    >>> found = practical_gradient([[[0, 1], [0, 1]], [[0, 0]]], [[1, 0], [0]], family, 0.5, [1, 0], weights=[2, 2])
    >>> found.cosine, found.relative_error
    (Fraction(1, 1), Fraction(1, 1))
    """
    evaluation = evaluate(transition, reward, family.policy, gamma)
    g = policy_gradient(transition, reward, family, gamma, initial).gradient
    g_w = [Fraction(0)] * family.num_parameters
    for weight, rows, values in zip(exact(weights), family.slopes, evaluation.action_value, strict=True):
        for slopes, q in zip(rows, values, strict=True):
            g_w = [total + weight * q * slope for total, slope in zip(g_w, slopes, strict=True)]
    inner_product, length, true_length = dot(g_w, g), dot(g_w, g_w), dot(g, g)
    difference = [x - y for x, y in zip(g_w, g, strict=True)]
    return PracticalGradient(
        gradient=g_w,
        true_gradient=g,
        inner_product=inner_product,
        cosine=_ratio(inner_product, length * true_length),
        relative_error=_ratio(Fraction(square_root(dot(difference, difference))), true_length),
    )


def stationary_weights(
    transition: Sequence[Sequence[Sequence[Number]]],
    policy: Sequence[Sequence[Number]],
    gamma: Number,
) -> Vector:
    """Return ``w = d / (1 - gamma)`` with the stationary distribution d of the only recurrent class (theory 4.5).

    Parameters
    ----------
    transition
        P(t | s, a), indexed [s][a][t].
    policy
        pi(a | s), indexed [s][a].
    gamma
        The discount factor, 0 <= gamma < 1.

    Raises
    ------
    ValueError
        If there are several recurrent classes, or the shapes do not fit.

    Examples
    --------
    >>> stationary_weights([[[0, 1]], [[1, 0]]], [[1], [1]], gamma=0.75)
    [Fraction(2, 1), Fraction(2, 1)]
    """
    (d,) = stationary_distributions(transition, policy)
    return [share / (1 - exact(gamma)) for share in d]


def horizon_weights(
    transition: Sequence[Sequence[Sequence[Number]]],
    policy: Sequence[Sequence[Number]],
    initial: Sequence[Number],
    steps: int,
) -> Vector:
    """Return the expected visits in the first steps: ``w(s) = sum_{t < T} Pr(s_t = s)`` (theory 4.5).

    Parameters
    ----------
    transition
        P(t | s, a), indexed [s][a][t]; the process ends with the probability that is missing in a row.
    policy
        pi(a | s), indexed [s][a].
    initial
        rho0(s), indexed [s].
    steps
        T, at least 1.

    Raises
    ------
    ValueError
        If there is no step, or the shapes do not fit.

    Examples
    --------
    >>> horizon_weights([[[0, 1]], [[0, 1]]], [[1], [1]], [1, 0], steps=3)
    [Fraction(1, 1), Fraction(2, 1)]
    """
    rows = state_distribution(transition, policy, initial, steps - 1)
    return [sum(column, Fraction(0)) for column in zip(*rows, strict=True)]


def _ratio(x: Fraction, squared: Fraction) -> Fraction | None:
    """Return x divided by a root, or None if that is 0."""
    root: Extended = square_root(squared)
    return x / Fraction(root) if root else None
