"""What a policy is worth: value, action value, advantage and start value (theory 2.1-2.3, 2.6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from .chain import discounted_system, policy_reward, policy_transition
from .linear import dot, multiply, solve
from .rational import Matrix, Number, Vector, exact


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The worth of a policy.

    Attributes
    ----------
    value
        V(s), one number per state.
    action_value
        Q(s, a), indexed [s][a].
    advantage
        A(s, a) = Q(s, a) - V(s), indexed [s][a].
    start_value
        eta = rho0^T V, or None if no start distribution was given.
    """

    value: Vector
    action_value: Matrix
    advantage: Matrix
    start_value: Fraction | None


def evaluate(
    transition: Sequence[Sequence[Sequence[Number]]],
    reward: Sequence[Sequence[Number]],
    policy: Sequence[Sequence[Number]],
    gamma: Number,
    initial: Sequence[Number] | None = None,
) -> Evaluation:
    """Return the exact discounted value of a policy and what follows from it.

    The value solves Bellman's equation for the policy (theory 2.1), here by rational elimination::

        V = r_pi + gamma P_pi V

    and one step of lookahead gives the rest (theory 2.2, 2.3, 2.6)::

        Q(s, a) = r(s, a) + gamma sum_t P(t | s, a) V(t),    A = Q - V,    eta = rho0^T V

    If the probabilities of the policy sum to 1 in s, then ``sum_a pi(a | s) A(s, a) = 0``.

    Parameters
    ----------
    transition
        P(t | s, a), indexed [s][a][t]; the process ends with the probability that is missing in a row.
    reward
        r(s, a), indexed [s][a].
    policy
        pi(a | s), indexed [s][a].
    gamma
        The discount factor, 0 <= gamma < 1.
    initial
        rho0(s), indexed [s]; optional.

    Returns
    -------
    Evaluation
        All numbers as fractions.

    Raises
    ------
    ValueError
        If gamma is not in [0, 1), or the shapes do not fit.

    References
    ----------
    M. L. Puterman (1994), Markov Decision Processes, section 6.1. R. S. Sutton and A. G. Barto (2018), Reinforcement
    Learning, sections 3.5 and 4.1.

    Examples
    --------
    A reward of 1 in every step, for ever:

    >>> evaluate([[[1]]], [[1]], [[1]], gamma=Fraction(9, 10)).value
    [Fraction(10, 1)]
    """
    P, r, pi, discount = exact(transition), exact(reward), exact(policy), exact(gamma)
    (V,) = solve(discounted_system(policy_transition(P, pi), discount), [policy_reward(r, pi)])
    discounted_V = [discount * v for v in V]
    lookahead = [multiply(rows, discounted_V) for rows in P]
    Q = [[x + y for x, y in zip(now, later, strict=True)] for now, later in zip(r, lookahead, strict=True)]
    A = [[q - v for q in actions] for actions, v in zip(Q, V, strict=True)]
    eta = None if initial is None else dot(exact(initial), V)
    return Evaluation(value=V, action_value=Q, advantage=A, start_value=eta)
