"""Models from Gymnasium: nothing of a table is lost, and the model is what stepping the environment does."""

from __future__ import annotations

import itertools
import sys
import time
from collections import defaultdict
from typing import Any

import numpy as np
import pytest

import rlcore as rl
from rlcore.errors import MissingPackageError

gymnasium = pytest.importorskip("gymnasium")
wrappers = gymnasium.wrappers


def newest(name: str) -> str:
    """Return the id of an environment in the installed Gymnasium: version numbers grow from release to release."""
    return max(
        (known for known, spec in gymnasium.registry.items() if spec.namespace is None and spec.name == name),
        key=lambda known: gymnasium.registry[known].version,
    )


FROZEN_LAKE, TAXI, CLIFF = newest("FrozenLake"), newest("Taxi"), newest("CliffWalking")


def takes(name: str, argument: str) -> bool:
    try:
        gymnasium.make(name, **{argument: True}).close()
    except TypeError:
        return False
    return True


ENVIRONMENTS = [
    (FROZEN_LAKE, {}),
    (FROZEN_LAKE, {"is_slippery": False}),
    (FROZEN_LAKE, {"desc": ["SFF", "FHG"]}),
    (newest("FrozenLake8x8"), {}),
    (TAXI, {}),
    (CLIFF, {}),
    *([(TAXI, {"is_rainy": True})] if takes(TAXI, "is_rainy") else []),
    *([(CLIFF, {"is_slippery": True})] if takes(CLIFF, "is_slippery") else []),
]
every_environment = pytest.mark.parametrize(
    ("name", "kwargs"), ENVIRONMENTS, ids=[f"{name}{kwargs or ''}" for name, kwargs in ENVIRONMENTS]
)


class Tabular(gymnasium.Env):
    """An environment of somebody else, with a table and nothing more."""

    def __init__(self, table: Any) -> None:
        self.P = table


# ---- what a table says ----


@every_environment
def test_every_entry_of_the_table_counts(name: str, kwargs: dict[str, Any]) -> None:
    env = gymnasium.make(name, **kwargs)
    table = env.unwrapped.P
    mdp = rl.from_gymnasium(env)
    assert mdp.pair_shape == (len(table), len(table[0]))
    transition, ending, reward = (
        np.zeros((*mdp.pair_shape, len(table))),
        np.zeros(mdp.pair_shape),
        np.zeros(mdp.pair_shape),
    )
    for state, action in itertools.product(range(len(table)), range(len(table[0]))):
        for probability, successor, paid, terminated in table[state][action]:
            reward[state, action] += probability * paid
            if terminated:
                ending[state, action] += probability
            else:
                transition[state, action, successor] += probability
    # At most three entries a pair: two roundings in each sum, whatever the order.
    ulp = np.finfo(float).eps
    np.testing.assert_allclose(mdp.transition.toarray().reshape(transition.shape), transition, rtol=0, atol=2 * ulp)
    np.testing.assert_allclose(mdp.termination, ending, rtol=0, atol=2 * ulp)
    np.testing.assert_allclose(mdp.reward, reward, rtol=0, atol=4 * ulp * np.abs(reward).max())
    np.testing.assert_array_equal(mdp.initial, env.unwrapped.initial_state_distrib)


@every_environment
def test_id_and_environment_give_the_same_model(name: str, kwargs: dict[str, Any]) -> None:
    env = gymnasium.make(name, max_episode_steps=3, **kwargs)
    for same in rl.from_gymnasium(name, **kwargs), rl.from_gymnasium(env), rl.from_gymnasium(env.unwrapped):
        mdp = rl.from_gymnasium(env.unwrapped.P)
        assert (same.transition != mdp.transition).nnz == 0
        np.testing.assert_array_equal(same.termination, mdp.termination)
        np.testing.assert_array_equal(same.reward, mdp.reward)
        assert mdp.initial is None
        assert mdp.state_labels is None


def test_entries_to_one_successor_are_added_up() -> None:
    entries = [(0.25, 1, 4.0, False), (0.125, 0, 8.0, False), (0.25, 1, 0.0, False), (0.375, 1, 8.0, True)]
    mdp = rl.from_gymnasium({0: {0: entries}, 1: {0: [(1.0, 1, 0.0, False)]}})
    np.testing.assert_array_equal(mdp.transition.toarray(), [[0.125, 0.5], [0, 1]])
    np.testing.assert_array_equal(mdp.termination, [[0.375], [0]])
    np.testing.assert_array_equal(mdp.reward, [[5.0], [0.0]])


def test_terminal_rows_come_over_as_they_stand() -> None:
    mdp = rl.from_gymnasium(TAXI)
    delivered = mdp.state_index((0, 0, 0, 0))
    assert mdp.termination[delivered].tolist() == [0.0] * 6
    riding = mdp.state_index((0, 0, 4, 0))
    assert mdp.termination[riding].tolist() == [0, 0, 0, 0, 0, 1]
    assert mdp.reward[riding].tolist() == [-1, -1, -1, -1, -10, 20]


def test_entries_that_cannot_happen_are_left_out() -> None:
    mdp = rl.from_gymnasium({0: {0: [(1.0, 0, 2.0, False), (0.0, 0, float("inf"), True)]}})
    assert not mdp.can_end
    assert mdp.reward.tolist() == [[2.0]]
    assert mdp.transition.nnz == 1


def test_tables_may_be_lists_and_other_mappings() -> None:
    loop = [(1.0, 0, 0.5, False)]
    ways: defaultdict[int, Any] = defaultdict(dict, {np.int64(0): {1: loop, 0: loop}})
    for table in [[loop, loop]], ([loop, loop],), {0: {0: loop, 1: loop}}, ways:
        mdp = rl.from_gymnasium(table)
        assert mdp.pair_shape == (1, 2)
        assert mdp.reward.tolist() == [[0.5, 0.5]]


def test_actions_may_differ_from_state_to_state() -> None:
    mdp = rl.from_gymnasium({1: {2: [(1, 0, 5, False)], 0: [[1, 0, 1, 0]]}, 0: {1: [(1, 1, 3, True)]}})
    assert mdp.pair_shape == (3,)
    assert mdp.pair_state.tolist() == [0, 1, 1]
    assert mdp.pair_action.tolist() == [1, 0, 2]
    assert mdp.reward.tolist() == [3, 1, 5]


def test_environment_without_start_distribution() -> None:
    assert rl.from_gymnasium(Tabular({0: {0: [(1.0, 0, 0.0, False)]}})).initial is None


# ---- names ----


def test_frozen_lake_labels() -> None:
    mdp = rl.from_gymnasium(FROZEN_LAKE, desc=["SFF", "FHG"], is_slippery=False)
    assert mdp.state_labels == ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2))
    assert mdp.action_labels == ("left", "down", "right", "up")
    right, down = mdp.action_labels.index("right"), mdp.action_labels.index("down")
    rows = mdp.transition.toarray().reshape(6, 4, 6)
    assert rows[0, right].argmax() == mdp.state_index((0, 1))
    assert rows[0, down].argmax() == mdp.state_index((1, 0))
    assert mdp.termination[mdp.state_index((0, 2)), down] == 1.0


def test_cliff_walking_labels() -> None:
    mdp = rl.from_gymnasium(CLIFF)
    assert mdp.state_labels == tuple(itertools.product(range(4), range(12)))
    assert mdp.action_labels == ("up", "right", "down", "left")
    start = mdp.state_index((3, 0))
    assert mdp.initial is not None
    assert mdp.initial[start] == 1.0
    assert mdp.reward[start].tolist() == [-1, -100, -1, -1]


def test_taxi_labels() -> None:
    env = gymnasium.make(TAXI).unwrapped
    mdp = rl.from_gymnasium(env)
    assert mdp.action_labels == ("south", "north", "east", "west", "pickup", "dropoff")
    assert mdp.state_labels == tuple(tuple(env.decode(state)) for state in range(500))
    rows = mdp.transition[mdp.state_index((2, 1, 4, 3)) * 6 + np.arange(4)].toarray()
    reached = [mdp.state_labels[state] for state in rows.argmax(axis=1)]
    assert reached == [(3, 1, 4, 3), (1, 1, 4, 3), (2, 2, 4, 3), (2, 0, 4, 3)]


def test_labels_are_inherited_where_they_fit() -> None:
    lake = type(gymnasium.make(FROZEN_LAKE).unwrapped)

    class Changed(lake):  # type: ignore[misc, valid-type]
        pass

    assert rl.from_gymnasium(Changed(map_name="8x8")).state_index((7, 0)) == 56
    larger = Changed()
    larger.P[16] = {0: [(1.0, 16, 0.0, False)], 4: [(1.0, 0, 0.0, False)]}
    larger.initial_state_distrib = np.append(larger.initial_state_distrib, 0.0)
    assert rl.from_gymnasium(larger).state_labels is None
    assert rl.from_gymnasium(larger).action_labels is None

    cab = gymnasium.make(TAXI).unwrapped
    cab.P[500] = cab.P[0]
    cab.initial_state_distrib = np.append(cab.initial_state_distrib, 0.0)
    assert rl.from_gymnasium(cab).state_labels is None


# ---- known and simulated answers ----


def test_frozen_lake_known_answer() -> None:
    mdp = rl.from_gymnasium(FROZEN_LAKE)
    ev = rl.evaluate(mdp, rl.uniform_policy(mdp), 0.99)
    assert ev.start_value == pytest.approx(0.012356137, abs=5e-10)


@every_environment
def test_model_predicts_the_environment(name: str, kwargs: dict[str, Any]) -> None:
    """Under the right model the errors r + gamma V(s') - Q(s, a) of real steps have mean 0, whatever led to (s, a)."""
    env = gymnasium.make(name, **kwargs).unwrapped
    mdp = rl.from_gymnasium(env)
    policy, gamma = rl.uniform_policy(mdp), 0.95
    ev = rl.evaluate(mdp, policy, gamma)
    rng = np.random.default_rng(1)
    errors, episodes, steps, running = [], 400, 30, 0
    for episode in range(episodes):
        state, _ = env.reset(seed=episode)
        assert mdp.initial is not None
        assert mdp.initial[state] > 0.0
        for action in rng.integers(mdp.pair_shape[1], size=steps):
            successor, reward, terminated, _, _ = env.step(int(action))
            errors.append(reward + gamma * ev.value[successor] * (not terminated) - ev.action_value[state, action])
            state = successor
            if terminated:
                break
        else:
            running += 1
    proven = 2 * ev.certificate.bounds["value"] + ev.certificate.bounds["action_value"]
    assert abs(np.mean(errors)) <= 5 * np.std(errors) / np.sqrt(len(errors)) + proven
    alive = rl.state_distribution(mdp, policy, steps)[steps].sum()
    assert abs(running / episodes - alive) <= 5 * np.sqrt(alive * max(1 - alive, 0) / episodes) + 1e-9


# ---- wrappers ----


class Counting(gymnasium.Wrapper):
    """Changes nothing that the process does."""

    def render(self) -> None:
        return None


class Shaped(gymnasium.Wrapper):
    def step(self, action: Any) -> Any:
        state, reward, *rest = self.env.step(action)
        return (state, reward + 1, *rest)


class StartsElsewhere(gymnasium.Wrapper):
    def reset(self, **kwargs: Any) -> Any:
        return self.env.reset(**kwargs)


def lake() -> Any:
    return gymnasium.make(FROZEN_LAKE)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda env: wrappers.TimeLimit(env, 7),
        wrappers.RecordEpisodeStatistics,
        wrappers.Autoreset,
        wrappers.FlattenObservation,
        wrappers.TimeAwareObservation,
        lambda env: wrappers.DelayObservation(env, 2),
        lambda env: wrappers.FrameStackObservation(env, 2),
        lambda env: wrappers.TransformObservation(env, lambda state: state, env.observation_space),
        lambda env: wrappers.RecordEpisodeStatistics(wrappers.TimeLimit(Counting(env), 7)),
    ],
)
def test_wrappers_that_leave_the_process_alone(wrap: Any) -> None:
    mdp, plain = rl.from_gymnasium(wrap(lake())), rl.from_gymnasium(FROZEN_LAKE)
    np.testing.assert_array_equal(mdp.termination, plain.termination)
    np.testing.assert_array_equal(mdp.reward, plain.reward)


@pytest.mark.parametrize(
    ("wrap", "name"),
    [
        (lambda env: wrappers.TransformReward(env, lambda reward: -reward), "TransformReward"),
        (lambda env: wrappers.ClipReward(env, 0, 0.5), "ClipReward"),
        (wrappers.NormalizeReward, "NormalizeReward"),
        (lambda env: wrappers.TransformAction(env, lambda action: 3 - action, env.action_space), "TransformAction"),
        (lambda env: wrappers.StickyAction(env, 0.25), "StickyAction"),
        (Shaped, "Shaped"),
        (StartsElsewhere, "StartsElsewhere"),
        (lambda env: wrappers.TimeLimit(Shaped(env), 7), "Shaped"),
    ],
)
def test_wrappers_that_may_change_the_process(wrap: Any, name: str) -> None:
    env = wrap(lake())
    with pytest.raises(rl.ModelError) as caught:
        rl.from_gymnasium(env)
    assert str(caught.value) == (
        f"env: expected wrappers that leave the process as it is, got {name}, which may change what the environment's "
        "table says; pass env.unwrapped for the model without it"
    )
    assert rl.from_gymnasium(env.unwrapped).num_states == 16


# ---- what cannot become a model ----


@pytest.mark.skipif(not takes(TAXI, "fickle_passenger"), reason="this Gymnasium has no fickle passengers")
def test_taxi_that_does_more_than_its_table_says() -> None:
    with pytest.raises(
        rl.ModelError, match="got Taxi with fickle_passenger=True, which changes the destination besides"
    ):
        rl.from_gymnasium(TAXI, fickle_passenger=True)


def test_environment_without_a_table() -> None:
    cart = newest("CartPole")
    known = [
        known
        for known, spec in gymnasium.registry.items()
        if spec.name in ("FrozenLake", "FrozenLake8x8", "Taxi", "CliffWalking", "CliffWalkingSlippery")
        and spec.namespace is None
    ]
    message = (
        "env: expected an environment with its dynamics in a table env.unwrapped.P[s][a], got {} with {}; work out its "
        "transitions and pass them to rlcore.MDP.from_arrays. Gymnasium's environments with a table are "
        + ", ".join(known)
    )
    with pytest.raises(rl.ModelError) as caught:
        rl.from_gymnasium(cart)
    assert str(caught.value) == message.format(cart, "no such table")
    with pytest.raises(rl.ModelError) as caught:
        rl.from_gymnasium(Tabular(np.ones((2, 1, 2)) / 2))
    assert str(caught.value) == message.format("Tabular", "P of type ndarray")


@pytest.mark.parametrize(
    ("env", "message"),
    [
        (
            3,
            "expected an environment, the id of one or a table P[s][a], got int; for arrays use rlcore.MDP.from_arrays",
        ),
        (Tabular, "expected an environment, got the class Tabular; pass Tabular()"),
    ],
)
def test_not_an_environment(env: Any, message: str) -> None:
    with pytest.raises(rl.ModelError) as caught:
        rl.from_gymnasium(env)
    assert str(caught.value) == f"env: {message}"


def test_vector_of_environments() -> None:
    env = gymnasium.make_vec(FROZEN_LAKE, 2, vectorization_mode="sync")
    with pytest.raises(rl.ModelError, match="expected one environment, got a vector of them"):
        rl.from_gymnasium(env)


@pytest.mark.parametrize(
    ("name", "kwargs", "message"),
    [
        ("Frozenlake-v1", {}, "env: Environment `Frozenlake` doesn't exist. Did you mean: `FrozenLake`?"),
        ("FrozenLake-v99", {}, "env: Environment version `v99` for environment `FrozenLake` doesn't exist."),
        ("", {}, "env: Malformed environment ID"),
        ("nowhere:Lake-v1", {}, "env: gymnasium.make('nowhere:Lake-v1') failed with ModuleNotFoundError: "),
        (
            FROZEN_LAKE,
            {"map_name": "9x9"},
            f"env: gymnasium.make('{FROZEN_LAKE}', map_name='9x9') failed with KeyError: ",
        ),
        (FROZEN_LAKE, {"lake": 1}, f"env: gymnasium.make('{FROZEN_LAKE}', lake=1) failed with TypeError: "),
    ],
)
def test_environment_that_cannot_be_made(name: str, kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(rl.ModelError) as caught:
        rl.from_gymnasium(name, **kwargs)
    assert str(caught.value).startswith(message)


def test_arguments_without_an_id() -> None:
    with pytest.raises(rl.ArgumentError) as caught:
        rl.from_gymnasium(lake().unwrapped, is_slippery=False)
    assert str(caught.value) == (
        "is_slippery: expected with the id of an environment that is still to be made, got it with FrozenLakeEnv"
    )


def test_gymnasium_is_needed_only_for_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    env = lake()
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    assert rl.from_gymnasium(env).num_states == 16
    with pytest.raises(MissingPackageError) as caught:
        rl.from_gymnasium("FrozenLake-v1")
    assert isinstance(caught.value, ImportError)
    assert isinstance(caught.value, rl.RlcoreError)
    assert str(caught.value) == (
        "'FrozenLake-v1' is an environment of Gymnasium, which is not installed; pip install 'rlcore[gym]'"
    )
    with pytest.raises(rl.ModelError, match=r"FrozenLake, FrozenLake8x8, Taxi, CliffWalking, CliffWalkingSlippery$"):
        rl.from_gymnasium(Tabular(None))


def test_environment_made_from_an_id_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = []
    env = Tabular({0: {0: []}})
    monkeypatch.setattr(env, "close", lambda: closed.append(True), raising=False)
    monkeypatch.setattr(gymnasium, "make", lambda name: env)
    with pytest.raises(rl.ModelError):
        rl.from_gymnasium("Tabular-v0")
    assert closed == [True]


LOOP = [(1.0, 0, 0.0, False)]
ENTRY = "expected transitions (probability, next_state, reward, terminated), got "
BAD_TABLES = [
    ({}, "P: expected at least one state, got an empty table"),
    ({0: {0: LOOP}, 2: {0: LOOP}}, "P: expected a key for each of the 2 states, 0 .. 1, got 2 instead of 1"),
    ({"A": {0: LOOP}, "B": {0: LOOP}}, "P: expected a key for each of the 2 states, 0 .. 1, got 'A' instead of 0"),
    ({0: 7}, "P, state 0: expected a dict or list over actions, got int"),
    ({0: {0: LOOP}, 1: {}}, "P, state 1: expected at least one action, got none"),
    ({0: {"left": LOOP}}, "P, state 0: expected actions numbered from 0 on, got 'left'"),
    ({0: {-1: LOOP}}, "P, state 0: expected actions numbered from 0 on, got -1"),
    ({0: {0: LOOP, 1: None}}, "P, state 0, action 1: expected a list of transitions, got NoneType"),
    (
        {0: {0: LOOP}, 1: {0: LOOP, 3: []}},
        "P, state 1, action 3: expected at least one transition, got an empty list; leave the action out if the state "
        "does not have it, or flag its transition as terminated if the process ends there",
    ),
    ({0: {0: LOOP, 1: [(1.0, 0, 0.0)]}}, f"P, state 0, action 1: {ENTRY}(1.0, 0, 0.0)"),
    ({0: {0: LOOP, 1: [*LOOP, 5]}}, f"P, state 0, action 1: {ENTRY}5"),
    ({0: {0: [("1", 0, 0.0, False)]}}, f"P, state 0, action 0: {ENTRY}('1', 0, 0.0, False)"),
    ({0: {0: [(1.0, 0.5, 0.0, False)]}}, f"P, state 0, action 0: {ENTRY}(1.0, 0.5, 0.0, False)"),
    ({0: {0: [(1.0, 0, None, False)]}}, f"P, state 0, action 0: {ENTRY}(1.0, 0, None, False)"),
    ({0: {0: [(1.0, 0, [1, 2], False)]}}, f"P, state 0, action 0: {ENTRY}(1.0, 0, [1, 2], False)"),
    ({0: {0: [(1.0, 0, 0.0, 0.5)]}}, f"P, state 0, action 0: {ENTRY}(1.0, 0, 0.0, 0.5)"),
    (
        {0: {0: LOOP, 1: [(1.5, 0, 0.0, False), (-0.5, 0, 0.0, True)]}},
        "P, state 0, action 1: expected a probability in [0, 1], got 1.5",
    ),
    ({0: {0: [(-0.5, 0, 0.0, True)]}}, "P, state 0, action 0: expected a probability in [0, 1], got -0.5"),
    ({0: {0: [(float("nan"), 0, 0.0, True)]}}, "P, state 0, action 0: expected a probability in [0, 1], got nan"),
    ({0: {0: [(1.0, 1, 0.0, False)]}}, "P, state 0, action 0: expected next states in 0 .. 0, got 1"),
    ({0: {0: [(1.0, -1, 0.0, True)]}}, "P, state 0, action 0: expected next states in 0 .. 0, got -1"),
    ({0: {0: [(1.0, 0, float("inf"), True)]}}, "P, state 0, action 0: expected finite rewards, got inf"),
    (
        {0: {0: LOOP}, 1: {0: LOOP, 2: [(0.5, 0, 0.0, False), (0.25, 1, 0.0, True)]}},
        "P, state 1, action 2: expected probabilities that sum to 1 within 1e-9, got a sum of 0.75",
    ),
]


@pytest.mark.parametrize(("table", "message"), BAD_TABLES, ids=[message for _, message in BAD_TABLES])
def test_bad_tables(table: Any, message: str) -> None:
    with pytest.raises(rl.ModelError) as caught:
        rl.from_gymnasium(table)
    assert str(caught.value) == message


def test_place_of_a_fault_is_attached_to_its_error() -> None:
    with pytest.raises(rl.ModelError) as caught:
        rl.from_gymnasium({0: {0: LOOP}, 1: {0: LOOP, 3: [(0.5, 0, 0.0, False)]}})
    error = caught.value
    assert (error.argument, error.state, error.action) == ("P", 1, 1)
    assert error.fault == "expected probabilities that sum to 1 within 1e-9, got a sum of 0.5"


def test_taxi_is_read_in_milliseconds() -> None:
    env = gymnasium.make(TAXI)
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        rl.from_gymnasium(env)
        seconds.append(time.perf_counter() - start)
    assert min(seconds) <= 0.05
