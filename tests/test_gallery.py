"""The gallery: every model is what its source says, held against a slow second definition or a published answer."""

from __future__ import annotations

import itertools
import math
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import scipy.stats

import rlcore as rl

MODELS: dict[str, Callable[[], rl.MDP]] = {
    "forest": rl.gallery.forest,
    "forest(2)": lambda: rl.gallery.forest(2),
    "forest(p=0)": lambda: rl.gallery.forest(p=0.0),
    "gridworld": rl.gallery.gridworld,
    "garnet": lambda: rl.gallery.garnet(20, 3, 4),
    "garnet(1, 1, 1)": lambda: rl.gallery.garnet(1, 1, 1),
    "slippery_grid": lambda: rl.gallery.slippery_grid(4),
    "slippery_grid(2)": lambda: rl.gallery.slippery_grid(2),
    "queue": lambda: rl.gallery.queue(6),
    "queue(2)": lambda: rl.gallery.queue(2),
}

# In a grid, north is up and rows are counted downwards.
STEP = {"north": (-1, 0), "south": (1, 0), "east": (0, 1), "west": (0, -1)}
SIDES = {"north": ("east", "west"), "south": ("east", "west"), "east": ("north", "south"), "west": ("north", "south")}


def rows(mdp: rl.MDP) -> Any:
    """Return P[s, a, s'] of a model with the same actions everywhere."""
    return mdp.transition.toarray().reshape(*mdp.pair_shape, mdp.num_states)


def moved(cell: tuple[int, int], direction: str, side: int) -> tuple[int, int]:
    down, right = STEP[direction]
    row, column = cell[0] + down, cell[1] + right
    return (row, column) if 0 <= row < side and 0 <= column < side else cell


def greedy_value(mdp: rl.MDP, gamma: float) -> rl.Evaluation:
    """Return the evaluation of a policy that is greedy for itself, by policy iteration."""
    policy = rl.uniform_policy(mdp)
    for _ in range(50):
        ev = rl.evaluate(mdp, policy, gamma)
        better = rl.greedy_policy(mdp, ev)
        if (better == policy).all():
            return ev
        policy = better
    raise AssertionError("policy iteration did not settle")


# ---- all of them ----


@pytest.mark.parametrize("name", MODELS)
def test_every_model_starts_somewhere_and_never_ends(name: str) -> None:
    mdp = MODELS[name]()
    assert mdp.initial is not None
    assert mdp.initial.sum() == pytest.approx(1.0, abs=1e-12)
    assert not mdp.can_end
    assert mdp.pair_shape == (mdp.num_states, mdp.num_pairs // mdp.num_states)


@pytest.mark.parametrize("name", MODELS)
def test_every_model_is_stored_as_the_core_reads_it(name: str) -> None:
    matrix = MODELS[name]().transition
    assert matrix.data.dtype == np.float64
    assert matrix.indices.dtype == np.int32
    assert matrix.has_canonical_format
    assert (matrix.data > 0.0).all()


@pytest.mark.parametrize("name", MODELS)
def test_every_model_can_be_evaluated(name: str) -> None:
    mdp = MODELS[name]()
    policy = rl.uniform_policy(mdp)
    ev, occ = rl.evaluate(mdp, policy, 0.9), rl.occupancy(mdp, policy, 0.9)
    r_pi = (policy * mdp.reward).sum(axis=-1)
    slack = ev.certificate.bounds["start_value"] + occ.certificate.error_bound * np.abs(r_pi).max() + 1e-12
    assert abs(occ.visits @ r_pi - ev.start_value) <= slack


# ---- forest ----


@pytest.mark.parametrize(("S", "p"), [*itertools.product([2, 3, 7], [0.0, 0.1, 1.0])])
def test_forest_is_the_toolbox_example(S: int, p: float) -> None:
    # As in the toolboxes: P[0] is wait and P[1] is cut; rewards are given for each pair.
    P, R = np.zeros((2, S, S)), np.zeros((S, 2))
    P[0, :, 0] = p
    for age in range(S):
        P[0, age, min(age + 1, S - 1)] += 1 - p
    P[1, :, 0] = 1.0
    R[S - 1, 0] = 5.0
    R[:, 1] = 1.0
    R[0, 1] = 0.0
    R[S - 1, 1] = 3.0
    mdp = rl.gallery.forest(S, r1=5.0, r2=3.0, p=p)
    np.testing.assert_array_equal(rows(mdp), P.transpose(1, 0, 2))
    np.testing.assert_array_equal(mdp.reward, R)
    assert mdp.action_labels == ("wait", "cut")


def test_forest_known_answers() -> None:
    mdp = rl.gallery.forest()
    policy = rl.uniform_policy(mdp)
    assert rl.evaluate(mdp, policy, 0.9).start_value == pytest.approx(7.9672916667, abs=5e-11)
    visits = rl.occupancy(mdp, policy, 0.9).visits
    np.testing.assert_allclose(visits, [5.2833333, 2.4730833, 2.2435833], rtol=0, atol=5e-8)


# ---- gridworld ----


def test_gridworld_is_the_example_of_the_book() -> None:
    mdp = rl.gallery.gridworld()
    assert mdp.action_labels == ("north", "south", "east", "west")
    assert mdp.state_labels == tuple(itertools.product(range(5), range(5)))
    P = rows(mdp)
    for (state, cell), (action, direction) in itertools.product(enumerate(mdp.state_labels), enumerate(STEP)):
        target, paid = moved(cell, direction, 5), 0.0
        if target == cell:
            paid = -1.0
        if cell == (0, 1):
            target, paid = (4, 1), 10.0
        if cell == (0, 3):
            target, paid = (2, 3), 5.0
        expected = np.zeros(25)
        expected[5 * target[0] + target[1]] = 1.0
        np.testing.assert_array_equal(P[state, action], expected)
        assert mdp.reward[state, action] == paid


def test_gridworld_random_policy() -> None:
    mdp = rl.gallery.gridworld()
    value = rl.evaluate(mdp, rl.uniform_policy(mdp), 0.9).value.reshape(5, 5)
    np.testing.assert_allclose(value[0], [3.30900, 8.78929, 4.42762, 5.32237, 1.49218], rtol=0, atol=5e-6)
    figure_3_2 = [
        [3.3, 8.8, 4.4, 5.3, 1.5],
        [1.5, 3.0, 2.3, 1.9, 0.5],
        [0.1, 0.7, 0.7, 0.4, -0.4],
        [-1.0, -0.4, -0.4, -0.6, -1.2],
        [-1.9, -1.3, -1.2, -1.4, -2.0],
    ]
    np.testing.assert_allclose(value, figure_3_2, rtol=0, atol=0.05)


def test_gridworld_optimal_policy() -> None:
    value = greedy_value(rl.gallery.gridworld(), 0.9).value.reshape(5, 5)
    figure_3_5 = [
        [22.0, 24.4, 22.0, 19.4, 17.5],
        [19.8, 22.0, 19.8, 17.8, 16.0],
        [17.8, 19.8, 17.8, 16.0, 14.4],
        [16.0, 17.8, 16.0, 14.4, 13.0],
        [14.4, 16.0, 14.4, 13.0, 11.7],
    ]
    np.testing.assert_allclose(value, figure_3_5, rtol=0, atol=0.05)
    assert value[0, 1] == pytest.approx(10 / (1 - 0.9**5), rel=1e-9)


# ---- garnet ----


@pytest.mark.parametrize(
    ("S", "A", "b"), [(1, 1, 1), (1, 3, 1), (6, 2, 1), (6, 2, 6), (50, 3, 5), (40, 2, 39), (9, 70_000, 2)]
)
def test_garnet_has_b_distinct_successors(S: int, A: int, b: int) -> None:
    mdp = rl.gallery.garnet(S, A, b, seed=3)
    assert mdp.pair_shape == (S, A)
    np.testing.assert_array_equal(mdp.transition.indptr, np.arange(S * A + 1) * b)
    columns = mdp.transition.indices.reshape(-1, b)
    assert columns.min() >= 0
    assert columns.max() < S
    assert (np.diff(columns, axis=1) > 0).all()


def test_garnet_is_made_from_its_seed() -> None:
    def parts(seed: Any) -> list[Any]:
        mdp = rl.gallery.garnet(30, 2, 3, seed=seed)
        return [mdp.transition.indices, mdp.transition.data, mdp.reward]

    for one, same, generator, other in zip(parts(5), parts(5), parts(np.random.default_rng(5)), parts(6), strict=True):
        np.testing.assert_array_equal(one, same)
        np.testing.assert_array_equal(one, generator)
        assert (one != other).any()
    for default, zero in zip(parts(0), parts(np.int64(0)), strict=True):
        np.testing.assert_array_equal(default, zero)


@pytest.mark.parametrize(("S", "b"), [(5, 2), (5, 3), (6, 1), (80, 79), (80, 1)])
def test_garnet_draws_every_set_of_successors_equally_often(S: int, b: int) -> None:
    # (80, 79) is drawn by sorting and the others by Floyd's method.
    columns = rl.gallery.garnet(S, 20_000 // S, b, seed=1).transition.indices.reshape(-1, b)
    _, counts = np.unique(columns, axis=0, return_counts=True)
    assert len(counts) == math.comb(S, b)
    assert scipy.stats.chisquare(counts).pvalue > 1e-4


@pytest.mark.parametrize("b", [2, 3, 5])
def test_garnet_probabilities_are_the_pieces_between_uniform_points(b: int) -> None:
    # Every piece that b - 1 uniform points cut from [0, 1] is distributed as Beta(1, b - 1).
    probability = rl.gallery.garnet(200, 20, b, seed=2).transition.data.reshape(-1, b)
    np.testing.assert_allclose(probability.sum(axis=1), 1.0, rtol=0, atol=4 * b * np.finfo(float).eps)
    for piece in probability.T:
        assert scipy.stats.kstest(piece, scipy.stats.beta(1, b - 1).cdf).pvalue > 1e-4


def test_garnet_rewards_are_standard_normal() -> None:
    reward = rl.gallery.garnet(1000, 10, 1).reward.ravel()
    assert scipy.stats.kstest(reward, scipy.stats.norm.cdf).pvalue > 1e-4


def test_garnet_needs_little_more_memory_than_it_keeps() -> None:
    tracemalloc.start()
    mdp = rl.gallery.garnet(100_000, 4, 5)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    matrix = mdp.transition
    kept = matrix.data.nbytes + matrix.indices.nbytes + matrix.indptr.nbytes + mdp.reward.nbytes
    kept += mdp.initial.nbytes + mdp.pair_start.nbytes
    # The blocks in which it is drawn take 12 MB, whatever the size.
    assert peak < kept + 16e6


# ---- slippery grid ----


@pytest.mark.parametrize(("N", "slip"), [*itertools.product([2, 3, 5], [0.0, 0.2, 1.0])])
def test_slippery_grid_moves(N: int, slip: float) -> None:
    mdp = rl.gallery.slippery_grid(N, slip)
    assert mdp.action_labels == ("north", "south", "east", "west")
    assert mdp.state_labels == tuple(itertools.product(range(N), range(N)))
    P = rows(mdp)
    for (state, cell), (action, direction) in itertools.product(enumerate(mdp.state_labels), enumerate(STEP)):
        expected = np.zeros(N * N)
        for way, probability in (direction, 1 - slip), *((side, slip / 2) for side in SIDES[direction]):
            row, column = moved(cell, way, N) if cell != (N - 1, N - 1) else (0, 0)
            expected[N * row + column] += probability
        np.testing.assert_allclose(P[state, action], expected, rtol=0, atol=1e-15)
        assert mdp.reward[state, action] == (cell == (N - 1, N - 1))


@pytest.mark.parametrize("N", [2, 3, 6])
def test_slippery_grid_optimal_start_value_without_slipping(N: int) -> None:
    ev = greedy_value(rl.gallery.slippery_grid(N, slip=0.0), 0.95)
    assert ev.start_value == pytest.approx(0.95 ** (2 * N - 2) / (1 - 0.95 ** (2 * N - 1)), rel=1e-9)


def test_slippery_grid_leaves_out_labels_when_they_would_be_many() -> None:
    assert rl.gallery.slippery_grid(316).state_labels is not None
    assert rl.gallery.slippery_grid(317).state_labels is None


# ---- queue ----


def test_queue_steps() -> None:
    S, arrival, rates = 5, 0.25, {"slow": 0.125, "fast": 0.5}
    mdp = rl.gallery.queue(S, arrival=arrival, slow=rates["slow"], fast=rates["fast"], holding=2.0, effort=3.0)
    assert mdp.action_labels == ("slow", "fast")
    P = rows(mdp)
    for length, (action, rate) in itertools.product(range(S), enumerate(rates.values())):
        expected = np.zeros(S)
        expected[max(length - 1, 0)] += rate
        expected[min(length + 1, S - 1)] += arrival
        expected[length] += 1 - rate - arrival
        np.testing.assert_array_equal(P[length, action], expected)
        assert mdp.reward[length, action] == -2.0 * length - 3.0 * action


def test_queue_in_which_something_happens_in_every_step() -> None:
    # 1 - 0.9 - 0.1 is negative in floating point.
    mdp = rl.gallery.queue(4, arrival=0.1, slow=0.2, fast=0.9)
    np.testing.assert_array_equal(rows(mdp)[1, 1], [0.9, 0.0, 0.1, 0.0])


@pytest.mark.parametrize("action", [0, 1])
def test_queue_is_stationary_in_the_geometric_distribution(action: int) -> None:
    # Started in its stationary distribution, a chain stays there, so d = rho0 at every gamma (theory 2.5).
    mdp = rl.gallery.queue(12)
    weight = (0.35 / (0.3, 0.6)[action]) ** np.arange(12)
    stationary = weight / weight.sum()
    occ = rl.occupancy(mdp.with_initial(stationary), rl.deterministic_policy(mdp, np.full(12, action)), 0.99)
    assert np.abs(occ.state - stationary).sum() <= occ.certificate.bounds["state"] + 1e-12


# ---- arguments ----


def bad_arguments() -> Iterator[Any]:
    gallery = rl.gallery
    count, number, probability = "a whole number from", "a finite number", "a probability in [0, 1]"
    for function, arguments, message in (
        (gallery.forest, {"S": 1}, f"S: expected {count} 2 on, got 1"),
        (gallery.forest, {"S": 3.0}, f"S: expected {count} 2 on, got 3.0"),
        (gallery.forest, {"S": True}, f"S: expected {count} 2 on, got True"),
        (gallery.forest, {"p": 1.1}, f"p: expected {probability}, got 1.1"),
        (gallery.forest, {"p": float("nan")}, f"p: expected {number}, got nan"),
        (gallery.forest, {"p": "0.1"}, f"p: expected {number}, got '0.1'"),
        (gallery.forest, {"r1": float("inf")}, f"r1: expected {number}, got inf"),
        (gallery.forest, {"r2": None}, f"r2: expected {number}, got None"),
        (gallery.garnet, {"S": 0, "A": 1, "b": 1}, f"S: expected {count} 1 on, got 0"),
        (gallery.garnet, {"S": 2, "A": -1, "b": 1}, f"A: expected {count} 1 on, got -1"),
        (gallery.garnet, {"S": 2, "A": 1, "b": 0}, f"b: expected {count} 1 on, got 0"),
        (gallery.garnet, {"S": 2, "A": 1, "b": 3}, "b: expected at most S = 2 distinct successors, got 3"),
        (gallery.garnet, {"S": 2, "A": 1, "b": 1, "seed": -1}, f"seed: expected {count} 0 on, got -1"),
        (gallery.garnet, {"S": 2, "A": 1, "b": 1, "seed": "x"}, f"seed: expected {count} 0 on, got 'x'"),
        (gallery.slippery_grid, {"N": 1}, f"N: expected {count} 2 on, got 1"),
        (gallery.slippery_grid, {"N": 3, "slip": -0.1}, f"slip: expected {probability}, got -0.1"),
        (gallery.queue, {"S": 1}, f"S: expected {count} 2 on, got 1"),
        (gallery.queue, {"S": 4, "arrival": 2}, f"arrival: expected {probability}, got 2"),
        (gallery.queue, {"S": 4, "slow": 0.7}, "fast: expected at least slow = 0.7, got 0.6"),
        (gallery.queue, {"S": 4, "arrival": 0.5}, "arrival: expected arrival + fast <= 1, got 0.5 + 0.6"),
        (gallery.queue, {"S": 4, "holding": float("nan")}, f"holding: expected {number}, got nan"),
        (gallery.queue, {"S": 4, "effort": "10"}, f"effort: expected {number}, got '10'"),
    ):
        yield pytest.param(function, arguments, message, id=f"{function.__name__}-{message}")


@pytest.mark.parametrize(("function", "arguments", "message"), [*bad_arguments()])
def test_bad_arguments(function: Callable[..., rl.MDP], arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(rl.ModelError) as caught:
        function(**arguments)
    assert str(caught.value) == message
