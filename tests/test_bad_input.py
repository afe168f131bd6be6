"""Wrong input to every public function: the exact exception, and the exact sentence that a user reads.

Nothing here may crash, hang or return a number. What the message must hold: what is wrong, where, what was expected,
what was found, and how to mend it where that is not plain. The table is also run over a core that is built with
AddressSanitizer (.ci/asan-python).
"""

from __future__ import annotations

import inspect
import pickle
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from types import CodeType
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse

import rlcore as rl

NAN, INF = float("nan"), float("inf")
HUGE = 10**400  # more than a double holds

# Two machines, fine and worn; two actions, run and repair.
P = np.array([[[0.8, 0.2], [1.0, 0.0]], [[0.3, 0.7], [0.9, 0.1]]])
R = np.array([[10.0, -3.0], [4.0, -2.0]])
ROWS = P.reshape(4, 2)
STATES, ACTIONS = ("fine", "worn"), ("run", "repair")
ENTRIES, COLUMNS, OFFSETS = ROWS[ROWS > 0], [0, 1, 0, 0, 1, 0, 1], [0, 2, 3, 5, 7]

M = rl.MDP(ROWS, R, state_labels=STATES, action_labels=ACTIONS, initial=[1, 0])
BARE = rl.MDP(ROWS, R)
RAGGED = rl.MDP(ROWS[:3], [1, 2, 3], pair_start=[0, 1, 3])
WALK = rl.gallery.random_walk(3)
STEP = rl.uniform_policy(WALK)
PARTED = rl.MDP([[1, 0, 0], [0, 1, 0], [0.5, 0.5, 0]], [1, 2, 3], initial=[0, 0, 1], state_labels=("a", "b", "c"))
SINGLE = rl.uniform_policy(PARTED)
HALF = np.full((2, 2), 0.5)
GRID = rl.gallery.slippery_grid(30)
EVEN = rl.uniform_policy(GRID)


def csr(entries: Any = ENTRIES, columns: Any = COLUMNS, offsets: Any = OFFSETS, index: Any = np.int32) -> Any:
    """Return a matrix (4, 2) with just these arrays, in ways in which SciPy itself would not make one."""
    matrix = scipy.sparse.csr_array((4, 2))
    matrix.data = np.asarray(entries, np.float64)
    matrix.indices, matrix.indptr = np.asarray(columns, index), np.asarray(offsets, index)
    return matrix


def damaged(kind: Any, whole: Any = ROWS, **arrays: Any) -> Any:
    matrix = kind(whole)
    for name, changed in arrays.items():
        setattr(matrix, name, changed)
    return matrix


def rows(row: int, entries: Any) -> Any:
    changed = ROWS.copy()
    changed[row] = entries
    return changed


def step(state: Any, action: Any) -> Any:
    return {"fine": 0.75, "worn": 0.25} if action == "run" else {"fine": 1.0}


def pay(state: Any, action: Any) -> float:
    return 1.0


def step_all(states: Any, action: Any) -> Any:
    return np.stack([states, 1 - states], axis=1), [0.75, 0.25]


def functions(**changes: Any) -> Any:
    """Return what makes a model, but for the changes."""
    return {"states": STATES, "actions": ACTIONS, "transitions": step, "reward": pay} | changes


def arrays_of(**changes: Any) -> Any:
    return {
        "states": range(2),
        "actions": ACTIONS,
        "transitions": step_all,
        "reward": pay,
        "vectorized": True,
    } | changes


def stop(*_: object) -> None:
    raise InterruptedError("enough")


class Unreadable:
    def __array__(self, *_: object, **__: object) -> Any:
        raise TypeError("not today")


Case = tuple[Callable[[], Any], type[Exception], str]

SUM = "expected probabilities that sum to 1 within 1e-9"
MEND = "correct the row, declare what is missing as termination, or pass normalize=True"
DAMAGED = "; the sparse matrix is damaged"
PAIRS = "expected 4 numbers, one for each pair, in shape (2, 2) or (4,), got shape"
POLICY = "policy: expected shape (2, 2), flat (4,) or a batch (B, 2, 2), got"
TOL = "tol: expected a relative error in [0, 1), got"
BEST = "; 0 asks for the best attainable"
SETTING = (
    "setting: expected rlcore.Discounted(gamma), rlcore.Episodic(), rlcore.Average(), rlcore.FiniteHorizon(steps) or a "
    "number in [0, 1), got"
)
PROPER = (
    "expected to end with probability 1 from every state that `initial` can reach, but the process may stay for ever"
)
ELSE = "; use Average(), Discounted(gamma), or another start distribution"
ENDS = (
    "setting, state 'A', action 'step': expected a process that never ends in Average(), but this action, which the "
    "policy takes, ends it with probability 0.500000; use Episodic() or Discounted(gamma)"
)
OF_WALK = "policy: expected shape (3, 1), flat (3,) or a batch (B, 3, 1), got"
NUMBERS = "states: expected a vector of state numbers, got"
INDEX = "; mdp.state_index(label) gives the number of a label"
ACTION = "actions: expected 2 whole numbers, one action for each state, got"
REWARD = "reward: expected a function of exactly (state, action) or (state, action, successor), got"

MODELS: list[Case] = [
    # sparse matrices that are damaged
    (
        lambda: rl.MDP(csr(offsets=[]), R),
        rl.ModelError,
        f"transition: expected 5 row offsets, one for each row and one more, got 0{DAMAGED}",
    ),
    (
        lambda: rl.MDP(csr(offsets=[0, 2, 7]), R),
        rl.ModelError,
        f"transition: expected 5 row offsets, one for each row and one more, got 3{DAMAGED}",
    ),
    (
        lambda: rl.MDP(csr(offsets=[0, 2, 10**9, 5, 7]), R),
        rl.ModelError,
        f"transition: expected row offsets that grow from 0 to the number of entries, 7{DAMAGED}",
    ),
    (
        lambda: rl.MDP(csr(offsets=[0, 2, 3 + 2**32, 5, 7], index=np.int64), R),  # 3 in 32 bits
        rl.ModelError,
        f"transition: expected row offsets that grow from 0 to the number of entries, 7{DAMAGED}",
    ),
    (
        lambda: rl.MDP(csr(offsets=[0, 2, 3, 5, -7]), R),
        rl.ModelError,
        f"transition: expected row offsets that grow from 0 to the number of entries, 7{DAMAGED}",
    ),
    (
        lambda: rl.MDP(csr(entries=ENTRIES[:3]), R, normalize=True),
        rl.ModelError,
        f"transition: expected a column for each of the 3 entries, got 7{DAMAGED}",
    ),
    (
        lambda: rl.MDP(csr(columns=[0, 1]), R),
        rl.ModelError,
        f"transition: expected a column for each of the 7 entries, got 2{DAMAGED}",
    ),
    (
        lambda: rl.MDP(csr(columns=[0, 1, 0, 0, 10**9, 0, 1]), R),
        rl.ModelError,
        "transition, state 1, action 0: expected successors in 0 .. 1, got 1000000000",
    ),
    (
        lambda: rl.MDP(csr(columns=[1, 0, 0, 0, -5, 1, 0]), R),  # and out of order
        rl.ModelError,
        "transition, state 1, action 0: expected successors in 0 .. 1, got -5",
    ),
    (
        lambda: rl.MDP(csr(columns=[0, 1, 0, 0, 1 + 2**32, 0, 1], index=np.int64), R),  # 1 in 32 bits
        rl.ModelError,
        "transition: expected successors in 0 .. 1, got 4294967297 as entry 4",
    ),
    (
        lambda: rl.MDP(csr(index=np.float64), R),
        rl.ModelError,
        f"transition: expected indices that are whole numbers, got dtype float64{DAMAGED}",
    ),
    (
        lambda: rl.MDP(csr(entries=ENTRIES.reshape(1, 7)), R),
        rl.ModelError,
        f"transition: expected vectors of entries and of indices, got ndarray of shape (1, 7){DAMAGED}",
    ),
    (
        lambda: rl.MDP(damaged(scipy.sparse.csr_array, data=[1.0, 2.0]), R),
        rl.ModelError,
        f"transition: expected vectors of entries and of indices, got list of shape (2,){DAMAGED}",
    ),
    (
        lambda: rl.MDP(damaged(scipy.sparse.csc_array, indices=np.array([0, 1, 2, 10**8, 0, 1, 2], np.int32)), R),
        rl.ModelError,
        "transition: expected a valid CSC matrix, got one of which SciPy says: indices must be < 4" + DAMAGED,
    ),
    (
        lambda: rl.MDP(damaged(scipy.sparse.coo_array, coords=(np.full(7, 10**8), np.zeros(7, np.int64))), R),
        rl.ModelError,
        f"transition: expected indices in 0 .. 3, got 100000000{DAMAGED}",
    ),
    (
        lambda: rl.MDP(damaged(scipy.sparse.coo_array, data=ENTRIES[:2]), R),
        rl.ModelError,
        f"transition: expected an index for each of the 2 entries, got 7{DAMAGED}",
    ),
    # arrays of other kinds
    (lambda: rl.MDP("rows.csv", R), rl.ModelError, "transition: expected real numbers, got dtype <U8"),  # type: ignore[arg-type]
    (lambda: rl.MDP(ROWS.astype(object), R), rl.ModelError, "transition: expected real numbers, got dtype object"),
    (
        lambda: rl.MDP(ROWS[0], R),
        rl.ModelError,
        "transition: expected shape (num_pairs, num_states), got (2,); for arrays over states and actions use "
        "MDP.from_arrays",
    ),
    (
        lambda: rl.MDP(np.empty((0, 0)), []),
        rl.ModelError,
        "transition: expected at least one state and one pair, got shape (0, 0)",
    ),
    (
        lambda: rl.MDP(scipy.sparse.csr_array((4, 2**31)), R),
        rl.ModelError,
        "transition: expected at most 2147483647 states, got 2147483648",
    ),
    (
        lambda: rl.MDP(rows(2, [0.5, 0.4]), R, state_labels=STATES, action_labels=ACTIONS),
        rl.ModelError,
        f"transition, state 'worn', action 'run': {SUM}, got 0.9; {MEND}",
    ),
    (
        lambda: rl.MDP(rows(2, [-0.5, 1.5])[::-1][::-1], R),  # negative strides
        rl.ModelError,
        "transition, state 1, action 0: expected a probability in [0, 1] for successor 0, got -0.5",
    ),
    (
        lambda: rl.MDP(rows(1, [NAN, 1.0]).astype(">f8"), R),  # byte-swapped
        rl.ModelError,
        "transition, state 0, action 1: expected a probability in [0, 1] for successor 0, got nan",
    ),
    (lambda: rl.MDP(ROWS, R.astype(object)), rl.ModelError, "reward: expected real numbers, got dtype object"),
    (lambda: rl.MDP(ROWS, [HUGE, 0, 0, 0]), rl.ModelError, "reward: expected real numbers, got dtype object"),
    (
        lambda: rl.MDP(ROWS, np.array([1, "NaT", 3, 4], "M8[s]")),
        rl.ModelError,
        "reward: expected real numbers, got dtype datetime64[s]",
    ),
    (
        lambda: rl.MDP(ROWS, np.zeros(4, "f8,f8")),
        rl.ModelError,
        "reward: expected real numbers, got dtype [('f0', '<f8'), ('f1', '<f8')]",
    ),
    (lambda: rl.MDP(ROWS, iter([1, 2, 3, 4])), rl.ModelError, "reward: expected real numbers, got dtype object"),  # type: ignore[arg-type]
    (lambda: rl.MDP(ROWS, scipy.sparse.csr_array(R)), rl.ModelError, "reward: expected real numbers, got dtype object"),  # type: ignore[arg-type]
    (
        lambda: rl.MDP(ROWS, Unreadable()),
        rl.ModelError,
        "reward: expected an array of numbers, got Unreadable: not today",
    ),
    (lambda: rl.MDP(ROWS, np.float64(3)), rl.ModelError, f"reward: {PAIRS} ()"),
    (
        lambda: rl.MDP(ROWS, pd.Series([1, None, 3, 4], dtype="Int64")),
        rl.ModelError,
        "reward, state 0, action 1: expected a finite number, got nan",
    ),
    (
        lambda: rl.MDP(ROWS, R, termination=np.full(4, np.float32(1e-3))),
        rl.ModelError,
        f"transition, state 0, action 0: {SUM} together with termination, got 1.0010000000474975; {MEND}",
    ),
    (lambda: rl.MDP(ROWS, R, initial="fine"), rl.ModelError, "initial: expected real numbers, got dtype <U4"),  # type: ignore[arg-type]
    (
        lambda: rl.MDP(ROWS, R, pair_start=np.array([0, 2**63 + 2, 4], np.uint64)),
        rl.ModelError,
        "pair_start: expected whole numbers below 2^63, got 9223372036854775810",
    ),
    (
        lambda: rl.MDP(ROWS, R, pair_start=[0, 2**62, 4]),
        rl.ModelError,
        "pair_start, state 1: expected at least one action, got -4611686018427387900",
    ),
    (
        lambda: rl.MDP(ROWS, R, pair_action=[1, 1, 0, 1]),
        rl.ModelError,
        "pair_action, state 0: expected numbers from 0 on that increase within each state, got 1, 1",
    ),
    (
        lambda: rl.MDP(ROWS, R, state_labels={"fine", "worn"}),  # type: ignore[arg-type]
        rl.ModelError,
        "state_labels: expected labels in an order, got a set, which has none; pass a list",
    ),
    (
        lambda: rl.MDP(ROWS, R, state_labels=[1, True]),
        rl.ModelError,
        "state_labels: expected distinct labels, got True twice",
    ),
    # methods
    (lambda: M.state_index("wron"), rl.ModelError, "state: no state has the label 'wron'; did you mean 'worn'?"),
    (lambda: BARE.state_index(2.0), rl.ModelError, "state: expected a number in 0 .. 1, got 2.0"),  # type: ignore[arg-type]
    (lambda: M.to_table([1, 2, 3]), rl.ModelError, f"x: {PAIRS} (3,)"),
    (lambda: M.to_table(R, fill="none"), rl.ArgumentError, "fill: expected a number, got 'none'"),  # type: ignore[arg-type]
    (
        lambda: rl.MDP(ROWS, R, pair_action=[0, 2**40, 0, 1]).to_table(R),
        rl.ModelError,
        "x: expected a table that fits in memory, got 2 states and actions up to 1099511627776: 17592 GB; number the "
        "actions from 0 on in pair_action",
    ),
    (
        lambda: M.with_reward([1, 2, NAN, 4]),
        rl.ModelError,
        "reward, state 'worn', action 'run': expected a finite number, got nan",
    ),
    (lambda: M.with_initial([0.5, 0.4]), rl.ModelError, f"initial: {SUM}, got a sum of 0.9; divide by the sum"),
    (lambda: M.to_scipy(HALF[0]), rl.PolicyError, f"{POLICY} (2,)"),
    (
        lambda: M.to_networkx(2 * HALF),
        rl.PolicyError,
        f"policy, state 'fine': {SUM}, got a sum of 2; divide the row by its sum",
    ),
    (
        lambda: M.to_pandas([1, 2, 3]),
        rl.ModelError,
        "x: expected shape (2,) over states or (2, 2) over pairs, or a batch of such arrays, got (3,)",
    ),
    (
        lambda: M.to_pandas([1, 2], over="state"),
        rl.ArgumentError,
        "over: expected 'states', 'pairs' or None, got 'state'",
    ),
    (
        lambda: M.to_xarray(R),
        rl.ArgumentError,
        "over: shape (2, 2) can be read as numbers for states and for pairs; pass over='states' or over='pairs'",
    ),
]

ARRAYS: list[Case] = [
    (
        lambda: rl.MDP.from_arrays(P, R, layout="SSA"),
        rl.ModelError,
        "layout: expected 'SAS' (state, action, successor) or 'ASS', got 'SSA'; did you mean 'SAS'?",
    ),
    (
        lambda: rl.MDP.from_arrays(P, R),
        rl.ModelError,
        "layout: shape (2, 2, 2) can be read as (S, A, S) and as (A, S, S); pass layout='SAS' or layout='ASS'",
    ),
    (
        lambda: rl.MDP.from_arrays(P[None], R, "SAS"),
        rl.ModelError,
        "P: expected shape (S, A, S) or (A, S, S), got (1, 2, 2, 2)",
    ),
    (
        lambda: rl.MDP.from_arrays(P.astype(object), R, "SAS"),
        rl.ModelError,
        "P: expected real numbers, got dtype object",
    ),
    (
        lambda: rl.MDP.from_arrays(P, [1, 2, 3], "SAS"),
        rl.ModelError,
        "r: expected shape (2,), (2, 2) or (2, 2, 2) (like P), got (3,)",
    ),
    (
        lambda: rl.MDP.from_arrays(P, R, "SAS", mask=np.zeros((2, 2), bool)),
        rl.ModelError,
        "mask, state 0: expected at least one admissible action, got none",
    ),
    (
        lambda: rl.MDP.from_arrays(P, R, "SAS", termination=[[2, 0], [0, 0]]),
        rl.ModelError,
        "termination, state 0, action 0: expected a probability in [0, 1], got 2",
    ),
    (
        lambda: rl.MDP.from_arrays(np.swapaxes(P, 1, 2), R, "SAS", state_labels=STATES, action_labels=ACTIONS),
        rl.ModelError,
        f"transition, state 'fine', action 'run': {SUM}, got 1.8; {MEND}",
    ),
]

FUNCTIONS: list[Case] = [
    (
        lambda: rl.MDP.from_functions(**functions(transitions=lambda s, a: {"fine": 0.5, "Worn": 0.5})),
        rl.ModelError,
        "transitions, state 'fine', action 'run': expected a successor among the states, got 'Worn'; did you mean "
        "'worn'? Otherwise add it to states, or give None where it ends",
    ),
    (
        lambda: rl.MDP.from_functions(**functions(transitions=lambda s, a: {17: 1.0})),
        rl.ModelError,
        "transitions, state 'fine', action 'run': expected a successor among the states, got 17; add it to states, or "
        "give None where it ends",
    ),
    (
        lambda: rl.MDP.from_functions(**functions(transitions=lambda s, a: [(0.5, "fine"), (0.5, "worn")])),
        rl.ModelError,
        "transitions, state 'fine', action 'run': expected a successor among the states, got 0.5; pairs are "
        "(successor, probability)",
    ),
    (
        lambda: rl.MDP.from_functions(**functions(transitions=lambda s, a: "worn")),
        rl.ModelError,
        "transitions, state 'fine', action 'run': expected a dict {successor: probability} or such pairs, got 'worn'; "
        "if it is certain, return {'worn': 1.0}",
    ),
    (
        lambda: rl.MDP.from_functions(**functions(transitions=lambda s, a: None)),
        rl.ModelError,
        "transitions, state 'fine', action 'run': expected a dict {successor: probability} or such pairs, got None",
    ),
    (
        lambda: rl.MDP.from_functions(**functions(transitions=lambda s, a: [("fine", 0.5, 1.0)])),
        rl.ModelError,
        "transitions, state 'fine', action 'run': expected pairs (successor, probability), got ('fine', 0.5, 1.0)",
    ),
    (
        lambda: rl.MDP.from_functions(**functions(transitions=lambda s, a: [([0], 1.0)])),
        rl.ModelError,
        "transitions, state 'fine', action 'run': expected a hashable successor such as a tuple, got [0]",
    ),
    *(
        (
            lambda p=p: rl.MDP.from_functions(**functions(transitions=lambda s, a: {"fine": p, "worn": 0.5})),
            rl.ModelError,
            "transitions, state 'fine', action 'run': expected a probability in [0, 1] for successor 'fine', got "
            + shown,
        )
        for p, shown in (("half", "'half'"), (None, "None"), (-0.5, "-0.5"), (NAN, "nan"), (INF, "inf"), (1j, "1j"))
    ),
    (
        # A sum would hide it.
        lambda: rl.MDP.from_functions(**functions(transitions=lambda s, a: [("fine", 1.5), ("fine", -0.5)])),
        rl.ModelError,
        "transitions, state 'fine', action 'run': expected a probability in [0, 1] for successor 'fine', got -0.5",
    ),
    (
        lambda: rl.MDP.from_functions(**functions(transitions=lambda s, a: {"worn": 0.75})),
        rl.ModelError,
        f"transition, state 'fine', action 'run': {SUM}, got 0.75; {MEND}",
    ),
    (
        lambda: rl.MDP.from_functions(**functions(transitions={})),
        rl.ModelError,
        "transitions: expected a function of a state and an action, got {}; pass lambda state, action: "
        "transitions[state, action]",
    ),
    (
        lambda: rl.MDP.from_functions(**functions(transitions=P)),
        rl.ModelError,
        "transitions: expected a function of a state and an action, got array([[[0.8, 0.2], [1. , 0. ]], "
        "[[0.3, 0.7], [0.9, 0.1]]]); for arrays use rlcore.MDP.from_arrays",
    ),
    (
        lambda: rl.MDP.from_functions(**functions(reward=lambda s, a: "a lot")),
        rl.ModelError,
        "reward, state 'fine', action 'run': expected a number, got 'a lot'",
    ),
    (
        lambda: rl.MDP.from_functions(**functions(reward=lambda s, a, t: HUGE if t == "worn" else 0)),
        rl.ModelError,
        "reward, state 'fine', action 'run': expected a number, got " + str(HUGE)[:56] + " ...",
    ),
    (
        lambda: rl.MDP.from_functions(**functions(reward=lambda s, a: -INF if s == "worn" else 0)),
        rl.ModelError,
        "reward, state 'worn', action 'run': expected a finite number, got -inf",
    ),
    (lambda: rl.MDP.from_functions(**functions(reward=lambda s: 0.0)), rl.ModelError, f"{REWARD} one of 1 parameters"),
    (
        lambda: rl.MDP.from_functions(**functions(reward=lambda s, a, successor=None: 0.0)),
        rl.ModelError,
        f"{REWARD} one that can be called with 2 and with 3 arguments; wrap it as lambda state, action: ...",
    ),
    (
        lambda: rl.MDP.from_functions(**functions(reward=lambda *given: 0.0)),
        rl.ModelError,
        f"{REWARD} one with any number of parameters; wrap it as lambda state, action: ...",
    ),
    (
        lambda: rl.MDP.from_functions(**functions(termination=lambda s, a: 2.0)),
        rl.ModelError,
        "termination, state 'fine', action 'run': expected a probability in [0, 1], got 2",
    ),
    (
        lambda: rl.MDP.from_functions(**functions(termination=0.5)),
        rl.ModelError,
        "termination: expected a function of a state and an action, got 0.5",
    ),
    (
        lambda: rl.MDP.from_functions(**functions(states=[])),
        rl.ModelError,
        "states: expected at least one state, got none",
    ),
    (
        lambda: rl.MDP.from_functions(**functions(states=5)),
        rl.ModelError,
        "states: expected an iterable of labels, got 5; pass range(5)",
    ),
    (
        lambda: rl.MDP.from_functions(**functions(states="fine")),
        rl.ModelError,
        "states: expected an iterable of labels, got the text 'fine'; pass ['fine']",
    ),
    (
        lambda: rl.MDP.from_functions(**functions(states={"fine", "worn"})),
        rl.ModelError,
        "states: expected labels in an order, got a set, which may have another in every run; pass a list or "
        "sorted(...)",
    ),
    (
        lambda: rl.MDP.from_functions(**functions(states=["fine", "worn", "fine"])),
        rl.ModelError,
        "states: expected distinct labels, got 'fine' twice",
    ),
    (
        lambda: rl.MDP.from_functions(**functions(states=[[0, 1], [0, 2]])),
        rl.ModelError,
        "states: expected hashable labels such as tuples, got [0, 1]",
    ),
    (
        lambda: rl.MDP.from_functions(**functions(states=["fine", None])),
        rl.ModelError,
        "states: None cannot be a label: as a successor it says that the process ends",
    ),
    (
        lambda: rl.MDP.from_functions(**functions(states=iter(range(10**9)), max_states=1000)),
        rl.ModelError,
        "states: expected at most 1,000 states, got more; pass max_states if there are",
    ),
    (
        lambda: rl.MDP.from_functions(None, ["up"], lambda s, a: {s + 1: 1.0}, pay, 0, max_states=1000),
        rl.ModelError,
        "states: expected at most 1,000 states that can be reached from initial, got more, such as 1000; pass "
        "max_states if there are, or check that transitions leads back to states it knows",
    ),
    (
        lambda: rl.MDP.from_functions(**functions(states=None)),
        rl.ModelError,
        "initial: expected a state or a dict {state: probability} to find the other states from, as states is None, "
        "got None",
    ),
    (
        lambda: rl.MDP.from_functions(**functions(initial="Fine")),
        rl.ModelError,
        "initial: no state has the label 'Fine'; did you mean 'fine'?",
    ),
    (
        lambda: rl.MDP.from_functions(**functions(initial={"fine": 0.5, "worn": 0.25})),
        rl.ModelError,
        f"initial: {SUM}, got a sum of 0.75; divide by the sum",
    ),
    (
        lambda: rl.MDP.from_functions(**functions(initial={"fine": "all"})),
        rl.ModelError,
        "initial, state 'fine': expected a probability, got 'all'",
    ),
    (
        lambda: rl.MDP.from_functions(**functions(actions="run")),
        rl.ModelError,
        "actions: expected an iterable of labels, got the text 'run'; pass ['run']",
    ),
    (
        lambda: rl.MDP.from_functions(**functions(actions=lambda s: ["run"] if s == "fine" else [])),
        rl.ModelError,
        "actions, state 'worn': expected at least one action, got none",
    ),
    (
        lambda: rl.MDP.from_functions(**functions(actions=lambda s: ["run", "run"])),
        rl.ModelError,
        "actions, state 'fine': expected distinct labels, got 'run' twice",
    ),
    (
        lambda: rl.MDP.from_functions(**functions(actions={"fine": ["run"], "worn": ["run"]})),
        rl.ModelError,
        "actions: expected labels or a function of a state, got a dict; pass lambda state: actions[state]",
    ),
    (
        lambda: rl.MDP.from_functions(**functions(progress=True)),
        rl.ArgumentError,
        "progress: expected a callable that takes the numbers of states done and known, got True",
    ),
    (lambda: rl.MDP.from_functions(**functions(progress=stop)), InterruptedError, "enough"),
    (
        lambda: rl.MDP.from_functions(**functions(max_states=0)),
        rl.ArgumentError,
        "max_states: expected a whole number in 1 .. 2147483647, got 0",
    ),
    # functions of arrays
    (
        lambda: rl.MDP.from_functions(**arrays_of(states=None)),
        rl.ModelError,
        "states: expected all states with vectorized=True, got None; only functions of labels can find them",
    ),
    (
        lambda: rl.MDP.from_functions(**arrays_of(transitions=lambda s, a: s)),
        rl.ModelError,
        "transitions, action 'run': expected a tuple (successors, probabilities) of arrays, got array([0, 1])",
    ),
    (
        lambda: rl.MDP.from_functions(**arrays_of(transitions=lambda s, a: (s + 0.5, 1.0))),
        rl.ModelError,
        "transitions, action 'run': expected successors as whole numbers of shape (2, k) for the 2 states asked for, "
        "got dtype float64, shape (2,)",
    ),
    (
        lambda: rl.MDP.from_functions(**arrays_of(transitions=lambda s, a: (s[:1], 1.0))),
        rl.ModelError,
        "transitions, action 'run': expected successors as whole numbers of shape (2, k) for the 2 states asked for, "
        "got dtype int64, shape (1,)",
    ),
    (
        lambda: rl.MDP.from_functions(**arrays_of(transitions=lambda s, a: (s + 1, 1.0))),
        rl.ModelError,
        "transitions, state 1, action 'run': expected successors in 0 .. 1, or -1 where the process ends, got 2",
    ),
    (
        lambda: rl.MDP.from_functions(**arrays_of(transitions=lambda s, a: (s, [0.5, 0.25, 0.25]))),
        rl.ModelError,
        "transitions, action 'run': expected probabilities of shape (2,), got (3,)",
    ),
    (
        lambda: rl.MDP.from_functions(**arrays_of(transitions=lambda s, a: (s, np.where(s, -1.0, 1.0)))),
        rl.ModelError,
        "transitions, state 1, action 'run': expected a probability in [0, 1] for successor 1, got -1",
    ),
    (
        lambda: rl.MDP.from_functions(**arrays_of(termination=lambda s, a: -0.5 * s)),
        rl.ModelError,
        "termination, state 1, action 'run': expected a probability in [0, 1], got -0.5",
    ),
    (
        lambda: rl.MDP.from_functions(**arrays_of(reward=lambda s, a: [1, 2, 3])),
        rl.ModelError,
        "reward, action 'run': expected numbers of shape (2,), got (3,)",
    ),
    (
        lambda: rl.MDP.from_functions(**arrays_of(actions={"run": [True, True], "repair": [0, 1]})),
        rl.ModelError,
        "actions, 'repair': expected booleans of shape (2,), one for each state, got dtype int64, shape (2,)",
    ),
    (
        lambda: rl.MDP.from_functions(**arrays_of(actions={"run": [True, False]})),
        rl.ModelError,
        "actions, state 1: expected at least one action, got none",
    ),
]

TABLES: list[Case] = [
    (lambda: rl.from_gymnasium({}), rl.ModelError, "P: expected at least one state, got an empty table"),
    (lambda: rl.from_gymnasium({0: {}}), rl.ModelError, "P, state 0: expected at least one action, got none"),
    (
        lambda: rl.from_gymnasium({0: {0: [(1.0, 5, 0.0, False)]}}),
        rl.ModelError,
        "P, state 0, action 0: expected next states in 0 .. 0, got 5",
    ),
    (
        lambda: rl.from_gymnasium({0: {0: [(1.5, 0, 0.0, False), (-0.5, 0, 0.0, False)]}}),
        rl.ModelError,
        "P, state 0, action 0: expected a probability in [0, 1], got 1.5",
    ),
    (
        lambda: rl.from_gymnasium({0: {0: [(1.0, 2**70, 0.0, False)]}}),
        rl.ModelError,
        "P, state 0, action 0: expected transitions (probability, next_state, reward, terminated), got "
        "(1.0, 1180591620717411303424, 0.0, False)",
    ),
    (
        lambda: rl.from_gymnasium({0: {0: [(1.0, 0, INF, False)]}}),
        rl.ModelError,
        "P, state 0, action 0: expected finite rewards, got inf",
    ),
    (
        lambda: rl.from_gymnasium(P),
        rl.ModelError,
        "env: expected an environment, the id of one or a table P[s][a], got ndarray; for arrays use "
        "rlcore.MDP.from_arrays",
    ),
    (
        lambda: rl.from_gymnasium("FrozenLak-v1"),
        rl.ModelError,
        "env: Environment `FrozenLak` doesn't exist. Did you mean: `FrozenLake`?",
    ),
]

POLICIES: list[Case] = [
    (lambda: rl.uniform_policy(ROWS), rl.ArgumentError, "mdp: expected a rlcore.MDP, got ndarray"),  # type: ignore[arg-type]
    (lambda: rl.deterministic_policy(M, ["run", "run"]), rl.PolicyError, f"{ACTION} dtype <U3, shape (2,)"),
    (lambda: rl.deterministic_policy(M, [2**70, 0]), rl.PolicyError, f"{ACTION} dtype object, shape (2,)"),
    (
        lambda: rl.deterministic_policy(M, np.array([0, 2], ">i2")),
        rl.PolicyError,
        "actions, state 'worn': expected an admissible action, got 2",
    ),
    (lambda: rl.greedy_policy(M, R[:, 0]), rl.PolicyError, f"q: {PAIRS} (2,)"),
    (
        lambda: rl.greedy_policy(M, [[INF, 0], [0, 0]]),
        rl.PolicyError,
        "q, state 'fine', action 'run': expected a finite number, got inf",
    ),
    (
        lambda: rl.greedy_policy(M, R, tolerance=-1),
        rl.PolicyError,
        "tolerance: expected a finite number from 0 on, got -1",
    ),
    (
        lambda: rl.epsilon_greedy_policy(M, R, 1.5),
        rl.PolicyError,
        "epsilon: expected a probability in [0, 1], got 1.5",
    ),
    (lambda: rl.softmax_policy(M, HUGE), rl.PolicyError, "theta: expected real numbers, got dtype object"),  # type: ignore[arg-type]
    (lambda: rl.mixture_policy(HALF, HALF[0], 0.5), rl.PolicyError, "q: expected the shape of p, (2, 2), got (2,)"),
    (lambda: rl.mixture_policy(HALF, HALF, NAN), rl.PolicyError, "a: expected a weight in [0, 1], got nan"),
    (
        lambda: rl.random_policy(M, -1),
        rl.ArgumentError,
        "seed: expected a whole number from 0 on, a numpy.random.Generator or None, got -1",
    ),
]

ANSWERS: list[Case] = [
    (lambda: rl.evaluate(None, HALF, 0.9), rl.ArgumentError, "mdp: expected a rlcore.MDP, got NoneType"),  # type: ignore[arg-type]
    (lambda: rl.evaluate(HALF, M, 0.9), rl.ArgumentError, "mdp: expected a rlcore.MDP, got ndarray"),  # type: ignore[arg-type]
    (lambda: rl.evaluate(M, 0.5, 0.9), rl.PolicyError, f"{POLICY} ()"),
    (lambda: rl.evaluate(M, [], 0.9), rl.PolicyError, f"{POLICY} (0,)"),
    (lambda: rl.evaluate(M, np.stack([HALF] * 2).reshape(2, 4), 0.9), rl.PolicyError, f"{POLICY} (2, 4)"),
    (
        lambda: rl.evaluate(RAGGED, HALF, 0.9),
        rl.PolicyError,
        "policy: expected shape (3,) or a batch (B, 3), got (2, 2)",
    ),
    (
        lambda: rl.evaluate(M, HALF.astype(object), 0.9),
        rl.PolicyError,
        "policy: expected real numbers, got dtype object",
    ),
    (
        lambda: rl.evaluate(M, HALF.view("i8").view("M8[s]"), 0.9),
        rl.PolicyError,
        "policy: expected real numbers, got dtype datetime64[s]",
    ),
    (
        lambda: rl.evaluate(M, np.asfortranarray(np.stack([HALF, HALF, -HALF])), 0.9),
        rl.PolicyError,
        "policy[2], state 'fine', action 'run': expected a probability in [0, 1], got -0.5",
    ),
    (
        lambda: rl.evaluate(M, np.broadcast_to(np.float16(0.3), (2, 2)), 0.9),
        rl.PolicyError,
        f"policy, state 'fine': {SUM}, got a sum of 0.60009765625; divide the row by its sum",
    ),
    (
        lambda: rl.evaluate(M, HALF, 0.9, reward=[[1, 2], [3, HUGE]]),
        rl.ModelError,
        "reward: expected real numbers, got dtype object",
    ),
    (
        lambda: rl.evaluate(M, HALF, 0.9, reward=[R, R * NAN]),
        rl.ModelError,
        "reward[1], state 'fine', action 'run': expected a finite number, got nan",
    ),
    *(
        (
            lambda gamma=gamma: rl.evaluate(M, HALF, gamma),
            rl.SettingError,
            f"gamma: expected 0 <= gamma < 1, got {gamma}",
        )
        for gamma in (-0.1, NAN, INF)
    ),
    *(
        (lambda setting=setting: rl.evaluate(M, HALF, setting), rl.SettingError, f"{SETTING} {setting!r}")
        for setting in (None, True, "0.9", 1j, [0.9], np.array(0.9), rl.Discounted)
    ),
    *(
        (lambda tol=tol: rl.evaluate(M, HALF, 0.9, tol=tol), rl.ArgumentError, f"{TOL} {tol!r}{BEST}")
        for tol in (-1e-9, 1, NAN, None, "1e-9", HUGE)
    ),
    *(
        (
            lambda n=n: rl.evaluate(M, HALF, 0.9, num_threads=n),
            rl.ArgumentError,
            f"num_threads: expected 1 to 256, or None for one per core, got {n}",
        )
        for n in (0, -1, 257, 2**70)
    ),
    *(
        (
            lambda n=n: rl.occupancy(M, HALF, 0.9, num_threads=n),
            rl.ArgumentError,
            f"num_threads: expected a whole number or None, got {n!r}",
        )
        for n in (1.5, "2", True, NAN)
    ),
    (
        lambda: rl.evaluate(M, HALF, 0.9, progress="bar"),  # type: ignore[arg-type]
        rl.ArgumentError,
        "progress: expected a callable that takes a rlcore.Progress, got 'bar'",
    ),
    (lambda: rl.state_distribution(GRID, EVEN, 200_000, progress=stop), InterruptedError, "enough"),
    (
        lambda: rl.occupancy(BARE, HALF, 0.9),
        rl.ModelError,
        "initial: occupancy needs a start distribution, and the model has none; pass initial=p, or make the model with "
        "initial=p or mdp.with_initial(p)",
    ),
    (
        lambda: rl.occupancy(M, HALF, 0.9, initial="fine"),
        rl.ModelError,
        "initial: expected real numbers, got dtype <U4",
    ),  # type: ignore[arg-type]
    (
        lambda: rl.occupancy(M, HALF, 0.9, initial=np.empty((0, 2))),
        rl.ModelError,
        "initial: expected at least one item in the batch, got shape (0, 2)",
    ),
    (
        lambda: rl.occupancy(M, HALF, 0.9, initial=[[1, 0], [0.5, 0.25]]),
        rl.ModelError,
        f"initial[1]: {SUM}, got a sum of 0.75; divide by the sum",
    ),
    (
        lambda: rl.state_distribution(M, HALF, True),
        rl.ArgumentError,
        "steps: expected a whole number from 0 on, got True",
    ),
    (
        lambda: rl.state_distribution(M, HALF, 10**30),
        rl.ArgumentError,
        f"steps: expected a table that fits in memory, got {10**30}: 14901161193847656546304 GiB",
    ),
    (
        lambda: rl.state_distribution(M, HALF, 1, initial=[[1, 0], [0, 1]]),
        rl.ModelError,
        "initial: expected one of shape (2,), got a batch of shape (2, 2)",
    ),
    *(
        (
            lambda states=states: rl.successor_representation(M, HALF, 0.9, states),
            rl.ArgumentError,
            f"{NUMBERS} {got}{INDEX}",
        )
        for states, got in (
            ([], "dtype float64, shape (0,)"),
            ([[0, 1]], "dtype int64, shape (1, 2)"),
            (["fine"], "dtype <U4, shape (1,)"),
            ([True], "dtype bool, shape (1,)"),
            ([2**70], "dtype object, shape (1,)"),
        )
    ),
    (
        lambda: rl.successor_representation(M, HALF, 0.9, [0, -1]),
        rl.ArgumentError,
        "states: expected numbers in 0 .. 1, got -1",
    ),
    (lambda: rl.Discounted("0.9"), rl.SettingError, "gamma: expected a number in [0, 1), got '0.9'"),  # type: ignore[arg-type]
    (lambda: rl.Discounted(True), rl.SettingError, "gamma: expected a number in [0, 1), got True"),
    (
        lambda: rl.Discounted(1),
        rl.SettingError,
        "gamma: expected 0 <= gamma < 1, got 1; without a discount use Episodic(), Average() or FiniteHorizon(steps)",
    ),
]

UNDISCOUNTED: list[Case] = [
    (
        lambda: rl.evaluate(M, HALF, rl.Episodic()),
        rl.ImproperPolicyError,
        f"policy, state 'fine': {PROPER} among the states {{0, 1}}{ELSE}",
    ),
    (
        lambda: rl.occupancy(PARTED, SINGLE, rl.Episodic()),
        rl.ImproperPolicyError,
        f"policy, state 'a': {PROPER} among the states {{0}}, {{1}}{ELSE}",
    ),
    (
        lambda: rl.occupancy(PARTED, SINGLE, rl.Episodic(), initial=[0, 1, 0]),
        rl.ImproperPolicyError,
        f"policy, state 'b': {PROPER} among the states {{1}}{ELSE}",
    ),
    *(
        (lambda call=call: call(), rl.SettingError, ENDS)
        for call in (
            lambda: rl.evaluate(WALK, STEP, rl.Average()),
            lambda: rl.occupancy(WALK, STEP, rl.Average()),
            lambda: rl.kemeny_constant(WALK, STEP),
            lambda: rl.deviation_rows(WALK, STEP),
        )
    ),
    (
        lambda: rl.kemeny_constant(PARTED, SINGLE),
        rl.SettingError,
        "policy: expected one recurrent class, for which Kemeny's constant is defined, got 2",
    ),
    (lambda: rl.kemeny_constant(M, HALF, tol=1.5), rl.ArgumentError, f"{TOL} 1.5{BEST}"),
    (
        lambda: rl.first_passage_times(M, HALF, ["fine"]),
        rl.ArgumentError,
        f"targets: expected a vector of state numbers, got dtype <U4, shape (1,){INDEX}",
    ),
    (
        lambda: rl.first_passage_times(M, np.stack([HALF] * 2), [0]),
        rl.PolicyError,
        "policy: expected one of shape (2, 2), got a batch of shape (2, 2, 2)",
    ),
    (lambda: rl.deviation_rows(M, HALF, [0, 2]), rl.ArgumentError, "states: expected numbers in 0 .. 1, got 2"),
    (lambda: rl.deviation_rows(M, HALF, []), rl.ArgumentError, f"{NUMBERS} dtype float64, shape (0,){INDEX}"),
    (lambda: rl.episode_length(WALK, STEP[:2]), rl.PolicyError, f"{OF_WALK} (2, 1)"),
    (
        lambda: rl.episode_length(WALK, -STEP),
        rl.PolicyError,
        "policy, state 'A', action 'step': expected a probability in [0, 1], got -1",
    ),
    (lambda: rl.episode_length(HALF, STEP), rl.ArgumentError, "mdp: expected a rlcore.MDP, got ndarray"),  # type: ignore[arg-type]
    (
        lambda: rl.compare_settings(M, HALF, 0.9),  # type: ignore[arg-type]
        rl.ArgumentError,
        "gammas: expected a list of discount factors, got 0.9",
    ),
    (
        lambda: rl.compare_settings(M, HALF, [0.5, 1.0]),
        rl.SettingError,
        "gamma: expected 0 <= gamma < 1, got 1.0; without a discount use Episodic(), Average() or FiniteHorizon(steps)",
    ),
    (lambda: rl.compare_settings(M, HALF[:1]), rl.PolicyError, f"{POLICY} (1, 2)"),
    (lambda: rl.chain_structure(M, HALF[:1]), rl.PolicyError, f"{POLICY} (1, 2)"),
    (
        lambda: rl.chain_structure(M, HALF, num_threads=0),
        rl.ArgumentError,
        "num_threads: expected 1 to 256, or None for one per core, got 0",
    ),
    (lambda: rl.FiniteHorizon(0), rl.SettingError, "steps: expected a whole number from 1 on, got 0"),
    (
        lambda: rl.evaluate(M, np.stack([HALF] * 3), rl.FiniteHorizon(2)),
        rl.PolicyError,
        "policy: expected one policy, or one for each of the 2 steps, got 3",
    ),
    (
        lambda: rl.occupancy(BARE, HALF, rl.Average()),
        rl.ModelError,
        "initial: occupancy needs a start distribution, and the model has none; pass initial=p, or make the model with "
        "initial=p or mdp.with_initial(p)",
    ),
    (
        lambda: rl.death_mdp(M, 1.0),
        rl.SettingError,
        "gamma: expected 0 <= gamma < 1, got 1.0; without a discount use Episodic(), Average() or FiniteHorizon(steps)",
    ),
    (
        lambda: rl.death_mdp(M, rl.Average()),  # type: ignore[arg-type]
        rl.SettingError,
        "setting: death_mdp exists for rlcore.Discounted(gamma), not for Average()",
    ),
]

GALLERY: list[Case] = [
    (lambda: rl.gallery.garnet(0, 1, 1), rl.ModelError, "S: expected a whole number from 1 on, got 0"),
    (lambda: rl.gallery.garnet(2, 1, 3), rl.ModelError, "b: expected at most S = 2 distinct successors, got 3"),
    (lambda: rl.gallery.garnet(2, 1, 1, seed="x"), rl.ModelError, "seed: expected a whole number from 0 on, got 'x'"),  # type: ignore[arg-type]
    (lambda: rl.gallery.slippery_grid(2.5), rl.ModelError, "N: expected a whole number from 2 on, got 2.5"),  # type: ignore[arg-type]
    (lambda: rl.gallery.queue(10, arrival=2), rl.ModelError, "arrival: expected a probability in [0, 1], got 2"),
    (lambda: rl.gallery.forest(r1=NAN), rl.ModelError, "r1: expected a finite number, got nan"),
]

FOUND: list[Case] = [  # by this table, and mended
    (
        lambda: rl.MDP(ROWS, np.ma.masked_array(R, mask=[[0, 1], [0, 0]])),
        rl.ModelError,
        "reward: expected a number everywhere, got a masked array without 1 of them; fill it, as with .filled(0)",
    ),
    (
        lambda: rl.greedy_policy(M, np.ma.masked_array(R, mask=True)),
        rl.PolicyError,
        "q: expected a number everywhere, got a masked array without 4 of them; fill it, as with .filled(0)",
    ),
    (lambda: rl.Discounted(HUGE), rl.SettingError, "gamma: expected 0 <= gamma < 1, got inf"),
    (lambda: rl.solve(HALF, 0.9), rl.ArgumentError, "mdp: expected a rlcore.MDP, got ndarray"),  # type: ignore[arg-type]
    (
        lambda: rl.solve(M, 1.0),
        rl.SettingError,
        "gamma: expected 0 <= gamma < 1, got 1.0; without a discount use Episodic(), Average() or FiniteHorizon(steps)",
    ),
    (lambda: rl.solve(M, "best"), rl.SettingError, f"{SETTING} 'best'"),  # type: ignore[arg-type]
    (lambda: rl.solve(M, 0.9, tol=NAN), rl.ArgumentError, f"{TOL} nan{BEST}"),
    (lambda: rl.evaluate(M, HALF, HUGE), rl.SettingError, "gamma: expected 0 <= gamma < 1, got inf"),
    (lambda: rl.mixture_policy([NAN], [1.0], 0.5), rl.PolicyError, "p: expected finite numbers, got nan"),
    (
        lambda: rl.deterministic_policy(M, [[0], [0, 1]]),
        rl.PolicyError,
        f"{ACTION} rows of different lengths",
    ),
    (
        lambda: rl.successor_representation(M, HALF, 0.9, [[0], [0, 1]]),
        rl.ArgumentError,
        f"{NUMBERS} rows of different lengths{INDEX}",
    ),
    (
        lambda: rl.MDP.from_arrays([scipy.sparse.eye_array(2), None], R, "ASS"),
        rl.ModelError,
        "P[1]: expected a sparse or dense matrix, got NoneType",
    ),
    (
        # SciPy would follow this offset, and crash.
        lambda: rl.MDP.from_arrays(
            [damaged(scipy.sparse.csr_array, np.eye(2), indptr=np.array([0, 10**8, 2]))], [1, 2]
        ),
        rl.ModelError,
        "P[0]: expected a valid CSR matrix, got one of which SciPy says: indptr must be a non-decreasing sequence"
        + DAMAGED,
    ),
    (
        lambda: rl.MDP.from_arrays([damaged(scipy.sparse.csr_array, np.eye(2), indices=np.array([0, 9]))], [1, 2]),
        rl.ModelError,
        f"P[0]: expected a valid CSR matrix, got one of which SciPy says: indices must be < 2{DAMAGED}",
    ),
]

LEAVES = rl.MDP([[0, 0], [0, 1], [0, 1], [0, 1]], [1, 0, 0, 0], termination=[1, 0, 0, 0], initial=[1, 0])

FAMILY = rl.TabularSoftmax([[0, 0], [0, 0]])

SHARED = rl.LinearSoftmax([[[0.0], [1.0]]] * 2, [0.0])

GRADIENT_SETTINGS = (
    "rlcore.Discounted(gamma), rlcore.Episodic() and rlcore.Average(), not for FiniteHorizon(steps=3, gamma=1.0)"
)

NO_SCORE = (
    "policy, state 'fine', action 'repair': expected positive probabilities, got 0.0, where direct parameters have no "
    "score 1 / pi"
)

NO_FAMILY = (
    "family: expected rlcore.TabularSoftmax(theta), rlcore.LinearSoftmax(features, theta), rlcore.Direct(policy) or "
    "rlcore.Scores(policy, scores), got"
)

GRADIENTS: list[Case] = [
    (lambda: rl.TabularSoftmax([[0, NAN], [0, 0]]), rl.PolicyError, "theta: expected finite numbers, got nan"),
    (lambda: rl.TabularSoftmax(None), rl.PolicyError, "theta: expected an array of numbers, got None"),
    (
        lambda: rl.policy_gradient(M, rl.TabularSoftmax([0, 0]), 0.9),
        rl.PolicyError,
        f"theta: {PAIRS} (2,)",
    ),
    (
        lambda: rl.LinearSoftmax([0.0, 1.0], [1.0]),
        rl.PolicyError,
        "features: expected shape (num_pairs, K), or (*pair_shape, K), with K at least 1, got (2,)",
    ),
    (
        lambda: rl.LinearSoftmax(np.zeros((4, 0)), []),
        rl.PolicyError,
        "features: expected shape (num_pairs, K), or (*pair_shape, K), with K at least 1, got (4, 0)",
    ),
    (lambda: rl.LinearSoftmax([[INF]] * 4, [1.0]), rl.PolicyError, "features: expected finite numbers, got inf"),
    (
        lambda: rl.LinearSoftmax([["a"]] * 4, [1.0]),
        rl.PolicyError,
        "features: expected real numbers, got dtype <U1",
    ),
    (
        lambda: rl.LinearSoftmax(csr(columns=[0, 1, 0, 0, 9, 0, 1]), [1.0, 1.0]),
        rl.PolicyError,
        "features: expected a valid CSR matrix, got one of which SciPy says: indices must be < 2" + DAMAGED,
    ),
    (
        lambda: rl.LinearSoftmax(scipy.sparse.csr_array(ROWS * 1j), [1.0, 1.0]),
        rl.PolicyError,
        "features: expected real numbers, got dtype complex128",
    ),
    (
        lambda: rl.LinearSoftmax(csr(entries=[NAN] * 7), [1.0, 1.0]),
        rl.PolicyError,
        "features: expected finite numbers, got nan",
    ),
    (
        lambda: rl.LinearSoftmax(ROWS, [1.0]),
        rl.PolicyError,
        "theta: expected 2 parameters, one for each feature, got shape (1,)",
    ),
    (
        lambda: rl.LinearSoftmax(ROWS, [1.0, NAN]),
        rl.PolicyError,
        "theta: expected finite numbers, got nan",
    ),
    (
        lambda: rl.policy_gradient(RAGGED.with_initial([1, 0]), rl.LinearSoftmax(ROWS, [1.0, 1.0]), 0.9),
        rl.PolicyError,
        "features: expected a row for each pair, in shape (3, 2), got (4, 2)",
    ),
    (
        lambda: rl.policy_gradient(M, rl.LinearSoftmax(ROWS[:3], [1.0, 1.0]), 0.9),
        rl.PolicyError,
        "features: expected a row for each pair, in shape (4, 2) or (2, 2, 2), got (3, 2)",
    ),
    (
        lambda: rl.policy_gradient(M, rl.LinearSoftmax([[1e300], [0], [0], [0]], [1e300]), 0.9),
        rl.PolicyError,
        "theta, state 'fine', action 'run': expected preferences theta . f that are finite, got inf",
    ),
    (lambda: rl.Direct([[NAN, 1], [0, 1]]), rl.PolicyError, "policy: expected finite numbers, got nan"),
    (
        lambda: rl.policy_gradient(M, rl.Direct([[0.5, 0.5], [0.5, 0.75]]), 0.9),
        rl.PolicyError,
        f"policy, state 'worn': {SUM}, got a sum of 1.25; divide the row by its sum",
    ),
    (
        lambda: rl.compatible_critic(M, rl.Direct([[1, 0], [0.5, 0.5]]), 0.9),
        rl.PolicyError,
        NO_SCORE,
    ),
    (
        lambda: rl.fisher_matrix(M, rl.Direct([[1, 0], [0.5, 0.5]]), 0.9),
        rl.PolicyError,
        NO_SCORE,
    ),
    (
        lambda: rl.Scores(HALF, [1.0]),
        rl.PolicyError,
        "scores: expected shape (num_pairs, K), or (*pair_shape, K), with K at least 1, got (1,)",
    ),
    (
        lambda: rl.policy_gradient(M, rl.Scores(HALF, [[[1], [-1]], [[1], [-0.5]]]), 0.9),
        rl.PolicyError,
        "scores, state 'worn': expected sum_a pi psi = 0 within 1e-09, got 0.25 for parameter 0; subtract the mean of "
        "the state's scores under the policy",
    ),
    (
        lambda: rl.Scores(HALF, [[[1], [-1]]] * 2).with_parameters([0.0]),
        rl.ArgumentError,
        "family: expected one that knows its policies at other parameters, got Scores, which are given for one policy "
        "alone; use TabularSoftmax, LinearSoftmax or Direct",
    ),
    (lambda: rl.policy_gradient(M, HALF, 0.9), rl.ArgumentError, f"{NO_FAMILY} ndarray"),
    (lambda: rl.policy_gradient(P, FAMILY, 0.9), rl.ArgumentError, "mdp: expected a rlcore.MDP, got ndarray"),
    (
        lambda: rl.policy_gradient(BARE, FAMILY, 0.9),
        rl.ModelError,
        "initial: policy_gradient needs a start distribution, and the model has none; make it with initial=p or "
        "mdp.with_initial(p)",
    ),
    (
        lambda: rl.policy_gradient(M, FAMILY, rl.FiniteHorizon(3)),
        rl.SettingError,
        f"setting: policy_gradient exists for {GRADIENT_SETTINGS}",
    ),
    (
        lambda: rl.natural_gradient(M, FAMILY, rl.FiniteHorizon(3)),
        rl.SettingError,
        f"setting: natural_gradient exists for {GRADIENT_SETTINGS}",
    ),
    (
        lambda: rl.fisher_vector_product(M, FAMILY, rl.FiniteHorizon(3), [1, 2, 3, 4]),
        rl.SettingError,
        f"setting: fisher_vector_product exists for {GRADIENT_SETTINGS}",
    ),
    (
        lambda: rl.policy_gradient(M, FAMILY, 1.0),
        rl.SettingError,
        "gamma: expected 0 <= gamma < 1, got 1.0; without a discount use Episodic(), Average() or FiniteHorizon(steps)",
    ),
    (lambda: rl.policy_gradient(M, FAMILY, 0.9, tol=1), rl.ArgumentError, f"{TOL} 1{BEST}"),
    (lambda: rl.fisher_matrix(M, FAMILY, 0.9, tol=-1), rl.ArgumentError, f"{TOL} -1{BEST}"),
    (
        lambda: rl.policy_gradient(M, FAMILY, 0.9, num_threads=0),
        rl.ArgumentError,
        "num_threads: expected 1 to 256, or None for one per core, got 0",
    ),
    (
        lambda: rl.policy_gradient(PARTED, rl.TabularSoftmax(np.zeros((3, 1))), rl.Average()),
        rl.SettingError,
        "setting: policy_gradient exists in Average() for policies with one recurrent class, this one has several; use "
        "Discounted(gamma)",
    ),
    (
        lambda: rl.policy_gradient(LEAVES, rl.Direct([[1.0, 0.0], [1.0, 0.0]]), rl.Episodic()),
        rl.ImproperPolicyError,
        "family, state 0, action 1: expected an action after which the process surely ends, for it has no value "
        "otherwise; use Discounted(gamma)",
    ),
    (
        lambda: rl.fisher_vector_product(M, SHARED, 0.9, [1, 2]),
        rl.ArgumentError,
        "vector: expected a number for each parameter, in shape (1,), got (2,)",
    ),
    (
        lambda: rl.fisher_matrix(M, FAMILY, 0.9, memory="1 GB"),  # type: ignore[arg-type]
        rl.ArgumentError,
        "memory: expected a number of bytes, got '1 GB'",
    ),
    (
        lambda: rl.fisher_matrix(M, FAMILY, 0.9, memory=100),
        rl.ArgumentError,
        "memory: expected a Fisher matrix of at most 9.31e-08 GiB, got 4 parameters, hence 1.19e-07 GiB; pass a larger "
        "memory, or use fisher_vector_product, which needs no matrix",
    ),
]

PRACTICAL = [
    (
        lambda: rl.practical_gradient(M, FAMILY, 0.9, "discounted"),
        rl.ArgumentError,
        'weights: expected "stationary", "episodic", or the number of steps of a horizon from 1 on, got \'discounted\'',
    ),
    (
        lambda: rl.practical_gradient(M, FAMILY, 0.9, 0),
        rl.ArgumentError,
        'weights: expected "stationary", "episodic", or the number of steps of a horizon from 1 on, got 0',
    ),
    (
        lambda: rl.practical_gradient(M, FAMILY, rl.Episodic()),  # type: ignore[arg-type]
        rl.SettingError,
        "setting: practical_gradient exists for rlcore.Discounted(gamma), not for Episodic()",
    ),
    (
        lambda: rl.practical_gradient(PARTED, rl.TabularSoftmax(np.zeros((3, 1))), 0.9),
        rl.SettingError,
        'weights: "stationary" exists for policies with one recurrent class, this one has 2; use a number of steps',
    ),
    (lambda: rl.practical_gradient(M, HALF, 0.9), rl.ArgumentError, f"{NO_FAMILY} ndarray"),
    (lambda: rl.practical_gradient(M, FAMILY, 0.9, tol=1), rl.ArgumentError, f"{TOL} 1{BEST}"),
    (
        lambda: rl.practical_gradient(BARE, FAMILY, 0.9),
        rl.ModelError,
        "initial: practical_gradient needs a start distribution, and the model has none; make it with initial=p or "
        "mdp.with_initial(p)",
    ),
    (
        lambda: rl.ascend(M, rl.Direct(HALF), 0.9),
        rl.ArgumentError,
        "family: expected one whose parameters may be any numbers, rlcore.TabularSoftmax(theta) or "
        "rlcore.LinearSoftmax(features, theta), got Direct",
    ),
    (
        lambda: rl.ascend(M, FAMILY, 0.9, -1),
        rl.ArgumentError,
        "iterations: expected a whole number from 0 on, got -1",
    ),
    (
        lambda: rl.ascend(M, FAMILY, 0.9, direction="up"),
        rl.ArgumentError,
        'direction: expected "gradient" or "natural", got \'up\'',
    ),
    (
        lambda: rl.ascend(M, FAMILY, 0.9, longest=0.0),
        rl.ArgumentError,
        "longest: expected a positive number, got 0.0",
    ),
    (lambda: rl.ascend(M, FAMILY, 0.9, tol=1), rl.ArgumentError, f"{TOL} 1{BEST}"),
    (
        lambda: rl.ascend(M, FAMILY, rl.FiniteHorizon(3)),
        rl.SettingError,
        f"setting: ascend exists for {GRADIENT_SETTINGS}",
    ),
]


def drawn(**changes: Any) -> Any:
    return rl.simulate(M, **({"policy": HALF, "episodes": 2, "steps": 3} | changes))


def taken(states: Any, actions: Any, rewards: Any = None) -> Any:
    return rl.Trajectories.from_actions(M, states, actions, rewards)


SIMULATED: list[Case] = [
    (
        lambda: rl.simulate(0, HALF, episodes=1, steps=1),  # type: ignore[arg-type]
        rl.ArgumentError,
        "mdp: expected a rlcore.MDP, got int",
    ),
    (
        lambda: drawn(policy=[[1, 1]] * 2),
        rl.PolicyError,
        "policy, state 'fine': expected probabilities that sum to 1 within 1e-9, got a sum of 2; divide the "
        "row by its sum",
    ),
    (
        lambda: drawn(policy=[HALF, HALF]),
        rl.PolicyError,
        "policy: expected one of shape (2, 2), got a batch of shape (2, 2, 2)",
    ),
    (
        lambda: rl.simulate(BARE, HALF, episodes=1, steps=1),
        rl.ModelError,
        "initial: simulate needs a start distribution, and the model has none; pass initial=p, or make the "
        "model with initial=p or mdp.with_initial(p)",
    ),
    (
        lambda: drawn(initial=[1, 1]),
        rl.ModelError,
        "initial: expected probabilities that sum to 1 within 1e-9, got a sum of 2; divide by the sum",
    ),
    (
        lambda: drawn(initial=[[1, 0]]),
        rl.ModelError,
        "initial: expected one of shape (2,), got a batch of shape (1, 2)",
    ),
    (lambda: drawn(episodes=0), rl.ArgumentError, "episodes: expected a whole number from 1 to 2^62, got 0"),
    (lambda: drawn(episodes=2.0), rl.ArgumentError, "episodes: expected a whole number from 1 to 2^62, got 2.0"),
    (lambda: drawn(episodes=True), rl.ArgumentError, "episodes: expected a whole number from 1 to 2^62, got True"),
    (lambda: drawn(steps=-1), rl.ArgumentError, "steps: expected a whole number from 1 to 2^62, got -1"),
    (
        lambda: drawn(steps=2**63),
        rl.ArgumentError,
        "steps: expected a whole number from 1 to 2^62, got 9223372036854775808",
    ),
    (lambda: drawn(seed=-1), rl.ArgumentError, "seed: expected a whole number from 0 to 2^64 - 1, got -1"),
    (
        lambda: drawn(seed=2**64),
        rl.ArgumentError,
        "seed: expected a whole number from 0 to 2^64 - 1, got 18446744073709551616",
    ),
    (lambda: drawn(seed=None), rl.ArgumentError, "seed: expected a whole number from 0 to 2^64 - 1, got None"),
    (
        lambda: drawn(first_episode=2**64),
        rl.ArgumentError,
        "first_episode: expected a whole number from 0 to 2^64 - 1, got 18446744073709551616",
    ),
    (
        lambda: drawn(first_episode=2**64 - 1),
        rl.ArgumentError,
        "first_episode: expected numbers of episodes below 2^64, got 18446744073709551615 and 2 episodes",
    ),
    (lambda: drawn(num_threads=0), rl.ArgumentError, "num_threads: expected 1 to 256, or None for one per core, got 0"),
    (lambda: drawn(progress=3), rl.ArgumentError, "progress: expected a callable that takes a rlcore.Progress, got 3"),
    (
        lambda: drawn(episodes=10**9, steps=10**7),
        rl.ArgumentError,
        "episodes: expected trajectories that fit in memory, got 1000000000 episodes of 10000000 steps: "
        "7.45e+07 GiB; draw fewer at a time, and the others by first_episode",
    ),
    (
        lambda: drawn(episodes=2**60, steps=2**60),
        rl.ArgumentError,
        "episodes: expected trajectories that fit in memory, got 1152921504606846976 episodes of "
        "1152921504606846976 steps: 9.9e+27 GiB; draw fewer at a time, and the others by first_episode",
    ),
    (
        lambda: taken([0, 1], [0]),
        rl.ArgumentError,
        "states: expected whole numbers, a row for each episode, got dtype int64, shape (2,)",
    ),
    (
        lambda: taken([[0, 1], [0]], [[0], [0]]),
        rl.ArgumentError,
        "states: expected episodes of the same length, filled up with -1, got a ragged list",
    ),
    (
        lambda: taken([[0.0, 1.0]], [[0]]),
        rl.ArgumentError,
        "states: expected whole numbers, a row for each episode, got dtype float64, shape (1, 2)",
    ),
    (
        lambda: taken([[0, 1]], [[0, 1]]),
        rl.ArgumentError,
        "states: expected one more than actions in each episode, shape (1, 3), got (1, 2)",
    ),
    (
        lambda: taken(np.zeros((0, 2), int), np.zeros((0, 1), int)),
        rl.ArgumentError,
        "states: expected whole numbers, a row for each episode, got dtype int64, shape (0, 2)",
    ),
    (
        lambda: taken([[0, 2]], [[0]]),
        rl.ArgumentError,
        "states: expected numbers in 0 .. 1, or -1 after the end, got 2 in episode 0 at time 1",
    ),
    (
        lambda: taken([[-2, 0]], [[0]]),
        rl.ArgumentError,
        "states: expected numbers in 0 .. 1, or -1 after the end, got -2 in episode 0 at time 0",
    ),
    (
        lambda: taken([[-1, 0]], [[-1]]),
        rl.ArgumentError,
        "states: expected a state to start in, got -1 in episode 0 at time 0",
    ),
    (
        lambda: taken([[-1, -1]], [[-1]]),
        rl.ArgumentError,
        "states: expected a state to start in, got -1 in episode 0 at time 0",
    ),
    (
        lambda: taken([[-1, 0]], [[0]]),
        rl.ArgumentError,
        "states: expected a state to start in, got -1 in episode 0 at time 0",
    ),
    (
        lambda: taken([[0, 0]], [[2]]),
        rl.ArgumentError,
        "actions: expected the position of an action among those of its state, got 2 in episode 0 at time 0",
    ),
    (
        lambda: taken([[0, 0]], [[-2]]),
        rl.ArgumentError,
        "actions: expected numbers from 0 on, or -1 after the end, got -2 in episode 0 at time 0",
    ),
    (
        lambda: taken([[0, 1]], [[1]]),
        rl.ArgumentError,
        "states: expected a state that the action can lead to, or -1 if it can end the process, got 1 in "
        "episode 0 at time 1",
    ),
    (
        lambda: taken([[0, 0, 1]], [[0, 1]]),
        rl.ArgumentError,
        "states: expected a state that the action can lead to, or -1 if it can end the process, got 1 in "
        "episode 0 at time 2",
    ),
    (
        lambda: taken([[0, -1]], [[0]]),
        rl.ArgumentError,
        "states: expected a state that the action can lead to, or -1 if it can end the process, got -1 in "
        "episode 0 at time 1",
    ),
    (
        lambda: taken([[0, 0, -1]], [[0, 0]]),
        rl.ArgumentError,
        "states: expected a state that the action can lead to, or -1 if it can end the process, got -1 in "
        "episode 0 at time 2",
    ),
    (
        lambda: taken([[0, -1, 0]], [[0, 0]]),
        rl.ArgumentError,
        "states: expected a state in which the action is taken, got -1 in episode 0 at time 1",
    ),
    (
        lambda: taken([[0, 0, 0]], [[0, -1]]),
        rl.ArgumentError,
        "states: expected no state after the end, got 0 in episode 0 at time 2",
    ),
    (
        lambda: taken([[0, 0, 0]], [[-1, 0]]),
        rl.ArgumentError,
        "actions: expected no action after the end, got 0 in episode 0 at time 1",
    ),
    (
        lambda: taken([[0, 0]], [[0]], [1.0]),
        rl.ArgumentError,
        "rewards: expected one for each action, shape (1, 1), got (1,)",
    ),
    (
        lambda: taken([[0, 0]], [[0]], [[NAN]]),
        rl.ArgumentError,
        "rewards: expected a finite number, got nan in episode 0 at time 0",
    ),
    (
        lambda: rl.Trajectories(np.zeros((2, 3)), np.zeros((2, 3)), np.zeros(2)),  # type: ignore[arg-type]
        rl.ArgumentError,
        "pairs: expected shape (episodes, steps), states (episodes, steps + 1) and lengths (episodes,), got (2, 3), "
        "(2, 3) and (2,); Trajectories.from_actions checks the numbers",
    ),
    (
        lambda: rl.Trajectories.from_actions(RAGGED, [[0, 0]], [[1]]),
        rl.ArgumentError,
        "actions: expected the position of an action among those of its state, got 1 in episode 0 at time 0",
    ),
]

REGION = "region: expected a region such as rlcore.MaxKL(delta), rlcore.MeanKL(delta) or rlcore.KLPenalty(), got"

STEPS: list[Case] = [
    (lambda: rl.MaxKL(-1), rl.ArgumentError, "delta: expected a number from 0 on, got -1"),
    (lambda: rl.MaxKL(NAN), rl.ArgumentError, "delta: expected a number from 0 on, got nan"),
    (lambda: rl.MeanKL("1"), rl.ArgumentError, "delta: expected a number from 0 on, got '1'"),  # type: ignore[arg-type]
    (lambda: rl.MeanKL(True), rl.ArgumentError, "delta: expected a number from 0 on, got True"),
    (lambda: rl.KLPenalty(-INF), rl.ArgumentError, "coefficient: expected a number from 0 on, got -inf"),
    (lambda: rl.trust_region_step(M, HALF, 0.9, 0.01), rl.ArgumentError, f"{REGION} 0.01"),  # type: ignore[arg-type]
    (
        lambda: rl.trust_region_step(M, HALF, 0.9, rl.MaxKL),  # type: ignore[arg-type]
        rl.ArgumentError,
        f"{REGION} <class 'rlcore.regions.MaxKL'>",
    ),
    (
        lambda: rl.trust_region_step(M, 2 * HALF, 0.9, rl.MaxKL(0.1)),
        rl.PolicyError,
        "policy, state 'fine': expected probabilities that sum to 1 within 1e-9, got a sum of 2; divide the row by its "
        "sum",
    ),
    (
        lambda: rl.trust_region_step(
            M, 2 * HALF, 0.9, rl.MaxKL(0.1), evaluation=rl.evaluate(M, HALF, 0.9), occupancy=rl.occupancy(M, HALF, 0.9)
        ),
        rl.PolicyError,
        "policy, state 'fine': expected probabilities that sum to 1 within 1e-9, got a sum of 2; divide the row by its "
        "sum",
    ),
    (
        lambda: rl.trust_region_step(M, np.stack([HALF, HALF]), 0.9, rl.MaxKL(0.1)),
        rl.PolicyError,
        "policy: expected one of shape (2, 2), got a batch of shape (2, 2, 2)",
    ),
    (
        lambda: rl.trust_region_step(BARE, HALF, 0.9, rl.MaxKL(0.1)),
        rl.ModelError,
        "initial: the return of a policy needs a start distribution, and the model has none; make it with initial=p or "
        "mdp.with_initial(p)",
    ),
    (
        lambda: rl.trust_region_step(M, HALF, rl.Average(), rl.KLPenalty()),
        rl.SettingError,
        "region: the default coefficient of rlcore.KLPenalty() exists for rlcore.Discounted(gamma), not for Average(); "
        "give one, as in rlcore.KLPenalty(10.0)",
    ),
    (
        lambda: rl.trust_region_step(M, HALF, 0.9, rl.MaxKL(0.1), evaluation=0.0),  # type: ignore[arg-type]
        rl.ArgumentError,
        "evaluation: expected the Evaluation of one policy in Discounted(gamma=0.9), got 0.0",
    ),
    (
        lambda: rl.trust_region_step(M, HALF, 0.9, rl.MaxKL(0.1), occupancy=0.0),  # type: ignore[arg-type]
        rl.ArgumentError,
        "occupancy: expected the Occupancy of one policy in Discounted(gamma=0.9), got 0.0",
    ),
]

NATURAL = rl.NaturalGradient(1.0)

TOLD = "expected a callable that takes a rlcore.ImprovementStep, got"

IMPROVING: list[Case] = [
    (lambda: rl.NaturalGradient(0.0), rl.ArgumentError, "step: expected a finite number above 0, got 0.0"),
    (lambda: rl.NaturalGradient(NAN), rl.ArgumentError, "step: expected a finite number above 0, got nan"),
    (lambda: rl.NaturalGradient("1"), rl.ArgumentError, "step: expected a finite number above 0, got '1'"),
    (lambda: rl.TRPO(0), rl.ArgumentError, "delta: expected a finite number above 0, got 0"),
    (lambda: rl.TRPO(INF), rl.ArgumentError, "delta: expected a finite number above 0, got inf"),
    (lambda: rl.TRPO(True), rl.ArgumentError, "delta: expected a finite number above 0, got True"),
    (
        lambda: rl.TRPO(0.1, backtracking=1.0),
        rl.ArgumentError,
        "backtracking: expected a factor between 0 and 1, got 1.0",
    ),
    (
        lambda: rl.trust_region_step(M, [[1, 0], [0.5, 0.5]], 0.9, rl.TRPO(0.1)),
        rl.ArgumentError,
        "policy: expected a family, or a policy that gives probability to every action, got one with zeros; "
        "a softmax has none",
    ),
    (
        lambda: rl.trust_region_step(M, FAMILY, 0.9, rl.Conservative()),
        rl.ArgumentError,
        "policy: Conservative() steps to any policy, not to those of a family alone; pass family.on(mdp).policy, or "
        "take rlcore.NaturalGradient(step) or rlcore.TRPO(delta)",
    ),
    (
        lambda: rl.trust_region_step(M, HALF, rl.Average(), rl.Conservative()),
        rl.SettingError,
        "setting: Conservative exists for rlcore.Discounted(gamma), not for Average()",
    ),
    (
        lambda: rl.trust_region_step(M, rl.Scores(HALF, np.array([[1.0], [-1.0]] * 2)), 0.9, NATURAL),
        rl.ArgumentError,
        "family: expected one that knows its policies at other parameters, got Scores, which are given for one "
        "policy alone; use TabularSoftmax, LinearSoftmax or Direct",
    ),
    (lambda: rl.improve(M, HALF, 0.9, 0.01, 3), rl.ArgumentError, f"{REGION} 0.01"),
    (lambda: rl.improve(M, HALF, 0.9, rl.Conservative, 3), rl.ArgumentError, f"{REGION} {rl.Conservative!r}"),
    (
        lambda: rl.improve(M, [[0.5, 0.5]], 0.9, NATURAL, 3),
        rl.PolicyError,
        f"{POLICY} (1, 2)",
    ),
    (
        lambda: rl.improve(M, HALF, 0.9, NATURAL, 0),
        rl.ArgumentError,
        "iterations: expected a whole number from 1 on, got 0",
    ),
    (
        lambda: rl.improve(M, HALF, 0.9, NATURAL, 2.5),
        rl.ArgumentError,
        "iterations: expected a whole number from 1 on, got 2.5",
    ),
    (lambda: rl.improve(M, HALF, 0.9, NATURAL, 3, progress=1), rl.ArgumentError, f"progress: {TOLD} 1"),
    (lambda: rl.improve(M, HALF, 0.9, NATURAL, 3, stop=1), rl.ArgumentError, f"stop: {TOLD} 1"),
    (
        lambda: rl.improve(M, HALF, 0.9, NATURAL, 3, optimum="best"),
        rl.ArgumentError,
        "optimum: expected 'solve', the best return as a number or an rlcore.Enclosure, or None, got 'best'",
    ),
    (
        lambda: rl.improve(M, HALF, 0.9, NATURAL, 3, optimum=NAN),
        rl.ArgumentError,
        "optimum: expected 'solve', the best return as a number or an rlcore.Enclosure, or None, got nan",
    ),
    (lambda: rl.improve(M, HALF, 0.9, NATURAL, 3, tol=2), rl.ArgumentError, f"{TOL} 2{BEST}"),
    (
        lambda: rl.improve(M, HALF, rl.FiniteHorizon(3), NATURAL, 3),
        rl.SettingError,
        "setting: improve exists for rlcore.Discounted(gamma), rlcore.Episodic() and rlcore.Average(), "
        "not for FiniteHorizon(steps=3, gamma=1.0)",
    ),
    (
        lambda: rl.improve(BARE, HALF, 0.9, NATURAL, 3, optimum="solve"),
        rl.ModelError,
        "initial: the return of a policy needs a start distribution, and the model has none; "
        "make it with initial=p or mdp.with_initial(p)",
    ),
]

TABLE = [
    *MODELS,
    *ARRAYS,
    *FUNCTIONS,
    *TABLES,
    *POLICIES,
    *ANSWERS,
    *UNDISCOUNTED,
    *GALLERY,
    *FOUND,
    *GRADIENTS,
    *PRACTICAL,
    *SIMULATED,
    *STEPS,
    *IMPROVING,
]


@pytest.mark.parametrize(("call", "error", "message"), TABLE, ids=[message[:70] for _, _, message in TABLE])
def test_wrong_input(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == message
    assert type(caught.value) is error


def test_rewards_of_transitions_are_means_also_of_normalized_rows() -> None:
    mdp = rl.MDP.from_arrays(2 * P, np.ones((2, 2, 2)), "SAS", normalize=True)
    np.testing.assert_allclose(mdp.reward, 1.0, rtol=1e-15)


# ---- the table itself ----

# Made by rlcore for its users, who call none of them.
RESULTS = {
    "Audit",
    "AuditRow",
    "BoundReport",
    "Certificate",
    "CertifiedArray",
    "ChainStructure",
    "Coupling",
    "Evaluation",
    "FiniteHorizonEvaluation",
    "FiniteHorizonOccupancy",
    "Lemmas",
    "Enclosure",
    "ImprovementReport",
    "MixtureBound",
    "PolicyDivergences",
    "Verdict",
    "Occupancy",
    "PolicyCoupling",
    "Progress",
    "SettingsComparison",
    "Statement",
    "CompatibleCritic",
    "PolicyGradient",
    "Ascent",
    "AscentHistory",
    "PracticalGradient",
    "EstimateHistory",
    "GradientEstimate",
    "TrustRegionStep",
    "CheckedStep",
    "ImprovementHistory",
    "ImprovementRun",
    "ImprovementStep",
    "Solution",
}
# Settings without numbers: there is nothing to get wrong when they are made.
PLAIN = {"Episodic", "Average"}
# What files hold, and what compares policies, have tables of their own.
ELSEWHERE = {
    "save",
    "load",
    "validate",
    "coupling",
    "policy_coupling",
    "lemmas",
    "audit",
    "check_improvement",
    "PolicyChanges",
    "policy_divergences",
    "mixture_bound",
    "npg_bound",
    "direct_parameter_bound",
    "simulation_bound",
    "scores_from_jax",
    "scores_from_torch",
    "estimate_gradient",
}


def public_callables() -> Iterable[str]:
    for name in rl.__all__:
        found = getattr(rl, name)
        if callable(found) and not (inspect.isclass(found) and issubclass(found, Exception)):
            yield name
    for name, method in inspect.getmembers(rl.MDP, callable):
        if not name.startswith("_") and len(inspect.signature(method).parameters) > 1:
            yield name


def names_in(code: CodeType) -> set[str]:
    inner = [names_in(constant) for constant in code.co_consts if isinstance(constant, CodeType)]
    return set(code.co_names).union(*inner)


def test_every_public_function_is_in_the_table() -> None:
    called = set().union(*(names_in(call.__code__) for call, _, _ in TABLE))
    internal = {"located"}  # for the functions of the package
    assert set(public_callables()) - RESULTS - PLAIN - ELSEWHERE - internal <= called


def test_every_sentence_names_its_argument_first() -> None:
    for _, error, message in TABLE:
        if issubclass(error, rl.InputError):
            assert re.match(r"[a-zA-Z_0-9]+(\[\d+\])?(, [^:]+)?: ", message), message


# ---- what may look wrong and is right ----

KINDS: dict[str, Callable[[Any], Any]] = {
    "byte-swapped": lambda x: x.astype(">f8"),
    "negative strides": lambda x: x[::-1].copy()[::-1],
    "not contiguous": lambda x: np.repeat(x, 2, axis=-1)[..., ::2],
    "Fortran order": np.asfortranarray,
    "float32": lambda x: x.astype(np.float32),
    "long double": lambda x: x.astype(np.longdouble),
    "nested lists": lambda x: x.tolist(),
    "read-only": lambda x: pickle.loads(pickle.dumps(x)).view(),
    "DataFrame": pd.DataFrame,
    "masked, nowhere": lambda x: np.ma.masked_array(x, mask=False),
}
EXACT = np.array([[0.75, 0.25], [1.0, 0.0], [0.5, 0.5], [0.875, 0.125]])  # in all these types


@pytest.mark.parametrize("kind", KINDS)
def test_arrays_of_every_kind_give_the_same_answer(kind: str) -> None:
    convert = KINDS[kind]
    plain = rl.evaluate(rl.MDP(EXACT, R), HALF, 0.5, reward=R)
    other = rl.evaluate(rl.MDP(convert(EXACT), convert(R)), convert(HALF), 0.5, reward=convert(R))
    np.testing.assert_array_equal(other.action_value, plain.action_value)


@pytest.mark.parametrize("index", ["i2", "u4", ">i4", ">i8", "u8"])
def test_indices_of_every_kind(index: str) -> None:
    np.testing.assert_array_equal(rl.MDP(csr(index=index), R).transition.toarray(), ROWS)


def test_a_file_that_is_mapped_read_only(tmp_path: Path) -> None:
    np.save(tmp_path / "reward.npy", R)
    mapped = np.load(tmp_path / "reward.npy", mmap_mode="r")
    found = rl.evaluate(rl.MDP(ROWS, mapped), HALF, 0.5)
    np.testing.assert_array_equal(found.value, rl.evaluate(rl.MDP(ROWS, R), HALF, 0.5).value)


def test_a_copy_does_not_see_later_changes() -> None:
    matrix, reward = csr(), R.copy()
    mdp = rl.MDP(matrix, reward, copy=True)
    before = rl.evaluate(mdp, HALF, 0.9).value.copy()
    matrix.data[:], matrix.indices[:], matrix.indptr[:], reward[:] = NAN, 10**9, -1, INF
    np.testing.assert_array_equal(rl.evaluate(mdp, HALF, 0.9).value, before)


def test_a_model_survives_wrong_calls() -> None:
    before = rl.evaluate(M, HALF, 0.9).value
    for call, error, _ in ANSWERS:
        with pytest.raises(error):
            call()
    np.testing.assert_array_equal(rl.evaluate(M, HALF, 0.9).value, before)
