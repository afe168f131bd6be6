"""Models and answers as objects of SciPy, pandas, xarray and NetworkX, and `MDP.info`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import networkx as nx
import numpy as np
import pandas as pd
import pytest
import scipy.sparse.linalg

import rlcore as rl

FOREST = rl.gallery.forest()
GRID = rl.gallery.gridworld()
LAKE = rl.from_gymnasium("FrozenLake-v1")
RAGGED = rl.MDP(
    [[0.5, 0.5], [0.0, 0.75], [1.0, 0.0]],
    [1.0, 2.0, 3.0],
    pair_start=[0, 1, 3],
    pair_action=[1, 0, 1],
    termination=[0, 0.25, 0],
    state_labels=["up", "down"],
    action_labels=["left", "right", "never"],
)
MODELS = [FOREST, GRID, LAKE, RAGGED]


# ---- SciPy ----


@pytest.mark.parametrize("mdp", MODELS, ids=repr)
def test_chain_of_a_policy(mdp: rl.MDP) -> None:
    policy = rl.random_policy(mdp, 1)
    P_pi, r_pi = mdp.to_scipy(policy)
    assert P_pi.shape == (mdp.num_states, mdp.num_states)
    value = scipy.sparse.linalg.spsolve((scipy.sparse.eye_array(mdp.num_states) - 0.9 * P_pi).tocsc(), r_pi)
    np.testing.assert_allclose(value, rl.evaluate(mdp, policy, 0.9).value, rtol=1e-12, atol=1e-14)


def test_chain_holds_only_what_the_policy_does() -> None:
    P_pi, r_pi = GRID.to_scipy(rl.deterministic_policy(GRID, np.zeros(25, int)))
    assert P_pi.nnz == 25
    before = GRID.transition.data.copy()
    P_pi.data[:], r_pi[:] = 7.0, 7.0  # they are the caller's own
    np.testing.assert_array_equal(GRID.transition.data, before)
    ended = LAKE.to_scipy(rl.uniform_policy(LAKE)).transition.sum(axis=1)
    assert set(ended) == {0.0, 0.5, 0.75, 1.0}  # holes end it for certain


# ---- pandas ----


def test_numbers_of_states_become_a_series() -> None:
    value = rl.evaluate(RAGGED, [1, 0.5, 0.5], 0.9).value
    series = RAGGED.to_pandas(value, name="V")
    assert isinstance(series, pd.Series)
    assert series.name == "V"
    assert series["down"] == value[1]
    assert RAGGED.to_pandas([1, 2]).index.name == "state"
    assert FOREST.to_pandas([1, 2, 3])[2] == 3


def test_numbers_of_pairs_become_a_frame() -> None:
    frame = RAGGED.to_pandas(RAGGED.reward)
    assert frame.columns.tolist() == ["left", "right"]
    assert frame.loc["down", "left"] == 2
    assert np.isnan(frame.loc["up", "left"])
    flat = GRID.to_pandas(GRID.reward.ravel())
    pd.testing.assert_frame_equal(flat, GRID.to_pandas(GRID.reward))


def test_labels_that_are_tuples_become_levels() -> None:
    series = GRID.to_pandas(np.arange(25))
    assert series.index.names == ["state_0", "state_1"]
    assert series.loc[(2, 3)] == GRID.state_index((2, 3))
    assert series.unstack().shape == (5, 5)
    mixed = rl.MDP(np.eye(3), np.zeros(3), state_labels=[(0, 1), (0,), "end"]).to_pandas([1, 2, 3])
    assert mixed.index.tolist() == [(0, 1), (0,), "end"]


def test_batches_over_states_become_rows() -> None:
    rows = rl.state_distribution(FOREST, rl.uniform_policy(FOREST), 4)
    frame = FOREST.to_pandas(rows)
    assert frame.shape == (5, 3)
    assert frame.index.name == "item"
    with pytest.raises(rl.ModelError, match=r"got a batch of shape \(2, 3, 2\); MDP.to_xarray takes it$"):
        FOREST.to_pandas(np.zeros((2, 3, 2)))


def test_with_one_action_in_every_state() -> None:
    chain = rl.MDP(np.eye(3), [1, 2, 3])
    assert isinstance(chain.to_pandas([1, 2, 3]), pd.Series)
    assert chain.to_pandas([1, 2, 3], over="pairs").shape == (3, 1)
    assert chain.to_pandas(chain.reward).shape == (3, 1)


# ---- xarray ----


def test_arrays_with_names() -> None:
    ev = rl.evaluate(GRID, rl.uniform_policy(GRID), 0.9)
    value = GRID.to_xarray(ev.value, "V")
    assert value.name == "V"
    assert value.sel(state=(0, 1)).item() == ev.value[1]
    np.testing.assert_array_equal(value.unstack("state"), ev.value.reshape(5, 5))
    action_value = GRID.to_xarray(ev.action_value)
    assert action_value.dims == ("state", "action")
    assert action_value.sel(action="east", state_0=0, state_1=0).item() == ev.action_value[0, 2]


def test_batches_with_names() -> None:
    policies = np.stack([rl.random_policy(RAGGED, seed) for seed in range(3)])
    ev = rl.evaluate(RAGGED, policies, 0.9)
    assert RAGGED.to_xarray(ev.value).dims == ("item", "state")
    table = RAGGED.to_xarray(ev.action_value)
    assert table.dims == ("item", "state", "action")
    assert table.sel(item=2, state="down", action="right").item() == ev.action_value[2, 2]
    assert np.isnan(table.sel(state="up", action="left")).all()


def test_what_is_handed_out_is_a_copy() -> None:
    for made in FOREST.to_xarray(FOREST.initial), FOREST.to_pandas(FOREST.initial):
        made[0] = 9.0
    assert FOREST.initial is not None
    assert FOREST.initial[0] < 1


def test_square_shapes_must_be_told_apart() -> None:
    square = rl.MDP(np.eye(2)[[0, 1, 0, 1]], np.zeros(4))
    with pytest.raises(rl.ArgumentError, match=r"^over: shape"):
        square.to_xarray(np.eye(2))
    assert square.to_xarray(np.eye(2), over="pairs").dims == ("state", "action")
    assert square.to_xarray(np.eye(2), over="states").dims == ("item", "state")
    assert square.to_xarray([1, 2, 3, 4]).dims == ("state", "action")


# ---- NetworkX ----


@pytest.mark.parametrize("mdp", MODELS, ids=repr)
def test_graph_of_a_policy(mdp: rl.MDP) -> None:
    policy = rl.random_policy(mdp, 2)
    graph = mdp.to_networkx(policy)
    P_pi, r_pi = mdp.to_scipy(policy)
    names = list(mdp.state_labels or range(mdp.num_states))
    assert list(graph) == names
    np.testing.assert_array_equal(nx.to_numpy_array(graph, weight="probability"), P_pi.toarray())
    for state, name in enumerate(names):
        node, steps = graph.nodes[name], graph.out_edges(name, data=True)
        assert node["reward"] == pytest.approx(r_pi[state])
        assert sum(edge["probability"] for *_, edge in steps) + node["termination"] == pytest.approx(1.0)
    if not mdp.can_end:  # then what is paid along the edges is all that is paid
        for state, name in enumerate(names):
            mean = sum(edge["probability"] * edge["reward"] for *_, edge in graph.out_edges(name, data=True))
            assert mean == pytest.approx(r_pi[state])


def test_graph_of_the_forest() -> None:
    graph = FOREST.to_networkx(rl.uniform_policy(FOREST))
    assert graph.edges[1, 2] == {"probability": 0.45, "reward": 0.0}  # only waiting leads there
    assert graph.edges[1, 0]["reward"] == pytest.approx(0.5 / 0.55)
    assert nx.is_strongly_connected(graph)


# ---- without the packages ----

CALLS: dict[str, tuple[str, Callable[[], Any]]] = {
    "to_pandas": ("pandas", lambda: FOREST.to_pandas(FOREST.reward)),
    "to_xarray": ("xarray", lambda: FOREST.to_xarray(FOREST.reward)),
    "to_networkx": ("networkx", lambda: FOREST.to_networkx(rl.uniform_policy(FOREST))),
}


@pytest.mark.parametrize("method", CALLS)
def test_a_package_that_is_not_installed(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    package, call = CALLS[method]
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(rl.MissingPackageError) as caught:
        call()
    assert str(caught.value) == f"MDP.{method} needs {package}, which is not installed; pip install {package}"
    assert isinstance(caught.value, ImportError)


# ---- what a model is ----


def test_info() -> None:
    info = RAGGED.info()
    assert (info.num_states, info.num_pairs, info.num_transitions) == (2, 3, 4)
    assert info.actions == (1, 2)
    assert info.successors == (1, 2)
    assert info.mean_successors == pytest.approx(4 / 3)
    assert info.reward_range == (1.0, 3.0)
    assert (info.ending_pairs, info.certain_endings, info.start_states) == (1, 0, None)
    assert str(info).splitlines() == [
        "states       2: 'up', 'down'",
        "actions      1 to 2 in each state: 'left', 'right', 'never'",
        "pairs        3",
        "transitions  4, 1 to 2 and on average 1.33 for each pair",
        "rewards      1 to 3",
        "ends         possibly after 1 of 3 pairs",
        "starts       nowhere: there is no start distribution",
        "memory       136 bytes",
    ]
    assert "ends         possibly after 48 of 64 pairs, for certain after 20" in str(LAKE.info())
    assert "starts       in one state" in str(LAKE.info())
    assert "states       25: (0, 0), (0, 1), (0, 2), (0, 3), (0, 4), (1, 0), ..." in str(GRID.info())
