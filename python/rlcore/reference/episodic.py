"""Policies that come to an end: expected visits, values without a discount, how long it takes (theory 3.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from .chain import policy_reward
from .linear import dot, transpose
from .rational import Matrix, Number, Vector, exact
from .structure import EndingChain, ending_rows, policy_chain, reachable, solve_within, structure_of

PartialVector = list[Fraction | None]
"""One number per state or action, None where it does not exist."""


class ImproperPolicyError(ValueError):
    """The policy does not surely end the process.

    Attributes
    ----------
    classes
        The recurrent classes that can be reached.
    """

    def __init__(self, classes: list[list[int]]) -> None:
        super().__init__(f"policy: expected one that surely ends the process, but it can stay in {classes} for ever")
        self.classes = classes


@dataclass(frozen=True, slots=True)
class EpisodicEvaluation:
    """The worth of a policy until the process ends.

    Attributes
    ----------
    value
        v(s); None for states from which the process may go on for ever.
    action_value
        Q(s, a), indexed [s][a]; None for pairs that can lead to such a state.
    advantage
        A(s, a) = Q(s, a) - v(s), indexed [s][a]; None where one of the two is.
    proper
        Whether the process surely ends from s, indexed [s].
    start_value
        rho0^T v, or None if no start distribution was given.
    on_policy_objective
        J = sum_s d(s) v(s) with the visits d of :func:`occupancy_episodic`, or None if no start distribution was given.
    """

    value: PartialVector
    action_value: list[PartialVector]
    advantage: list[PartialVector]
    proper: list[bool]
    start_value: Fraction | None
    on_policy_objective: Fraction | None


@dataclass(frozen=True, slots=True)
class EpisodicOccupancy:
    """Where a policy goes before the process ends.

    Attributes
    ----------
    visits
        e(s), the expected number of visits.
    state
        d(s) = e(s) / sum_t e(t), the share of the visits.
    pair
        d(s) pi(a | s), indexed [s][a].
    """

    visits: Vector
    state: Vector
    pair: Matrix


@dataclass(frozen=True, slots=True)
class EpisodeLength:
    """The number of steps until the process ends, the last step included.

    Attributes
    ----------
    mean
        Its mean for a start in s; None for states from which the process may go on for ever.
    variance
        Its variance for a start in s; None for the same states.
    start_mean
        Its mean for a start drawn from rho0, or None if no start distribution was given.
    start_variance
        Its variance for such a start, or None if no start distribution was given.
    """

    mean: PartialVector
    variance: PartialVector
    start_mean: Fraction | None
    start_variance: Fraction | None


def evaluate_episodic(
    transition: Sequence[Sequence[Sequence[Number]]],
    reward: Sequence[Sequence[Number]],
    policy: Sequence[Sequence[Number]],
    termination: Sequence[Sequence[Number]],
    initial: Sequence[Number] | None = None,
) -> EpisodicEvaluation:
    """Return the exact undiscounted value of a policy and what follows from it (theory 3.1).

    On the states from which the process surely ends, which the policy does not leave::

        v = r_pi + P_pi v,    Q(s, a) = r(s, a) + sum_t P(t | s, a) v(t),    A = Q - v

    Parameters
    ----------
    transition
        P(t | s, a), indexed [s][a][t]; the size of an entry P(s | s, a) is not read, only whether it is there.
    reward
        r(s, a), indexed [s][a].
    policy
        pi(a | s), indexed [s][a].
    termination
        The probability that the process ends after the pair, indexed [s][a].
    initial
        rho0(s), indexed [s]; optional.

    Returns
    -------
    EpisodicEvaluation
        All numbers as fractions.

    Raises
    ------
    ImproperPolicyError
        If the process may go on for ever from a state in which it can start.
    ValueError
        If the shapes do not fit.

    References
    ----------
    D. P. Bertsekas and J. N. Tsitsiklis (1991), An analysis of stochastic shortest path problems, Mathematics of
    Operations Research 16, 580-595. R. S. Sutton and A. G. Barto (2018), Reinforcement Learning, section 9.2.

    Examples
    --------
    A reward of -1 in every step, of which every fourth is the last; a second state is never left:

    >>> result = evaluate_episodic([[[0.75, 0]], [[0, 1]]], [[-1], [0]], [[1], [1]], termination=[[0.25], [0]])
    >>> result.value
    [Fraction(-4, 1), None]
    """
    chain = policy_chain(transition, policy, termination)
    proper = proper_states(chain)
    r = exact(reward)
    r_pi = policy_reward(r, exact(policy))
    v = _until_the_end(chain.P_pi, proper, r_pi)
    Q = _lookahead(transition, r, termination, v)
    start_value = objective = None
    if initial is not None:
        e = _visits(chain, proper, exact(initial))
        start_value = _expectation(exact(initial), v)
        objective = _expectation(e, v) / sum(e)
    return EpisodicEvaluation(
        value=v,
        action_value=Q,
        advantage=[[_difference(q, v[s]) for q in actions] for s, actions in enumerate(Q)],
        proper=proper,
        start_value=start_value,
        on_policy_objective=objective,
    )


def occupancy_episodic(
    transition: Sequence[Sequence[Sequence[Number]]],
    policy: Sequence[Sequence[Number]],
    initial: Sequence[Number],
    termination: Sequence[Sequence[Number]],
) -> EpisodicOccupancy:
    """Return the exact expected visits of a policy before the process ends (theory 3.1).

    The visits are those at time 0 and those that flow in from the visits before::

        e(t) = rho0(t) + sum_s e(s) P_pi(t | s),    d = e / sum e

    Parameters
    ----------
    transition
        P(t | s, a), indexed [s][a][t]; the size of an entry P(s | s, a) is not read, only whether it is there.
    policy
        pi(a | s), indexed [s][a].
    initial
        rho0(s), indexed [s].
    termination
        The probability that the process ends after the pair, indexed [s][a].

    Returns
    -------
    EpisodicOccupancy
        All numbers as fractions.

    Raises
    ------
    ImproperPolicyError
        If the process may go on for ever from a state in which it can start.
    ValueError
        If the shapes do not fit.

    References
    ----------
    J. G. Kemeny and J. L. Snell (1960), Finite Markov Chains, section 3.2. R. S. Sutton and A. G. Barto (2018),
    Reinforcement Learning, section 9.2.

    Examples
    --------
    >>> result = occupancy_episodic([[[0.5, 0.5]], [[0, 0.5]]], [[1], [1]], [1, 0], termination=[[0], [0.5]])
    >>> result.visits, result.state
    ([Fraction(2, 1), Fraction(2, 1)], [Fraction(1, 2), Fraction(1, 2)])
    """
    chain = policy_chain(transition, policy, termination)
    e = _visits(chain, proper_states(chain), exact(initial))
    total = sum(e)
    d = [visits / total for visits in e]
    pair = [[share * p for p in row] for share, row in zip(d, exact(policy), strict=True)]
    return EpisodicOccupancy(visits=e, state=d, pair=pair)


def episode_length(
    transition: Sequence[Sequence[Sequence[Number]]],
    policy: Sequence[Sequence[Number]],
    termination: Sequence[Sequence[Number]],
    initial: Sequence[Number] | None = None,
) -> EpisodeLength:
    """Return mean and variance of the number of steps until the process ends (theory 3.1).

    The first step and what remains after it give the mean T and the mean square U of the length for each start::

        T = 1 + P_pi T,    U = 1 + 2 P_pi T + P_pi U = (2 T - 1) + P_pi U

    A start drawn from rho0 has the mean ``rho0^T T`` and the variance ``rho0^T U - (rho0^T T)^2``.

    Parameters
    ----------
    transition
        P(t | s, a), indexed [s][a][t]; the size of an entry P(s | s, a) is not read, only whether it is there.
    policy
        pi(a | s), indexed [s][a].
    termination
        The probability that the process ends after the pair, indexed [s][a].
    initial
        rho0(s), indexed [s]; optional.

    Returns
    -------
    EpisodeLength
        All numbers as fractions.

    Raises
    ------
    ImproperPolicyError
        If the process may go on for ever from a state in which it can start.
    ValueError
        If the shapes do not fit.

    References
    ----------
    J. G. Kemeny and J. L. Snell (1960), Finite Markov Chains, section 3.3.

    Examples
    --------
    The geometric distribution:

    >>> length = episode_length([[[0.75]]], [[1]], termination=[[0.25]])
    >>> length.mean, length.variance
    ([Fraction(4, 1)], [Fraction(12, 1)])
    """
    chain = policy_chain(transition, policy, termination)
    proper = proper_states(chain)
    T = _until_the_end(chain.P_pi, proper, [Fraction(1)] * len(proper))
    U = _until_the_end(chain.P_pi, proper, [Fraction(0) if t is None else 2 * t - 1 for t in T])
    variance = [None if t is None or u is None else u - t * t for t, u in zip(T, U, strict=True)]
    start_mean = start_variance = None
    if initial is not None:
        rho0 = exact(initial)
        _refuse_improper_start(chain, proper, rho0)
        start_mean = _expectation(rho0, T)
        start_variance = _expectation(rho0, U) - start_mean**2
    return EpisodeLength(mean=T, variance=variance, start_mean=start_mean, start_variance=start_variance)


def proper_states(chain: EndingChain) -> list[bool]:
    """Return for each state whether the chain surely ends from there: whether it reaches no recurrent class.

    Parameters
    ----------
    chain
        The chain.

    Examples
    --------
    >>> proper_states(policy_chain([[[0.5, 0]], [[0, 1]]], [[1], [1]], termination=[[0.5], [0]]))
    [True, False]
    """
    recurrent = {s for members in structure_of(chain).recurrent_classes for s in members}
    return [recurrent.isdisjoint(reachable(chain.successors, [s])) for s in range(len(chain.P_pi))]


def _refuse_improper_start(chain: EndingChain, proper: Sequence[bool], rho0: Vector) -> None:
    """Raise an error that names the recurrent classes that can be reached, if there are any."""
    if all(proper[s] for s, p in enumerate(rho0) if p > 0):
        return
    found = reachable(chain.successors, [s for s, p in enumerate(rho0) if p > 0])
    raise ImproperPolicyError([c for c in structure_of(chain).recurrent_classes if c[0] in found])


def _until_the_end(P_pi: Matrix, proper: Sequence[bool], x: Vector) -> PartialVector:
    """Return the sum of x over all states that the chain visits before it ends, for each start."""
    states = [s for s, surely in enumerate(proper) if surely]
    (sums,) = solve_within(P_pi, states, [[x[s] for s in states]])
    by_state = dict(zip(states, sums, strict=True))
    return [by_state.get(s) for s in range(len(P_pi))]


def _visits(chain: EndingChain, proper: Sequence[bool], rho0: Vector) -> Vector:
    """Return the expected visits of each state for a start drawn from rho0."""
    _refuse_improper_start(chain, proper, rho0)
    # No improper state is reached, so that the flow among the proper ones is all there is.
    return [e or Fraction(0) for e in _until_the_end(transpose(chain.P_pi), proper, rho0)]


def _lookahead(
    transition: Sequence[Sequence[Sequence[Number]]],
    reward: Matrix,
    termination: Sequence[Sequence[Number]],
    v: PartialVector,
) -> list[PartialVector]:
    """Return the value of each pair that surely leads to states with a value, and None for the others."""
    stored = exact(transition)
    rows = ending_rows(stored, exact(termination))
    known = [s for s, value in enumerate(v) if value is not None]
    values = [value for value in v if value is not None]

    def action_value(s: int, a: int) -> Fraction | None:
        if any(p > 0 and v[t] is None for t, p in enumerate(stored[s][a])):
            return None
        return reward[s][a] + dot([rows[s][a][t] for t in known], values)

    return [[action_value(s, a) for a in range(len(actions))] for s, actions in enumerate(stored)]


def _difference(x: Fraction | None, y: Fraction | None) -> Fraction | None:
    return None if x is None or y is None else x - y


def _expectation(weights: Vector, x: PartialVector) -> Fraction:
    """Return the sum of weights times x; there are no weights where x does not exist."""
    return sum((weight * value for weight, value in zip(weights, x, strict=True) if value is not None), Fraction(0))
