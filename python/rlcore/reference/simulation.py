"""Episodes, drawn in fractions from counted random numbers (theory 1)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate

from .rational import Matrix, Number, Vector, exact

WORD = 2**32


@dataclass(frozen=True, slots=True)
class Episode:
    """What happened.

    Attributes
    ----------
    states
        s_0, s_1, ...: one more than actions if the episode was cut off, as many if it ended.
    actions
        a_0, a_1, ..., as positions among those of their states.
    """

    states: list[int]
    actions: list[int]


def simulate(
    transition: Sequence[Sequence[Sequence[Number]]],
    policy: Sequence[Sequence[Number]],
    initial: Sequence[Number],
    *,
    episodes: int,
    steps: int,
    seed: int = 0,
    first_episode: int = 0,
    termination: Sequence[Sequence[Number]] | None = None,
) -> list[Episode]:
    """Return the episodes that belong to a seed, drawn one number after the other (theory 1).

    With 64 random bits b of an episode and a time, drawn is the first outcome whose cumulated weight is above b / 2^64
    of the sum of all weights. The outcomes of a state are its actions in order, each with the states that it can lead
    to, in order, and then the end; they weigh ``pi(a | s) P(t | s, a)`` and ``pi(a | s) termination(s, a)``.

    Parameters
    ----------
    transition
        P(t | s, a), indexed [s][a][t].
    policy
        pi(a | s), indexed [s][a].
    initial
        rho0(s), indexed [s].
    episodes, steps
        How many episodes, and after how many actions they are cut off.
    seed, first_episode
        Whole numbers from 0 to 2^64 - 1; see :func:`random_bits`.
    termination
        The probability that the process ends after a pair, indexed [s][a]; None: it never ends.

    Returns
    -------
    list of Episode
        In order.

    Raises
    ------
    ValueError
        If the shapes do not fit.

    References
    ----------
    L. Devroye (1986), Non-Uniform Random Variate Generation, section III.2.

    Examples
    --------
    >>> half = Fraction(1, 2)
    >>> simulate([[[half, half], [0, 0]], [[0, 1]]], [[half, half], [1]], [1, 0],
    ...          episodes=2, steps=3, termination=[[0, 1], [0]])
    [Episode(states=[0], actions=[1]), Episode(states=[0, 1, 1, 1], actions=[0, 0, 0])]
    """
    P, pi, start = exact(transition), exact(policy), exact(initial)
    ends = [[Fraction(0)] * len(rows) for rows in P] if termination is None else exact(termination)
    outcomes = [list(_outcomes(*parts)) for parts in zip(P, pi, ends, strict=True)]
    found = []
    for number in range(first_episode, first_episode + episodes):
        state = _drawn(start, random_bits(seed, number, -1))
        states, actions = [state], []
        for time in range(steps):
            weights = [weight for weight, _, _ in outcomes[state]]
            _, action, state = outcomes[state][_drawn(weights, random_bits(seed, number, time))]
            actions.append(action)
            if state == len(P):
                break
            states.append(state)
        found.append(Episode(states, actions))
    return found


def random_bits(seed: int, episode: int, time: int) -> int:
    """Return the 64 bits that decide what happens in an episode at a time; at time -1, where it starts.

    Two times share a counter of Philox4x32, whose words are the episode and half the time, the lower one first; the
    key is the seed.

    Parameters
    ----------
    seed, episode
        Whole numbers from 0 to 2^64 - 1.
    time
        A whole number from -1 on.

    Examples
    --------
    >>> hex(random_bits(0, 0, 0))
    '0xe169c58d6627e8d5'
    """
    block, half = divmod(time, 2)
    block %= 2**64
    words = philox([episode % WORD, episode // WORD, block % WORD, block // WORD], [seed % WORD, seed // WORD])
    return words[2 * half] + WORD * words[2 * half + 1]


def philox(counter: Sequence[int], key: Sequence[int]) -> list[int]:
    """Return ten rounds of Philox4x32.

    Parameters
    ----------
    counter
        Four words of 32 bits.
    key
        Two of them.

    References
    ----------
    J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw (2011), Parallel random numbers: as easy as 1, 2, 3. SC11.

    Examples
    --------
    >>> [hex(word) for word in philox([0, 0, 0, 0], [0, 0])]
    ['0x6627e8d5', '0xe169c58d', '0xbc57ac4c', '0x9b00dbd8']
    """
    a, b, c, d = counter
    k, m = key
    for _ in range(10):
        (first, low_first), (second, low_second) = divmod(0xD2511F53 * a, WORD), divmod(0xCD9E8D57 * c, WORD)
        a, b, c, d = second ^ b ^ k, low_second, first ^ d ^ m, low_first
        k, m = (k + 0x9E3779B9) % WORD, (m + 0xBB67AE85) % WORD
    return [a, b, c, d]


def _outcomes(rows: Matrix, probabilities: Vector, ends: Vector) -> Iterator[tuple[Fraction, int, int]]:
    """Yield weight, action and next state of all that can happen in a state; the end is the number of states."""
    for action, (row, probability, ending) in enumerate(zip(rows, probabilities, ends, strict=True)):
        for state, weight in enumerate([*row, ending]):
            yield probability * weight, action, state


def _drawn(weights: Vector, bits: int) -> int:
    """Return the first place at which the cumulated weights are above bits / 2^64 of their sum."""
    cumulated = list(accumulate(weights))
    return next(place for place, sum_ in enumerate(cumulated) if sum_ * 2**64 > bits * cumulated[-1])
