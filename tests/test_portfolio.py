"""Every solver of the portfolio is the one that answers somewhere, forwards and transposed, and says so."""

from __future__ import annotations

import re

import numpy as np
import pytest
import scipy.sparse
import scipy.sparse.linalg

import rlcore as rl


def two_random_graphs(num_states: int, meeting: float) -> rl.MDP:
    """Two random graphs that hardly meet: sweeps do not mix, and factors fill up."""
    random = np.random.default_rng(0)
    half = num_states // 2
    column = random.integers(0, half, (num_states, 4)) + half * (np.arange(num_states)[:, None] >= half)
    column = np.concatenate([column, (np.arange(num_states)[:, None] + half) % num_states], axis=1)
    weight = np.tile([(1 - meeting) / 4] * 4 + [meeting], (num_states, 1))
    rows = np.repeat(np.arange(num_states), 5)
    shape = (num_states, num_states)
    transition = scipy.sparse.csr_array((weight.ravel(), (rows, column.ravel())), shape=shape)
    return rl.MDP(transition, random.random(num_states), initial=np.eye(1, num_states)[0])


def shuffled(mdp: rl.MDP) -> rl.MDP:
    """Return the same model with its states in random order."""
    order = np.random.default_rng(0).permutation(mdp.num_states)
    actions = mdp.pair_shape[1]
    pairs = (order[:, None] * actions + np.arange(actions)).ravel()
    transition = scipy.sparse.csr_array(scipy.sparse.csr_array(mdp.transition)[pairs][:, order])
    return rl.MDP(transition, mdp.reward.ravel()[pairs], initial=np.eye(1, mdp.num_states)[0])


def leaps(num_states: int, length: int) -> rl.MDP:
    """A line on which the process moves any distance up to `length` to either side."""
    distances = [d for d in range(-length, length + 1) if d != 0]
    target = np.clip(np.arange(num_states)[:, None] + distances, 0, num_states - 1)
    rows = np.repeat(np.arange(num_states), len(distances))
    weight = np.full(target.size, 1.0 / len(distances))
    transition = scipy.sparse.csr_array((weight, (rows, target.ravel())), shape=(num_states, num_states))
    return rl.MDP(transition, np.arange(num_states) / num_states, initial=np.eye(1, num_states)[0])


def greedy(mdp: rl.MDP) -> np.ndarray:
    return rl.greedy_policy(mdp, rl.evaluate(mdp, rl.uniform_policy(mdp), 0.9))


FOREST = rl.gallery.forest()
GARNET = rl.gallery.garnet(2000, 3, 4)
QUEUE = rl.gallery.queue(50_000)
CYCLE = rl.gallery.shuffled_cycle(20_000)
BLOCKS = rl.gallery.nearly_decomposable(500)
LAYERED = rl.gallery.layered(100, 100, stay=0.5)
GRID = rl.gallery.slippery_grid(200)
SHUFFLED = shuffled(GRID)
LEAPS = leaps(5000, 8)
CLUSTERS = two_random_graphs(10_000, meeting=1e-5)
SEPARATE = two_random_graphs(10_000, meeting=0.0)

ANSWERED_BY = [
    ("dense LU", FOREST, rl.uniform_policy(FOREST), 0.999),
    ("span iteration", GARNET, rl.uniform_policy(GARNET), 0.99999),
    ("banded LU", QUEUE, rl.uniform_policy(QUEUE), 0.99999),
    ("two-level aggregation", BLOCKS, rl.uniform_policy(BLOCKS), 0.99999),
    ("banded LU", CYCLE, rl.uniform_policy(CYCLE), 0.99999),
    ("banded LU", LEAPS, rl.uniform_policy(LEAPS), 0.99999),
    ("block triangular", LAYERED, rl.uniform_policy(LAYERED), 0.99999),
    ("Chebyshev iteration", GRID, rl.uniform_policy(GRID), 0.9),
    ("multigrid", GRID, rl.uniform_policy(GRID), 0.9999),
    ("multigrid", SHUFFLED, rl.uniform_policy(SHUFFLED), 0.9999),
    ("MILUT-BiCGSTAB", GRID, greedy(GRID), 0.99),
    ("ILUT-BiCGSTAB", GRID, greedy(GRID), 0.99999),
    ("BiCGSTAB", CLUSTERS, rl.uniform_policy(CLUSTERS), 0.99999),
    ("BiCGSTAB", SEPARATE, rl.uniform_policy(SEPARATE), 0.99999),
]


@pytest.mark.parametrize(
    ("method", "mdp", "policy", "gamma"), ANSWERED_BY, ids=lambda value: value if isinstance(value, str) else ""
)
def test_each_method_answers_somewhere(method: str, mdp: rl.MDP, policy: np.ndarray, gamma: float) -> None:
    # From the far end, so that no method wins because the visits are even already.
    start = np.eye(1, mdp.num_states)[0]
    value = rl.evaluate(mdp, policy, gamma, tol=1e-8, explain=True)
    visits = rl.occupancy(mdp, policy, gamma, tol=1e-8, initial=start, explain=True)
    assert value.certificate.method == method
    assert visits.certificate.method == method
    assert method in value.certificate.story.splitlines()[-1]
    # rho^T r_pi = V(first state), within both certificates (theory 2.6)
    by_visits = float((visits.visits[mdp.pair_state] * policy.ravel() * mdp.reward.ravel()).sum())
    slack = value.certificate.error_bound + np.abs(mdp.reward).max() * (
        visits.certificate.error_bound + 1e-12 * visits.visits.sum()
    )
    assert abs(by_visits - value.value[0]) <= slack


def test_an_impossible_tolerance_is_not_claimed() -> None:
    """The story names the methods in the order in which they were tried."""
    result = rl.evaluate(GARNET, rl.uniform_policy(GARNET), 0.9, tol=1e-17, explain=True, raise_on_failure=False)
    assert result.certificate.status == "stalled"
    told = [line.split(":")[0] for line in result.certificate.story.splitlines()]
    assert told[:5] == ["dense LU", "renewal sweeps", "two-level aggregation", "banded LU", "span iteration"]


@pytest.mark.parametrize(("drift", "method"), [(0.0, "Chebyshev"), (0.02, "Chebyshev"), (0.2, "MILUT-BiCGSTAB")])
def test_eigenvalues_need_not_be_quite_real(drift: float, method: str) -> None:
    """Chebyshev iteration bears a walk that drifts a little round a torus, and is not tried on one that drifts more."""
    side, gamma = 120, 0.95
    state = np.arange(side * side)
    row, column = np.divmod(state, side)
    moves = [
        ((row + 1) % side, column),
        ((row - 1) % side, column),
        (row, (column + 1) % side),
        (row, (column - 1) % side),
    ]
    weight = [0.25, 0.25, 0.25 + drift, 0.25 - drift]
    transition = sum(
        scipy.sparse.csr_array((np.full(state.size, p), (state, r * side + c)), shape=(state.size, state.size))
        for p, (r, c) in zip(weight, moves, strict=True)
    )
    reward = np.random.default_rng(0).standard_normal(state.size)
    found = rl.evaluate(rl.MDP(transition, reward), rl.uniform_policy(rl.MDP(transition, reward)), gamma)
    assert method in found.certificate.method
    exact = scipy.sparse.linalg.spsolve(
        scipy.sparse.eye_array(state.size, format="csc") - gamma * transition.tocsc(), reward
    )
    assert np.abs(found.value - exact).max() <= found.certificate.error_bound + 1e-12


@pytest.mark.parametrize("num_threads", [1, 2, 3])
def test_multigrid_gives_the_same_bits_for_every_number_of_threads(num_threads: int) -> None:
    policy = rl.uniform_policy(GRID)
    found = rl.evaluate(GRID, policy, 0.9999, num_threads=num_threads)
    np.testing.assert_array_equal(found.value, rl.evaluate(GRID, policy, 0.9999, num_threads=4).value)


@pytest.mark.parametrize("setting", [rl.Discounted(0.999), rl.Episodic()])
def test_methods_see_the_residual_where_processes_can_end(setting: rl.Discounted | rl.Episodic) -> None:
    """A residual without a norm is met by anything: each method would stop at its first iterate."""
    lake = rl.gallery.frozen_lake(80)
    found = rl.evaluate(lake, rl.random_policy(lake, 0), setting, explain=True)
    (probe,) = (line for line in found.certificate.story.splitlines() if line.startswith("span iteration"))
    assert re.match(r"span iteration: \d{2} iterations, gave up", probe)


def test_local_processes_that_end_are_reduced() -> None:
    lake = rl.gallery.frozen_lake(40)
    policy = rl.random_policy(lake, 0)
    value = rl.evaluate(lake, policy, rl.Episodic())
    visits = rl.occupancy(lake, policy, rl.Episodic())
    assert value.certificate.method == visits.certificate.method == "state reduction"
    by_visits = float((visits.visits[lake.pair_state] * policy.ravel() * lake.reward.ravel()).sum())
    assert value.start_value is not None
    slack = value.certificate.bounds["start_value"] + visits.certificate.error_bound + 1e-12
    assert abs(by_visits - value.start_value) <= slack


def test_levels_are_built_only_where_what_is_far_counts() -> None:
    """Holes everywhere end episodes soon, at any discount; most of a lake without any is another matter."""
    size = 160
    soon = rl.gallery.frozen_lake(size)
    late = rl.gallery.frozen_lake(size, holes=[(row, column) for row in (140, 150) for column in range(0, size, 3)])
    for lake, method in ((soon, "MILUT-BiCGSTAB"), (late, "multigrid")):
        policy = rl.uniform_policy(lake)
        assert rl.evaluate(lake, policy, 0.9999).certificate.method == method
        assert rl.occupancy(lake, policy, 0.9999).certificate.method == method
