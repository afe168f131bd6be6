"""What a chain looks like: where it stays for ever, where it passes through, and where it can end (theory 3.2).

How long a chain runs and what it does in the long run can hang on digits that a stored diagonal does not have: a state
that is left once in 10**17 steps has a diagonal of exactly 1, and its row sums to more than 1. So the references for
the settings without a discount never read the size of a diagonal entry: it is one minus the other entries minus the
termination, as in the elimination of Grassmann, Taksar and Heyman. They do read whether the entry is there, for
periods: a defect of rounding makes no chain aperiodic. And they read from the termination alone whether the chain can
end: a defect of rounding ends no chain either.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import gcd

from .chain import policy_transition
from .linear import dot, solve
from .rational import Kernel, Matrix, Number, Vector, exact


@dataclass(frozen=True, slots=True)
class EndingChain:
    """A Markov chain whose rows and terminations sum to exactly 1.

    Attributes
    ----------
    P_pi
        The probability of a step, indexed [s][t]. A diagonal entry is one minus the rest, so that it may fall below 0
        by a rounding defect of the model.
    successors
        The states that can follow s, indexed [s]: the entries > 0 as they are stored, diagonal included.
    ends
        Whether the chain can end in s, indexed [s].
    """

    P_pi: Matrix
    successors: list[list[int]]
    ends: list[bool]


@dataclass(frozen=True, slots=True)
class ChainStructure:
    """The structure of a chain.

    Attributes
    ----------
    recurrent_classes
        The sets of states that the chain never leaves once it is there and in which it comes back to every state. The
        states of a class are in rising order, and so are the classes by their smallest state.
    transient
        All other states, in rising order. Those from which the chain can end are among them.
    periods
        The period of each recurrent class.
    absorption
        The probability of getting into each class for good, indexed [s][class]. A row sums to 1, and to less where the
        chain may end first.
    """

    recurrent_classes: list[list[int]]
    transient: list[int]
    periods: list[int]
    absorption: Matrix

    @property
    def is_unichain(self) -> bool:
        """Whether there is exactly one recurrent class."""
        return len(self.recurrent_classes) == 1

    @property
    def is_irreducible(self) -> bool:
        """Whether all states together are one recurrent class."""
        return self.is_unichain and not self.transient

    @property
    def is_aperiodic(self) -> bool:
        """Whether every recurrent class has period 1."""
        return all(period == 1 for period in self.periods)


def chain_structure(
    transition: Sequence[Sequence[Sequence[Number]]],
    policy: Sequence[Sequence[Number]],
    termination: Sequence[Sequence[Number]] | None = None,
) -> ChainStructure:
    """Return the recurrent classes of a policy's chain, their periods, and how likely each is (theory 3.2).

    Everything is taken word for word from the definitions. A state is recurrent if the chain can come back from
    wherever it can go, and never ends there; the period is the greatest common divisor of all times of return; the
    probability B(s, C) of getting into the class C for good solves, for transient s::

        B(s, C) = sum_{t in C} P_pi(t | s) + sum_{t transient} P_pi(t | s) B(t, C)

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
    ChainStructure
        Classes, transient states, periods and probabilities of absorption.

    Raises
    ------
    ValueError
        If the shapes do not fit.

    References
    ----------
    J. G. Kemeny and J. L. Snell (1960), Finite Markov Chains, chapters 2 and 3. M. L. Puterman (1994), Markov Decision
    Processes, appendix A.

    Examples
    --------
    A walk to the right or to the left until one of two absorbing states is reached:

    >>> half = Fraction(1, 2)
    >>> walk = [[[1, 0, 0, 0]], [[half, 0, half, 0]], [[0, half, 0, half]], [[0, 0, 0, 1]]]
    >>> structure = chain_structure(walk, [[1]] * 4)
    >>> structure.recurrent_classes, structure.transient, structure.periods
    ([[0], [3]], [1, 2], [1, 1])
    >>> structure.absorption[1]
    [Fraction(2, 3), Fraction(1, 3)]
    """
    return structure_of(policy_chain(transition, policy, termination))


def structure_of(chain: EndingChain) -> ChainStructure:
    """Return the structure of a chain: what :func:`chain_structure` says of a policy's (theory 3.2).

    Parameters
    ----------
    chain
        The chain.

    Examples
    --------
    >>> zero, one = Fraction(0), Fraction(1)
    >>> structure_of(ending_chain([[zero, one], [one, zero]], [zero, zero])).periods
    [2]
    """
    classes = _recurrent_classes(chain)
    recurrent = {s for members in classes for s in members}
    transient = [s for s in range(len(chain.P_pi)) if s not in recurrent]
    return ChainStructure(
        recurrent_classes=classes,
        transient=transient,
        periods=[_period(chain.successors, members) for members in classes],
        absorption=_absorption(chain.P_pi, classes, transient),
    )


def policy_chain(
    transition: Sequence[Sequence[Sequence[Number]]],
    policy: Sequence[Sequence[Number]],
    termination: Sequence[Sequence[Number]] | None = None,
) -> EndingChain:
    """Return the chain that a policy makes of a decision process (theory 1).

    Parameters
    ----------
    transition
        P(t | s, a), indexed [s][a][t].
    policy
        pi(a | s), indexed [s][a].
    termination
        The probability that the process ends after the pair, indexed [s][a]; without it the process never ends.

    Raises
    ------
    ValueError
        If the shapes do not fit.

    Examples
    --------
    >>> policy_chain([[[0.5], [0.75]]], [[0.5, 0.5]], termination=[[0.5, 0.25]]).P_pi
    [[Fraction(5, 8)]]
    """
    pi = exact(policy)
    P_pi = policy_transition(exact(transition), pi)
    if termination is None:
        return ending_chain(P_pi, [Fraction(0)] * len(pi))
    return ending_chain(P_pi, [dot(ends, weights) for ends, weights in zip(exact(termination), pi, strict=True)])


def ending_chain(P_pi: Matrix, termination: Vector) -> EndingChain:
    """Return a chain with each diagonal entry set to one minus the rest of its row minus the termination (theory 3.2).

    Parameters
    ----------
    P_pi
        The state by state matrix as it is stored, indexed [s][t].
    termination
        The probability that the chain ends in s, indexed [s].

    Raises
    ------
    ValueError
        If the lengths differ.

    References
    ----------
    W. K. Grassmann, M. I. Taksar and D. P. Heyman (1985), Regenerative analysis and steady state distributions for
    Markov chains, Operations Research 33, 1107-1116.

    Examples
    --------
    Floating point cannot say how rarely this chain moves, and it need not:

    >>> chain = ending_chain(exact([[1, 1e-17], [1e-17, 1]]), exact([0, 0]))
    >>> [sum(row) for row in chain.P_pi]
    [Fraction(1, 1), Fraction(1, 1)]
    """
    rows = enumerate(zip(P_pi, termination, strict=True))
    return EndingChain(
        P_pi=[_complete(row, s, end) for s, (row, end) in rows],
        successors=[[t for t, p in enumerate(row) if p > 0] for row in P_pi],
        ends=[end > 0 for end in termination],
    )


def ending_rows(transition: Kernel, termination: Matrix | None) -> Kernel:
    """Return the rows of all pairs, each with its entry P(s | s, a) set to one minus the rest (theory 3.2).

    Parameters
    ----------
    transition
        P(t | s, a) as it is stored, indexed [s][a][t].
    termination
        The probability that the process ends after the pair, indexed [s][a]; None if it never ends.

    Raises
    ------
    ValueError
        If the shapes do not fit.

    Examples
    --------
    >>> ending_rows(exact([[[1, 0.25]], [[0, 1]]]), exact([[0.5], [0]]))[0]
    [[Fraction(1, 4), Fraction(1, 4)]]
    """
    ends = [[Fraction(0)] * len(rows) for rows in transition] if termination is None else termination
    return [
        [_complete(row, s, end) for row, end in zip(rows, row_ends, strict=True)]
        for s, (rows, row_ends) in enumerate(zip(transition, ends, strict=True))
    ]


def reachable(successors: Sequence[Sequence[int]], starts: Iterable[int]) -> set[int]:
    """Return the states in which a chain can be at some time, the time 0 included.

    Parameters
    ----------
    successors
        The states that can follow s, indexed [s].
    starts
        The states in which it may start.

    Examples
    --------
    >>> sorted(reachable([[1], [1], [0]], [0]))
    [0, 1]
    """
    found: set[int] = set()
    arrived = set(starts)
    while arrived:
        found |= arrived
        arrived = {t for s in arrived for t in successors[s]} - found
    return found


def solve_within(P: Matrix, states: Sequence[int], columns: Sequence[Vector]) -> list[Vector]:
    """Return the solution x of ``x = b + P x`` for each b, with steps among some states only.

    With P transposed, the solution is the number of visits to each of the states for visits b at time 0.

    Parameters
    ----------
    P
        Indexed [s][t] over all states.
    states
        The states, which the chain leaves for good sooner or later.
    columns
        Any number of right-hand sides, one number for each of the states.

    Returns
    -------
    list of list of Fraction
        For each right-hand side, one number for each of the states.

    Raises
    ------
    ValueError
        If the chain can stay among the states for ever, or the lengths differ.

    Examples
    --------
    >>> solve_within([[Fraction(3, 4), Fraction(1, 4)], [Fraction(0), Fraction(1)]], [0], [[Fraction(1)]])
    [[Fraction(4, 1)]]
    """
    if not states:
        return [[] for _ in columns]
    return solve([[(s == t) - P[s][t] for t in states] for s in states], columns)


def _complete(row: Vector, s: int, end: Fraction) -> Vector:
    """Return the row of s with one minus the rest in its own place."""
    elsewhere = sum(p for t, p in enumerate(row) if t != s)
    return [1 - elsewhere - end if t == s else p for t, p in enumerate(row)]


def _recurrent_classes(chain: EndingChain) -> list[list[int]]:
    """Return the recurrent classes by their smallest states."""
    after = [reachable(chain.successors, [s]) for s in range(len(chain.P_pi))]

    def returns_surely(s: int) -> bool:
        return all(s in after[t] and not chain.ends[t] for t in after[s])

    # From a recurrent state the chain can get to the states of its class and to no other.
    classes = {tuple(sorted(states)) for s, states in enumerate(after) if returns_surely(s)}
    return [list(members) for members in sorted(classes)]


def _period(successors: Sequence[Sequence[int]], members: Sequence[int]) -> int:
    """Return the greatest common divisor of the times at which the chain can be back in the first of the members.

    Times up to three times the size of the class suffice: there is a round trip to every other state in at most twice
    the size, and any circle there, of at most once the size, makes it a second round trip. So what divides both
    divides the length of the circle, and the circles make all times of return.
    """
    home = members[0]
    here, period = {home}, 0
    for time in range(1, 3 * len(members) + 1):
        here = {t for s in here for t in successors[s]}
        if home in here:
            period = gcd(period, time)
    return period


def _absorption(P_pi: Matrix, classes: Sequence[Sequence[int]], transient: Sequence[int]) -> Matrix:
    """Return the probabilities of getting into each class, indexed [s][class]."""
    at_once = [[sum((P_pi[s][t] for t in members), Fraction(0)) for s in transient] for members in classes]
    later = [dict(zip(transient, column, strict=True)) for column in solve_within(P_pi, transient, at_once)]
    return [
        [column.get(s, Fraction(s in members)) for members, column in zip(classes, later, strict=True)]
        for s in range(len(P_pi))
    ]
