"""The model: what its constructors accept, what they keep, and what they say about everything else."""

from __future__ import annotations

import gc
import re
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.sparse

import rlcore as rl

NAN, INF = float("nan"), float("inf")

# Two machines, fine and worn; two actions, run and repair. Every number occurs once, so that nothing can be swapped.
P = np.array([[[0.8, 0.2], [1.0, 0.0]], [[0.3, 0.7], [0.9, 0.1]]])
R = np.array([[10.0, -3.0], [4.0, -2.0]])
ROWS = P.reshape(4, 2)
STATES, ACTIONS = ("fine", "worn"), ("run", "repair")


def csr(
    entries: Any, columns: Any, row_start: Any, shape: tuple[int, int], index: type[np.signedinteger[Any]] = np.int32
) -> Any:
    """Return a matrix with just these arrays, which SciPy would otherwise sort, shrink, convert or refuse."""
    matrix = scipy.sparse.csr_array(shape)
    matrix.data = np.asarray(entries, np.float64)
    matrix.indices, matrix.indptr = np.asarray(columns, index), np.asarray(row_start, index)
    return matrix


def machine(**changes: Any) -> rl.MDP:
    arguments = {"transition": ROWS, "reward": R, "state_labels": STATES, "action_labels": ACTIONS} | changes
    return rl.MDP(**arguments)


def assert_same(one: rl.MDP, other: rl.MDP) -> None:
    assert one.pair_shape == other.pair_shape
    np.testing.assert_array_equal(one.transition.toarray(), other.transition.toarray())
    np.testing.assert_allclose(one.reward, other.reward, rtol=1e-15)
    np.testing.assert_array_equal(one.termination, other.termination)
    np.testing.assert_array_equal(one.pair_start, other.pair_start)
    np.testing.assert_array_equal(one.pair_action, other.pair_action)


# ---- what a model holds ----


def test_properties() -> None:
    mdp = machine(initial=[0.25, 0.75])
    assert (mdp.num_states, mdp.num_pairs, mdp.pair_shape) == (2, 4, (2, 2))
    np.testing.assert_array_equal(mdp.transition.toarray(), ROWS)
    np.testing.assert_array_equal(mdp.reward, R)
    np.testing.assert_array_equal(mdp.termination, np.zeros((2, 2)))
    np.testing.assert_array_equal(mdp.initial, [0.25, 0.75])
    assert mdp.pair_start.tolist() == [0, 2, 4]
    assert mdp.pair_state.tolist() == [0, 0, 1, 1]
    assert mdp.pair_action.tolist() == [0, 1, 0, 1]
    assert (mdp.state_labels, mdp.action_labels) == (STATES, ACTIONS)
    assert not mdp.can_end


def test_properties_that_were_not_given() -> None:
    mdp = rl.MDP(ROWS, R)
    assert mdp.initial is None
    assert mdp.state_labels is None
    assert mdp.action_labels is None


def test_actions_may_differ_from_state_to_state() -> None:
    mdp = rl.MDP(ROWS, [1, 2, 3, 4], pair_start=[0, 3, 4], pair_action=[0, 2, 5, 1])
    assert mdp.pair_shape == (4,)
    assert mdp.reward.tolist() == [1, 2, 3, 4]
    assert mdp.pair_state.tolist() == [0, 0, 0, 1]
    assert mdp.pair_action.tolist() == [0, 2, 5, 1]


def test_without_pair_start_every_state_has_the_same_number_of_actions() -> None:
    for actions in 1, 2, 3:
        mdp = rl.MDP(np.ones((actions, 1)), np.zeros(actions))
        assert mdp.pair_start.tolist() == [0, actions]
        assert mdp.pair_shape == (1, actions)


def test_endings() -> None:
    rows = [[0.5, 0.25], [0, 0], [0, 1], [1, 0]]
    for termination in [0.25, 1, 0, 0], [[0.25, 1], [0, 0]]:
        mdp = rl.MDP(rows, np.zeros(4), termination=termination)
        assert mdp.can_end
        assert mdp.termination.tolist() == [[0.25, 1], [0, 0]]


@pytest.mark.parametrize(
    ("mdp", "text"),
    [
        (lambda: machine(), "MDP(2 states, 2 actions each, 7 transitions, never ends, no start distribution)"),
        (
            lambda: rl.MDP([[1.0], [0.5], [1.0]], [0, 0, 0], [0, 3], [0, 0.5, 0], [1.0]),
            "MDP(1 states, 3 actions each, 3 transitions, can end, with start distribution)",
        ),
        (
            lambda: rl.MDP(np.ones((3, 2)) / 2, np.zeros(3), [0, 1, 3]),
            "MDP(2 states, 3 pairs, 6 transitions, never ends, no start distribution)",
        ),
    ],
)
def test_repr(mdp: Callable[[], rl.MDP], text: str) -> None:
    assert repr(mdp()) == text


# ---- memory ----


def big() -> tuple[Any, Any, Any]:
    matrix = rl.gallery.garnet(50, 3, 4).transition.copy()
    return matrix, np.arange(150.0), np.full(50, 0.02)


@pytest.mark.parametrize("kind", [scipy.sparse.csr_array, scipy.sparse.csr_matrix])
def test_arrays_are_borrowed(kind: Any) -> None:
    transition, reward, initial = big()
    transition = kind(transition)
    pair_start, termination = np.arange(0, 151, 3), np.zeros(150)
    mdp = rl.MDP(transition, reward, pair_start, termination, initial)
    for mine, theirs in (
        (mdp.transition.data, transition.data),
        (mdp.transition.indices, transition.indices),
        (mdp.transition.indptr, transition.indptr),
        (mdp.reward, reward),
        (mdp.termination, termination),
        (mdp.initial, initial),
        (mdp.pair_start, pair_start),
    ):
        assert np.shares_memory(mine, theirs)
        assert not mine.flags.writeable
        assert theirs.flags.writeable


def test_copies_are_independent() -> None:
    transition, reward, initial = big()
    pair_start, pair_action, termination = np.arange(0, 151, 3), np.tile([0, 1, 2], 50), np.zeros(150)
    mdp = rl.MDP(transition, reward, pair_start, termination, initial, pair_action=pair_action, copy=True)
    for mine, theirs in (
        (mdp.transition.data, transition.data),
        (mdp.transition.indices, transition.indices),
        (mdp.transition.indptr, transition.indptr),
        (mdp.reward, reward),
        (mdp.termination, termination),
        (mdp.initial, initial),
        (mdp.pair_start, pair_start),
        (mdp.pair_action, pair_action),
    ):
        assert not np.shares_memory(mine, theirs)
        np.testing.assert_array_equal(mine.ravel(), theirs.ravel())


def test_borrowed_arrays_live_as_long_as_the_model() -> None:
    transition, reward, _ = big()
    value = rl.evaluate(rl.MDP(transition.copy(), reward.copy()), np.full((50, 3), 1 / 3), 0.9).value
    mdp = rl.MDP(transition, reward)
    del transition, reward
    gc.collect()
    np.testing.assert_array_equal(rl.evaluate(mdp, np.full((50, 3), 1 / 3), 0.9).value, value)


def test_arrays_die_with_the_model() -> None:
    reward = np.zeros((2, 2))
    gone = weakref.ref(reward)
    mdp = rl.MDP(ROWS, reward)
    del reward, mdp
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("name", ["pair_start", "reward", "termination", "initial", "pair_state", "pair_action"])
def test_what_a_model_holds_cannot_be_changed(name: str) -> None:
    mdp = machine(initial=[1, 0])
    with pytest.raises(ValueError, match="read-only"):
        getattr(mdp, name)[0] = 1
    with pytest.raises(AttributeError):
        setattr(mdp, name, None)
    with pytest.raises(ValueError, match="read-only"):
        mdp.transition.data[0] = 1


def test_indices_of_64_bits_are_converted_once() -> None:
    columns, row_start = [0, 1, 0, 0, 1, 0, 1], [0, 2, 3, 5, 7]
    mdp = machine(transition=csr(ROWS[ROWS > 0], columns, row_start, (4, 2), np.int64))
    assert mdp.transition.indices.dtype == np.int32
    assert_same(mdp, machine())
    other = mdp.with_reward(R)
    assert np.shares_memory(mdp.transition.data, other.transition.data)
    assert np.shares_memory(mdp.transition.indices, other.transition.indices)


def test_other_types_are_converted() -> None:
    mdp = rl.MDP(scipy.sparse.csr_array(np.eye(2, dtype=np.float32)), np.array([1, 2], np.int8), initial=[True, False])
    assert mdp.transition.dtype == mdp.reward.dtype == np.float64
    assert mdp.reward.tolist() == [[1], [2]]


@pytest.mark.parametrize("index", [np.int32, np.int64])
def test_unsorted_and_repeated_columns_are_put_in_order(index: Any) -> None:
    given = csr([0.2, 0.8, 0.5, 0.5, 0.3, 0.7, 0.1, 0.9], [1, 0, 0, 0, 0, 1, 1, 0], [0, 2, 4, 6, 8], (4, 2), index)
    before = given.data.copy(), given.indices.copy()
    mdp = machine(transition=given)
    assert_same(mdp, machine())
    assert mdp.transition.nnz == 7
    np.testing.assert_array_equal(given.data, before[0])
    np.testing.assert_array_equal(given.indices, before[1])


@pytest.mark.parametrize("form", ["coo", "csc", "lil", "dok", "bsr"])
def test_every_sparse_format(form: str) -> None:
    for kind in scipy.sparse.coo_array, scipy.sparse.coo_matrix:
        assert_same(machine(transition=kind(ROWS).asformat(form)), machine())


def test_spare_room_behind_the_last_entry() -> None:
    matrix = csr([*ROWS[ROWS > 0], 9.0, 9.0], [0, 1, 0, 0, 1, 0, 1, 7, 7], [0, 2, 3, 5, 7], (4, 2))
    assert_same(machine(transition=matrix), machine())


# ---- from arrays ----

STACKED = P.transpose(1, 0, 2)
TRANSITIONS: dict[str, tuple[Any, str | None]] = {
    "SAS": (P, "SAS"),
    "ASS": (STACKED, "ASS"),
    "SAS, nested lists": (P.tolist(), "SAS"),
    "SAS, Fortran order": (np.asfortranarray(P), "SAS"),
    "list of dense": (list(STACKED), "ASS"),
    "list of csr": ([scipy.sparse.csr_array(block) for block in STACKED], "ASS"),
    "tuple of csc": (tuple(scipy.sparse.csc_array(block) for block in STACKED), None),
    "objects, as in pymdptoolbox": (np.array([*map(scipy.sparse.csr_matrix, STACKED), None], object)[:2], None),
    "sparse and dense": ([scipy.sparse.coo_array(STACKED[0]), STACKED[1]], "ASS"),
}
MEAN = np.array([[0.8 * 1 + 0.2 * 2, 3.0], [0.3 * 5 + 0.7 * 6, 0.9 * 7 + 0.1 * 8]])
BY_TRANSITION = np.array([[[1.0, 2.0], [3.0, INF]], [[5.0, 6.0], [7.0, 8.0]]])


@pytest.mark.parametrize("transitions", TRANSITIONS)
def test_transitions_of_every_layout(transitions: str) -> None:
    given, layout = TRANSITIONS[transitions]
    assert_same(rl.MDP.from_arrays(given, R, layout), rl.MDP(ROWS, R))


@pytest.mark.parametrize("transitions", TRANSITIONS)
def test_rewards_of_every_shape(transitions: str) -> None:
    given, layout = TRANSITIONS[transitions]
    assert_same(rl.MDP.from_arrays(given, [1, 2], layout), rl.MDP(ROWS, [[1, 1], [2, 2]]))
    full = BY_TRANSITION if layout == "SAS" else BY_TRANSITION.transpose(1, 0, 2)
    assert_same(rl.MDP.from_arrays(given, full, layout), rl.MDP(ROWS, MEAN))
    sparse = [scipy.sparse.csr_array(np.where(np.isinf(block), 0, block)) for block in BY_TRANSITION.transpose(1, 0, 2)]
    assert_same(rl.MDP.from_arrays(given, sparse, layout), rl.MDP(ROWS, MEAN))


def test_layout_is_inferred_where_only_one_fits() -> None:
    rng = np.random.default_rng(0)
    wide = rng.dirichlet(np.ones(3), size=(3, 2))
    reward = rng.random((3, 2))
    assert_same(rl.MDP.from_arrays(wide, reward), rl.MDP.from_arrays(wide, reward, "SAS"))
    assert_same(rl.MDP.from_arrays(wide.transpose(1, 0, 2), reward), rl.MDP.from_arrays(wide, reward, "SAS"))


@pytest.mark.parametrize("transitions", TRANSITIONS)
def test_masked_actions(transitions: str) -> None:
    given, layout = TRANSITIONS[transitions]
    mask = np.array([[True, False], [True, True]])
    mdp = rl.MDP.from_arrays(given, R, layout, mask=mask, action_labels=ACTIONS)
    assert mdp.pair_shape == (3,)
    np.testing.assert_array_equal(mdp.transition.toarray(), ROWS[[0, 2, 3]])
    assert mdp.reward.tolist() == [10, 4, -2]
    assert mdp.pair_action.tolist() == [0, 0, 1]


def test_masked_rows_are_not_looked_at() -> None:
    wrong, reward = P.copy(), R.copy()
    wrong[0, 1], reward[0, 1] = NAN, INF
    mdp = rl.MDP.from_arrays(wrong, reward, "SAS", mask=np.array([[True, False], [True, True]]))
    assert mdp.num_pairs == 3


@pytest.mark.parametrize("sparse", [False, True])
def test_rewards_of_transitions_that_cannot_happen_do_not_count(sparse: bool) -> None:
    # The first matrix stores a zero, as matrices do that were changed in place.
    block = csr([1.0, 0.0, 1.0], [0, 1, 1], [0, 2, 3], (2, 2))
    paid = np.array([[[5.0, INF], [0.0, 7.0]]])
    reward = [csr([5.0, INF, 7.0], [0, 1, 1], [0, 2, 3], (2, 2))] if sparse else paid
    mdp = rl.MDP.from_arrays([block], reward)
    assert mdp.reward.tolist() == [[5.0], [7.0]]
    assert block.nnz == 3


def test_mask_that_leaves_the_same_number_of_actions_everywhere() -> None:
    mdp = rl.MDP.from_arrays(P, R, "SAS", mask=np.array([[True, False], [False, True]]), action_labels=ACTIONS)
    assert mdp.pair_shape == (2, 1)
    assert mdp.pair_action.tolist() == [0, 1]
    assert rl.deterministic_policy(mdp, [0, 1]).tolist() == [[1], [1]]
    np.testing.assert_array_equal(mdp.to_table(mdp.reward, fill=0), [[10, 0], [0, -2]])


def test_termination_for_each_pair_and_for_each_state() -> None:
    half = P * np.array([1.0, 0.5])[:, None, None]
    for termination in [0, 0.5], [[0, 0], [0.5, 0.5]]:
        mdp = rl.MDP.from_arrays(half, R, "SAS", termination=termination)
        assert mdp.termination.tolist() == [[0, 0], [0.5, 0.5]]
    mdp = rl.MDP.from_arrays(half, R, "SAS", termination=[0, 0.5], mask=np.array([[True, False], [True, True]]))
    assert mdp.termination.tolist() == [0, 0.5, 0.5]


def test_names_and_start_come_along() -> None:
    mdp = rl.MDP.from_arrays(P, R, "SAS", initial=[1, 0], state_labels=STATES, action_labels=ACTIONS)
    assert (mdp.state_labels, mdp.action_labels) == (STATES, ACTIONS)
    np.testing.assert_array_equal(mdp.initial, [1, 0])


def test_normalize() -> None:
    rows, termination = 3 * ROWS, [0, 1, 0, 0]
    mdp = rl.MDP(rows, R, termination=termination, normalize=True)
    np.testing.assert_allclose(mdp.transition.toarray().sum(axis=1), [1, 0.75, 1, 1], rtol=1e-15)
    np.testing.assert_allclose(mdp.termination.ravel(), [0, 0.25, 0, 0], rtol=1e-15)
    assert rows[0, 0] == 3 * 0.8
    assert termination == [0, 1, 0, 0]
    by_arrays = rl.MDP.from_arrays(2 * P, R, "SAS", normalize=True)
    np.testing.assert_allclose(by_arrays.transition.toarray(), ROWS, rtol=1e-15)


def test_rows_within_the_tolerance_are_kept_as_they_are() -> None:
    mdp = rl.MDP([[1.0 + 9e-10]], [0])
    assert mdp.transition.data[0] == 1.0 + 9e-10


# ---- labels, tables, changes ----


def test_state_index() -> None:
    assert machine().state_index("worn") == 1
    grid = rl.gallery.gridworld()
    assert grid.state_index((4, 1)) == 21
    bare = rl.MDP(ROWS, R)
    assert bare.state_index(1) == 1
    assert bare.state_index(np.int32(1)) == 1


@pytest.mark.parametrize(
    ("mdp", "label", "message"),
    [
        (machine(), "Worn", "state: no state has the label 'Worn'; did you mean 'worn'?"),
        (machine(), "xyz", "state: no state has the label 'xyz'"),
        (machine(), ["worn"], "state: no state has the label ['worn']; did you mean 'worn'?"),
        (rl.gallery.gridworld(), (0, 11), "state: no state has the label (0, 11); did you mean (0, 1)?"),
        (rl.gallery.gridworld(), "(0, 1)", "state: no state has the label '(0, 1)'; did you mean (0, 1)?"),
        (rl.MDP(ROWS, R), 2, "state: expected a number in 0 .. 1, got 2"),
        (rl.MDP(ROWS, R), -1, "state: expected a number in 0 .. 1, got -1"),
        (rl.MDP(ROWS, R), "fine", "state: expected a number in 0 .. 1, got 'fine'"),
    ],
)
def test_unknown_states(mdp: rl.MDP, label: Any, message: str) -> None:
    with pytest.raises(rl.ModelError) as caught:
        mdp.state_index(label)
    assert str(caught.value) == message


def test_labels_of_many_kinds() -> None:
    assert machine(state_labels=np.array(["a", "b"])).state_labels == ("a", "b")
    assert machine(state_labels=(label for label in "ab")).state_labels == ("a", "b")
    assert machine(state_labels=[None, (1, 2)]).state_index((1, 2)) == 1
    assert machine(action_labels=["run", "repair", "never"]).action_labels == ("run", "repair", "never")


def test_to_table() -> None:
    mdp = rl.MDP(ROWS, [1, 2, 3, 4], pair_start=[0, 3, 4], pair_action=[0, 1, 3, 2])
    np.testing.assert_array_equal(mdp.to_table(mdp.reward), [[1, 2, NAN, 3], [NAN, NAN, 4, NAN]])
    np.testing.assert_array_equal(mdp.to_table([5, 6, 7, 8], fill=0), [[5, 6, 0, 7], [0, 0, 8, 0]])
    np.testing.assert_array_equal(machine().to_table(R), R)
    np.testing.assert_array_equal(machine().to_table(R.ravel()), R)


def test_with_reward_and_with_initial_share_the_rest() -> None:
    mdp = rl.MDP.from_arrays(
        P, R, "SAS", [1, 0], mask=np.array([[True, False], [True, True]]), state_labels=STATES, action_labels=ACTIONS
    )
    changed = mdp.with_reward([1, 2, 3]).with_initial([0, 1])
    assert changed.reward.tolist() == [1, 2, 3]
    assert changed.initial is not None
    assert changed.initial.tolist() == [0, 1]
    assert (changed.state_labels, changed.action_labels) == (STATES, ACTIONS)
    assert changed.pair_action.tolist() == mdp.pair_action.tolist()
    assert np.shares_memory(changed.transition.data, mdp.transition.data)
    assert np.shares_memory(changed.transition.indices, mdp.transition.indices)
    assert mdp.reward.tolist() == [10, 4, -2]
    assert machine(initial=[1, 0]).with_reward(-R).initial is not None


# ---- what is refused ----


def changed(row: int, entries: Any) -> Any:
    rows = ROWS.copy()
    rows[row] = entries
    return rows


UNLABELLED = {"state_labels": None, "action_labels": None}
SUM = "expected probabilities that sum to 1 within 1e-9"
MEND = "correct the row, declare what is missing as termination, or pass normalize=True"
ROW_STARTS = (
    "transition: expected row offsets that grow from 0 to the number of entries, 7; the sparse matrix is damaged"
)
NO_ROW = (
    "expected probabilities that sum to 1, got an empty row; give its successors, or termination = 1 if the process "
    "ends there"
)
COLUMNS, ROW_START = [0, 1, 0, 0, 1, 0, 1], [0, 2, 3, 5, 7]
ENTRIES = ROWS[ROWS > 0]

BAD_MODELS: list[tuple[dict[str, Any], str]] = [
    # the transition array as a whole
    (
        {"transition": P},
        "transition: expected shape (num_pairs, num_states), got (2, 2, 2); "
        "for arrays over states and actions use MDP.from_arrays",
    ),
    (
        {"transition": scipy.sparse.coo_array(np.ones(2))},
        "transition: expected shape (num_pairs, num_states), got (2,); "
        "for arrays over states and actions use MDP.from_arrays",
    ),
    ({"transition": None}, "transition: expected an array of numbers, got None"),
    ({"transition": [["1", "0"]] * 4}, "transition: expected real numbers, got dtype <U1"),
    ({"transition": ROWS * 1j}, "transition: expected real numbers, got dtype complex128"),
    ({"transition": scipy.sparse.csr_array(ROWS * 1j)}, "transition: expected real numbers, got dtype complex128"),
    ({"transition": np.ones((0, 2))}, "transition: expected at least one state and one pair, got shape (0, 2)"),
    ({"transition": np.ones((4, 0))}, "transition: expected at least one state and one pair, got shape (4, 0)"),
    ({"transition": csr(ENTRIES, COLUMNS, [0, 3, 2, 5, 7], (4, 2))}, ROW_STARTS),
    ({"transition": csr(ENTRIES, COLUMNS, [0, -1, 2, 5, 7], (4, 2))}, ROW_STARTS),
    ({"transition": csr(ENTRIES, COLUMNS, [1, 2, 3, 5, 7], (4, 2))}, ROW_STARTS),
    ({"transition": csr(ENTRIES, COLUMNS, [0, 2, 3, 5, 9], (4, 2))}, ROW_STARTS),
    # its rows
    ({"transition": changed(1, [0.5, 0.4])}, f"transition, state 'fine', action 'repair': {SUM}, got 0.9; {MEND}"),
    (
        {"transition": changed(2, [0.5, 0.5 + 2**-28]), **UNLABELLED},
        f"transition, state 1, action 0: {SUM}, got {1 + 2**-28}; {MEND}",
    ),
    (
        {"transition": changed(2, [0.5, 0.25]), "termination": [0, 0, 0.5, 0]},
        f"transition, state 'worn', action 'run': {SUM} together with termination, got 1.25; {MEND}",
    ),
    ({"transition": changed(3, [0, 0])}, f"transition, state 'worn', action 'repair': {NO_ROW}"),
    ({"transition": changed(3, [0, 0]), "normalize": True}, f"transition, state 'worn', action 'repair': {NO_ROW}"),
    *(
        (
            {"transition": changed(0, [1.0, bad]), "normalize": normalize},
            f"transition, state 'fine', action 'run': expected a probability in [0, 1] for successor 1, got {bad}",
        )
        for bad in (-0.5, NAN, INF)
        for normalize in (False, True)
    ),
    *(
        (
            {"transition": csr(ENTRIES, [0, 1, 0, 0, bad, 0, 1], ROW_START, (4, 2), index)},
            f"transition, state 'worn', action 'run': expected successors in 0 .. 1, got {bad}",
        )
        for bad in (2, -1)
        for index in (np.int32, np.int64)
    ),
    # reward and termination
    ({"reward": [1, 2, 3]}, "reward: expected 4 numbers, one for each pair, in shape (2, 2) or (4,), got shape (3,)"),
    (
        {"reward": np.zeros((2, 2, 1))},
        "reward: expected 4 numbers, one for each pair, in shape (2, 2) or (4,), got shape (2, 2, 1)",
    ),
    (
        {"transition": ROWS[:3], "reward": np.zeros((1, 3)), "pair_start": [0, 1, 3]},
        "reward: expected 3 numbers, one for each pair, in shape (3,), got shape (1, 3)",
    ),
    ({"reward": 1.0}, "reward: expected 4 numbers, one for each pair, in shape (2, 2) or (4,), got shape ()"),
    ({"reward": None}, "reward: expected an array of numbers, got None"),
    ({"reward": ["a", "b", "c", "d"]}, "reward: expected real numbers, got dtype <U1"),
    ({"reward": [1, 2, NAN, 4]}, "reward, state 'worn', action 'run': expected a finite number, got nan"),
    (
        {"reward": [1, np.copysign(NAN, -1), 3, 4]},
        "reward, state 'fine', action 'repair': expected a finite number, got nan",
    ),
    (
        {"reward": [1, -2e200, 3, 4]},
        "reward, state 'fine', action 'repair': expected at most 1e200 in magnitude, got -2e+200; rescale",
    ),
    ({"reward": [1, -INF, 3, 4], **UNLABELLED}, "reward, state 0, action 1: expected a finite number, got -inf"),
    (
        {"termination": [0, 0]},
        "termination: expected 4 numbers, one for each pair, in shape (2, 2) or (4,), got shape (2,)",
    ),
    *(
        (
            {"termination": [0, bad, 0, 0]},
            f"termination, state 'fine', action 'repair': expected a probability in [0, 1], got {text}",
        )
        for bad, text in ((2, "2"), (-0.5, "-0.5"), (NAN, "nan"))
    ),
    # initial
    ({"initial": [0.5, 0.4]}, f"initial: {SUM}, got a sum of 0.9; divide by the sum"),
    ({"initial": [-0.5, 1.5]}, "initial, state 'fine': expected a probability in [0, 1], got -0.5"),
    ({"initial": [0.5, NAN], **UNLABELLED}, "initial, state 1: expected a probability in [0, 1], got nan"),
    ({"initial": [1, 0, 0]}, "initial: expected 2 numbers, one for each state, got shape (3,)"),
    ({"initial": []}, "initial: expected 2 numbers, one for each state, got shape (0,)"),
    ({"initial": 0}, "initial: expected 2 numbers, one for each state, got shape ()"),
    # pair_start and pair_action
    (
        {"transition": ROWS[:3], "reward": [1, 2, 3]},
        "pair_start: 3 pairs do not share out evenly over 2 states; "
        "pass pair_start, which says where the pairs of each state begin",
    ),
    ({"pair_start": [0, 4]}, "pair_start: expected 3 numbers, one for each state and one more, got 2"),
    ({"pair_start": [0, 0, 4]}, "pair_start, state 'fine': expected at least one action, got 0"),
    ({"pair_start": [0, 5, 4]}, "pair_start, state 'worn': expected at least one action, got -1"),
    ({"pair_start": [1, 2, 4]}, "pair_start: expected to begin with 0, got 1"),
    ({"pair_start": [0, 2, 3]}, "pair_start: expected to end with the number of pairs, 4, got 3"),
    ({"pair_start": [0.0, 2.0, 4.0]}, "pair_start: expected a vector of whole numbers, got dtype float64, shape (3,)"),
    ({"pair_start": [[0, 2, 4]]}, "pair_start: expected a vector of whole numbers, got dtype int64, shape (1, 3)"),
    ({"pair_action": [0, 1]}, "pair_action: expected 4 numbers, one for each pair, got shape (2,)"),
    (
        {"pair_action": [0, 1, 1, 0]},
        "pair_action, state 'worn': expected numbers from 0 on that increase within each state, got 1, 0",
    ),
    (
        {"pair_action": [-1, 0, 0, 1]},
        "pair_action, state 'fine': expected numbers from 0 on that increase within each state, got -1, 0",
    ),
    (
        {"pair_start": [0, 9, 4], "pair_action": [0, 1, 0, 1]},
        "pair_start, state 'worn': expected at least one action, got -5",
    ),
    # labels
    ({"state_labels": ["fine"]}, "state_labels: expected 2 labels, one for each state, got 1"),
    ({"state_labels": ["fine", "fine"]}, "state_labels: expected distinct labels, got 'fine' twice"),
    ({"state_labels": [[0], [1]]}, "state_labels: expected hashable labels: unhashable type: 'list'"),
    ({"state_labels": 2}, "state_labels: expected a sequence of labels, got int"),
    ({"action_labels": ["run"]}, "action_labels: expected at least 2 labels, got 1"),
    ({"action_labels": ["run", "run"]}, "action_labels: expected distinct labels, got 'run' twice"),
]


@pytest.mark.parametrize(("changes", "message"), BAD_MODELS, ids=[message for _, message in BAD_MODELS])
def test_bad_models(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(rl.ModelError) as caught:
        machine(**changes)
    assert str(caught.value) == message


SPARSE = [scipy.sparse.csr_array(block) for block in STACKED]
WIDE = np.full((3, 2, 3), 1 / 3)
LAYOUT = "layout: expected 'SAS' (state, action, successor) or 'ASS', got "

BAD_ARRAYS: list[tuple[dict[str, Any], str]] = [
    ({"layout": "sas"}, f"{LAYOUT}'sas'; did you mean 'SAS'?"),
    ({"layout": "SSA"}, f"{LAYOUT}'SSA'; did you mean 'SAS'?"),
    ({"layout": 3}, f"{LAYOUT}3"),
    (
        {"layout": None},
        "layout: shape (2, 2, 2) can be read as (S, A, S) and as (A, S, S); pass layout='SAS' or layout='ASS'",
    ),
    ({"P": WIDE, "layout": "ASS"}, "P: expected shape (A, S, S) for layout 'ASS', got (3, 2, 3)"),
    ({"P": np.ones((2, 3, 4)), "layout": None}, "P: expected shape (S, A, S) or (A, S, S), got (2, 3, 4)"),
    ({"P": np.ones((2, 3, 4))}, "P: expected shape (S, A, S) for layout 'SAS', got (2, 3, 4)"),
    ({"P": np.ones((2, 0, 2))}, "P: expected shape (S, A, S) for layout 'SAS', got (2, 0, 2)"),
    ({"P": ROWS}, "P: expected shape (S, A, S) or (A, S, S), got (4, 2)"),
    ({"P": []}, "P: expected shape (S, A, S) or (A, S, S), got (0,)"),
    ({"P": None}, "P: expected an array of numbers, got None"),
    (
        {"P": scipy.sparse.csr_array(ROWS)},
        "P: expected a dense array over states and actions or a sequence of sparse matrices, one for each action, got "
        "one sparse matrix; rows for pairs go to rlcore.MDP(transition, reward, pair_start=...)",
    ),
    ({"P": SPARSE}, "layout: a sequence of sparse matrices is one for each action, layout='ASS'; got 'SAS'"),
    (
        {"P": [SPARSE[0], scipy.sparse.eye_array(3)], "layout": "ASS"},
        "P[1]: expected shape (2, 2), got (3, 3)",
    ),
    ({"r": [1, 2, 3]}, "r: expected shape (2,), (2, 2) or (2, 2, 2) (like P), got (3,)"),
    ({"r": 1.0}, "r: expected shape (2,), (2, 2) or (2, 2, 2) (like P), got ()"),
    (
        {"P": WIDE, "r": np.zeros((2, 3))},
        "r: expected shape (3,), (3, 2) or (3, 2, 3) (like P), got (2, 3); transpose it to (S, A)",
    ),
    ({"r": SPARSE[:1]}, "r: expected 2 matrices of shape (2, 2), like P"),
    ({"r": [[1, 2], [NAN, 4]]}, "reward, state 'worn', action 'run': expected a finite number, got nan"),
    ({"termination": [0, 0, 0]}, "termination: expected shape (2, 2) or (2,), got (3,)"),
    (
        {"P": WIDE, "r": np.zeros(3), "termination": np.zeros((2, 3))},
        "termination: expected shape (3, 2) or (3,), got (2, 3); transpose it to (S, A)",
    ),
    ({"mask": [[1, 0], [1, 1]]}, "mask: expected booleans of shape (2, 2), got dtype int64, shape (2, 2)"),
    ({"mask": [True, True]}, "mask: expected booleans of shape (2, 2), got dtype bool, shape (2,)"),
    ({"mask": [[True, True], [False, False]]}, "mask, state 'worn': expected at least one admissible action, got none"),
    ({"P": P + 1}, f"transition, state 'fine', action 'run': {SUM}, got 3; {MEND}"),
    (
        {"P": changed(1, [0.5, 0.25]).reshape(2, 2, 2), "mask": [[False, True], [True, True]]},
        f"transition, state 'fine', action 'repair': {SUM}, got 0.75; {MEND}",
    ),
    (
        {"P": changed(1, [0.5, 0.25]).reshape(2, 2, 2), "mask": [[False, True], [True, True]], **UNLABELLED},
        f"transition, state 0, action 1: {SUM}, got 0.75; {MEND}",
    ),
]


@pytest.mark.parametrize(("changes", "message"), BAD_ARRAYS, ids=[message for _, message in BAD_ARRAYS])
def test_bad_arrays(changes: dict[str, Any], message: str) -> None:
    arguments = {"P": P, "r": R, "layout": "SAS", "state_labels": STATES, "action_labels": ACTIONS} | changes
    with pytest.raises(rl.ModelError) as caught:
        rl.MDP.from_arrays(**arguments)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("make", "argument"),
    [
        (lambda ragged: machine(transition=ragged), "transition"),
        (lambda ragged: machine(reward=ragged), "reward"),
        (lambda ragged: machine(pair_start=ragged), "pair_start"),
        (lambda ragged: machine(pair_action=ragged), "pair_action"),
        (lambda ragged: rl.MDP.from_arrays(P, R, "SAS", mask=ragged), "mask"),
    ],
)
def test_rows_of_different_lengths(make: Callable[[Any], rl.MDP], argument: str) -> None:
    with pytest.raises(rl.ModelError, match=f"^{argument}: expected "):
        make([[1], [0, 1]])


@pytest.mark.parametrize("name", ["reward", "termination", "with_reward", "to_table"])
def test_pair_arrays_of_a_transposed_shape_are_refused(name: str) -> None:
    rows, wrong = np.eye(3)[[0, 1, 2, 0, 1, 2]], np.zeros((2, 3))
    mdp = rl.MDP(rows, np.zeros((3, 2)))
    calls: dict[str, Callable[[], Any]] = {
        "reward": lambda: rl.MDP(rows, wrong),
        "termination": lambda: rl.MDP(rows, np.zeros(6), termination=wrong),
        "with_reward": lambda: mdp.with_reward(wrong),
        "to_table": lambda: mdp.to_table(wrong),
    }
    argument = {"with_reward": "reward", "to_table": "x"}.get(name, name)
    message = f"{argument}: expected 6 numbers, one for each pair, in shape (3, 2) or (6,), got shape (2, 3)"
    with pytest.raises(rl.ModelError, match=f"^{re.escape(message)}$"):
        calls[name]()


def test_place_of_a_fault_is_attached_to_its_error() -> None:
    with pytest.raises(rl.ModelError) as caught:
        machine(transition=changed(2, [0.5, 0.25]))
    error = caught.value
    assert (error.argument, error.state, error.action, error.item) == ("transition", 1, 0, None)
    assert error.fault == f"{SUM}, got 0.75; {MEND}"


def test_first_fault_is_reported_whatever_the_number_of_threads() -> None:
    # Large enough to be read by several threads; the fault that comes first must win.
    mdp = rl.gallery.garnet(40_000, 2, 5)
    matrix = mdp.transition.copy()
    matrix.data[5 * 70_001] = 2.0
    matrix.data[5 * 12_345] = -1.0
    with pytest.raises(rl.ModelError, match=r"^transition, state 6172, action 1: expected a probability"):
        rl.MDP(matrix, mdp.reward)
