"""The best that any policy can do, and a policy that does it (theory 2.9, 3.7, 3.8), by policy iteration.

A policy is evaluated by rational elimination, so that an action is better or it is not: actions change only where they
are strictly better, no policy comes twice, and at the end the optimality equations hold without a remainder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from .episodic import ImproperPolicyError, PartialVector, evaluate_episodic
from .evaluation import evaluate
from .linear import dot, multiply
from .long_run import evaluate_average
from .rational import Kernel, Matrix, Number, Vector, exact
from .structure import ending_rows, reachable

Pair = tuple[int, int]
"""A state and an action."""


class UnboundedValueError(ValueError):
    """Policies that surely end the process can collect more than any number before they do.

    Attributes
    ----------
    components
        The maximal end components in which the mean reward of a step can be positive.
    """

    def __init__(self, components: list[list[int]]) -> None:
        super().__init__(
            f"reward: expected values that are finite, but the longer the process is in {components} the more it earns"
        )
        self.components = components


@dataclass(frozen=True, slots=True)
class EndComponent:
    """Where a process can be kept for ever, and by what.

    Attributes
    ----------
    states
        Its states, in rising order.
    pairs
        The pairs (s, a) that neither leave it nor end the process.
    """

    states: list[int]
    pairs: list[Pair]


@dataclass(frozen=True, slots=True)
class Optimum:
    """The best values, and a policy that attains them.

    Attributes
    ----------
    policy
        In each state the first of the best actions for sure, indexed [s][a].
    value
        V*(s).
    action_value
        Q*(s, a) = r(s, a) + gamma sum_t P(t | s, a) V*(t), indexed [s][a].
    start_value
        rho0^T V*, or None if no start distribution was given.
    """

    policy: Matrix
    value: Vector
    action_value: Matrix
    start_value: Fraction | None


@dataclass(frozen=True, slots=True)
class EpisodicOptimum:
    """The best values of policies that surely end the process, and a policy that attains them.

    Attributes
    ----------
    policy
        One action for sure in each state, indexed [s][a]; the first action where no policy surely ends the process.
    value
        V*(s); None where no policy surely ends the process.
    start_value
        rho0^T V*, or None if no start distribution was given.
    """

    policy: Matrix
    value: PartialVector
    start_value: Fraction | None


@dataclass(frozen=True, slots=True)
class AverageOptimum:
    """The best mean rewards of a step, and a policy that attains them.

    Attributes
    ----------
    policy
        One action for sure in each state, indexed [s][a].
    gain
        g*(s).
    bias
        h(s) of the policy.
    start_gain
        rho0^T g*, or None if no start distribution was given.
    """

    policy: Matrix
    gain: Vector
    bias: Vector
    start_gain: Fraction | None


@dataclass(frozen=True, slots=True)
class FiniteHorizonOptimum:
    """The best values from every time on, and policies that attain them.

    Attributes
    ----------
    policies
        In each step and state the first of the best actions for sure, indexed [t][s][a] for t = 0, ..., steps - 1.
    value
        The best value from time t on, indexed [t][s] for t = 0, ..., steps; the last one is 0.
    start_value
        rho0^T V* at time 0, or None if no start distribution was given.
    """

    policies: list[Matrix]
    value: Matrix
    start_value: Fraction | None


def solve(
    transition: Sequence[Sequence[Sequence[Number]]],
    reward: Sequence[Sequence[Number]],
    gamma: Number,
    initial: Sequence[Number] | None = None,
) -> Optimum:
    """Return the largest discounted values, exactly (theory 2.9).

    They are the only solution of Bellman's optimality equation, which is what policy iteration ends with::

        V*(s) = max_a r(s, a) + gamma sum_t P(t | s, a) V*(t)

    Parameters
    ----------
    transition
        P(t | s, a), indexed [s][a][t]; the process ends with the probability that is missing in a row.
    reward
        r(s, a), indexed [s][a].
    gamma
        The discount factor, 0 <= gamma < 1.
    initial
        rho0(s), indexed [s]; optional.

    Returns
    -------
    Optimum
        All numbers as fractions.

    Raises
    ------
    ValueError
        If gamma is not in [0, 1), or the shapes do not fit.

    References
    ----------
    R. A. Howard (1960), Dynamic Programming and Markov Processes. M. L. Puterman (1994), Markov Decision Processes,
    section 6.4.

    Examples
    --------
    Sell now, for 3, or wait for a yearly 1:

    >>> optimum = solve([[[1], [0]]], [[1, 3]], gamma=Fraction(3, 4))
    >>> optimum.value, optimum.policy
    ([Fraction(4, 1)], [[Fraction(1, 1), Fraction(0, 1)]])
    """
    actions = [0] * len(transition)
    while True:
        found = evaluate(transition, reward, _policy(actions, reward), gamma, initial)
        better = _improved(actions, found.advantage)
        if better == actions:
            break
        actions = better
    policy = _policy([_first_best(row) for row in found.action_value], reward)
    return Optimum(policy, found.value, found.action_value, found.start_value)


def solve_finite_horizon(
    transition: Sequence[Sequence[Sequence[Number]]],
    reward: Sequence[Sequence[Number]],
    steps: int,
    gamma: Number | Sequence[Number] = 1,
    initial: Sequence[Number] | None = None,
) -> FiniteHorizonOptimum:
    """Return the largest values of a number of steps, exactly, from every time on (theory 2.9).

    Backwards in time, from ``V = 0`` when no step is left::

        V_t(s) = max_a r(s, a) + gamma_t sum_u P(u | s, a) V_{t+1}(u)

    Parameters
    ----------
    transition
        P(t | s, a), indexed [s][a][t]; the process ends with the probability that is missing in a row.
    reward
        r(s, a), indexed [s][a].
    steps
        The number of steps.
    gamma
        The discount factor, 0 <= gamma <= 1, or one for each step: what a reward loses by coming after that step.
    initial
        rho0(s), indexed [s]; optional.

    Returns
    -------
    FiniteHorizonOptimum
        All numbers as fractions.

    Raises
    ------
    ValueError
        If the shapes do not fit.

    References
    ----------
    R. Bellman (1957), Dynamic Programming, chapter 3. M. L. Puterman (1994), Markov Decision Processes, section 4.5.

    Examples
    --------
    Of three steps the last is the one to cash in:

    >>> optimum = solve_finite_horizon([[[1], [0]]], [[1, 3]], steps=3)
    >>> [str(V[0]) for V in optimum.value], [str(policy[0][1]) for policy in optimum.policies]
    (['5', '4', '3', '0'], ['0', '0', '1'])
    """
    P, r = exact(transition), exact(reward)
    discounts = exact(gamma) if isinstance(gamma, Sequence) else [exact(gamma)] * steps
    values: Matrix = [[Fraction(0)] * len(P)]
    policies: list[Matrix] = []
    for discount in reversed(discounts):
        Q = _lookahead(P, r, [discount * v for v in values[0]])
        policies.insert(0, _policy([_first_best(row) for row in Q], reward))
        values.insert(0, [max(row) for row in Q])
    return FiniteHorizonOptimum(policies, values, None if initial is None else dot(exact(initial), values[0]))


def solve_episodic(
    transition: Sequence[Sequence[Sequence[Number]]],
    reward: Sequence[Sequence[Number]],
    termination: Sequence[Sequence[Number]],
    initial: Sequence[Number] | None = None,
) -> EpisodicOptimum:
    """Return the largest expected total reward of policies that surely end the process, exactly (theory 3.7).

    ``V = max_a r + P V`` has more than one solution where rewards of 0 can be repeated for ever. V* is the one that is
    attained: policy iteration goes from one policy that surely ends to the next, and the last one's value satisfies the
    equation, so that no policy that surely ends is better. Were a next policy not sure to end, its mean reward would be
    positive where it stays; that there is no such place is found out beforehand, in the end components.

    Parameters
    ----------
    transition
        P(t | s, a), indexed [s][a][t]; the size of an entry P(s | s, a) is not read, only whether it is there.
    reward
        r(s, a), indexed [s][a].
    termination
        The probability that the process ends after the pair, indexed [s][a].
    initial
        rho0(s), indexed [s]; optional.

    Returns
    -------
    EpisodicOptimum
        All numbers as fractions.

    Raises
    ------
    ImproperPolicyError
        If the process can start where no policy surely ends it.
    UnboundedValueError
        If the mean reward of a step can be positive in an end component from which the process can surely be ended.
    ValueError
        If the shapes do not fit.

    References
    ----------
    D. P. Bertsekas and J. N. Tsitsiklis (1991), An analysis of stochastic shortest path problems, Mathematics of
    Operations Research 16, 580-595. L. de Alfaro (1997), Formal Verification of Probabilistic Systems.

    Examples
    --------
    To wait costs nothing, and does not end; the prize for ending is 1 or 2:

    >>> optimum = solve_episodic([[[1], [0], [0]]], [[0, 1, 2]], termination=[[0, 1, 1]])
    >>> optimum.value, optimum.policy[0][2]
    ([Fraction(2, 1)], Fraction(1, 1))
    """
    P, r, ends = exact(transition), exact(reward), exact(termination)
    actions, allowed = _ending_choice(P, ends)
    endless = [s for s in range(len(P)) if s not in actions]
    if initial is not None and any(exact(initial)[s] > 0 for s in endless):
        raise ImproperPolicyError([endless])
    _refuse_unbounded(P, r, ends, allowed)
    rows = ending_rows(P, ends)
    while True:
        choice = _policy([actions.get(s, 0) for s in range(len(P))], reward)
        V = evaluate_episodic(transition, reward, choice, termination).value
        known = [v or Fraction(0) for v in V]
        Q = {(s, a): r[s][a] + dot(rows[s][a], known) for s, a in allowed}
        better = {}
        for s, a in actions.items():
            best = max(Q[pair] for pair in allowed if pair[0] == s)
            better[s] = a if Q[s, a] == best else next(b for t, b in allowed if t == s and Q[s, b] == best)
        if better == actions:
            break
        actions = better
    value = [V[s] if s in actions else None for s in range(len(P))]
    return EpisodicOptimum(choice, value, None if initial is None else dot(exact(initial), known))


def solve_average(
    transition: Sequence[Sequence[Sequence[Number]]],
    reward: Sequence[Sequence[Number]],
    initial: Sequence[Number] | None = None,
    termination: Sequence[Sequence[Number]] | None = None,
) -> AverageOptimum:
    """Return the largest mean reward of a step in the long run, exactly, from each state (theory 3.8).

    Policies have several recurrent classes in general. First actions change that lead to a better gain; if there are
    none, those that are better ahead of the same gain. At the end::

        g = max_a P g,    g + h = max r + P h over the actions with P g = g

    Parameters
    ----------
    transition
        P(t | s, a), indexed [s][a][t]; the size of an entry P(s | s, a) is not read, only whether it is there.
    reward
        r(s, a), indexed [s][a].
    initial
        rho0(s), indexed [s]; optional.
    termination
        The probability that the process ends after the pair, indexed [s][a]: 0 everywhere; optional.

    Returns
    -------
    AverageOptimum
        All numbers as fractions.

    Raises
    ------
    ValueError
        If the process can end, or the shapes do not fit.

    References
    ----------
    R. A. Howard (1960), Dynamic Programming and Markov Processes, chapter 6. M. L. Puterman (1994), Markov Decision
    Processes, section 9.2.

    Examples
    --------
    Stay for 1, or move on, once and for all, to where a step earns 2:

    >>> optimum = solve_average([[[1, 0], [0, 1]], [[0, 1]]], [[1, 0], [2]])
    >>> optimum.gain, optimum.bias
    ([Fraction(2, 1), Fraction(2, 1)], [Fraction(-2, 1), Fraction(0, 1)])
    """
    if termination is not None and any(end > 0 for row in exact(termination) for end in row):
        raise ValueError("termination: expected a process that cannot end")
    r = exact(reward)
    rows = ending_rows(exact(transition), None)
    actions = [0] * len(rows)
    while True:
        policy = _policy(actions, reward)
        found = evaluate_average(transition, reward, policy, initial)
        ahead = _lookahead(rows, [[Fraction(0)] * len(row) for row in r], found.gain)
        better = _improved(actions, ahead)
        if better == actions:
            later = _lookahead(rows, r, found.bias)
            keeping = [
                [h if g == gain else None for g, h in zip(*pair, strict=True)]
                for *pair, gain in zip(ahead, later, found.gain, strict=True)
            ]
            better = _improved(actions, keeping)
        if better == actions:
            return AverageOptimum(policy, found.gain, found.bias, found.on_policy_objective)
        actions = better


def end_components(
    transition: Sequence[Sequence[Sequence[Number]]], termination: Sequence[Sequence[Number]] | None = None
) -> list[EndComponent]:
    """Return the maximal end components: where a process can be kept for ever (theory 3.7).

    An end component is a set of states with pairs that neither leave it nor end the process, by which each of its
    states can be reached from each other. Pairs that cannot belong to one are dropped until all that are left do.

    Parameters
    ----------
    transition
        P(t | s, a), indexed [s][a][t].
    termination
        The probability that the process ends after the pair, indexed [s][a]; without it the process never ends.

    Returns
    -------
    list of EndComponent
        By their smallest states.

    Raises
    ------
    ValueError
        If the shapes do not fit.

    References
    ----------
    L. de Alfaro (1997), Formal Verification of Probabilistic Systems, section 3.3.

    Examples
    --------
    The first state can be left for ever, the second cannot:

    >>> [component.states for component in end_components([[[0.5, 0.5]], [[0, 1]]])]
    [[1]]
    """
    P = exact(transition)
    ends = [[Fraction(0)] * len(rows) for rows in P] if termination is None else exact(termination)
    pairs = {(s, a) for s, row in enumerate(ends) for a, end in enumerate(row) if end == 0}
    return _components_of(P, pairs)


def _components_of(P: Kernel, pairs: set[Pair]) -> list[EndComponent]:
    """Return the maximal end components of some pairs, none of which can end the process."""
    while True:
        successors = [[t for a in range(len(P[s])) if (s, a) in pairs for t in _next(P, s, a)] for s in range(len(P))]
        after = [reachable(successors, [s]) for s in range(len(P))]
        kept = {(s, a) for s, a in pairs if all(s in after[t] for t in _next(P, s, a))}
        if kept == pairs:
            break
        pairs = kept
    states = sorted({s for s, _ in pairs})
    classes = sorted({tuple(sorted(after[s])) for s in states})
    return [EndComponent(list(members), sorted(pair for pair in pairs if pair[0] in members)) for members in classes]


def _ending_choice(P: Kernel, ends: Matrix) -> tuple[dict[int, int], list[Pair]]:
    """Return a choice by which the process surely ends, wherever there is one, and all pairs that leave it possible.

    The states are those that remain when all are dropped, again and again, from which the end cannot be reached by
    pairs that lead to remaining states only. Each is left by a pair that may bring the end a step nearer.
    """
    remaining = set(range(len(P)))
    while True:
        allowed = [(s, a) for s in remaining for a in range(len(P[s])) if remaining.issuperset(_next(P, s, a))]
        choice: dict[int, int] = {}
        nearer: dict[int, int] | None = None
        while nearer != {}:
            nearer = {
                s: a
                for s, a in reversed(allowed)
                if s not in choice and (ends[s][a] > 0 or not choice.keys().isdisjoint(_next(P, s, a)))
            }
            choice |= nearer
        if choice.keys() == remaining:
            return choice, sorted(allowed)
        remaining = set(choice)


def _refuse_unbounded(P: Kernel, r: Matrix, ends: Matrix, allowed: Sequence[Pair]) -> None:
    """Raise an error that names the end components with a positive gain, if there are any."""
    components = _components_of(P, {(s, a) for s, a in allowed if ends[s][a] == 0})
    unbounded = [component.states for component in components if _largest_gain(P, r, component) > 0]
    if unbounded:
        raise UnboundedValueError(unbounded)


def _largest_gain(P: Kernel, r: Matrix, component: EndComponent) -> Fraction:
    """Return the largest mean reward of a step within a component; it is the same from all of its states."""
    by_state = [[a for s, a in component.pairs if s == state] for state in component.states]
    choices = list(zip(component.states, by_state, strict=True))
    transition = [[[P[s][a][t] for t in component.states] for a in actions] for s, actions in choices]
    return solve_average(transition, [[r[s][a] for a in actions] for s, actions in choices]).gain[0]


def _next(P: Kernel, s: int, a: int) -> list[int]:
    return [t for t, p in enumerate(P[s][a]) if p > 0]


def _policy(actions: Sequence[int], pairs: Sequence[Sequence[object]]) -> Matrix:
    """Return the policy that takes one action in each state."""
    return [[Fraction(a == taken) for a in range(len(row))] for taken, row in zip(actions, pairs, strict=True)]


def _lookahead(P: Kernel, r: Matrix, V: Vector) -> Matrix:
    """Return ``r(s, a) + sum_t P(t | s, a) V(t)``."""
    return [
        [now + later for now, later in zip(rewards, multiply(rows, V), strict=True)]
        for rows, rewards in zip(P, r, strict=True)
    ]


def _first_best(row: Sequence[Fraction | None]) -> int:
    """Return the first of the largest entries that exist."""
    best = max(x for x in row if x is not None)
    return next(a for a, x in enumerate(row) if x == best)


def _improved(actions: Sequence[int], merit: Sequence[Sequence[Fraction | None]]) -> list[int]:
    """Return for each state the first of the best actions if that is better than the one that is taken."""
    best = [_first_best(row) for row in merit]
    return [a if row[a] == row[b] else b for a, b, row in zip(actions, best, merit, strict=True)]
