"""Models to learn on, to test with and to measure against (theory 1).

Every model has a start distribution, so that start values and occupancies can be asked for at once. None of them ends.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from rlcore.errors import ModelError
from rlcore.mdp import MDP
from rlcore.results import FloatArray

__all__ = ["forest", "garnet", "gridworld", "queue", "slippery_grid"]

Columns = NDArray[np.int32]

COMPASS = {"north": (-1, 0), "south": (1, 0), "east": (0, 1), "west": (0, -1)}

# A million labels take 80 MB, two fifths of what their whole grid takes, and hardly anybody reads so many.
MOST_LABELS = 100_000

# So many entries are drawn at a time: large enough for NumPy, small enough for the processor's cache.
BLOCK = 1 << 18


def forest(S: int = 3, r1: float = 4.0, r2: float = 2.0, p: float = 0.1) -> MDP:
    """Return the forest that is left to grow or cut each year, and may burn.

    A forest of age class s < S - 1 grows to s + 1 if left alone, the oldest class stays; with probability p it burns
    down to class 0 instead. Cut, it is in class 0 for certain. Waiting pays r1 in the oldest class and nothing before;
    cutting pays 0 in class 0, r2 in the oldest class and 1 in between.

    Parameters
    ----------
    S
        The number of age classes, at least 2.
    r1, r2
        What waiting and cutting pay in the oldest class.
    p
        The probability of fire in a year, in [0, 1].

    Returns
    -------
    MDP
        S states; the actions "wait" and "cut"; every state is equally likely at the start.

    Raises
    ------
    ModelError
        If S, r1, r2 or p is out of its range.

    Notes
    -----
    The example of the MDP toolboxes for MATLAB and Python: I. Chadès, G. Chapron, M.-J. Cros, F. Garcia and
    R. Sabbadin, "MDPtoolbox: a multi-platform toolbox to solve stochastic dynamic programming problems", Ecography
    37(9), 2014. Tossing a coin each year is worth 7.9672916667 at gamma 0.9.

    Examples
    --------
    >>> import rlcore as rl
    >>> mdp = rl.gallery.forest()
    >>> mdp.action_labels
    ('wait', 'cut')
    >>> mdp.transition.toarray()[:2]
    array([[0.1, 0.9, 0. ],
           [1. , 0. , 0. ]])
    """
    S = _as_count(S, "S", 2)
    p = _as_probability(p, "p")
    ages = np.arange(S)
    wait, cut = 2 * ages, 2 * ages + 1
    older = np.minimum(ages + 1, S - 1)
    transition = _summed(
        rows=np.concatenate([wait, wait, cut]),
        columns=np.concatenate([np.zeros(S, int), older, np.zeros(S, int)]),
        probabilities=np.repeat([p, 1.0 - p, 1.0], S),
        shape=(2 * S, S),
    )
    reward = np.tile([0.0, 1.0], (S, 1))
    reward[0, 1] = 0.0
    reward[-1] = [_as_number(r1, "r1"), _as_number(r2, "r2")]
    return MDP(transition, reward, initial=_evenly(S), action_labels=("wait", "cut"))


def gridworld() -> MDP:
    """Return the 5 by 5 grid of Sutton & Barto, example 3.5.

    Every move goes one cell in its direction. A move off the grid leaves the cell as it is and pays -1. In (0, 1),
    every move pays 10 and leads to (4, 1); in (0, 3), every move pays 5 and leads to (2, 3). Other moves pay nothing.

    Returns
    -------
    MDP
        25 states, labelled (row, column) from the top left; the actions "north", "south", "east" and "west", in this
        order; every cell is equally likely at the start.

    Notes
    -----
    R. S. Sutton and A. G. Barto, Reinforcement Learning: An Introduction, 2nd edition, 2018, examples 3.5 and 3.8.
    Cell (0, 1) comes back to itself every five steps at best, so its optimal value is 10 / (1 - gamma^5); at gamma
    0.9 that is 24.419, and 8.78929 under the uniform policy.

    Examples
    --------
    >>> import rlcore as rl
    >>> mdp = rl.gallery.gridworld()
    >>> rl.evaluate(mdp, rl.uniform_policy(mdp), 0.9).value[:5].round(5)
    array([3.309  , 8.78929, 4.42762, 5.32237, 1.49218])
    """
    side, jumps = 5, {(0, 1): ((4, 1), 10.0), (0, 3): ((2, 3), 5.0)}
    cells = list(itertools.product(range(side), repeat=2))
    successors, reward = [], []
    for (row, column), (down, right) in itertools.product(cells, COMPASS.values()):
        target, paid = (row + down, column + right), 0.0
        if target not in cells:
            target, paid = (row, column), -1.0
        target, paid = jumps.get((row, column), (target, paid))
        successors.append(cells.index(target))
        reward.append(paid)
    pairs = len(successors)
    transition = _summed(np.arange(pairs), np.array(successors), np.ones(pairs), shape=(pairs, len(cells)))
    return MDP(transition, reward, initial=_evenly(len(cells)), state_labels=cells, action_labels=tuple(COMPASS))


def garnet(S: int, A: int, b: int, seed: int | np.random.Generator = 0) -> MDP:
    """Return a random model: b random successors for each pair.

    The successors of a pair are b distinct states, every set of b equally likely. Their probabilities are the lengths
    of the b pieces into which b - 1 uniform points cut [0, 1]. r(s,a) is standard normal. All draws are independent.

    Parameters
    ----------
    S
        The number of states.
    A
        The number of actions in every state.
    b
        The number of successors of every pair, at most S.
    seed
        A whole number or a generator; the same number gives the same model.

    Returns
    -------
    MDP
        S states with A actions each; every state is equally likely at the start.

    Raises
    ------
    ModelError
        If S, A, b or seed is out of its range.

    Notes
    -----
    "Generic average reward non-stationary environment test-bed": T. W. Archibald, K. I. M. McKinnon and L. C. Thomas,
    "On the generation of Markov decision processes", Journal of the Operational Research Society 46(3), 1995; with the
    rewards of S. Bhatnagar, R. S. Sutton, M. Ghavamzadeh and M. Lee, "Natural actor-critic algorithms", Automatica
    45(11), 2009.

    Needs 12 bytes for each of the S A b entries, and little more while it is made.

    Examples
    --------
    >>> import rlcore as rl
    >>> rl.gallery.garnet(100, 4, 5, seed=1)
    MDP(100 states, 4 actions each, 2,000 transitions, never ends, with start distribution)
    """
    S, A = _as_count(S, "S", 1), _as_count(A, "A", 1)
    b = _as_count(b, "b", 1)
    if b > S:
        raise ModelError(f"b: expected at most S = {S} distinct successors, got {b}")
    rng = _as_generator(seed)
    pairs = S * A
    columns, probabilities = np.empty((pairs, b), np.int32), np.empty((pairs, b))
    # The first way of drawing costs b^2 a row and the second S log S; the factor was measured.
    few = b * b <= 32 * S
    for block in _blocks(pairs, max(1, BLOCK // (b if few else S))):
        rows = block.stop - block.start
        columns[block] = np.sort(_few_of_many(rng, rows, S, b) if few else _many_of_few(rng, rows, S, b), axis=1)
        probabilities[block] = _pieces(rng, rows, b)
    row_start = np.arange(0, pairs * b + 1, b, dtype=np.int32 if pairs * b < 2**31 else np.int64)
    transition = scipy.sparse.csr_array((probabilities.ravel(), columns.ravel(), row_start), shape=(pairs, S))
    return MDP(transition, rng.standard_normal((S, A)), initial=_evenly(S))


def slippery_grid(N: int, slip: float = 0.2) -> MDP:
    """Return an N by N grid with slippery moves and a treasure in the far corner.

    A move goes one cell in its direction with probability 1 - slip, and to either side of that direction with
    probability slip / 2 each. A move off the grid leaves the cell as it is. In the corner (N - 1, N - 1), every move
    pays 1 and leads back to (0, 0), where all begins; nothing else pays.

    Parameters
    ----------
    N
        The number of rows and of columns, at least 2.
    slip
        The probability of going astray, in [0, 1].

    Returns
    -------
    MDP
        N^2 states, row by row, labelled (row, column) if there are at most 100,000; the actions "north", "south",
        "east" and "west", in this order; starts in (0, 0).

    Raises
    ------
    ModelError
        If N or slip is out of its range.

    Notes
    -----
    The moves are those of S. Russell and P. Norvig, Artificial Intelligence: A Modern Approach, section "Sequential
    decision problems" (chapter 17 of the 3rd edition), for the default slip; the task is a continuing version of
    FrozenLake (Gymnasium) without holes. Without slipping the treasure is 2 (N - 1) moves away, and the optimal start
    value is gamma^(2N-2) / (1 - gamma^(2N-1)).

    Examples
    --------
    >>> import rlcore as rl
    >>> mdp = rl.gallery.slippery_grid(3)
    >>> east = mdp.transition.toarray()[mdp.state_index((1, 1)) * 4 + 2]
    >>> east.reshape(3, 3)
    array([[0. , 0.1, 0. ],
           [0. , 0. , 0.8],
           [0. , 0.1, 0. ]])
    """
    N, slip = _as_count(N, "N", 2), _as_probability(slip, "slip")
    S, A = N * N, len(COMPASS)
    cells = np.arange(S, dtype=np.int32)
    landing = np.stack([_neighbour(cells, N, down, right) for down, right in COMPASS.values()])
    landing[:, -1] = 0
    ways = np.array([(0, 2, 3), (1, 2, 3), (2, 0, 1), (3, 0, 1)])  # of each action: where it aims, and to either side
    transition = _summed(
        rows=np.repeat(np.arange(S * A, dtype=np.int32), 3),
        columns=landing[ways].transpose(2, 0, 1).ravel(),
        probabilities=np.tile([1.0 - slip, 0.5 * slip, 0.5 * slip], S * A),
        shape=(S * A, S),
    )
    reward = np.zeros((S, A))
    reward[-1] = 1.0
    labels = list(itertools.product(range(N), repeat=2)) if S <= MOST_LABELS else None
    return MDP(transition, reward, initial=_surely(0, S), state_labels=labels, action_labels=tuple(COMPASS))


def queue(
    S: int,
    *,
    arrival: float = 0.35,
    slow: float = 0.3,
    fast: float = 0.6,
    holding: float = 1.0,
    effort: float = 10.0,
) -> MDP:
    """Return a queue with one server, who works slowly for nothing or fast at a price.

    The state is the number of customers, 0 to S - 1. In each step one arrives with probability `arrival`; one leaves
    with probability `slow` or `fast`, as the action says, unless there is none; otherwise nothing happens. Whoever
    finds S - 1 customers goes away. A step costs `holding` for each customer, and `effort` more with fast service;
    costs are negative rewards.

    Parameters
    ----------
    S
        The number of queue lengths, at least 2.
    arrival, slow, fast
        Probabilities of an arrival and of a departure under each action, with slow <= fast and arrival + fast <= 1.
    holding
        The cost of a customer in a step.
    effort
        The cost of fast service in a step.

    Returns
    -------
    MDP
        S states; the actions "slow" and "fast"; starts empty.

    Raises
    ------
    ModelError
        If S, a probability or a cost is out of its range.

    Notes
    -----
    An M/M/1 queue with controlled service rate and finite room, made discrete by uniformisation: S. A. Lippman,
    "Applying a new device in the optimization of exponential queuing systems", Operations Research 23(4), 1975. Under
    a constant departure probability mu, the stationary probability of s customers is proportional to (arrival/mu)^s.
    With the default numbers slow service cannot keep up, and the uniform policy can.

    Examples
    --------
    >>> import rlcore as rl
    >>> mdp = rl.gallery.queue(4)
    >>> mdp.transition.toarray()[2 * 2 + 1].round(6)
    array([0.  , 0.6 , 0.05, 0.35])
    >>> mdp.reward[2]
    array([ -2., -12.])
    """
    S = _as_count(S, "S", 2)
    arrival, rates = _as_probability(arrival, "arrival"), (_as_probability(slow, "slow"), _as_probability(fast, "fast"))
    holding, effort = _as_number(holding, "holding"), _as_number(effort, "effort")
    if rates[0] > rates[1]:
        raise ModelError(f"fast: expected at least slow = {rates[0]}, got {rates[1]}")
    if arrival + rates[1] > 1.0:
        raise ModelError(f"arrival: expected arrival + fast <= 1, got {arrival} + {rates[1]}")
    lengths, pairs = np.repeat(np.arange(S), 2), np.arange(2 * S)
    departure = np.where(lengths > 0, np.tile(rates, S), 0.0)
    joining = np.where(lengths < S - 1, arrival, 0.0)
    transition = _summed(
        rows=np.tile(pairs, 3),
        columns=np.concatenate([np.maximum(lengths - 1, 0), lengths, np.minimum(lengths + 1, S - 1)]),
        probabilities=np.concatenate([departure, 1.0 - (departure + joining), joining]),
        shape=(2 * S, S),
    )
    reward = -holding * lengths - effort * (pairs % 2)
    return MDP(transition, reward, initial=_surely(0, S), action_labels=("slow", "fast"))


# ---- sparse rows ----


def _summed(rows: NDArray[Any], columns: NDArray[Any], probabilities: FloatArray, shape: tuple[int, int]) -> Any:
    """Return the matrix of these entries: repeated ones are added up, and zeros are not stored."""
    entries = scipy.sparse.coo_array(
        (probabilities, (rows.astype(np.int32, copy=False), columns.astype(np.int32, copy=False))), shape=shape
    )
    matrix = entries.tocsr()
    matrix.eliminate_zeros()
    return matrix


def _neighbour(cells: Columns, N: int, down: int, right: int) -> Columns:
    row = np.clip(cells // N + down, 0, N - 1)
    column = np.clip(cells % N + right, 0, N - 1)
    return row * N + column


def _blocks(size: int, length: int) -> Iterator[slice]:
    return (slice(first, min(first + length, size)) for first in range(0, size, length))


def _few_of_many(rng: np.random.Generator, rows: int, S: int, b: int) -> Columns:
    """Return b distinct states for each row by Floyd's method (Bentley & Floyd 1987): no draw is ever rejected."""
    chosen = np.empty((b, rows), np.int32)
    for draw, newest in enumerate(range(S - b, S)):
        drawn = rng.integers(0, newest, size=rows, dtype=np.int32, endpoint=True)
        for earlier in chosen[:draw]:
            drawn[drawn == earlier] = newest
        chosen[draw] = drawn
    return np.ascontiguousarray(chosen.T)


def _many_of_few(rng: np.random.Generator, rows: int, S: int, b: int) -> Columns:
    """Return b distinct states for each row: the first of all states in a random order."""
    order = np.argsort(rng.random((rows, S)), axis=1)
    return order[:, :b].astype(np.int32)


def _pieces(rng: np.random.Generator, rows: int, b: int) -> FloatArray:
    cuts = np.empty((rows, b + 1))
    cuts[:, 0], cuts[:, -1] = 0.0, 1.0
    cuts[:, 1:-1] = np.sort(rng.random((rows, b - 1)), axis=1)
    return np.diff(cuts, axis=1)


# ---- start distributions ----


def _evenly(S: int) -> FloatArray:
    return np.full(S, 1.0 / S)


def _surely(state: int, S: int) -> FloatArray:
    initial = np.zeros(S)
    initial[state] = 1.0
    return initial


# ---- arguments ----


def _as_count(value: Any, argument: str, least: int) -> int:
    if isinstance(value, int | np.integer) and not isinstance(value, bool) and value >= least:
        return int(value)
    raise ModelError(f"{argument}: expected a whole number from {least} on, got {value!r}")


def _as_probability(value: Any, argument: str) -> float:
    number = _as_number(value, argument)
    if not 0.0 <= number <= 1.0:
        raise ModelError(f"{argument}: expected a probability in [0, 1], got {value!r}")
    return number


def _as_number(value: Any, argument: str) -> float:
    if isinstance(value, float | int | np.floating | np.integer) and not isinstance(value, bool):
        number = float(value)
        if math.isfinite(number):
            return number
    raise ModelError(f"{argument}: expected a finite number, got {value!r}")


def _as_generator(seed: Any) -> np.random.Generator:
    if isinstance(seed, np.random.Generator):
        return seed
    return np.random.default_rng(_as_count(seed, "seed", 0))
