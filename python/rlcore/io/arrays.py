"""From arrays over states and actions to arrays over pairs."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from difflib import get_close_matches
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse
from numpy.typing import ArrayLike, NDArray

from rlcore.arguments import as_floats
from rlcore.errors import ModelError
from rlcore.io.sparse import damage_of
from rlcore.results import FloatArray

LAYOUTS = ("SAS", "ASS")


class PairArrays(NamedTuple):
    """What `rlcore.MDP` takes."""

    transition: Any
    reward: FloatArray
    pair_start: NDArray[np.int64]
    pair_action: NDArray[np.int64] | None
    termination: FloatArray | None


def pair_arrays(
    P: Any,
    r: Any,
    layout: str | None,
    termination: ArrayLike | None,
    mask: ArrayLike | None,
    state_labels: Sequence[Hashable] | None,
    normalize: bool = False,
) -> PairArrays:
    """Return the admissible pairs of a model that is given for all states and actions."""
    blocks = _transition_blocks(P, layout)
    rows, num_states, num_actions = blocks.rows, blocks.num_states, blocks.num_actions
    reward = _expected_reward(r, blocks)
    ending = None if termination is None else _table(termination, "termination", num_states, num_actions)
    if normalize and (_is_sequence_of_sparse(r) or np.ndim(r) == 3):
        # The mean over successors is one under the rescaled probabilities.
        total = np.asarray(rows.sum(axis=1)).reshape(reward.shape) + (0.0 if ending is None else ending)
        reward = reward / np.where(total > 0.0, total, 1.0)
    if mask is None:
        pair_start = np.arange(0, num_states * num_actions + 1, num_actions, dtype=np.int64)
        return PairArrays(rows, reward.ravel(), pair_start, None, None if ending is None else ending.ravel())
    admissible = _admissible(mask, num_states, num_actions)
    empty = np.flatnonzero(~admissible.any(axis=1))
    if empty.size:
        state = empty[0] if state_labels is None or len(state_labels) <= empty[0] else repr(state_labels[empty[0]])
        raise ModelError(f"mask, state {state}: expected at least one admissible action, got none")
    pairs = np.flatnonzero(admissible)
    pair_start = np.concatenate([[0], np.cumsum(admissible.sum(axis=1))]).astype(np.int64)
    return PairArrays(
        rows[pairs],
        reward.ravel()[pairs],
        pair_start,
        (pairs % num_actions).astype(np.int64),
        None if ending is None else ending.ravel()[pairs],
    )


class _Blocks(NamedTuple):
    rows: Any  # (S * A, S), pairs in order, dense or sparse
    num_states: int
    num_actions: int
    layout: str


def _transition_blocks(P: Any, layout: str | None) -> _Blocks:
    _check_layout_name(layout)
    if _is_sequence_of_sparse(P):
        return _sparse_blocks(P, layout)
    if scipy.sparse.issparse(P):
        raise ModelError(
            "P: expected a dense array over states and actions or a sequence of sparse matrices, one for each action, "
            "got one sparse matrix; rows for pairs go to rlcore.MDP(transition, reward, pair_start=...)"
        )
    dense = as_floats(P, "P", ModelError)
    if dense.ndim != 3:
        raise ModelError(f"P: expected shape (S, A, S) or (A, S, S), got {dense.shape}")
    layout = _resolved_layout(dense.shape, layout)
    if layout == "ASS":
        dense = dense.transpose(1, 0, 2)
    num_states, num_actions, successors = dense.shape
    if successors != num_states or min(num_states, num_actions) < 1:
        expected = "(S, A, S)" if layout == "SAS" else "(A, S, S)"
        raise ModelError(f"P: expected shape {expected} for layout {layout!r}, got {np.shape(P)}")
    return _Blocks(dense.reshape(num_states * num_actions, num_states), num_states, num_actions, layout)


def _check_layout_name(layout: str | None) -> None:
    if layout is None or layout in LAYOUTS:
        return
    near = get_close_matches(str(layout).upper(), LAYOUTS, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ModelError(f"layout: expected 'SAS' (state, action, successor) or 'ASS', got {layout!r}{hint}")


def _resolved_layout(shape: tuple[int, ...], layout: str | None) -> str:
    if layout is not None:
        return layout
    fits = [name for name, ok in zip(LAYOUTS, (shape[0] == shape[2], shape[1] == shape[2]), strict=True) if ok]
    if len(fits) == 1 or shape[0] == shape[1] == 1:
        return fits[0]
    if not fits:
        raise ModelError(f"P: expected shape (S, A, S) or (A, S, S), got {shape}")
    raise ModelError(
        f"layout: shape {shape} can be read as (S, A, S) and as (A, S, S); pass layout='SAS' or layout='ASS'"
    )


def _is_sequence_of_sparse(P: Any) -> bool:
    if isinstance(P, np.ndarray) and P.dtype != object:
        return False
    return isinstance(P, Sequence | np.ndarray) and len(P) > 0 and any(scipy.sparse.issparse(block) for block in P)


def _sparse_blocks(P: Any, layout: str | None) -> _Blocks:
    if layout == "SAS":
        raise ModelError("layout: a sequence of sparse matrices is one for each action, layout='ASS'; got 'SAS'")
    matrices = [_sparse_block(block, f"P[{action}]") for action, block in enumerate(P)]
    num_actions, num_states = len(matrices), matrices[0].shape[1]
    for action, matrix in enumerate(matrices):
        if matrix.shape != (num_states, num_states):
            raise ModelError(f"P[{action}]: expected shape {(num_states, num_states)}, got {matrix.shape}")
    return _Blocks(_interleaved(matrices), num_states, num_actions, "ASS")


def _sparse_block(block: Any, place: str) -> Any:
    if not scipy.sparse.issparse(block):
        if block is None or np.ndim(block) != 2:
            raise ModelError(f"{place}: expected a sparse or dense matrix, got {type(block).__name__}")
        return scipy.sparse.csr_array(as_floats(block, place, ModelError))
    # SciPy stacks and indexes what a damaged matrix points to, wherever that is.
    damage = damage_of(block)
    if damage is not None:
        raise ModelError(f"{place}: {damage}")
    return scipy.sparse.csr_array(block)


def _interleaved(matrices: Sequence[Any]) -> Any:
    """Stack rows so that those of a state are neighbours."""
    num_actions, num_states = len(matrices), matrices[0].shape[0]
    stacked = scipy.sparse.vstack(matrices, format="csr")
    order = np.arange(num_actions * num_states).reshape(num_actions, num_states).T.ravel()
    rows = scipy.sparse.csr_array(stacked[order])
    rows.eliminate_zeros()
    return rows


def _expected_reward(r: Any, blocks: _Blocks) -> FloatArray:
    """r(s), r(s,a), or sum_s' P(s'|s,a) r(s,a,s'), as (S, A)."""
    num_states, num_actions = blocks.num_states, blocks.num_actions
    if _is_sequence_of_sparse(r):
        matrices = [_sparse_block(block, f"r[{action}]") for action, block in enumerate(r)]
        if len(matrices) != num_actions or any(m.shape != (num_states, num_states) for m in matrices):
            raise ModelError(f"r: expected {num_actions} matrices of shape {(num_states, num_states)}, like P")
        rows = scipy.sparse.csr_array(blocks.rows)
        return _mean_over_successors(rows, _interleaved(matrices)).reshape(num_states, num_actions)
    rewards = as_floats(r, "r", ModelError)
    if rewards.shape == (num_states,):
        return np.repeat(rewards, num_actions).reshape(num_states, num_actions)
    if rewards.shape == (num_states, num_actions):
        return rewards
    full = (num_states, num_actions, num_states) if blocks.layout == "SAS" else (num_actions, num_states, num_states)
    if rewards.shape == full:
        by_pair = rewards if blocks.layout == "SAS" else rewards.transpose(1, 0, 2)
        return _mean_over_successors(blocks.rows, by_pair.reshape(blocks.rows.shape)).reshape(num_states, num_actions)
    raise ModelError(
        f"r: expected shape {(num_states,)}, {(num_states, num_actions)} or {full} (like P), got {rewards.shape}"
        + _transposed_hint(rewards.shape, num_states, num_actions)
    )


def _mean_over_successors(rows: Any, rewards: Any) -> FloatArray:
    # What is paid on transitions that cannot happen does not count, be it infinite or missing.
    mean: FloatArray
    if scipy.sparse.issparse(rows):
        entries = rows.tocoo()
        paid = rewards[entries.row, entries.col]
        paid = paid.toarray() if scipy.sparse.issparse(paid) else paid
        mean = np.bincount(entries.row, weights=entries.data * paid.ravel(), minlength=rows.shape[0]).astype(np.float64)
    else:
        with np.errstate(invalid="ignore"):
            mean = np.where(rows > 0.0, rows * rewards, 0.0).sum(axis=1)
    return mean


def _transposed_hint(shape: tuple[int, ...], num_states: int, num_actions: int) -> str:
    return "; transpose it to (S, A)" if shape == (num_actions, num_states) else ""


def _table(array: ArrayLike, argument: str, num_states: int, num_actions: int) -> FloatArray:
    table = as_floats(array, argument, ModelError)
    if table.shape == (num_states,):
        return np.repeat(table, num_actions).reshape(num_states, num_actions)
    if table.shape != (num_states, num_actions):
        raise ModelError(
            f"{argument}: expected shape {(num_states, num_actions)} or {(num_states,)}, got {table.shape}"
            + _transposed_hint(table.shape, num_states, num_actions)
        )
    return table


def _admissible(mask: ArrayLike, num_states: int, num_actions: int) -> NDArray[np.bool_]:
    try:
        admissible = np.asarray(mask)
    except ValueError as cause:
        raise ModelError(f"mask: expected booleans of shape {(num_states, num_actions)}, got rows: {cause}") from None
    if admissible.dtype.kind != "b" or admissible.shape != (num_states, num_actions):
        raise ModelError(
            f"mask: expected booleans of shape {(num_states, num_actions)}, "
            f"got dtype {admissible.dtype}, shape {admissible.shape}"
        )
    return admissible
