"""The Markov chain that a policy makes of a decision process (theory 1)."""

from __future__ import annotations

from fractions import Fraction

from .linear import dot, multiply, transpose
from .rational import Kernel, Matrix, Vector


def policy_transition(transition: Kernel, policy: Matrix) -> Matrix:
    """Return ``P_pi(t | s) = sum_a pi(a | s) P(t | s, a)``.

    Parameters
    ----------
    transition
        P(t | s, a), indexed [s][a][t].
    policy
        pi(a | s), indexed [s][a].

    Returns
    -------
    list of list of Fraction
        The state by state matrix, indexed [s][t].

    Raises
    ------
    ValueError
        If the shapes do not fit.

    Examples
    --------
    >>> half = Fraction(1, 2)
    >>> policy_transition([[[half], [Fraction(0)]]], [[half, half]])
    [[Fraction(1, 4)]]
    """
    P_pi = [multiply(transpose(rows), weights) for rows, weights in zip(transition, policy, strict=True)]
    if any(len(row) != len(P_pi) for row in P_pi):
        raise ValueError(f"transition: expected rows of length {len(P_pi)}, the number of states")
    return P_pi


def policy_reward(reward: Matrix, policy: Matrix) -> Vector:
    """Return ``r_pi(s) = sum_a pi(a | s) r(s, a)``.

    Parameters
    ----------
    reward
        r(s, a), indexed [s][a].
    policy
        pi(a | s), indexed [s][a].

    Returns
    -------
    list of Fraction
        One expected reward per state.

    Raises
    ------
    ValueError
        If the shapes do not fit.

    Examples
    --------
    >>> half = Fraction(1, 2)
    >>> policy_reward([[Fraction(1), Fraction(2)]], [[half, half]])
    [Fraction(3, 2)]
    """
    return [dot(rewards, weights) for rewards, weights in zip(reward, policy, strict=True)]


def discounted_system(P_pi: Matrix, gamma: Fraction) -> Matrix:
    """Return ``I - gamma P_pi``, the matrix of which the resolvent is the inverse.

    Parameters
    ----------
    P_pi
        A state by state matrix.
    gamma
        The discount factor.

    Raises
    ------
    ValueError
        If gamma is not in [0, 1).

    Examples
    --------
    >>> discounted_system([[Fraction(1)]], Fraction(3, 4))
    [[Fraction(1, 4)]]
    """
    if not 0 <= gamma < 1:
        raise ValueError(f"gamma: expected 0 <= gamma < 1, got {gamma}")
    return [[(s == t) - gamma * p for t, p in enumerate(row)] for s, row in enumerate(P_pi)]
