"""Where a policy goes: visits, distributions over time, successor representation (theory 2.4, 2.5, 2.7)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from .chain import discounted_system, policy_transition
from .linear import multiply, solve, transpose
from .rational import Matrix, Number, Vector, exact


@dataclass(frozen=True, slots=True)
class Occupancy:
    """The discounted occupancy of a policy.

    Attributes
    ----------
    visits
        rho(s), the expected discounted number of visits.
    state
        d(s) = (1 - gamma) rho(s). It sums to 1 without termination and to less with it.
    pair
        d(s) pi(a | s), indexed [s][a].
    """

    visits: Vector
    state: Vector
    pair: Matrix


def occupancy(
    transition: Sequence[Sequence[Sequence[Number]]],
    policy: Sequence[Sequence[Number]],
    initial: Sequence[Number],
    gamma: Number,
) -> Occupancy:
    """Return the exact discounted occupancy of a policy (theory 2.5).

    The visits are those at time 0 and those that flow in from the visits before, here by rational elimination of
    the transposed system::

        rho(t) = rho0(t) + gamma sum_s rho(s) P_pi(t | s),    d = (1 - gamma) rho

    Parameters
    ----------
    transition
        P(t | s, a), indexed [s][a][t]; the process ends with the probability that is missing in a row.
    policy
        pi(a | s), indexed [s][a].
    initial
        rho0(s), indexed [s].
    gamma
        The discount factor, 0 <= gamma < 1.

    Returns
    -------
    Occupancy
        All numbers as fractions.

    Raises
    ------
    ValueError
        If gamma is not in [0, 1), or the shapes do not fit.

    References
    ----------
    M. L. Puterman (1994), Markov Decision Processes, section 6.9 (the dual linear program). R. S. Sutton and
    A. G. Barto (2018), Reinforcement Learning, section 9.2.

    Examples
    --------
    Leave state 0 for good in the first step:

    >>> result = occupancy([[[0, 1]], [[0, 1]]], [[1], [1]], [1, 0], gamma=Fraction(3, 4))
    >>> result.visits
    [Fraction(1, 1), Fraction(3, 1)]
    >>> result.state
    [Fraction(1, 4), Fraction(3, 4)]
    """
    pi, discount = exact(policy), exact(gamma)
    system = discounted_system(policy_transition(exact(transition), pi), discount)
    (rho,) = solve(transpose(system), [exact(initial)])
    d = [(1 - discount) * visits for visits in rho]
    return Occupancy(visits=rho, state=d, pair=[[share * p for p in row] for share, row in zip(d, pi, strict=True)])


def state_distribution(
    transition: Sequence[Sequence[Sequence[Number]]],
    policy: Sequence[Sequence[Number]],
    initial: Sequence[Number],
    steps: int,
) -> Matrix:
    """Return the exact distribution of the state at the times 0, ..., steps (theory 2.4).

    One product after the other::

        Pr(s_0 = .) = rho0,    Pr(s_{n+1} = t) = sum_s Pr(s_n = s) P_pi(t | s)

    Parameters
    ----------
    transition
        P(t | s, a), indexed [s][a][t]; the process ends with the probability that is missing in a row.
    policy
        pi(a | s), indexed [s][a].
    initial
        rho0(s), indexed [s].
    steps
        The number of steps, >= 0.

    Returns
    -------
    list of list of Fraction
        steps + 1 rows, one number per state. With termination a row sums to the probability of still running.

    Raises
    ------
    ValueError
        If steps is negative, or the shapes do not fit.

    References
    ----------
    M. L. Puterman (1994), Markov Decision Processes, appendix A.

    Examples
    --------
    >>> half = Fraction(1, 2)
    >>> state_distribution([[[half, half]], [[0, 1]]], [[1], [1]], [1, 0], steps=2)[-1]
    [Fraction(1, 4), Fraction(3, 4)]
    """
    if steps < 0:
        raise ValueError(f"steps: expected a number >= 0, got {steps}")
    inflow = transpose(policy_transition(exact(transition), exact(policy)))
    rows = [exact(initial)]
    for _ in range(steps):
        rows.append(multiply(inflow, rows[-1]))
    return rows


def successor_representation(
    transition: Sequence[Sequence[Sequence[Number]]],
    policy: Sequence[Sequence[Number]],
    gamma: Number,
    states: Sequence[int],
) -> Matrix:
    """Return rows of the exact successor representation (theory 2.7).

    Row s holds the expected discounted visits of every state from a start in s: the row of the resolvent
    ``X = (I - gamma P_pi)^-1``, here by rational elimination of the transposed system with a unit right-hand side::

        X(s, t) = [s = t] + gamma sum_u X(s, u) P_pi(t | u)

    Parameters
    ----------
    transition
        P(t | s, a), indexed [s][a][t]; the process ends with the probability that is missing in a row.
    policy
        pi(a | s), indexed [s][a].
    gamma
        The discount factor, 0 <= gamma < 1.
    states
        The start states, each from 0 to S - 1, in any order, repeated or not.

    Returns
    -------
    list of list of Fraction
        One row of length S for each start state.

    Raises
    ------
    ValueError
        If gamma is not in [0, 1), a state does not exist, or the shapes do not fit.

    References
    ----------
    P. Dayan (1993), Improving generalization for temporal difference learning: the successor representation, Neural
    Computation 5, 613-624. M. L. Puterman (1994), Markov Decision Processes, section 6.1 and appendix C.

    Examples
    --------
    >>> successor_representation([[[0, 1]], [[0, 1]]], [[1], [1]], Fraction(3, 4), states=[0, 1])
    [[Fraction(1, 1), Fraction(3, 1)], [Fraction(0, 1), Fraction(4, 1)]]
    """
    system = discounted_system(policy_transition(exact(transition), exact(policy)), exact(gamma))
    size = len(system)
    for s in states:
        if not 0 <= s < size:
            raise ValueError(f"states: expected numbers from 0 to {size - 1}, got {s}")
    units = [[Fraction(s == t) for t in range(size)] for s in states]
    return solve(transpose(system), units)
