"""The critic that leaves the gradient exact, Fisher's matrix and the natural gradient (theory 4.2, 4.3)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from .families import PolicyFamily
from .least_squares import shortest_solution
from .linear import dot, multiply
from .rational import Matrix, Number, Vector, exact


@dataclass(frozen=True, slots=True)
class CompatibleCritic:
    """A linear critic whose features are the scores.

    Attributes
    ----------
    weights
        w, the shortest of all that fit best, indexed [k].
    action_value
        Q_w(s, a) = w^T psi(s, a), indexed [s][a].
    mean_squared_error
        E[(Q - Q_w)^2].
    rank
        The rank of Fisher's matrix.
    gradient
        E[psi Q_w], which is E[psi Q].
    """

    weights: Vector
    action_value: Matrix
    mean_squared_error: Fraction
    rank: int
    gradient: Vector


def fisher_matrix(family: PolicyFamily, state: Sequence[Number]) -> Matrix:
    """Return Fisher's information of the policy, by its definition as a sum over all pairs (theory 4.3).

    ::

        F = sum_s d(s) sum_a pi(a | s) psi(s, a) psi(s, a)^T

    Parameters
    ----------
    family
        The policy and the derivatives of its probabilities.
    state
        d(s), indexed [s].

    Returns
    -------
    list of list of Fraction
        K by K.

    Raises
    ------
    ValueError
        If a probability is 0 and can grow, or the shapes do not fit.

    References
    ----------
    S. Kakade (2002), A natural policy gradient, NIPS 14.

    Examples
    --------
    >>> from rlcore.reference import tabular_softmax
    >>> [[str(x) for x in row] for row in fisher_matrix(tabular_softmax([[0, 0]]), [1])]
    [['1/4', '-1/4'], ['-1/4', '1/4']]
    """
    count = family.num_parameters
    F = [[Fraction(0)] * count for _ in range(count)]
    for weight, psi in _weighted_scores(family, exact(state)):
        for i, x in enumerate(psi):
            if x:
                F[i] = [total + weight * x * y for total, y in zip(F[i], psi, strict=True)]
    return F


def fisher_vector_product(family: PolicyFamily, state: Sequence[Number], vector: Sequence[Number]) -> Vector:
    """Return the product of Fisher's matrix with a vector, without the matrix (theory 4.3).

    ::

        F v = sum_s d(s) sum_a pi(a | s) psi(s, a) (psi(s, a)^T v)

    Parameters
    ----------
    family
        The policy and the derivatives of its probabilities.
    state
        d(s), indexed [s].
    vector
        v, indexed [k].

    Returns
    -------
    list of Fraction
        F v, indexed [k].

    Raises
    ------
    ValueError
        If a probability is 0 and can grow, or the shapes do not fit.

    References
    ----------
    S. Kakade (2002), A natural policy gradient, NIPS 14.

    Examples
    --------
    >>> from rlcore.reference import tabular_softmax
    >>> fisher_vector_product(tabular_softmax([[0, 0]]), [1], [3, 1])
    [Fraction(1, 2), Fraction(-1, 2)]
    """
    v, product = exact(vector), [Fraction(0)] * family.num_parameters
    for weight, psi in _weighted_scores(family, exact(state)):
        share = weight * dot(psi, v)
        product = [total + share * x for total, x in zip(product, psi, strict=True)]
    return product


def natural_gradient(fisher: Sequence[Sequence[Number]], gradient: Sequence[Number]) -> Vector:
    """Return the shortest x with ``F x = grad``: ``F^+ grad`` (theory 4.3).

    Parameters
    ----------
    fisher
        F, K by K.
    gradient
        The gradient, a combination of the rows of F, indexed [k].

    Returns
    -------
    list of Fraction
        The direction of steepest ascent where lengths are measured by F.

    Raises
    ------
    ValueError
        If the gradient is no combination of the rows of F, or the shapes do not fit.

    References
    ----------
    S. Kakade (2002), A natural policy gradient, NIPS 14.

    Examples
    --------
    >>> quarter = Fraction(1, 4)
    >>> natural_gradient([[quarter, -quarter], [-quarter, quarter]], [1, -1])
    [Fraction(2, 1), Fraction(-2, 1)]
    """
    return shortest_solution(exact(fisher), exact(gradient)).solution


def compatible_critic(
    family: PolicyFamily,
    state: Sequence[Number],
    action_value: Sequence[Sequence[Number]],
) -> CompatibleCritic:
    """Return the shortest weights w with the least E[(Q - w^T psi)^2], and what follows from them (theory 4.2).

    They solve the normal equations, with the sums over pairs weighted by d(s) pi(a | s)::

        E[psi psi^T] w = E[psi Q]

    Parameters
    ----------
    family
        The policy and the derivatives of its probabilities.
    state
        d(s), indexed [s].
    action_value
        Q(s, a), indexed [s][a].

    Returns
    -------
    CompatibleCritic
        All numbers as fractions.

    Raises
    ------
    ValueError
        If a probability is 0 and can grow, or the shapes do not fit.

    References
    ----------
    R. S. Sutton, D. McAllester, S. Singh and Y. Mansour (2000), Policy gradient methods for reinforcement learning
    with function approximation, NIPS 12, theorem 2.

    Examples
    --------
    Two parameters that do the same share what one of them would be worth:

    >>> from rlcore.reference import linear_softmax
    >>> critic = compatible_critic(linear_softmax([[[1, 1], [0, 0]]], [0, 0]), [1], [[3, 1]])
    >>> critic.weights, critic.rank, critic.mean_squared_error
    ([Fraction(1, 1), Fraction(1, 1)], 1, Fraction(4, 1))
    """
    d, Q, psi = exact(state), exact(action_value), family.scores
    values = [q for row in Q for q in row]
    right = [Fraction(0)] * family.num_parameters
    for (weight, score), q in zip(_weighted_scores(family, d), values, strict=True):
        right = [total + weight * q * x for total, x in zip(right, score, strict=True)]
    found = shortest_solution(fisher_matrix(family, d), right)
    Q_w = [multiply(rows, found.solution) for rows in psi]
    shares = [weight for weight, _ in _weighted_scores(family, d)]
    guesses = [q for row in Q_w for q in row]
    misses = [(q - guess) ** 2 for q, guess in zip(values, guesses, strict=True)]
    return CompatibleCritic(
        weights=found.solution,
        action_value=Q_w,
        mean_squared_error=dot(shares, misses),
        rank=found.rank,
        gradient=fisher_vector_product(family, d, found.solution),
    )


def _weighted_scores(family: PolicyFamily, d: Vector) -> Iterator[tuple[Fraction, Vector]]:
    """Yield d(s) pi(a | s) and psi(s, a) of every pair."""
    for share, actions, rows in zip(d, family.policy, family.scores, strict=True):
        for p, psi in zip(actions, rows, strict=True):
            yield share * p, psi
