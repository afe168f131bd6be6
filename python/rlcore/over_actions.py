"""From pairs to states and back: sums and extremes over the actions of each state, and numbers of states for pairs."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from rlcore.mdp import MDP
from rlcore.results import FloatArray

Number = TypeVar("Number", bound=np.generic)


def sum_over_actions(mdp: MDP, x: Any) -> FloatArray:
    """Return sum_a x(s,a) in each state."""
    found: FloatArray = np.add.reduceat(x, mdp.pair_start[:-1])
    return found


def max_over_actions(mdp: MDP, x: Any) -> FloatArray:
    """Return max_a x(s,a) in each state."""
    found: FloatArray = np.maximum.reduceat(x, mdp.pair_start[:-1])
    return found


def min_over_actions(mdp: MDP, x: Any) -> FloatArray:
    """Return min_a x(s,a) in each state."""
    found: FloatArray = np.minimum.reduceat(x, mdp.pair_start[:-1])
    return found


def over_pairs(mdp: MDP, x: NDArray[Number]) -> NDArray[Number]:
    """Give every pair the number of its state."""
    return np.repeat(x, np.diff(mdp.pair_start), axis=0)


def most_actions(mdp: MDP) -> int:
    """Return how many actions there are at most in a state."""
    return int(np.diff(mdp.pair_start).max())


def single_best_pairs(mdp: MDP, x: FloatArray, tolerance: float) -> NDArray[np.int64]:
    """Return for each state the pair with the largest x(s,a), or -1 where several are within the tolerance of it."""
    near = x >= over_pairs(mdp, max_over_actions(mdp, x)) - tolerance
    found = np.full(mdp.num_states, -1)
    found[mdp.pair_state[near]] = np.flatnonzero(near)
    found[sum_over_actions(mdp, near.astype(np.int64)) > 1] = -1
    return found
