"""`MDP.from_functions`: functions of labels and of arrays say the same as arrays do."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Hashable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rlcore as rl

P = np.array([[[0.8, 0.2], [1.0, 0.0]], [[0.3, 0.7], [0.9, 0.1]]])
R = np.array([[10.0, -3.0], [4.0, -2.0]])
STATES, ACTIONS = ("fine", "worn"), ("run", "repair")


def wear(state: str, action: str) -> dict[str, float]:
    return dict(zip(STATES, P[STATES.index(state), ACTIONS.index(action)], strict=True))


def pay(state: str, action: str) -> float:
    return float(R[STATES.index(state), ACTIONS.index(action)])


def assert_same(one: rl.MDP, other: rl.MDP) -> None:
    assert one.pair_shape == other.pair_shape
    np.testing.assert_allclose(one.transition.toarray(), other.transition.toarray(), rtol=1e-15)
    np.testing.assert_allclose(one.reward, other.reward, rtol=1e-14)
    np.testing.assert_allclose(one.termination, other.termination, rtol=1e-15)
    np.testing.assert_array_equal(one.pair_start, other.pair_start)
    np.testing.assert_array_equal(one.pair_action, other.pair_action)
    assert (one.initial is None) == (other.initial is None)
    if one.initial is not None:
        np.testing.assert_array_equal(one.initial, other.initial)


def test_a_model_of_labels() -> None:
    mdp = rl.MDP.from_functions(STATES, ACTIONS, wear, pay, initial="worn")
    assert_same(mdp, rl.MDP.from_arrays(P, R, "SAS", initial=[0, 1]))
    assert (mdp.state_labels, mdp.action_labels) == (STATES, ACTIONS)


@pytest.mark.parametrize(
    "form",
    [
        dict,
        Counter,
        lambda said: list(said.items()),
        lambda said: tuple(map(list, said.items())),
        lambda said: iter(said.items()),
        lambda said: ((s, p / 2) for s, p in [*said.items(), *said.items()]),
        lambda said: {s: np.float32(p) if p in (0.0, 1.0) else np.float64(p) for s, p in said.items()},
        lambda said: {s: Fraction(p) for s, p in said.items()},
        lambda said: {s: np.array(p) for s, p in said.items()},
    ],
)
def test_outcomes_of_every_form(form: Any) -> None:
    mdp = rl.MDP.from_functions(STATES, ACTIONS, lambda s, a: form(wear(s, a)), pay)
    assert_same(mdp, rl.MDP.from_arrays(P, R, "SAS"))


def test_successors_of_probability_0_are_not_stored() -> None:
    assert rl.MDP.from_functions(STATES, ACTIONS, wear, pay).transition.nnz == 7


@pytest.mark.parametrize("initial", ["fine", {"fine": 1.0}, {"fine": 1, "worn": 0}, [1, 0], np.array([1.0, 0.0])])
def test_starts_of_every_form(initial: Any) -> None:
    mdp = rl.MDP.from_functions(STATES, ACTIONS, wear, pay, initial)
    assert mdp.initial is not None
    assert mdp.initial.tolist() == [1, 0]


def test_numbers_as_labels_are_not_stored() -> None:
    mdp = rl.MDP.from_functions(range(3), range(2), lambda s, a: {(s + a) % 3: 1.0}, lambda s, a: s, initial=2)
    assert mdp.state_labels is None
    assert mdp.action_labels is None
    assert mdp.state_index(2) == 2
    assert mdp.transition.indices.tolist() == [0, 1, 1, 2, 2, 0]
    odd = rl.MDP.from_functions(range(1, 4), range(2), lambda s, a: {s: 1.0}, lambda s, a: s)
    assert odd.state_labels == (1, 2, 3)
    array = rl.MDP.from_functions(np.arange(3), ["on"], lambda s, a: {s: 1.0}, lambda s, a: s)
    assert array.state_labels == (0, 1, 2)


def pay_nothing(state: Hashable, action: Hashable) -> float:
    return 0.0


def test_actions_may_differ_from_state_to_state() -> None:
    own = {"cold": ["wait"], "warm": ["open", "wait"], "hot": ["open", "flee", "wait"]}
    mdp = rl.MDP.from_functions(own, lambda s: own[s], lambda s, a: {s: 1.0}, lambda s, a: len(a))
    assert mdp.action_labels == ("wait", "open", "flee")  # as they are met
    assert mdp.pair_start.tolist() == [0, 1, 3, 6]
    assert mdp.pair_action.tolist() == [0, 0, 1, 0, 1, 2]  # and in that order within a state
    assert mdp.reward.tolist() == [4, 4, 4, 4, 4, 4]
    np.testing.assert_array_equal(mdp.to_table(mdp.pair_action, fill=-1), [[0, -1, -1], [0, 1, -1], [0, 1, 2]])


def walk(state: int, action: str) -> dict[int | None, float]:
    there = state + (1 if action == "right" else -1)
    return {there if 0 <= there < 4 else None: 0.75, state: 0.25}


def test_endings() -> None:
    mdp = rl.MDP.from_functions(range(4), ["left", "right"], walk, pay_nothing)
    assert mdp.termination.tolist() == [[0.75, 0], [0, 0], [0, 0], [0, 0.75]]
    besides = rl.MDP.from_functions(
        range(2), ["go"], lambda s, a: {s: 0.5, None: 0.25}, pay_nothing, termination=lambda s, a: 0.25
    )
    assert besides.termination.tolist() == [[0.5], [0.5]]


def test_rewards_of_transitions_are_averaged() -> None:
    paid = {1: 8.0, 0: 4.0, None: 16.0}
    asked: list[Any] = []

    def reward(state: int, action: str, successor: int | None) -> float:
        asked.append(successor)
        return paid[successor]

    mdp = rl.MDP.from_functions(
        range(2), ["go"], lambda s, a: {1: 0.5, 0: 0.0, None: 0.25}, reward, termination=lambda s, a: 0.25
    )
    assert mdp.reward.tolist() == [[12.0], [12.0]]
    assert 0 not in asked  # it cannot happen, and may have no reward


def test_normalize_keeps_the_mean_reward() -> None:
    mdp = rl.MDP.from_functions(
        ["a", "b"], ["go"], lambda s, a: {"a": 3, "b": 1, None: 4}, lambda s, a, t: 8.0 if t else 0.0, normalize=True
    )
    assert mdp.transition.toarray().tolist() == [[0.375, 0.125], [0.375, 0.125]]
    assert mdp.termination.tolist() == [[0.5], [0.5]]
    assert mdp.reward.tolist() == [[4.0], [4.0]]


# ---- states that are found ----


def test_states_are_found_from_the_start_on() -> None:
    mdp = rl.MDP.from_functions(None, ["left", "right"], walk, pay_nothing, initial=2)
    assert mdp.state_labels == (2, 1, 3, 0)  # breadth first
    assert mdp.initial is not None
    assert mdp.initial.tolist() == [1, 0, 0, 0]
    listed = rl.MDP.from_functions([2, 1, 3, 0], ["left", "right"], walk, pay_nothing, initial=2)
    assert_same(mdp, listed)


def test_states_that_cannot_be_reached_are_left_out() -> None:
    mdp = rl.MDP.from_functions(None, ["go"], lambda s, a: {s: 1.0, s + 1: 0.0}, pay_nothing, {3: 0.5, 5: 0.5, 9: 0})
    assert mdp.state_labels == (3, 5)
    assert mdp.initial is not None
    assert mdp.initial.tolist() == [0.5, 0.5]


# ---- functions of arrays ----


def test_functions_of_arrays_say_the_same() -> None:
    mdp = rl.MDP.from_functions(
        STATES,
        ACTIONS,
        lambda s, a: (np.broadcast_to([0, 1], (s.size, 2)), P[s, ACTIONS.index(a)]),
        lambda s, a: R[s, ACTIONS.index(a)],
        "worn",
        vectorized=True,
    )
    assert_same(mdp, rl.MDP.from_functions(STATES, ACTIONS, wear, pay, "worn"))
    assert (mdp.state_labels, mdp.action_labels) == (STATES, ACTIONS)


@pytest.mark.parametrize("size", [5, 2**16 - 1, 2**16, 2**16 + 1, 3 * 2**16 + 7])
def test_blocks_of_states_fit_together(size: int) -> None:
    def circle(states: Any, action: int) -> Any:
        assert states.size <= 2**16
        return np.stack([(states + action + 1) % size, np.full_like(states, -1), states], 1), [0.5, 0.25, 0.25]

    def reward(states: Any, action: int, successors: Any) -> Any:
        assert successors.shape == (states.size, 3)
        return np.where(successors < 0, 100.0, states[:, None] + action)

    slow = np.arange(size) % 3 > 0
    actions = {0: np.ones(size, bool), 1: slow}
    mdp = rl.MDP.from_functions(range(size), actions, circle, reward, vectorized=True, normalize=size == 5)
    assert mdp.num_pairs == size + slow.sum()
    np.testing.assert_array_equal(mdp.pair_start, np.concatenate([[0], np.cumsum(1 + slow)]))
    np.testing.assert_allclose(mdp.reward, 25.0 + 0.75 * (mdp.pair_state + mdp.pair_action), rtol=1e-15)
    assert (mdp.termination == 0.25).all()
    for pair in (0, 1, 2, mdp.num_pairs // 2, mdp.num_pairs - 1):
        state, action = int(mdp.pair_state[pair]), int(mdp.pair_action[pair])
        row = mdp.transition[[pair]].tocoo()
        assert dict(zip(row.coords[1].tolist(), row.data.tolist(), strict=True)) == {
            state: 0.25,
            (state + action + 1) % size: 0.5,
        }


def test_one_successor_and_numbers_in_place_of_arrays() -> None:
    mdp = rl.MDP.from_functions(range(3), ["on"], lambda s, a: ((s + 1) % 3, 1), lambda s, a: -1, vectorized=True)
    assert mdp.transition.toarray().tolist() == [[0, 1, 0], [0, 0, 1], [1, 0, 0]]
    assert mdp.reward.tolist() == [[-1], [-1], [-1]]


def test_successors_of_probability_0_may_be_anything() -> None:
    def padded(states: Any, action: str) -> Any:
        return np.stack([states, np.full_like(states, 99)], 1), [1.0, 0.0]

    mdp = rl.MDP.from_functions(
        range(2), ["stay"], padded, lambda s, a, t: np.where(t > 1, np.inf, 2.0), vectorized=True
    )
    assert mdp.transition.nnz == 2
    assert mdp.reward.tolist() == [[2.0], [2.0]]


@given(
    size=st.integers(1, 6),
    actions=st.integers(1, 3),
    seed=st.integers(0, 2**32 - 1),
    by_transition=st.booleans(),
    normalize=st.booleans(),
)
def test_both_paths_agree(size: int, actions: int, seed: int, by_transition: bool, normalize: bool) -> None:
    rng = np.random.default_rng(seed)
    has = rng.random((size, actions)) < 0.7
    has[np.arange(size), rng.integers(actions, size=size)] = True
    has[0] = True  # so that both meet the actions in the same order
    successors = rng.integers(-1, size, (size, actions, 4))
    weights = rng.integers(0, 4, (size, actions, 4)) * 1.0
    weights[..., 0] += weights.sum(axis=-1) == 0
    ends = rng.integers(0, 2, (size, actions)) * 1.0
    if not normalize:
        total = weights.sum(axis=-1) + ends
        weights, ends = weights / total[..., None], ends / total
    pay = rng.integers(-9, 9, (size, actions, size + 1)) * 1.0

    def outcome(s: int, a: int) -> Any:
        return [(None if t < 0 else t, p) for t, p in zip(successors[s, a].tolist(), weights[s, a], strict=True)]

    def reward(s: int, a: int, t: int | None) -> float:
        return float(pay[s, a, -1 if t is None else t])

    options: Any = {"termination": lambda s, a: ends[s, a], "normalize": normalize}
    by_label = rl.MDP.from_functions(
        range(size),
        lambda s: np.flatnonzero(has[s]),
        outcome,
        reward if by_transition else lambda s, a: pay[s, a, 0],
        **options,
    )

    by_array = rl.MDP.from_functions(
        range(size),
        {a: has[:, a] for a in range(actions)},
        lambda s, a: (successors[s, a], weights[s, a]),
        (lambda s, a, t: pay[s[:, None], a, t]) if by_transition else (lambda s, a: pay[s, a, 0]),
        vectorized=True,
        **options,
    )
    assert_same(by_label, by_array)


# ---- on the way ----


def test_progress_counts_the_states() -> None:
    heard: list[tuple[int, int]] = []
    rl.MDP.from_functions(range(300), ["on"], lambda s, a: {s: 1.0}, pay_nothing, progress=lambda *x: heard.append(x))
    assert heard[-1] == (300, 300)
    found: list[tuple[int, int]] = []
    rl.MDP.from_functions(None, ["left", "right"], walk, pay_nothing, 2, progress=lambda *x: found.append(x))
    assert found[0] == (1, 3)
    assert found[-1] == (4, 4)


@pytest.mark.parametrize("name", ["transitions", "reward", "termination", "actions"])
def test_exceptions_of_the_functions_tell_what_was_asked(name: str) -> None:
    def broken(*_: Any) -> Any:
        raise ZeroDivisionError("my own")

    def broken_reward(state: str, action: str) -> Any:
        raise ZeroDivisionError("my own")

    functions: Any = {"actions": ACTIONS, "transitions": wear, "reward": pay, "termination": None}
    functions[name] = broken_reward if name == "reward" else broken
    with pytest.raises(ZeroDivisionError) as caught:
        rl.MDP.from_functions(STATES, initial="fine", **functions)
    action = "" if name == "actions" else ", action 'run'"
    assert caught.value.__notes__ == [f"{name} was asked for state 'fine'{action}"]


def test_exceptions_of_functions_of_arrays_tell_what_was_asked() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        rl.MDP.from_functions(range(9), ["on"], lambda s, a: 1 / 0, pay_nothing, vectorized=True)
    assert caught.value.__notes__ == ["transitions was asked for states 0 .. 8, action 'on'"]


def test_an_interrupt_goes_through() -> None:
    def interrupted(state: int, action: str) -> Any:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rl.MDP.from_functions(range(9), ["on"], interrupted, pay_nothing)


def test_labels_of_many_kinds() -> None:
    states = [("at", 1), frozenset({2}), 3.5, "four", b"five", True]
    mdp = rl.MDP.from_functions(states, [("go", 1)], lambda s, a: [(s, 0.5), (states[0], 0.5)], pay_nothing, states[1])
    assert mdp.state_labels == tuple(states)
    assert mdp.action_labels == (("go", 1),)
    assert [mdp.state_index(state) for state in states] == list(range(6))


def test_models_of_the_gallery_come_back() -> None:
    for mdp in rl.gallery.forest(5), rl.gallery.gridworld(), rl.gallery.slippery_grid(4), rl.gallery.queue(6):
        names = mdp.state_labels or range(mdp.num_states)
        own = mdp.action_labels or range(int(mdp.pair_action.max()) + 1)
        table = mdp.to_table(np.arange(mdp.num_pairs), fill=-1).astype(int)

        def row(state: Any, action: Any) -> int:
            return int(table[mdp.state_index(state), own.index(action)])  # noqa: B023

        def transitions(state: Any, action: Any) -> Any:
            entries = mdp.transition[[row(state, action)]].tocoo()  # noqa: B023
            said = zip(entries.coords[1], entries.data, strict=True)
            ending = mdp.termination.ravel()[row(state, action)]  # noqa: B023
            return itertools.chain(((names[s], p) for s, p in said), [(None, ending)])  # noqa: B023

        def reward(state: Any, action: Any) -> float:
            return mdp.reward.ravel()[row(state, action)]  # noqa: B023

        made = rl.MDP.from_functions(names, own, transitions, reward, initial=mdp.initial)
        assert_same(made, mdp)
