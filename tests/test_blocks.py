"""Right-hand sides that are solved together get the answers that they get alone, to the last bit."""

from __future__ import annotations

import numpy as np
import pytest

import rlcore as rl
from test_portfolio import greedy, shuffled, two_random_graphs

FOREST = rl.gallery.forest()
GARNET = rl.gallery.garnet(6000, 2, 4)
QUEUE = rl.gallery.queue(6000)
CYCLE = rl.gallery.shuffled_cycle(6000)
BLOCKS = rl.gallery.nearly_decomposable(50)
LAYERED = rl.gallery.layered(60, 80, stay=0.5)
GRID = rl.gallery.slippery_grid(80)
SHUFFLED = shuffled(GRID)
CLUSTERS = two_random_graphs(6000, meeting=1e-5)

# With more states than one block of a loop holds, but for what only small models reach.
SOLVED_BY = [
    ("dense LU", FOREST, rl.uniform_policy(FOREST), 0.999),
    ("span iteration", GARNET, rl.uniform_policy(GARNET), 0.99999),
    ("two-level aggregation", BLOCKS, rl.uniform_policy(BLOCKS), 0.99999),
    ("banded LU", QUEUE, rl.uniform_policy(QUEUE), 0.9999),
    ("banded LU", CYCLE, rl.uniform_policy(CYCLE), 0.9999),
    ("block triangular", LAYERED, rl.uniform_policy(LAYERED), 0.99999),
    ("Chebyshev iteration", GRID, rl.uniform_policy(GRID), 0.9),
    ("multigrid", GRID, rl.uniform_policy(GRID), 0.9999),
    ("multigrid", SHUFFLED, rl.uniform_policy(SHUFFLED), 0.9999),
    ("MILUT-BiCGSTAB", GRID, greedy(GRID), 0.99),
    ("ILUT-BiCGSTAB", GRID, greedy(GRID), 0.99999),
    ("BiCGSTAB", CLUSTERS, rl.uniform_policy(CLUSTERS), 0.99999),
]
METHODS = pytest.mark.parametrize(
    ("method", "mdp", "policy", "gamma"), SOLVED_BY, ids=lambda value: value if isinstance(value, str) else ""
)

# Blocks with two lanes, with an empty lane, and full ones with another behind them.
COUNTS = pytest.mark.parametrize("count", [2, 3, 11])

SETTINGS = {"tol": 1e-8, "explain": True, "raise_on_failure": False}


def unlike_rewards(mdp: rl.MDP, count: int) -> np.ndarray:
    """Rewards that need unlike numbers of steps: rough and rare ones, none, tiny and huge ones."""
    reward = np.random.default_rng(1).standard_normal((count, *mdp.pair_shape))
    reward[1::4] = mdp.reward.reshape(mdp.pair_shape)
    reward[2::4] = 0.0
    reward[2::4, 0] = 1.0
    reward[3::8] = 0.0
    reward[5::8] *= 1e-9
    reward[8::8] *= 2.0**400
    reward[9::8] *= 2.0**-400
    return reward


def unlike_starts(mdp: rl.MDP, count: int) -> np.ndarray:
    start = np.random.default_rng(2).random((count, mdp.num_states))
    start[::2] = np.eye(1, mdp.num_states)[0]
    start[1::4] = start[1::4] > 0.9
    start[:, -1] += 1e-3
    return start / start.sum(axis=1, keepdims=True)


def assert_same_certificate(batch: rl.Certificate, item: int, alone: rl.Certificate) -> None:
    for field in ("error_bound", "residual", "iterations", "method", "story"):
        assert getattr(batch, field)[item] == getattr(alone, field)


@METHODS
@COUNTS
def test_values_do_not_depend_on_their_block(
    method: str, mdp: rl.MDP, policy: np.ndarray, gamma: float, count: int
) -> None:
    reward = unlike_rewards(mdp, count)
    batch = rl.evaluate(mdp, policy, gamma, reward=reward, num_threads=2, **SETTINGS)
    assert method in batch.certificate.method
    for item in range(count):
        alone = rl.evaluate(mdp, policy, gamma, reward=reward[item], num_threads=1, **SETTINGS)
        np.testing.assert_array_equal(batch.value[item], alone.value)
        np.testing.assert_array_equal(batch.action_value[item], alone.action_value)
        np.testing.assert_array_equal(batch.advantage[item], alone.advantage)
        assert_same_certificate(batch.certificate, item, alone.certificate)


@METHODS
@COUNTS
def test_visits_do_not_depend_on_their_block(
    method: str, mdp: rl.MDP, policy: np.ndarray, gamma: float, count: int
) -> None:
    start = unlike_starts(mdp, count)
    batch = rl.occupancy(mdp, policy, gamma, initial=start, num_threads=2, **SETTINGS)
    assert method in batch.certificate.method
    for item in range(count):
        alone = rl.occupancy(mdp, policy, gamma, initial=start[item], num_threads=1, **SETTINGS)
        np.testing.assert_array_equal(batch.visits[item], alone.visits)
        np.testing.assert_array_equal(batch.state[item], alone.state)
        assert_same_certificate(batch.certificate, item, alone.certificate)


def test_successor_rows_do_not_depend_on_their_block() -> None:
    policy = rl.uniform_policy(GARNET)
    states = [0, 7, 1999, 7, 3, 4, 5, 6, 8, 9, 10]
    rows = rl.successor_representation(GARNET, policy, 0.99, states=states)
    for state, row in zip(states, rows, strict=True):
        alone = rl.successor_representation(GARNET, policy, 0.99, states=[state])
        np.testing.assert_array_equal(row, alone[0])


@COUNTS
def test_episodes_do_not_depend_on_their_block(count: int) -> None:
    policy = rl.uniform_policy(LAYERED)
    reward = unlike_rewards(LAYERED, count)
    batch = rl.evaluate(LAYERED, policy, rl.Episodic(), reward=reward, **SETTINGS)
    for item in range(count):
        alone = rl.evaluate(LAYERED, policy, rl.Episodic(), reward=reward[item], **SETTINGS)
        np.testing.assert_array_equal(batch.value[item], alone.value)
        assert_same_certificate(batch.certificate, item, alone.certificate)
