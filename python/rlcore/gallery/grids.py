"""Grids of cells, labelled (row, column) from the top left."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlcore.errors import ModelError
from rlcore.gallery._arguments import as_count, as_generator, as_probability
from rlcore.gallery._rows import Columns, evenly, labels_if_few, summed, surely
from rlcore.mdp import MDP
from rlcore.results import FloatArray

Cell = tuple[int, int]
Mask = NDArray[np.bool_]

COMPASS = {"north": (-1, 0), "south": (1, 0), "east": (0, 1), "west": (0, -1)}
# Gymnasium's moves in Gymnasium's order: each one's neighbours in this circle are its two sides.
LAKE_MOVES = {"left": (0, -1), "down": (1, 0), "right": (0, 1), "up": (-1, 0)}


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
    transition = summed(np.arange(pairs), np.array(successors), np.ones(pairs), shape=(pairs, len(cells)))
    return MDP(transition, reward, initial=evenly(len(cells)), state_labels=cells, action_labels=tuple(COMPASS))


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
    N, slip = as_count(N, "N", 2), as_probability(slip, "slip")
    S, A = N * N, len(COMPASS)
    cells = np.arange(S, dtype=np.int32)
    landing = np.stack([neighbour(cells, N, down, right) for down, right in COMPASS.values()])
    landing[:, -1] = 0
    ways = np.array([(0, 2, 3), (1, 2, 3), (2, 0, 1), (3, 0, 1)])  # of each action: where it aims, and to either side
    transition = summed(
        rows=np.repeat(np.arange(S * A, dtype=np.int32), 3),
        columns=landing[ways].transpose(2, 0, 1).ravel(),
        probabilities=np.tile([1.0 - slip, 0.5 * slip, 0.5 * slip], S * A),
        shape=(S * A, S),
    )
    reward = np.zeros((S, A))
    reward[-1] = 1.0
    labels = labels_if_few(itertools.product(range(N), repeat=2), S)
    return MDP(transition, reward, initial=surely(0, S), state_labels=labels, action_labels=tuple(COMPASS))


def small_gridworld() -> MDP:
    """Return the 4 by 4 grid of Sutton & Barto, example 4.1, which ends in two corners.

    Every move goes one cell in its direction and pays -1. A move off the grid leaves the cell as it is. In the corners
    (0, 0) and (3, 3) the episode is over.

    Returns
    -------
    MDP
        The 14 other cells, labelled (row, column) from the top left; the actions "north", "south", "east" and "west",
        in this order; every cell is equally likely at the start.

    Notes
    -----
    R. S. Sutton and A. G. Barto, Reinforcement Learning: An Introduction, 2nd edition, 2018, example 4.1 and figure
    4.1, where the cells are numbered 1 to 14. V = r + P V with termination 1 for the moves into a corner. Moving at
    random takes 14, 20 and 22 steps from the first row's cells; the best is to take the shortest way, -1 a step.

    Examples
    --------
    >>> import rlcore as rl
    >>> mdp = rl.gallery.small_gridworld()
    >>> mdp.state_labels[:3]
    ((0, 1), (0, 2), (0, 3))
    >>> mdp.termination[0]
    array([0., 0., 0., 1.])
    """
    side = 4
    everywhere = np.arange(side * side, dtype=np.int32)
    living = everywhere[1:-1]
    landing = np.stack([neighbour(living, side, down, right) for down, right in COMPASS.values()], axis=1).ravel()
    ends = (landing == everywhere[0]) | (landing == everywhere[-1])
    pairs = np.arange(landing.size)
    transition = summed(pairs[~ends], landing[~ends] - 1, np.ones(int((~ends).sum())), shape=(pairs.size, living.size))
    return MDP(
        transition,
        np.full(pairs.size, -1.0),
        termination=ends.astype(float),
        initial=evenly(living.size),
        state_labels=list(itertools.product(range(side), repeat=2))[1:-1],
        action_labels=tuple(COMPASS),
    )


def frozen_lake(
    size: int = 8,
    holes: float | Sequence[Cell] = 0.1,
    slip: float = 2 / 3,
    seed: int | np.random.Generator = 0,
) -> MDP:
    """Return a frozen lake with holes, to be crossed from corner to corner on slippery ice.

    A move goes one cell in its direction with probability 1 - slip, and to either side of that direction with
    probability slip / 2 each. A move off the lake leaves the cell as it is. Stepping into a hole or onto the goal,
    the corner (size - 1, size - 1), ends the episode; reaching the goal pays 1 and nothing else pays.

    Parameters
    ----------
    size
        The number of rows and of columns, at least 2.
    holes
        The probability, in [0, 1], with which each cell has a hole, except the start and the goal; or the cells
        (row, column) that have one. There is always a way from start to goal: where random holes cut it off, those on
        a way through the fewest of them are filled in.
    slip
        The probability of going astray, in [0, 1]. The default gives each of the three directions 1/3; 0 is dry.
    seed
        A whole number or a generator for random holes; the same number gives the same lake.

    Returns
    -------
    MDP
        size^2 states, row by row, labelled (row, column) if there are at most 100,000; the actions "left", "down",
        "right" and "up", in this order; starts in (0, 0). In a hole and in the goal, every action ends at once.

    Raises
    ------
    ModelError
        If an argument is out of its range, or the given holes are not cells that may have one, or leave no way.

    Notes
    -----
    FrozenLake-v1 of Gymnasium (toy text), with its numbering of states and actions, its slipping and its rewards;
    there too the random maps are those with a way from start to goal. With c_k the cell that direction k leads to,
    P(s' | s,a) = sum_k p_k [c_k = s'] over ice s', termination(s,a) = sum_k p_k [c_k is a hole or the goal], and
    r(s,a) = sum_k p_k [c_k is the goal].

    Examples
    --------
    >>> import rlcore as rl
    >>> mdp = rl.gallery.frozen_lake(4, holes=[(1, 1), (1, 3), (2, 3), (3, 0)])
    >>> mdp.termination[mdp.state_index((0, 1))].round(3)
    array([0.333, 0.333, 0.333, 0.   ])
    >>> mdp.reward[mdp.state_index((3, 2))].round(3)
    array([0.   , 0.333, 0.333, 0.333])
    """
    size, slip = as_count(size, "size", 2), as_probability(slip, "slip")
    over = _as_holes(holes, size, seed)
    S, A, goal = size * size, len(LAKE_MOVES), size * size - 1
    over[goal] = True
    ice = np.flatnonzero(~over).astype(np.int32)
    landing = np.stack([neighbour(ice, size, down, right) for down, right in LAKE_MOVES.values()], axis=1)
    ways = np.array([(a, (a - 1) % A, (a + 1) % A) for a in range(A)])  # of each action: where it aims, and its sides
    columns = landing[:, ways].reshape(-1, 3)
    chance = np.array([1.0 - slip, 0.5 * slip, 0.5 * slip])
    ends, pairs = over[columns], (ice[:, np.newaxis] * A + np.arange(A, dtype=np.int32)).ravel()
    termination, reward = np.ones(S * A), np.zeros(S * A)
    termination[pairs], reward[pairs] = ends @ chance, (columns == goal) @ chance
    kept = ~ends.ravel()
    transition = summed(
        rows=np.repeat(pairs, 3)[kept],
        columns=columns.ravel()[kept],
        probabilities=np.tile(chance, pairs.size)[kept],
        shape=(S * A, S),
    )
    return MDP(
        transition,
        reward,
        termination=termination,
        initial=surely(0, S),
        state_labels=labels_if_few(itertools.product(range(size), repeat=2), S),
        action_labels=tuple(LAKE_MOVES),
    )


# ---- cells ----


def neighbour(cells: Columns, N: int, down: int, right: int) -> Columns:
    """Return where a move leads from each cell of an N by N grid, or the cell itself at the border."""
    row = np.clip(cells // N + down, 0, N - 1)
    column = np.clip(cells % N + right, 0, N - 1)
    return row * N + column


# ---- holes ----


def _as_holes(holes: Any, size: int, seed: Any) -> Mask:
    """Return which cells have a hole; there is a way from the first cell to the last."""
    rng = as_generator(seed)
    if isinstance(holes, Sequence | np.ndarray) and not isinstance(holes, str):
        given = _given_holes(holes, size)
        if not _has_way(given, size):
            raise ModelError("holes: expected a way from start to goal, got holes that cut it off")
        return given
    share, depth = as_probability(holes, "holes"), rng.random(size * size)
    drawn: Mask = depth < share
    drawn[[0, -1]] = False
    if not _has_way(drawn, size):
        drawn[_way_through_fewest(drawn, depth, size)] = False
    return drawn


def _given_holes(holes: Any, size: int) -> Mask:
    mask = np.zeros(size * size, bool)
    for cell in holes:
        try:
            row, column = (as_count(part, "cell", 0) for part in cell)
        except (TypeError, ValueError):
            raise ModelError(f"holes: expected cells (row, column), got {cell!r}") from None
        if max(row, column) >= size:
            raise ModelError(f"holes: expected cells of a lake of {size} by {size}, got {cell!r}")
        if (row, column) in ((0, 0), (size - 1, size - 1)):
            raise ModelError(f"holes: expected neither the start nor the goal, got {cell!r}")
        mask[row * size + column] = True
    return mask


def _has_way(holes: Mask, size: int) -> bool:
    from scipy.ndimage import label

    pieces, _ = label(~holes.reshape(size, size))
    return bool(pieces[0, 0] == pieces[-1, -1])


def _way_through_fewest(holes: Mask, depth: FloatArray, size: int) -> list[int]:
    """Return the cells of a way from the first to the last with the fewest holes.

    Entering a hole costs more than all numbers in `depth` together, and any cell its own number more. So the way is
    the only one of least cost, whichever algorithm finds it.
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import dijkstra

    cells = np.arange(size * size, dtype=np.int32)
    into = np.concatenate([neighbour(cells, size, down, right) for down, right in LAKE_MOVES.values()])
    cost = np.where(holes, float(size * size), 0.0) + depth
    moves = into != np.tile(cells, len(LAKE_MOVES))
    steps = (cost[into[moves]], (np.tile(cells, len(LAKE_MOVES))[moves], into[moves]))
    graph = csr_array(steps, shape=(cells.size, cells.size))
    _, before = dijkstra(graph, indices=0, return_predecessors=True)
    way = [cells.size - 1]
    while way[-1] != 0:
        way.append(int(before[way[-1]]))
    return way
