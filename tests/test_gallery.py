"""The gallery: every model is what its source says, held against a slow second definition or a published answer."""

from __future__ import annotations

import dataclasses
import itertools
import math
import re
import tracemalloc
from collections.abc import Callable, Iterator
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import scipy.sparse.csgraph
import scipy.stats

import rlcore as rl
from rlcore.gallery.grids import _as_holes
from rlcore.reference.linear import solve, transpose

LAKE = [(1, 1), (1, 3), (2, 3), (3, 0)]

MODELS: dict[str, Callable[[], rl.MDP]] = {
    "blind_shuttle": rl.gallery.blind_shuttle,
    "chain": rl.gallery.chain,
    "chain(2)": lambda: rl.gallery.chain(2, slip=0.0),
    "drunkards_walk": rl.gallery.drunkards_walk,
    "forest": rl.gallery.forest,
    "forest(2)": lambda: rl.gallery.forest(2),
    "forest(p=0)": lambda: rl.gallery.forest(p=0.0),
    "frozen_lake": rl.gallery.frozen_lake,
    "frozen_lake(2)": lambda: rl.gallery.frozen_lake(2, holes=1.0),
    "frozen_lake(4)": lambda: rl.gallery.frozen_lake(4, holes=LAKE, slip=0.0),
    "gambler": rl.gallery.gambler,
    "gambler(2)": lambda: rl.gallery.gambler(2),
    "gambler(p=1)": lambda: rl.gallery.gambler(9, p=1.0),
    "gridworld": rl.gallery.gridworld,
    "garnet": lambda: rl.gallery.garnet(20, 3, 4),
    "garnet(1, 1, 1)": lambda: rl.gallery.garnet(1, 1, 1),
    "slippery_grid": lambda: rl.gallery.slippery_grid(4),
    "slippery_grid(2)": lambda: rl.gallery.slippery_grid(2),
    "inventory": rl.gallery.inventory,
    "inventory(1)": lambda: rl.gallery.inventory(1, demand=(0.0, 0.0, 1.0)),
    "layered": lambda: rl.gallery.layered(4, 6),
    "layered(1, 1)": lambda: rl.gallery.layered(1, 1, A=1),
    "layered(stay=.5)": lambda: rl.gallery.layered(3, 5, A=3, b=2, stay=0.5),
    "lazy_cycle": lambda: rl.gallery.lazy_cycle(6),
    "lazy_cycle(laziness=1)": lambda: rl.gallery.lazy_cycle(2, laziness=1.0),
    "nearly_decomposable": lambda: rl.gallery.nearly_decomposable(3),
    "nearly_decomposable(coupling=0)": lambda: rl.gallery.nearly_decomposable(2, coupling=0.0, size=3),
    "nearly_decomposable(coupling=1)": lambda: rl.gallery.nearly_decomposable(2, coupling=1.0, size=1),
    "oz": rl.gallery.oz,
    "queue": lambda: rl.gallery.queue(6),
    "queue(2)": lambda: rl.gallery.queue(2),
    "random_walk": rl.gallery.random_walk,
    "random_walk(1)": lambda: rl.gallery.random_walk(1),
    "river_swim": rl.gallery.river_swim,
    "river_swim(3)": lambda: rl.gallery.river_swim(3),
    "short_corridor": rl.gallery.short_corridor,
    "shuffled_cycle": lambda: rl.gallery.shuffled_cycle(6),
    "small_gridworld": rl.gallery.small_gridworld,
    "taxicab": rl.gallery.taxicab,
    "toymaker": rl.gallery.toymaker,
    "wrong_way": rl.gallery.wrong_way,
    "wrong_way(1/2)": lambda: rl.gallery.wrong_way(0.5),
}
ENDING = {
    "drunkards_walk",
    "frozen_lake",
    "gambler",
    "layered",
    "random_walk",
    "short_corridor",
    "small_gridworld",
    "wrong_way",
}
RAGGED = {"gambler", "inventory", "taxicab"}

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


def test_every_model_is_here() -> None:
    models = set(rl.gallery.__all__) - {"KnownAnswer", "known_answers"}
    assert models == {name.partition("(")[0] for name in MODELS}
    assert rl.gallery.known_answers.keys() == models - {"garnet"}
    assert rl.gallery.__all__ == sorted(rl.gallery.__all__, key=lambda name: (name[0].islower(), name))


@pytest.mark.parametrize("name", MODELS)
def test_every_model_starts_somewhere(name: str) -> None:
    mdp = MODELS[name]()
    assert mdp.initial is not None
    assert mdp.initial.sum() == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("name", MODELS)
def test_every_model_ends_or_never_does(name: str) -> None:
    mdp, family = MODELS[name](), name.partition("(")[0]
    assert mdp.can_end == (family in ENDING)
    if name == family:
        assert (len(mdp.pair_shape) == 1) == (family in RAGGED)


@pytest.mark.parametrize("name", MODELS)
def test_every_row_sums_to_one(name: str) -> None:
    mdp = MODELS[name]()
    total = mdp.transition.sum(axis=1) + mdp.termination.ravel()
    np.testing.assert_allclose(total, 1.0, rtol=0, atol=16 * np.finfo(float).eps)


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
    r_pi = np.add.reduceat((policy * mdp.reward).ravel(), mdp.pair_start[:-1])
    slack = ev.certificate.bounds["start_value"] + occ.certificate.error_bound * np.abs(r_pi).max() + 1e-12
    assert abs(occ.visits @ r_pi - ev.start_value) <= slack


@pytest.mark.parametrize(
    "make",
    [
        lambda seed: rl.gallery.garnet(30, 2, 3, seed=seed),
        lambda seed: rl.gallery.layered(3, 30, stay=0.25, seed=seed),
        lambda seed: rl.gallery.nearly_decomposable(3, seed=seed),
        lambda seed: rl.gallery.frozen_lake(10, holes=0.3, seed=seed),
        lambda seed: rl.gallery.shuffled_cycle(30, seed=seed),
    ],
    ids=["garnet", "layered", "nearly_decomposable", "frozen_lake", "shuffled_cycle"],
)
def test_random_models_are_made_from_their_seeds(make: Callable[[Any], rl.MDP]) -> None:
    def parts(seed: Any) -> list[Any]:
        mdp = make(seed)
        return [mdp.transition.toarray(), mdp.reward, mdp.termination]

    for one, same, generator in zip(parts(5), parts(np.int64(5)), parts(np.random.default_rng(5)), strict=True):
        np.testing.assert_array_equal(one, same)
        np.testing.assert_array_equal(one, generator)
    assert (parts(5)[0] != parts(6)[0]).any()
    rng = np.random.default_rng(5)
    assert (parts(rng)[0] != parts(rng)[0]).any()


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


def test_gridworld_best_cell() -> None:
    value = greedy_value(rl.gallery.gridworld(), 0.9).value
    assert value[1] == pytest.approx(10 / (1 - 0.9**5), rel=1e-9)


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


def test_garnet_of_many_blocks_is_made_from_its_seed() -> None:
    # 10^6 numbers are drawn in several blocks, each with a stream of its own: they must differ.
    one, same = (rl.gallery.garnet(100_000, 2, 5, seed=7) for _ in range(2))
    np.testing.assert_array_equal(one.transition.indices, same.transition.indices)
    np.testing.assert_array_equal(one.transition.data, same.transition.data)
    assert np.unique(one.reward).size == one.reward.size


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


# ---- random models with a structure ----


@pytest.mark.parametrize(("stay", "A", "b"), [(0.0, 2, 2), (0.25, 2, 3), (0.5, 1, 5)])
def test_layers_lead_to_the_next(stay: float, A: int, b: int) -> None:
    depth, width = 4, 5
    mdp = rl.gallery.layered(depth, width, A=A, b=b, stay=stay, seed=2)
    between = rows(mdp).reshape(depth, width, A, depth, width)
    for layer, other in itertools.product(range(depth), repeat=2):
        chance = {0: stay, 1: 1.0 - stay}.get(other - layer, 0.0)
        np.testing.assert_allclose(between[layer, :, :, other].sum(axis=-1), chance, rtol=0, atol=1e-15)
        assert ((between[layer, :, :, other] > 0).sum(axis=-1) == (b if chance else 0)).all()
    np.testing.assert_array_equal(mdp.termination[:-width], 0.0)
    np.testing.assert_array_equal(mdp.termination[-width:], 1.0 - stay)
    np.testing.assert_array_equal(mdp.initial[:width], 1 / width)


def test_layers_have_five_successors_or_as_many_as_there_are() -> None:
    assert np.diff(rl.gallery.layered(2, 9).transition.indptr).max() == 5
    assert np.diff(rl.gallery.layered(2, 3).transition.indptr).max() == 3


@pytest.mark.parametrize("coupling", [0.0, 1e-17, 1e-6, 0.25, 1.0])
@pytest.mark.parametrize(("blocks", "size", "b"), [(2, 1, 1), (2, 4, 2), (5, 3, 3)])
def test_blocks_are_left_for_the_next(blocks: int, size: int, b: int, coupling: float) -> None:
    mdp = rl.gallery.nearly_decomposable(blocks, coupling, size=size, A=2, b=b, seed=3)
    between = rows(mdp).reshape(blocks, size, 2, blocks, size)
    for block in range(blocks):
        ahead = between[block, :, :, (block + 1) % blocks]
        np.testing.assert_array_equal(ahead.max(axis=-1), coupling)
        np.testing.assert_array_equal((ahead > 0).sum(axis=-1), int(coupling > 0))
        np.testing.assert_allclose(between[block, :, :, block].sum(axis=-1), 1 - coupling, rtol=0, atol=1e-15)
        assert ((between[block, :, :, block] > 0).sum(axis=-1) == (b if coupling < 1 else 0)).all()


def test_the_way_out_of_a_block_leads_everywhere() -> None:
    mdp = rl.gallery.nearly_decomposable(2, 0.5, size=4, A=2000, seed=1)
    out = mdp.transition[:8000, 4:].sum(axis=0) / 0.5
    assert scipy.stats.chisquare(out).pvalue > 1e-4


# ---- small gridworld and frozen lake ----


def test_small_gridworld_is_the_example_of_the_book() -> None:
    mdp = rl.gallery.small_gridworld()
    cells = tuple(itertools.product(range(4), range(4)))[1:-1]
    assert mdp.state_labels == cells
    P = rows(mdp)
    for (state, cell), (action, direction) in itertools.product(enumerate(cells), enumerate(STEP)):
        target, expected = moved(cell, direction, 4), np.zeros(14)
        if target in cells:
            expected[cells.index(target)] = 1.0
        np.testing.assert_array_equal(P[state, action], expected)
        assert mdp.termination[state, action] == (target not in cells)
    np.testing.assert_array_equal(mdp.reward, -1.0)


def holes_of(mdp: rl.MDP, size: int) -> list[tuple[int, int]]:
    over = (mdp.termination == 1.0).all(axis=1) & (mdp.reward == 0.0).all(axis=1)
    return [divmod(int(cell), size) for cell in np.flatnonzero(over) if cell != size * size - 1]


def lake_as_text(holes: list[tuple[int, int]], size: int) -> list[str]:
    letters = {**dict.fromkeys(holes, "H"), (0, 0): "S", (size - 1, size - 1): "G"}
    return ["".join(letters.get((row, column), "F") for column in range(size)) for row in range(size)]


@pytest.mark.parametrize("slippery", [True, False])
@pytest.mark.parametrize(("size", "holes"), [(4, LAKE), (2, 0.0), (7, 0.3), (9, 0.1)])
def test_frozen_lake_is_gymnasiums(size: int, holes: Any, slippery: bool) -> None:
    mdp = rl.gallery.frozen_lake(size, holes, slip=2 / 3 if slippery else 0.0, seed=4)
    desc = lake_as_text(holes_of(mdp, size), size)
    gym = rl.from_gymnasium("FrozenLake-v1", desc=desc, is_slippery=slippery)
    close = {"rtol": 0, "atol": 1e-15}
    np.testing.assert_allclose(mdp.transition.toarray(), gym.transition.toarray(), **close)
    np.testing.assert_allclose(mdp.termination, gym.termination, **close)
    np.testing.assert_allclose(mdp.reward, gym.reward, **close)
    np.testing.assert_array_equal(mdp.initial, gym.initial)
    assert mdp.action_labels == ("left", "down", "right", "up")


@pytest.mark.parametrize("share", [0.0, 0.1, 0.3, 0.45, 0.7, 1.0])
@pytest.mark.parametrize("size", [2, 5, 30])
def test_there_is_always_a_way_over_the_lake(size: int, share: float) -> None:
    for seed in range(10):
        mdp = rl.gallery.frozen_lake(size, share, seed=seed)
        P = scipy.sparse.csr_array(mdp.transition.toarray().reshape(size**2, 4, size**2).sum(axis=1))
        reached = scipy.sparse.csgraph.breadth_first_order(P, 0, return_predecessors=False)
        assert mdp.reward[reached].any()
        if share == 1.0:
            assert len(holes_of(mdp, size)) == size**2 - (2 * size - 1)


def test_filling_in_holes_fills_in_the_fewest() -> None:
    # Asked of the function itself: a model does not tell ice that is surrounded by holes from another hole.
    size, found = 4, 0
    for seed in range(60):
        drawn = np.random.default_rng(seed).random(size * size) < 0.6
        drawn[[0, -1]] = False
        kept = _as_holes(0.6, size, seed)
        assert not (kept & ~drawn).any()
        filled = int(drawn.sum() - kept.sum())
        assert filled == fewest_holes(drawn, size)
        found += filled > 0
    assert found > 10


def fewest_holes(holes: Any, size: int) -> int:
    """Return the fewest holes on a way from corner to corner, by relaxing all cells until nothing changes."""
    cost = np.full(size * size, size * size)
    cost[0] = 0
    for _ in range(size * size):
        for row, column in itertools.product(range(size), repeat=2):
            for direction in STEP:
                target = size * moved((row, column), direction, size)[0] + moved((row, column), direction, size)[1]
                cost[target] = min(cost[target], cost[size * row + column] + holes[target])
    return int(cost[-1])


def test_frozen_lake_has_the_share_of_holes_that_was_asked_for() -> None:
    assert len(holes_of(rl.gallery.frozen_lake(200, 0.1), 200)) == pytest.approx(4000, abs=4 * 60)


# ---- lines and circles ----


def test_cycle_goes_through_all_states() -> None:
    successor = rl.gallery.shuffled_cycle(50, seed=2).transition.indices
    state, seen = 0, set()
    for _ in range(50):
        seen.add(state)
        state = int(successor[state])
    assert state == 0
    assert seen == set(range(50))


def test_shuffled_cycle_values() -> None:
    mdp = rl.gallery.shuffled_cycle(20, seed=3)
    value, state = rl.evaluate(mdp, rl.uniform_policy(mdp), 0.9).value, 0
    for steps in range(20, 0, -1):
        assert value[state] == pytest.approx(0.9 ** (steps % 20) / (1 - 0.9**20), rel=1e-9)
        state = int(mdp.transition.indices[state])


@pytest.mark.parametrize("laziness", [0.0, 0.25, 1.0])
def test_lazy_cycle_steps(laziness: float) -> None:
    S = 5
    P = rl.gallery.lazy_cycle(S, laziness).transition.toarray()
    np.testing.assert_array_equal(P, laziness * np.eye(S) + (1 - laziness) * np.roll(np.eye(S), 1, axis=1))


@pytest.mark.parametrize("n", [1, 2, 3, 5, 30])
def test_random_walk_steps(n: int) -> None:
    mdp = rl.gallery.random_walk(n)
    expected = (np.eye(n + 2, k=1) + np.eye(n + 2, k=-1)) / 2
    np.testing.assert_array_equal(mdp.transition.toarray(), expected[1:-1, 1:-1])
    np.testing.assert_array_equal(mdp.termination.ravel(), expected[1:-1, [0, -1]].sum(axis=1))
    np.testing.assert_array_equal(mdp.reward.ravel(), expected[1:-1, -1])
    assert mdp.initial[n // 2] == 1.0
    assert (mdp.state_labels is None) == (n > 26)


def test_drunkards_walk_is_the_random_walk_seen_from_the_other_side() -> None:
    walk, other = rl.gallery.drunkards_walk(), rl.gallery.random_walk(3)
    np.testing.assert_array_equal(walk.transition.toarray(), other.transition.toarray())
    np.testing.assert_array_equal(walk.termination, other.termination)
    np.testing.assert_array_equal(walk.reward.ravel(), other.reward.ravel()[::-1])
    np.testing.assert_array_equal(walk.initial, other.initial)


def test_oz_has_never_two_nice_days_in_a_row() -> None:
    mdp = rl.gallery.oz()
    assert mdp.state_labels == ("rain", "nice", "snow")
    np.testing.assert_array_equal(rows(mdp)[:, 0], [[0.5, 0.25, 0.25], [0.5, 0.0, 0.5], [0.25, 0.25, 0.5]])
    np.testing.assert_array_equal(mdp.reward.ravel(), [0.0, 1.0, 0.0])


def test_short_corridor_is_switched_in_the_middle() -> None:
    mdp = rl.gallery.short_corridor()
    goal = 3
    for state, (action, step) in itertools.product(range(3), enumerate([-1, 1])):
        target, expected = max(state + (-step if state == 1 else step), 0), np.zeros(4)
        expected[target] = 1.0
        np.testing.assert_array_equal(rows(mdp)[state, action], expected[:goal])
        assert mdp.termination[state, action] == expected[goal]
        assert mdp.reward[state, action] == -1.0


def test_blind_shuttle_pays_for_crossing() -> None:
    mdp = rl.gallery.blind_shuttle()
    for end, action in itertools.product(range(2), range(2)):
        np.testing.assert_array_equal(rows(mdp)[end, action], np.eye(2)[action])
        assert mdp.reward[end, action] == float(action != end)
    np.testing.assert_array_equal(mdp.initial, [1.0, 0.0])


@pytest.mark.parametrize("gamma", [Fraction(0), Fraction(1, 2), Fraction(19, 20)])
@pytest.mark.parametrize("p", [Fraction(0), Fraction(1, 3), Fraction(1, 2), Fraction(1)])
def test_blind_shuttle_has_a_parabola_of_returns(gamma: Fraction, p: Fraction) -> None:
    words = (f"Discounted({gamma})", f"right with probability {p}", "start_value")
    exact = Exact("blind_shuttle", rl.gallery.KnownAnswer(*words, Fraction(0), ""))
    assert exact.answer("start_value") == p * (1 + gamma - 2 * gamma * p) / (1 - gamma)


def test_river_swim_is_that_of_the_paper() -> None:
    mdp = rl.gallery.river_swim()
    right = np.diag([0.7, 0.6, 0.6, 0.6, 0.6, 0.3]) + np.diag([0.3] * 5, 1) + np.diag([0.1, 0.1, 0.1, 0.1, 0.7], -1)
    left = np.eye(6, k=-1)
    left[0, 0] = 1.0
    np.testing.assert_array_equal(rows(mdp), np.stack([left, right], axis=1))
    np.testing.assert_array_equal(mdp.initial, [0, 0.5, 0.5, 0, 0, 0])
    assert mdp.reward[0, 0] == 5.0
    assert mdp.reward[5, 1] == 0.3 * 10_000
    assert np.count_nonzero(mdp.reward) == 2


@pytest.mark.parametrize("slip", [0.0, 0.25, 1.0])
def test_chain_steps(slip: float) -> None:
    mdp = rl.gallery.chain(4, slip)
    for state in range(4):
        onward, home = np.eye(4)[min(state + 1, 3)], np.eye(4)[0]
        paid = 10.0 * (state == 3)
        np.testing.assert_array_equal(rows(mdp)[state, 0], (1 - slip) * onward + slip * home)
        np.testing.assert_array_equal(rows(mdp)[state, 1], slip * onward + (1 - slip) * home)
        np.testing.assert_array_equal(mdp.reward[state], [(1 - slip) * paid + slip * 2, slip * paid + (1 - slip) * 2])


# ---- ragged action sets ----


@pytest.mark.parametrize(("goal", "p"), [(2, 0.25), (3, 0.25), (10, 0.25), (10, 0.0), (10, 1.0), (11, 0.5)])
def test_gambler_bets(goal: int, p: float) -> None:
    mdp = rl.gallery.gambler(goal, p)
    bets = [(capital, stake) for capital in range(1, goal) for stake in range(1, min(capital, goal - capital) + 1)]
    assert mdp.num_pairs == len(bets)
    assert mdp.state_labels == tuple(range(1, goal))
    assert mdp.action_labels == tuple(range(1, goal // 2 + 1))
    P, termination, reward = mdp.transition.toarray(), mdp.termination.ravel(), mdp.reward.ravel()
    for pair, (capital, stake) in enumerate(bets):
        assert mdp.state_labels[mdp.pair_state[pair]] == capital
        assert mdp.action_labels[mdp.pair_action[pair]] == stake
        expected = np.zeros(goal + 1)
        expected[capital - stake], expected[capital + stake] = 1 - p, p
        np.testing.assert_array_equal(P[pair], expected[1:-1])
        assert termination[pair] == expected[0] + expected[-1]
        assert reward[pair] == expected[-1]


def test_taxicab_has_no_radio_in_the_second_town() -> None:
    mdp = rl.gallery.taxicab()
    np.testing.assert_array_equal(mdp.pair_start, [0, 3, 5, 8])
    assert [mdp.action_labels[action] for action in mdp.pair_action[3:5]] == ["cruise", "stand"]
    np.testing.assert_array_equal(mdp.transition.toarray()[4], [1 / 16, 7 / 8, 1 / 16])
    np.testing.assert_array_equal(mdp.reward, [8, 2.75, 4.25, 16, 15, 7, 4, 4.5])


def test_toymaker_rewards_are_expected_profits() -> None:
    profits = np.array([[9, 3], [4, 4], [3, -7], [1, -19]])
    mdp = rl.gallery.toymaker()
    np.testing.assert_allclose(mdp.reward.ravel(), (mdp.transition.toarray() * profits).sum(axis=1), rtol=1e-14)


@pytest.mark.parametrize("demand", [(0.25, 0.5, 0.25), (1.0,), (0.0, 0.0, 0.0, 0.0, 0.0, 1.0), (0.125,) * 8])
def test_inventory_steps(demand: tuple[float, ...]) -> None:
    mdp = rl.gallery.inventory(3, demand, fixed=2.0, unit=3.0, holding=0.5, price=16.0)
    P, reward = mdp.transition.toarray(), mdp.reward.ravel()
    orders = [(stock, order) for stock in range(4) for order in range(4 - stock)]
    np.testing.assert_array_equal(np.stack([mdp.pair_state, mdp.pair_action], axis=1), orders)
    for pair, (stock, order) in enumerate(orders):
        expected, income = np.zeros(4), 0.0
        for wanted, chance in enumerate(demand):
            sold = min(wanted, stock + order)
            expected[stock + order - sold] += chance
            income += chance * 16.0 * sold
        np.testing.assert_array_equal(P[pair], expected)
        assert reward[pair] == income - (2.0 + 3.0 * order if order else 0.0) - 0.5 * (stock + order)


# ---- known answers, in rational arithmetic ----

Vector = list[Fraction]


class Exact:
    """A model with the rational numbers that its doubles stand for, and a policy.

    The diagonal of the policy's chain is one minus the rest of its row, so that the chain of a random model, whose
    rows sum to one only up to rounding, is a chain too.
    """

    def __init__(self, name: str, known: rl.gallery.KnownAnswer) -> None:
        self.mdp: rl.MDP = getattr(rl.gallery, name)(**known.arguments)
        limit = None if name in ("layered", "nearly_decomposable") else 10**6
        self.states = range(self.mdp.num_states)
        start = self.mdp.pair_start.tolist()
        self.pairs = [range(start[s], start[s + 1]) for s in self.states]
        self.P = [
            {int(s): rational(p, limit) for s, p in zip(*self.row(pair), strict=True)}
            for pair in range(self.mdp.num_pairs)
        ]
        self.r = [rational(x, limit) for x in self.mdp.reward.ravel()]
        self.termination = [rational(x, limit) for x in self.mdp.termination.ravel()]
        self.initial = [rational(x, limit) for x in self.mdp.initial]
        kind, number = re.fullmatch(r"(\w+)\((.*)\)", known.setting).groups()  # type: ignore[union-attr]
        self.average, self.steps = kind == "Average", int(number) if kind == "FiniteHorizon" else None
        self.gamma = Fraction(number) if kind == "Discounted" else Fraction(1)
        self.policy = self.named_policy(name, known.policy)

    def row(self, pair: int) -> tuple[Any, Any]:
        first, last = self.mdp.transition.indptr[pair : pair + 2]
        return self.mdp.transition.indices[first:last], self.mdp.transition.data[first:last]

    def named_policy(self, name: str, text: str) -> Vector:
        uniform = [Fraction(1, len(pairs)) for pairs in self.pairs for _ in pairs]
        if text == "uniform":
            return uniform
        if text.startswith("always "):
            action = self.mdp.action_labels.index(text.removeprefix("always "))  # type: ignore[union-attr]
            return [Fraction(int(each == action)) for each in self.mdp.pair_action]
        if text.startswith("right with probability "):
            p = Fraction(text.split()[-1])
            return [1 - p, p] * len(self.states)
        assert text == "optimal"
        if self.steps is not None:
            return []
        # The gambler's chains are large, so the search starts from what is said to be optimal: the largest stakes.
        largest = [Fraction(int(pair == pairs[-1])) for pairs in self.pairs for pair in pairs]
        return self.improved(largest if name == "gambler" else uniform)

    def improved(self, policy: Vector) -> Vector:
        """Return an optimal policy; a row changes only if that is strictly better, so that proper stays proper."""
        while True:
            self.policy = policy
            value = self.solved()[: len(self.states)]
            q = self.looked_ahead([*value[:-1], Fraction(0)] if self.average else value)
            policy = list(policy)
            for pairs in self.pairs:
                best = max(pairs, key=q.__getitem__)
                if q[best] > sum(policy[pair] * q[pair] for pair in pairs):
                    policy[pairs.start : pairs.stop] = [Fraction(int(pair == best)) for pair in pairs]
            if policy == self.policy:
                return policy

    def looked_ahead(self, value: Vector) -> Vector:
        return [
            r + self.gamma * sum(p * value[s] for s, p in row.items()) for r, row in zip(self.r, self.P, strict=True)
        ]

    def mean(self, x: Vector) -> Vector:
        return [sum((self.policy[pair] * x[pair] for pair in pairs), Fraction(0)) for pairs in self.pairs]

    def system(self) -> list[Vector]:
        """Return I - gamma P_pi; in the average setting with the gain as the last unknown, instead of h(last)."""
        chain = [[Fraction(0)] * len(self.states) for _ in self.states]
        for s, pairs in enumerate(self.pairs):
            for pair in pairs:
                for successor, p in self.P[pair].items():
                    chain[s][successor] += self.policy[pair] * p
        for s, ending in enumerate(self.mean(self.termination)):
            chain[s][s] = 1 - ending - sum(chain[s][:s]) - sum(chain[s][s + 1 :])
        matrix = [[int(s == i) - self.gamma * p for i, p in enumerate(row)] for s, row in enumerate(chain)]
        if self.average:
            matrix = [[*row[:-1], Fraction(1)] for row in matrix]
        return matrix

    def solved(self) -> Vector:
        return solve(self.system(), [self.mean(self.r)])[0]

    def solved_transposed(self, right: Vector) -> Vector:
        return solve(transpose(self.system()), [right])[0]

    def after_steps(self) -> Vector:
        value = [Fraction(0)] * len(self.states)
        for _ in range(self.steps or 0):
            q = self.looked_ahead(value)
            value = self.mean(q) if self.policy else [max(q[pair] for pair in pairs) for pairs in self.pairs]
        return value

    def stationary(self) -> Vector:
        return self.solved_transposed([Fraction(int(s == self.states[-1])) for s in self.states])

    def answer(self, quantity: str) -> Any:
        if quantity == "value":
            return self.solved() if self.steps is None else self.after_steps()
        if quantity == "value at 25, 50, 75":
            return [self.solved()[self.mdp.state_index(capital)] for capital in (25, 50, 75)]
        if quantity == "start_value":
            return sum(p * v for p, v in zip(self.initial, self.solved(), strict=True))
        if quantity in ("visits", "length"):
            visits = self.solved_transposed(self.initial)
            return visits if quantity == "visits" else sum(visits)
        if quantity == "policy":
            return [self.mdp.pair_action[max(pairs, key=self.policy.__getitem__)] for pairs in self.pairs]
        if quantity.startswith("stationary"):
            d = self.stationary()
            return d if quantity == "stationary" else [sum(d[s : s + 4]) for s in range(0, len(d), 4)]
        relative = self.solved()
        return relative[-1] if quantity == "gain" else [*relative[:-1], Fraction(0)]


def rational(x: float, limit: int | None) -> Fraction:
    return Fraction(float(x)) if limit is None else Fraction(float(x)).limit_denominator(limit)


def agrees(found: Any, said: Fraction | Decimal, slack: Fraction) -> bool:
    """A fraction must be met, by random rows up to their rounding; a decimal to half a unit of its last digit."""
    if isinstance(said, Decimal):
        slack = Fraction(1, 2) * Fraction(10) ** int(said.as_tuple().exponent)
    return abs(Fraction(found) - Fraction(said)) <= slack


KNOWN = [(name, known) for name, answers in rl.gallery.known_answers.items() for known in answers]


def known_id(item: Any) -> str:
    return item if isinstance(item, str) else f"{item.setting} {item.policy} {item.quantity}"


@pytest.mark.parametrize(("name", "known"), KNOWN, ids=known_id)
def test_known_answer(name: str, known: rl.gallery.KnownAnswer) -> None:
    exact = Exact(name, known)
    found, said = exact.answer(known.quantity), known.value
    slack = Fraction(1, 10**13) if name == "layered" else Fraction(0)  # the pieces of its rows are rounded
    if not isinstance(said, tuple):
        found, said = [found], (said,)
    assert len(found) == len(said)
    assert all(agrees(x, y, slack) for x, y in zip(found, said, strict=True)), [float(x) for x in found]


DISCOUNTED = [(name, known) for name, known in KNOWN if known.setting.startswith("Discounted")]


@pytest.mark.parametrize(("name", "known"), DISCOUNTED, ids=known_id)
def test_core_gives_the_known_answer(name: str, known: rl.gallery.KnownAnswer) -> None:
    exact = Exact(name, known)
    policy = np.reshape(np.array(exact.policy, float), exact.mdp.pair_shape)
    of = rl.occupancy if known.quantity == "visits" else rl.evaluate
    found = getattr(of(exact.mdp, policy, float(exact.gamma)), known.quantity)
    decimals = [-x.as_tuple().exponent for x in np.ravel(known.value) if isinstance(x, Decimal)]
    half = 0.5 * 10.0 ** -min(decimals) if decimals else 0.0
    np.testing.assert_allclose(found, np.array(known.value, float), rtol=1e-9, atol=half)


def test_known_answers_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        rl.gallery.known_answers["forest"] = ()  # type: ignore[index]
    with pytest.raises(dataclasses.FrozenInstanceError):
        rl.gallery.known_answers["forest"][0].value = Fraction(1)  # type: ignore[misc]
    for _, known in KNOWN:
        assert known.source
        assert all(isinstance(x, Fraction | Decimal) for x in np.ravel(np.array(known.value, object)))


@pytest.mark.parametrize(("n", "lengths"), [(3, [3, 4, 3]), (5, [5, 8, 9, 8, 5])])
def test_random_walk_takes_the_product_of_the_distances(n: int, lengths: list[int]) -> None:
    exact = Exact("random_walk", rl.gallery.KnownAnswer("Episodic()", "uniform", "value", (), "", {"n": n}))
    for s, length in enumerate(lengths):
        exact.initial = [Fraction(int(s == i)) for i in range(n)]
        assert exact.answer("length") == length


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
        (gallery.frozen_lake, {"size": 1}, f"size: expected {count} 2 on, got 1"),
        (gallery.frozen_lake, {"holes": 1.5}, f"holes: expected {probability}, got 1.5"),
        (gallery.frozen_lake, {"holes": "some"}, f"holes: expected {number}, got 'some'"),
        (gallery.frozen_lake, {"holes": [3]}, "holes: expected cells (row, column), got 3"),
        (gallery.frozen_lake, {"holes": [(1, 2, 3)]}, "holes: expected cells (row, column), got (1, 2, 3)"),
        (gallery.frozen_lake, {"holes": [(1, -1)]}, "holes: expected cells (row, column), got (1, -1)"),
        (gallery.frozen_lake, {"holes": [(1, 0.5)]}, "holes: expected cells (row, column), got (1, 0.5)"),
        (gallery.frozen_lake, {"holes": [(8, 0)]}, "holes: expected cells of a lake of 8 by 8, got (8, 0)"),
        (gallery.frozen_lake, {"holes": [(0, 0)]}, "holes: expected neither the start nor the goal, got (0, 0)"),
        (gallery.frozen_lake, {"holes": [(7, 7)]}, "holes: expected neither the start nor the goal, got (7, 7)"),
        (
            gallery.frozen_lake,
            {"holes": [(0, 1), (1, 0)]},
            "holes: expected a way from start to goal, got holes that cut it off",
        ),
        (gallery.frozen_lake, {"slip": 2}, f"slip: expected {probability}, got 2"),
        (gallery.frozen_lake, {"seed": 0.5}, f"seed: expected {count} 0 on, got 0.5"),
        (gallery.frozen_lake, {"holes": [(1, 1)], "seed": -1}, f"seed: expected {count} 0 on, got -1"),
        (gallery.shuffled_cycle, {"S": 1}, f"S: expected {count} 2 on, got 1"),
        (gallery.shuffled_cycle, {"S": 3, "seed": None}, f"seed: expected {count} 0 on, got None"),
        (gallery.lazy_cycle, {"S": 1}, f"S: expected {count} 2 on, got 1"),
        (gallery.lazy_cycle, {"S": 3, "laziness": -1}, f"laziness: expected {probability}, got -1"),
        (gallery.layered, {"depth": 0, "width": 2}, f"depth: expected {count} 1 on, got 0"),
        (gallery.layered, {"depth": 2, "width": 0}, f"width: expected {count} 1 on, got 0"),
        (gallery.layered, {"depth": 2, "width": 2, "A": 0}, f"A: expected {count} 1 on, got 0"),
        (
            gallery.layered,
            {"depth": 2, "width": 2, "b": 3},
            "b: expected at most width = 2 distinct successors, got 3",
        ),
        (gallery.layered, {"depth": 2, "width": 2, "stay": 1.0}, "stay: expected a probability in [0, 1), got 1.0"),
        (gallery.layered, {"depth": 2, "width": 2, "stay": "0"}, f"stay: expected {number}, got '0'"),
        (gallery.layered, {"depth": 2, "width": 2, "seed": -1}, f"seed: expected {count} 0 on, got -1"),
        (gallery.nearly_decomposable, {"blocks": 1}, f"blocks: expected {count} 2 on, got 1"),
        (gallery.nearly_decomposable, {"blocks": 2, "coupling": 1.1}, f"coupling: expected {probability}, got 1.1"),
        (gallery.nearly_decomposable, {"blocks": 2, "size": 0}, f"size: expected {count} 1 on, got 0"),
        (gallery.nearly_decomposable, {"blocks": 2, "A": 0}, f"A: expected {count} 1 on, got 0"),
        (
            gallery.nearly_decomposable,
            {"blocks": 2, "b": 11},
            "b: expected at most size = 10 distinct successors, got 11",
        ),
        (gallery.nearly_decomposable, {"blocks": 2, "seed": ""}, f"seed: expected {count} 0 on, got ''"),
        (gallery.random_walk, {"n": 0}, f"n: expected {count} 1 on, got 0"),
        (gallery.river_swim, {"S": 2}, f"S: expected {count} 3 on, got 2"),
        (gallery.chain, {"S": 1}, f"S: expected {count} 2 on, got 1"),
        (gallery.chain, {"slip": 1.5}, f"slip: expected {probability}, got 1.5"),
        (gallery.gambler, {"goal": 1}, f"goal: expected {count} 2 on, got 1"),
        (gallery.gambler, {"p": -0.5}, f"p: expected {probability}, got -0.5"),
        (gallery.inventory, {"capacity": 0}, f"capacity: expected {count} 1 on, got 0"),
        (gallery.inventory, {"demand": 3}, "demand: expected a list of probabilities, got 3"),
        (gallery.inventory, {"demand": [0.5, 1.5]}, f"demand[1]: expected {probability}, got 1.5"),
        (gallery.inventory, {"demand": []}, "demand: expected probabilities that sum to 1, got a sum of 0.0"),
        (gallery.inventory, {"demand": [0.5, 0.25]}, "demand: expected probabilities that sum to 1, got a sum of 0.75"),
        (gallery.inventory, {"fixed": "4"}, f"fixed: expected {number}, got '4'"),
        (gallery.inventory, {"unit": None}, f"unit: expected {number}, got None"),
        (gallery.inventory, {"holding": float("nan")}, f"holding: expected {number}, got nan"),
        (gallery.inventory, {"price": float("inf")}, f"price: expected {number}, got inf"),
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
