"""Grid worlds: models whose states are labelled by the places (row, column) where they lie."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlcore.mdp import MDP
from rlcore.results import FloatArray

# How far an action of this name leads: (down, right).
DIRECTIONS = {"left": (0, -1), "west": (0, -1), "right": (0, 1), "east": (0, 1)}
DIRECTIONS |= {"up": (-1, 0), "north": (-1, 0), "down": (1, 0), "south": (1, 0)}

MOST_GAPS = 0.5  # the share of a rectangle's cells that may be walls

IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Grid:
    """Where the states of a grid world lie.

    Attributes
    ----------
    state
        The number of the state in each cell, shape (rows, columns), and -1 where there is none: a wall.
    origin
        The label (row, column) of the first cell.
    """

    state: IntArray
    origin: tuple[int, int]

    @property
    def rows(self) -> int:
        """The number of rows."""
        return int(self.state.shape[0])

    @property
    def columns(self) -> int:
        """The number of columns."""
        return int(self.state.shape[1])

    @property
    def walls(self) -> NDArray[np.bool_]:
        """Which cells hold no state, shape (rows, columns)."""
        outside: NDArray[np.bool_] = self.state < 0
        return outside

    def places(self) -> IntArray:
        """Return the row and the column of every state, counted from 0, shape (S, 2)."""
        cells = np.argwhere(~self.walls)
        found = np.empty_like(cells)
        found[self.state[cells[:, 0], cells[:, 1]]] = cells
        return found

    def spread(self, x: FloatArray) -> FloatArray:
        """Return numbers of the states, shape (..., S), as tables (..., rows, columns) with nan in the walls."""
        return np.where(self.walls, np.nan, x[..., self.state])


def grid_of(mdp: MDP) -> Grid | None:
    """Return the grid if the labels are pairs (row, column) which fill at least half of a rectangle.

    Examples
    --------
    >>> import rlcore as rl
    >>> grid_of(rl.gallery.slippery_grid(3)).state
    array([[0, 1, 2],
           [3, 4, 5],
           [6, 7, 8]])
    """
    labels = mdp.state_labels
    if labels is None or not all(_is_place(label) for label in labels):
        return None
    places = np.array(labels, dtype=np.int64)
    first = places.min(axis=0)
    places -= first
    rows, columns = (places.max(axis=0) + 1).tolist()
    if len(labels) < (1.0 - MOST_GAPS) * rows * columns:
        return None
    state = np.full((rows, columns), -1)
    state[places[:, 0], places[:, 1]] = np.arange(len(labels))
    return Grid(state, (int(first[0]), int(first[1])))


def directions(mdp: MDP) -> dict[int, tuple[int, int]]:
    """Return how far (down, right) every action leads that is named by a direction.

    Examples
    --------
    >>> import rlcore as rl
    >>> directions(rl.gallery.gridworld())
    {0: (-1, 0), 1: (1, 0), 2: (0, 1), 3: (0, -1)}
    """
    labels: tuple[Hashable, ...] = mdp.action_labels or ()
    named = {action: DIRECTIONS.get(str(label).lower()) for action, label in enumerate(labels)}
    return {action: step for action, step in named.items() if step is not None}


def ended_states(mdp: MDP) -> NDArray[np.bool_]:
    """Return for each state whether all is over there: no action pays, and each ends the process or stays for good."""
    idle = mdp.reward.ravel() == 0.0
    if idle.any():
        idle &= (mdp.termination.ravel() == 1.0) | _stays(mdp)
    ended: NDArray[np.bool_] = np.logical_and.reduceat(idle, mdp.pair_start[:-1])
    return ended


def _stays(mdp: MDP) -> NDArray[np.bool_]:
    """Return for each pair whether it leads back to its own state for certain."""
    transition = mdp.transition
    single = np.flatnonzero(np.diff(transition.indptr) == 1)
    entry = transition.indptr[single]
    certain = (transition.indices[entry] == mdp.pair_state[single]) & (transition.data[entry] == 1.0)
    stays = np.zeros(mdp.num_pairs, dtype=np.bool_)
    stays[single[certain]] = True
    return stays


def _is_place(label: object) -> bool:
    return isinstance(label, tuple) and len(label) == 2 and all(map(_is_small_integer, label))


def _is_small_integer(x: Any) -> bool:
    return isinstance(x, int | np.integer) and not isinstance(x, bool) and bool(-(2**31) < x < 2**31)
