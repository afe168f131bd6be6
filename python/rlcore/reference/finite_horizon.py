"""A number of steps that is known beforehand, with a policy for each of them (theory 2.8)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate
from operator import mul

from .chain import policy_reward, policy_transition
from .linear import dot, multiply, transpose
from .rational import Matrix, Number, Vector, exact


@dataclass(frozen=True, slots=True)
class FiniteHorizonEvaluation:
    """The worth of a sequence of policies over as many steps.

    Attributes
    ----------
    value
        The value from time t on, indexed [t][s] for t = 0, ..., steps; the last one is 0. With n steps to go, it is
        ``value[steps - n]``.
    action_value
        Q(s, a) at time t, indexed [t][s][a] for t = 0, ..., steps - 1.
    advantage
        A(s, a) = Q(s, a) - V(s) at time t, indexed likewise.
    start_value
        rho0^T V at time 0, or None if no start distribution was given.
    """

    value: Matrix
    action_value: list[Matrix]
    advantage: list[Matrix]
    start_value: Fraction | None


@dataclass(frozen=True, slots=True)
class FiniteHorizonOccupancy:
    """Where a sequence of policies goes in as many steps.

    Attributes
    ----------
    distribution
        Pr(s_t = s), indexed [t][s] for t = 0, ..., steps. With termination a row sums to the probability of still
        running.
    visits
        The discounted number of visits at the times 0, ..., steps - 1, those at which there is a reward.
    state
        The visits divided by the sum of the discounts: their share of the horizon. It sums to 1 without termination.
    pair
        The discounted number of visits of each pair, in the same share, indexed [s][a].
    """

    distribution: Matrix
    visits: Vector
    state: Vector
    pair: Matrix


def evaluate_finite_horizon(
    transition: Sequence[Sequence[Sequence[Number]]],
    reward: Sequence[Sequence[Number]],
    policies: Sequence[Sequence[Sequence[Number]]],
    gamma: Number | Sequence[Number] = 1,
    initial: Sequence[Number] | None = None,
) -> FiniteHorizonEvaluation:
    """Return the exact values of a sequence of policies, one for each step, from every time on (theory 2.8).

    Backwards in time, from ``V = 0`` when no step is left, with the policy and the discount of the time t::

        Q_t(s, a) = r(s, a) + gamma_t sum_u P(u | s, a) V_{t+1}(u),    V_t(s) = sum_a pi_t(a | s) Q_t(s, a)

    Parameters
    ----------
    transition
        P(t | s, a), indexed [s][a][t]; the process ends with the probability that is missing in a row.
    reward
        r(s, a), indexed [s][a].
    policies
        pi_t(a | s), indexed [t][s][a]: one policy for each step.
    gamma
        The discount factor, 0 <= gamma <= 1, or one for each step: what a reward loses by coming after that step.
    initial
        rho0(s), indexed [s]; optional.

    Returns
    -------
    FiniteHorizonEvaluation
        All numbers as fractions.

    Raises
    ------
    ValueError
        If there is no step, gamma is not in [0, 1], or the shapes do not fit.

    References
    ----------
    M. L. Puterman (1994), Markov Decision Processes, section 4.2.

    Examples
    --------
    A reward of 1 for staying; in the last step leaving makes no difference to what is to come:

    >>> stay, leave = [[1, 0]], [[0, 1]]
    >>> result = evaluate_finite_horizon([[[1], [0]]], [[1, 0]], [stay, stay, leave])
    >>> [str(V[0]) for V in result.value]
    ['2', '1', '0', '0']
    """
    P, r = exact(transition), exact(reward)
    V = [Fraction(0)] * len(P)
    values, action_values = [V], []
    for policy, discount in reversed(list(zip(exact(policies), _discounts(gamma, len(policies)), strict=True))):
        lookahead = [multiply(rows, V) for rows in P]
        Q = [
            [x + discount * y for x, y in zip(now, later, strict=True)] for now, later in zip(r, lookahead, strict=True)
        ]
        V = policy_reward(Q, policy)
        values.append(V)
        action_values.append(Q)
    values.reverse()
    action_values.reverse()
    return FiniteHorizonEvaluation(
        value=values,
        action_value=action_values,
        advantage=[_advantage(Q, V) for Q, V in zip(action_values, values, strict=False)],
        start_value=None if initial is None else dot(exact(initial), V),
    )


def occupancy_finite_horizon(
    transition: Sequence[Sequence[Sequence[Number]]],
    policies: Sequence[Sequence[Sequence[Number]]],
    initial: Sequence[Number],
    gamma: Number | Sequence[Number] = 1,
) -> FiniteHorizonOccupancy:
    """Return the exact distributions over time of a sequence of policies, and their visits (theory 2.8).

    Forwards in time, with the policy of each step::

        Pr(s_0 = .) = rho0,    Pr(s_{t+1} = u) = sum_s Pr(s_t = s) P_{pi_t}(u | s)

        visits(s) = sum_{t < steps} gamma_0 ... gamma_{t-1} Pr(s_t = s)

    Parameters
    ----------
    transition
        P(t | s, a), indexed [s][a][t]; the process ends with the probability that is missing in a row.
    policies
        pi_t(a | s), indexed [t][s][a]: one policy for each step.
    initial
        rho0(s), indexed [s].
    gamma
        The discount factor, 0 <= gamma <= 1, or one for each step: what a visit loses by coming after that step.

    Returns
    -------
    FiniteHorizonOccupancy
        All numbers as fractions.

    Raises
    ------
    ValueError
        If there is no step, gamma is not in [0, 1], or the shapes do not fit.

    References
    ----------
    M. L. Puterman (1994), Markov Decision Processes, section 4.2.

    Examples
    --------
    >>> result = occupancy_finite_horizon([[[0.5, 0.5]], [[0, 1]]], [[[1], [1]]] * 2, [1, 0])
    >>> [str(visits) for visits in result.visits]
    ['3/2', '1/2']
    """
    P, schedule = exact(transition), exact(policies)
    weights = _weights(_discounts(gamma, len(schedule)))
    distribution = [exact(initial)]
    for policy in schedule:
        distribution.append(multiply(transpose(policy_transition(P, policy)), distribution[-1]))
    visits = multiply(transpose(distribution[:-1]), weights)
    total = sum(weights)
    shares = [[w * p / total for p in row] for w, row in zip(weights, distribution, strict=False)]
    pair = [
        [dot([row[s] for row in shares], [policy[s][a] for policy in schedule]) for a in range(len(rows))]
        for s, rows in enumerate(P)
    ]
    return FiniteHorizonOccupancy(distribution, visits, [x / total for x in visits], pair)


def _discounts(gamma: Number | Sequence[Number], steps: int) -> Vector:
    """Return one discount factor for each step."""
    if not steps:
        raise ValueError("policies: expected at least one, for the first step")
    discounts = exact(gamma) if isinstance(gamma, Sequence) else [exact(gamma)] * steps
    if len(discounts) != steps:
        raise ValueError(f"gamma: expected {steps} factors, one for each step, got {len(discounts)}")
    for discount in discounts:
        if not 0 <= discount <= 1:
            raise ValueError(f"gamma: expected 0 <= gamma <= 1, got {discount}")
    return discounts


def _weights(discounts: Vector) -> Vector:
    """Return what a reward at each time counts: the product of the discounts of the steps before."""
    return list(accumulate(discounts[:-1], mul, initial=Fraction(1)))


def _advantage(Q: Matrix, V: Vector) -> Matrix:
    return [[q - v for q in actions] for actions, v in zip(Q, V, strict=True)]
