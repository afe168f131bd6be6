"""Where a chain spends its time for ever and what it earns there: the average-reward setting (theory 3.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import inf

from .chain import policy_reward
from .linear import dot, multiply, solve, transpose
from .rational import Matrix, Number, Vector, exact
from .structure import (
    ChainStructure,
    EndingChain,
    ending_rows,
    policy_chain,
    reachable,
    solve_within,
    structure_of,
)


@dataclass(frozen=True, slots=True)
class AverageEvaluation:
    """The worth of a policy in the long run.

    Attributes
    ----------
    gain
        g(s), the average reward per step for a start in s.
    bias
        h(s), what a start in s earns more than its gain, summed over all times; P* h = 0.
    action_value
        Q(s, a), indexed [s][a]; None if there are several recurrent classes.
    advantage
        A(s, a) = Q(s, a) - h(s), indexed [s][a]; None if there are several recurrent classes.
    on_policy_objective
        J = rho0^T g, or None if no start distribution was given.
    """

    gain: Vector
    bias: Vector
    action_value: Matrix | None
    advantage: Matrix | None
    on_policy_objective: Fraction | None


@dataclass(frozen=True, slots=True)
class AverageOccupancy:
    """Where a policy spends its time in the long run.

    Attributes
    ----------
    state
        d(s), the share of all times that is spent in s: the limit of the averages of Pr(s_t = s).
    pair
        d(s) pi(a | s), indexed [s][a].
    is_limit
        Whether every recurrent class that can be reached is aperiodic, so that Pr(s_t = s) itself tends to d(s).
    """

    state: Vector
    pair: Matrix
    is_limit: bool


def evaluate_average(
    transition: Sequence[Sequence[Sequence[Number]]],
    reward: Sequence[Sequence[Number]],
    policy: Sequence[Sequence[Number]],
    initial: Sequence[Number] | None = None,
    termination: Sequence[Sequence[Number]] | None = None,
) -> AverageEvaluation:
    """Return the exact gain and bias of a policy and what follows from them (theory 3.2).

    With the limit matrix P* of :func:`cesaro_limit`::

        g = P* r_pi,    (I - P_pi + P*) h = (I - P*) r_pi

    and if there is only one recurrent class::

        Q(s, a) = r(s, a) - g(s) + sum_t P(t | s, a) h(t),    A = Q - h

    If the probabilities of the policy sum to 1 in s, then ``sum_a pi(a | s) A(s, a) = 0``.

    Parameters
    ----------
    transition
        P(t | s, a), indexed [s][a][t]; the size of an entry P(s | s, a) is not read, only whether it is there.
    reward
        r(s, a), indexed [s][a].
    policy
        pi(a | s), indexed [s][a].
    initial
        rho0(s), indexed [s]; without it the process may start anywhere.
    termination
        The probability that the process ends after the pair, indexed [s][a]. States in which the policy can end the
        process must be out of reach; their gain and bias are those of a process that earns nothing after its end.

    Returns
    -------
    AverageEvaluation
        All numbers as fractions.

    Raises
    ------
    ValueError
        If the process can end, or the shapes do not fit.

    References
    ----------
    M. L. Puterman (1994), Markov Decision Processes, section 8.2 and appendix A.

    Examples
    --------
    Rewards 1 and 0 by turns; it is worth half a reward to be where the 1 comes first:

    >>> result = evaluate_average([[[0, 1]], [[1, 0]]], [[1], [0]], [[1], [1]])
    >>> [str(g) for g in result.gain], [str(h) for h in result.bias]
    (['1/2', '1/2'], ['1/4', '-1/4'])
    """
    chain = _chain_that_goes_on(transition, policy, initial, termination)
    structure, r = structure_of(chain), exact(reward)
    limit = _limit(chain, structure)
    r_pi = policy_reward(r, exact(policy))
    g = multiply(limit, r_pi)
    (h,) = solve(_fundamental_system(chain, limit), [[x - y for x, y in zip(r_pi, g, strict=True)]])
    Q = A = None
    if structure.is_unichain:
        rows = ending_rows(exact(transition), None if termination is None else exact(termination))
        lookahead = [multiply(actions, h) for actions in rows]
        Q = [[x - g[s] + y for x, y in zip(r[s], later, strict=True)] for s, later in enumerate(lookahead)]
        A = [[q - h[s] for q in actions] for s, actions in enumerate(Q)]
    J = None if initial is None else dot(exact(initial), g)
    return AverageEvaluation(gain=g, bias=h, action_value=Q, advantage=A, on_policy_objective=J)


def occupancy_average(
    transition: Sequence[Sequence[Sequence[Number]]],
    policy: Sequence[Sequence[Number]],
    initial: Sequence[Number],
    termination: Sequence[Sequence[Number]] | None = None,
) -> AverageOccupancy:
    """Return the exact share of time that a policy spends in each state in the long run (theory 3.2).

    It is the limit of the averages of the distributions over time, which exists even where they themselves go round
    and round::

        d^T = rho0^T P* = lim_n 1/n sum_{t < n} rho0^T P_pi^t

    Parameters
    ----------
    transition
        P(t | s, a), indexed [s][a][t]; the size of an entry P(s | s, a) is not read, only whether it is there.
    policy
        pi(a | s), indexed [s][a].
    initial
        rho0(s), indexed [s].
    termination
        The probability that the process ends after the pair, indexed [s][a]. States in which the policy can end the
        process must be out of reach.

    Returns
    -------
    AverageOccupancy
        All numbers as fractions.

    Raises
    ------
    ValueError
        If the process can end, or the shapes do not fit.

    References
    ----------
    M. L. Puterman (1994), Markov Decision Processes, appendix A.4. R. S. Sutton and A. G. Barto (2018), Reinforcement
    Learning, section 10.3.

    Examples
    --------
    >>> result = occupancy_average([[[0, 1]], [[1, 0]]], [[1], [1]], [1, 0])
    >>> result.state, result.is_limit
    ([Fraction(1, 2), Fraction(1, 2)], False)
    """
    chain = _chain_that_goes_on(transition, policy, initial, termination)
    structure = structure_of(chain)
    rho0 = exact(initial)
    d = multiply(transpose(_limit(chain, structure)), rho0)
    found = reachable(chain.successors, _starts(rho0))
    classes = zip(structure.recurrent_classes, structure.periods, strict=True)
    return AverageOccupancy(
        state=d,
        pair=[[share * p for p in row] for share, row in zip(d, exact(policy), strict=True)],
        is_limit=all(period == 1 for members, period in classes if members[0] in found),
    )


def stationary_distributions(
    transition: Sequence[Sequence[Sequence[Number]]],
    policy: Sequence[Sequence[Number]],
    termination: Sequence[Sequence[Number]] | None = None,
) -> Matrix:
    """Return the exact stationary distribution of every recurrent class (theory 3.2).

    The only distribution on the class that a step leaves as it is::

        d(t) = sum_s d(s) P_pi(t | s),    sum_s d(s) = 1

    Parameters
    ----------
    transition
        P(t | s, a), indexed [s][a][t]; the size of an entry P(s | s, a) is not read, only whether it is there.
    policy
        pi(a | s), indexed [s][a].
    termination
        The probability that the process ends after the pair, indexed [s][a]; without it the process never ends.

    Returns
    -------
    list of list of Fraction
        One distribution over all states for each class, in the order of :func:`chain_structure`.

    Raises
    ------
    ValueError
        If the shapes do not fit.

    References
    ----------
    J. G. Kemeny and J. L. Snell (1960), Finite Markov Chains, sections 4.1 and 5.1.

    Examples
    --------
    >>> stationary_distributions([[[0.5, 0.5]], [[1, 0]]], [[1], [1]])
    [[Fraction(2, 3), Fraction(1, 3)]]
    """
    chain = policy_chain(transition, policy, termination)
    return [_stationary(chain.P_pi, members) for members in structure_of(chain).recurrent_classes]


def cesaro_limit(
    transition: Sequence[Sequence[Sequence[Number]]],
    policy: Sequence[Sequence[Number]],
    termination: Sequence[Sequence[Number]] | None = None,
) -> Matrix:
    """Return the exact limit P* of the averages of the powers of the chain (theory 3.2).

    Row s says where a start in s spends its time: in each class as likely as the class is reached, and there by the
    stationary distribution of the class::

        P*(s, t) = sum_C B(s, C) d_C(t) = lim_n 1/n sum_{k < n} P_pi^k(s, t)

    Parameters
    ----------
    transition
        P(t | s, a), indexed [s][a][t]; the size of an entry P(s | s, a) is not read, only whether it is there.
    policy
        pi(a | s), indexed [s][a].
    termination
        The probability that the process ends after the pair, indexed [s][a]; without it the process never ends. A row
        of P* sums to the probability that it goes on for ever.

    Returns
    -------
    list of list of Fraction
        The matrix, indexed [s][t].

    Raises
    ------
    ValueError
        If the shapes do not fit.

    References
    ----------
    M. L. Puterman (1994), Markov Decision Processes, appendix A.4.

    Examples
    --------
    >>> cesaro_limit([[[0, 0.5, 0.5]], [[0, 1, 0]], [[0, 0, 1]]], [[1]] * 3)[0]
    [Fraction(0, 1), Fraction(1, 2), Fraction(1, 2)]
    """
    chain = policy_chain(transition, policy, termination)
    return _limit(chain, structure_of(chain))


def deviation_rows(
    transition: Sequence[Sequence[Sequence[Number]]],
    policy: Sequence[Sequence[Number]],
    states: Sequence[int],
    termination: Sequence[Sequence[Number]] | None = None,
) -> Matrix:
    """Return rows of the exact deviation matrix (theory 3.2).

    Row s holds the visits by which a start in s is ahead of its own long run, summed over all times (in the sense of
    averages, if the chain is periodic)::

        D = (I - P_pi + P*)^-1 - P*,    D r_pi = h

    Parameters
    ----------
    transition
        P(t | s, a), indexed [s][a][t]; the size of an entry P(s | s, a) is not read, only whether it is there.
    policy
        pi(a | s), indexed [s][a].
    states
        The start states, each from 0 to S - 1, in any order, repeated or not.
    termination
        The probability that the process ends after the pair, indexed [s][a]; without it the process never ends.

    Returns
    -------
    list of list of Fraction
        One row of length S for each start state.

    Raises
    ------
    ValueError
        If a state does not exist, or the shapes do not fit.

    References
    ----------
    M. L. Puterman (1994), Markov Decision Processes, appendix A.5.

    Examples
    --------
    >>> deviation_rows([[[0, 1]], [[1, 0]]], [[1], [1]], states=[0])
    [[Fraction(1, 4), Fraction(-1, 4)]]
    """
    chain = policy_chain(transition, policy, termination)
    size = len(chain.P_pi)
    _refuse_unknown("states", states, size)
    limit = _limit(chain, structure_of(chain))
    units = [[Fraction(s == t) for t in range(size)] for s in states]
    rows = solve(transpose(_fundamental_system(chain, limit)), units)
    return [[x - y for x, y in zip(row, limit[s], strict=True)] for s, row in zip(states, rows, strict=True)]


def first_passage_times(
    transition: Sequence[Sequence[Sequence[Number]]],
    policy: Sequence[Sequence[Number]],
    targets: Sequence[int],
    termination: Sequence[Sequence[Number]] | None = None,
) -> list[list[Fraction | float]]:
    """Return the exact mean number of steps until a target is entered, from every state (theory 3.2).

    For a start in the target itself it is the time until the first return. The times to a target j solve::

        m(i, j) = 1 + sum_{k != j} P_pi(k | i) m(k, j)

    where j is entered with probability 1, which the structure of the chain decides, and are infinite elsewhere.

    Parameters
    ----------
    transition
        P(t | s, a), indexed [s][a][t]; the size of an entry P(s | s, a) is not read, only whether it is there.
    policy
        pi(a | s), indexed [s][a].
    targets
        The target states, each from 0 to S - 1, in any order, repeated or not.
    termination
        The probability that the process ends after the pair, indexed [s][a]; without it the process never ends.

    Returns
    -------
    list of list of (Fraction or inf)
        m(i, j), indexed [i][number of the target].

    Raises
    ------
    ValueError
        If a target does not exist, or the shapes do not fit.

    References
    ----------
    J. G. Kemeny and J. L. Snell (1960), Finite Markov Chains, sections 3.5 and 4.4.

    Examples
    --------
    State 1 is never left, so that nothing leads back to state 0:

    >>> first_passage_times([[[0.75, 0.25]], [[0, 1]]], [[1], [1]], targets=[0, 1])
    [[inf, Fraction(4, 1)], [inf, Fraction(1, 1)]]
    """
    chain = policy_chain(transition, policy, termination)
    _refuse_unknown("targets", targets, len(chain.P_pi))
    columns = [_passage_times(chain, target) for target in targets]
    return [[column[s] for column in columns] for s in range(len(chain.P_pi))]


def kemeny_constant(
    transition: Sequence[Sequence[Sequence[Number]]],
    policy: Sequence[Sequence[Number]],
    termination: Sequence[Sequence[Number]] | None = None,
) -> Fraction:
    """Return Kemeny's constant of a chain with one recurrent class (theory 3.2).

    It is the mean number of steps to a state that is drawn from the stationary distribution; a start in that state
    counts 0 steps. It is the same for every recurrent start i::

        K = sum_{j recurrent, j != i} d(j) m(i, j)

    Parameters
    ----------
    transition
        P(t | s, a), indexed [s][a][t]; the size of an entry P(s | s, a) is not read, only whether it is there.
    policy
        pi(a | s), indexed [s][a].
    termination
        The probability that the process ends after the pair, indexed [s][a]; without it the process never ends.

    Returns
    -------
    Fraction
        The constant, 0 for a class of one state.

    Raises
    ------
    ValueError
        If there is not exactly one recurrent class, or the shapes do not fit.

    References
    ----------
    J. G. Kemeny and J. L. Snell (1960), Finite Markov Chains, section 4.4.

    Examples
    --------
    >>> kemeny_constant([[[0, 1]], [[1, 0]]], [[1], [1]])
    Fraction(1, 2)
    """
    chain = policy_chain(transition, policy, termination)
    structure = structure_of(chain)
    if not structure.is_unichain:
        raise ValueError(f"expected one recurrent class, found {structure.recurrent_classes}")
    (members,) = structure.recurrent_classes
    d = _stationary(chain.P_pi, members)
    start, *others = members
    return dot([d[j] for j in others], [Fraction(_passage_times(chain, j)[start]) for j in others])


def _starts(rho0: Vector) -> list[int]:
    """Return the states in which the process can start."""
    return [s for s, p in enumerate(rho0) if p > 0]


def _refuse_unknown(name: str, states: Sequence[int], size: int) -> None:
    """Raise an error for the first state that does not exist."""
    for s in states:
        if not 0 <= s < size:
            raise ValueError(f"{name}: expected numbers from 0 to {size - 1}, got {s}")


def _chain_that_goes_on(
    transition: Sequence[Sequence[Sequence[Number]]],
    policy: Sequence[Sequence[Number]],
    initial: Sequence[Number] | None,
    termination: Sequence[Sequence[Number]] | None,
) -> EndingChain:
    """Return the chain of the policy; raise an error if it can end."""
    chain = policy_chain(transition, policy, termination)
    starts = range(len(chain.P_pi)) if initial is None else _starts(exact(initial))
    ending = sorted(s for s in reachable(chain.successors, starts) if chain.ends[s])
    if ending:
        raise ValueError(
            f"termination: expected a process that goes on for ever, but it can end in the states {ending}"
        )
    return chain


def _stationary(P_pi: Matrix, members: Sequence[int]) -> Vector:
    """Return the stationary distribution of a recurrent class as a vector over all states."""
    balance = [[P_pi[s][t] - (s == t) for s in members] for t in members]
    # The equations of balance add up to 0 = 0, so that any one of them may make room for the sum.
    balance[-1] = [Fraction(1)] * len(members)
    (d,) = solve(balance, [[Fraction(t == members[-1]) for t in members]])
    shares = dict(zip(members, d, strict=True))
    return [shares.get(s, Fraction(0)) for s in range(len(P_pi))]


def _limit(chain: EndingChain, structure: ChainStructure) -> Matrix:
    """Return P*."""
    distributions = [_stationary(chain.P_pi, members) for members in structure.recurrent_classes]
    by_state = [[d[t] for d in distributions] for t in range(len(chain.P_pi))]
    return [multiply(by_state, shares) for shares in structure.absorption]


def _fundamental_system(chain: EndingChain, limit: Matrix) -> Matrix:
    """Return ``I - P_pi + P*``, which can be inverted for every chain."""
    return [
        [(s == t) - p + q for t, (p, q) in enumerate(zip(row, limit_row, strict=True))]
        for s, (row, limit_row) in enumerate(zip(chain.P_pi, limit, strict=True))
    ]


def _passage_times(chain: EndingChain, target: int) -> list[Fraction | float]:
    """Return the mean number of steps from every state until the target is entered."""
    surely = _enter_surely(chain, target)
    before = sorted(surely - {target})
    (times,) = solve_within(chain.P_pi, before, [[Fraction(1)] * len(before)])
    mean: list[Fraction | float] = [inf] * len(chain.P_pi)
    for s, time in zip(before, times, strict=True):
        mean[s] = time
    if target in surely:
        mean[target] = 1 + dot([chain.P_pi[target][k] for k in before], times)
    return mean


def _enter_surely(chain: EndingChain, target: int) -> set[int]:
    """Return the states from which the target is entered at some later time with probability 1.

    They are those from which the chain cannot, on a way around the target, come to where it can end or to where the
    target is out of reach.
    """
    states = range(len(chain.P_pi))
    around = [[t for t in chain.successors[s] if t != target] for s in states]
    lost = {s for s in states if chain.ends[s] or target not in reachable(chain.successors, chain.successors[s])}
    return {s for s in states if not reachable(around, [s]) & lost}
