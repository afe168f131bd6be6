"""Trajectories: drawn from a model and a policy, or brought along (theory 1)."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rlcore import _core
from rlcore.arguments import as_callback, as_floats, as_num_threads, as_single
from rlcore.errors import ArgumentError, InputError, ModelError, PolicyError
from rlcore.mdp import MDP, as_mdp, start_of
from rlcore.results import FloatArray, Progress

OVER = -1  # stands for what comes after the end
BEYOND_SEEDS = 2**64

_Numbers = NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Trajectories:
    """What happened in a number of episodes (theory 1).

    Attributes
    ----------
    states
        s_0, s_1, ..., shape (episodes, steps + 1); -1 after the end.
    pairs
        The number of the pair (s_t, a_t), shape (episodes, steps); -1 after the end. ``mdp.pair_action[pairs]`` and
        ``mdp.reward.ravel()[pairs]`` say what was done and what is to be expected of it.
    lengths
        How many actions were taken, shape (episodes,).
    rewards
        What each action earned, shape (episodes, steps), where that is known; None: the expected r(s,a).
    """

    states: _Numbers
    pairs: _Numbers
    lengths: NDArray[np.int64]
    rewards: FloatArray | None = None

    def __post_init__(self) -> None:
        shape = self.pairs.shape
        if self.pairs.ndim != 2 or self.states.shape != (shape[0], shape[1] + 1) or self.lengths.shape != shape[:1]:
            raise ArgumentError(
                "pairs: expected shape (episodes, steps), states (episodes, steps + 1) and lengths (episodes,), got "
                f"{shape}, {self.states.shape} and {self.lengths.shape}; Trajectories.from_actions checks the numbers"
            )

    @classmethod
    def from_actions(
        cls, mdp: MDP, states: ArrayLike, actions: ArrayLike, rewards: ArrayLike | None = None
    ) -> Trajectories:
        """Take trajectories that come from elsewhere, after a check that the model could have gone that way.

        Parameters
        ----------
        mdp
            The model.
        states
            Shape (episodes, steps + 1); -1 after the end. An episode that was cut off ends with a state.
        actions
            The position of each action among those of its state, shape (episodes, steps); -1 after the end.
        rewards
            Shape (episodes, steps), or None for the expected ones. What stands after the end does not count.

        Raises
        ------
        ArgumentError
            If the arrays do not have these shapes, name what the model does not have, or go where it never goes.

        Examples
        --------
        >>> import rlcore as rl
        >>> forest = rl.gallery.forest()
        >>> rl.Trajectories.from_actions(forest, [[0, 1, 2], [1, 0, 0]], [[0, 0], [1, 0]]).pairs
        array([[0, 2],
               [3, 0]], dtype=int32)
        """
        mdp = as_mdp(mdp)
        visited = _as_numbers(states, "states")
        taken = _as_numbers(actions, "actions")
        if visited.shape != (taken.shape[0], taken.shape[1] + 1):
            raise ArgumentError(
                f"states: expected one more than actions in each episode, shape {(taken.shape[0], taken.shape[1] + 1)},"
                f" got {visited.shape}"
            )
        lengths = _lengths(mdp, visited, taken)
        pairs = np.where(taken >= 0, mdp.pair_start[np.maximum(visited[:, :-1], 0)] + taken, OVER)
        _check_steps(mdp, visited, pairs, lengths)
        earned = None if rewards is None else _as_rewards(rewards, taken)
        return cls(visited.astype(np.int32), pairs.astype(np.int32), lengths, earned)

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def steps(self) -> int:
        """The largest number of actions that an episode has room for."""
        return int(self.pairs.shape[1])

    def __repr__(self) -> str:
        return f"Trajectories(episodes={len(self)}, steps={self.steps}, actions={self.lengths.sum()})"


def simulate(
    mdp: MDP,
    policy: ArrayLike,
    *,
    episodes: int,
    steps: int,
    seed: int = 0,
    initial: ArrayLike | None = None,
    first_episode: int = 0,
    num_threads: int | None = None,
    progress: Callable[[Progress], object] | None = None,
) -> Trajectories:
    """Draw episodes from a model and a policy.

    s_0 ~ rho0; then a_t ~ pi(.|s_t) together with what it leads to, s_{t+1} ~ P(.|s_t,a_t) or the end.

    Parameters
    ----------
    mdp
        The model.
    policy
        pi(a|s) of shape ``mdp.pair_shape``.
    episodes
        How many to draw, at least 1.
    steps
        After how many actions an episode is cut off, at least 1.
    seed
        A whole number from 0 to 2^64 - 1.
    initial
        rho0 in place of the model's, shape (S,).
    first_episode
        The number of the first episode: episodes can be drawn in several calls, and are the same as in one.
    num_threads
        Threads to use; None for one per core. Every number gives the same trajectories.
    progress
        Called with a `Progress` some twenty times a second.

    Returns
    -------
    Trajectories
        ``.states`` (episodes, steps + 1), ``.pairs`` (episodes, steps), ``.lengths`` (episodes,).

    Raises
    ------
    ArgumentError
        If `episodes`, `steps`, `seed` or `first_episode` is out of its range, or the trajectories do not fit in memory.
    PolicyError
        If the policy has the wrong shape or is not a distribution in every state.
    ModelError
        If there is no start distribution, or it is not one.

    Notes
    -----
    Theory 1. The 64 random bits of an episode at a time are a function of the seed and these two numbers alone,
    Philox4x32-10 (Salmon et al. 2011). They choose among the outcomes of a state by inversion: an outcome has its
    probability, as it is stored and divided by the sum over all of the state, to within 2^-63.

    Examples
    --------
    >>> import rlcore as rl
    >>> walk = rl.gallery.random_walk(5)
    >>> found = rl.simulate(walk, rl.uniform_policy(walk), episodes=2, steps=6)
    >>> found.states
    array([[ 2,  3,  4, -1, -1, -1, -1],
           [ 2,  1,  0, -1, -1, -1, -1]], dtype=int32)
    """
    mdp = as_mdp(mdp)
    count, length = _as_count(episodes, "episodes"), _as_count(steps, "steps")
    first = _as_seed(first_episode, "first_episode")
    if first + count > BEYOND_SEEDS:
        raise ArgumentError(f"first_episode: expected numbers of episodes below 2^64, got {first} and {count} episodes")
    chosen = as_single(policy, mdp.pair_shape, "policy", PolicyError)
    start = as_single(start_of(mdp, initial, "simulate"), (mdp.num_states,), "initial", ModelError)
    size = count * (2 * length + 1) * 4 + count * 8
    if size > _memory():
        raise _too_large(count, length, size)
    try:
        found = _core.simulate(
            mdp._core,
            chosen,
            start,
            _as_seed(seed, "seed"),
            first,
            count,
            length,
            as_num_threads(num_threads),
            as_callback(progress),
        )
    except InputError as error:
        raise mdp.located(error) from None
    except MemoryError:
        raise _too_large(count, length, size) from None
    return Trajectories(*found)


# ---- arguments ----


def _as_count(number: Any, argument: str) -> int:
    if isinstance(number, bool) or not isinstance(number, int | np.integer) or not 1 <= number <= 2**62:
        raise ArgumentError(f"{argument}: expected a whole number from 1 to 2^62, got {number!r}")
    return int(number)


def _as_seed(number: Any, argument: str) -> int:
    if isinstance(number, bool) or not isinstance(number, int | np.integer) or not 0 <= number < BEYOND_SEEDS:
        raise ArgumentError(f"{argument}: expected a whole number from 0 to 2^64 - 1, got {number!r}")
    return int(number)


def _memory() -> int:
    """Return the bytes of the machine's memory, or what no machine has where there is no telling."""
    try:
        return int(os.sysconf("SC_PHYS_PAGES")) * int(os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, ValueError, OSError):
        return 2**47


def _too_large(episodes: int, steps: int, size: int) -> ArgumentError:
    return ArgumentError(
        f"episodes: expected trajectories that fit in memory, got {episodes} episodes of {steps} steps: "
        f"{size / 2**30:.3g} GiB; draw fewer at a time, and the others by first_episode"
    )


# ---- trajectories from elsewhere ----


def _as_numbers(array: ArrayLike, argument: str) -> NDArray[np.int64]:
    try:
        found = np.asarray(array)
    except ValueError:
        raise ArgumentError(f"{argument}: expected episodes of the same length, filled up with -1, got a ragged list")\
            from None  # fmt: skip
    if found.dtype.kind not in "iu" or found.ndim != 2 or found.size == 0:
        got = f"dtype {found.dtype}, shape {found.shape}"
        raise ArgumentError(f"{argument}: expected whole numbers, a row for each episode, got {got}")
    return found.astype(np.int64)


def _as_rewards(rewards: ArrayLike, taken: NDArray[np.int64]) -> FloatArray:
    found = as_floats(rewards, "rewards", ArgumentError)
    if found.shape != taken.shape:
        raise ArgumentError(f"rewards: expected one for each action, shape {taken.shape}, got {found.shape}")
    earned = np.where(taken >= 0, found, 0.0)
    _check(np.isfinite(earned), "rewards", "expected a finite number", earned)
    return earned


def _lengths(mdp: MDP, visited: NDArray[np.int64], taken: NDArray[np.int64]) -> NDArray[np.int64]:
    """Check that states and actions are those of the model and stop together, and return the numbers of actions."""
    acting, being = taken >= 0, visited >= 0
    _check((visited >= OVER) & (visited < mdp.num_states), "states",
           f"expected numbers in 0 .. {mdp.num_states - 1}, or -1 after the end", visited)  # fmt: skip
    _check(taken >= OVER, "actions", "expected numbers from 0 on, or -1 after the end", taken)
    _check(being[:, 0], "states", "expected a state to start in", visited[:, 0])
    _check(being[:, :-1] | ~acting, "states", "expected a state in which the action is taken", visited[:, :-1])
    _check(acting[:, :-1] | ~acting[:, 1:], "actions", "expected no action after the end", taken[:, 1:], after=1)
    _check(acting | ~being[:, 1:], "states", "expected no state after the end", visited[:, 1:], after=1)
    choices = np.diff(mdp.pair_start)[np.maximum(visited[:, :-1], 0)]
    _check(taken < choices, "actions", "expected the position of an action among those of its state", taken)
    lengths: NDArray[np.int64] = acting.sum(axis=1)
    return lengths


def _check_steps(mdp: MDP, visited: _Numbers, pairs: _Numbers, lengths: NDArray[np.int64]) -> None:
    """Check that each action leads where the model says that it may lead."""
    acting = pairs >= 0
    matrix = mdp.transition
    stored = np.repeat(np.arange(mdp.num_pairs), np.diff(matrix.indptr)) * mdp.num_states + matrix.indices
    stored = stored[matrix.data > 0.0]
    ends = acting & (visited[:, 1:] == OVER)
    went = acting & ~ends
    step = (pairs * mdp.num_states + visited[:, 1:])[went]
    place = np.minimum(np.searchsorted(stored, step), max(stored.size - 1, 0))
    possible = np.ones(pairs.shape, dtype=np.bool_)
    possible[went] = stored[place] == step if stored.size else False
    possible[ends] = mdp.termination.ravel()[pairs[ends]] > 0.0
    _check(possible, "states", "expected a state that the action can lead to, or -1 if it can end the process",
           visited[:, 1:], after=1)  # fmt: skip


def _check(right: NDArray[np.bool_], argument: str, expected: str, found: _Numbers, after: int = 0) -> None:
    if right.all():
        return
    place = np.unravel_index(int(right.argmin()), right.shape)
    time = int(place[1]) + after if len(place) > 1 else 0
    raise ArgumentError(f"{argument}: {expected}, got {found[place]} in episode {place[0]} at time {time}")
