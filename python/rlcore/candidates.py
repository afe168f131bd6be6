"""Candidate policies: whole, streamed, or given by what they change (theory 5)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rlcore.arguments import as_batch, as_floats, as_pair_array
from rlcore.errors import ArgumentError, PolicyError
from rlcore.mdp import MDP
from rlcore.results import FloatArray

LANES = 16  # policies that share a pass over the transitions
MOST_TOGETHER = 256  # whole policies in memory at a time
MOST_NUMBERS = 2**24  # probabilities of them
MOST_CHANGES = 2**16  # candidates that are given by what they change
MOST_CHANGED = 32  # states that such a candidate may change to be dealt with by way of these states
MOST_STATES_TOGETHER = 512  # that candidates which change several may change between them


@dataclass(frozen=True, slots=True, eq=False, init=False, repr=False)
class PolicyChanges:
    """Candidates that differ from a base policy in a few states.

    Parameters
    ----------
    states
        Shape (B,): candidate i changes ``states[i]`` alone. Or a list of B lists: the states that each changes.
    rows
        The new distributions: for one state each an array (B, A), or a list of B rows; for lists of states a list of
        as many lists of rows.

    Raises
    ------
    ArgumentError
        If `states` and `rows` do not fit together.

    Examples
    --------
    Try each action of each state of the forest, one at a time:

    >>> import numpy as np, rlcore as rl
    >>> mdp = rl.gallery.forest()
    >>> changes = rl.PolicyChanges(np.repeat(np.arange(3), 2), np.tile(np.eye(2), (3, 1)))
    >>> changes
    PolicyChanges(6 candidates, 6 states changed)
    >>> report = rl.check_improvement(mdp, rl.uniform_policy(mdp), changes, 0.9)
    >>> [str(verdict) for verdict in report.improves]
    ['HOLDS', 'VIOLATED', 'HOLDS', 'VIOLATED', 'HOLDS', 'VIOLATED']
    >>> report.improvement.value.round(4)
    array([ 2.3035, -5.4393,  2.3903, -3.3283, 13.6656, -3.7536])
    """

    start: NDArray[np.int64]
    states: NDArray[np.int64]
    rows: FloatArray
    lengths: NDArray[np.int64]

    def __init__(self, states: Any, rows: Any) -> None:
        if len(states) != len(rows):
            raise ArgumentError(f"rows: expected rows for each of the {len(states)} candidates, got {len(rows)}")
        if len(states) == 0:
            raise ArgumentError("states: expected at least one candidate, got none")
        if np.ndim(states[0]) == 0:
            counts = np.ones(len(states), dtype=np.int64)
            all_states = np.asarray(states)
            all_rows: list[Any] = list(rows) if not isinstance(rows, np.ndarray) else []
        else:
            counts = np.array([len(each) for each in states], dtype=np.int64)
            if any(len(each) != len(some) for each, some in zip(states, rows, strict=True)):
                raise ArgumentError("rows: expected one row for each state that a candidate changes")
            all_states = np.array([state for each in states for state in each], dtype=np.int64)
            all_rows = [row for some in rows for row in some]
        if all_states.dtype.kind not in "iu" or all_states.ndim != 1:
            raise ArgumentError(
                f"states: expected state numbers, got dtype {all_states.dtype}, shape {all_states.shape}"
            )
        if isinstance(rows, np.ndarray) and rows.ndim == 2:
            flat = as_floats(rows, "rows", ArgumentError)
            lengths = np.full(len(rows), rows.shape[1], dtype=np.int64)
        else:
            found = [np.atleast_1d(as_floats(row, "rows", ArgumentError)) for row in (all_rows or list(rows))]
            lengths = np.array([row.size for row in found], dtype=np.int64)
            flat = np.concatenate(found) if found else np.empty(0)
        for name, value in (
            ("start", np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)),
            ("states", np.ascontiguousarray(all_states, dtype=np.int64)),
            ("rows", np.ascontiguousarray(flat.ravel())),
            ("lengths", lengths),
        ):
            object.__setattr__(self, name, value)

    def __len__(self) -> int:
        return int(self.start.size - 1)

    def __repr__(self) -> str:
        return f"PolicyChanges({len(self)} candidates, {self.states.size} states changed)"


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """Some candidates in the form that the core takes: whole policies, or changes in increasing order of states."""

    first: int  # the number of its first candidate
    count: int
    rows: FloatArray
    start: NDArray[np.int64] | None = None
    states: NDArray[np.int64] | None = None

    @property
    def largest_change(self) -> int | None:
        """The most states that one of them changes, or None for whole policies."""
        return None if self.start is None else int(np.diff(self.start).max())

    def policies(self, mdp: MDP, base: FloatArray) -> FloatArray:
        """Return whole policies, (count, num_pairs)."""
        if self.start is None or self.states is None:
            return self.rows.reshape(self.count, mdp.num_pairs)
        whole = np.tile(base, (self.count, 1))
        owner = np.repeat(np.arange(self.count), np.diff(self.start))
        first = mdp.pair_start[self.states]
        length = mdp.pair_start[self.states + 1] - first
        within = np.arange(int(length.sum())) - np.repeat(np.cumsum(length) - length, length)
        whole[np.repeat(owner, length), np.repeat(first, length) + within] = self.rows
        return whole


def chunks_of(mdp: MDP, candidates: Any, whole: bool) -> tuple[Iterator[Chunk], bool]:
    """Return the candidates some at a time, and whether they are a batch.

    With `whole`, candidates that are given by what they change come so few at a time that they can be written out.
    """
    if isinstance(candidates, PolicyChanges):
        few = whole or int(np.diff(candidates.start).max()) > MOST_CHANGED
        return _changes(mdp, candidates, _together(mdp) if few else MOST_CHANGES), True
    if isinstance(candidates, np.ndarray | Sequence) and not isinstance(candidates, str | bytes):
        policies, lead = as_batch(candidates, mdp.pair_shape, "candidates", PolicyError)
        return _slices(mdp, policies.reshape(-1, mdp.num_pairs)), bool(lead)
    if isinstance(candidates, Iterable) and not isinstance(candidates, str | bytes):
        return _streamed(mdp, candidates), True
    raise PolicyError(
        "candidates: expected a policy, a batch of them, an iterable of policies or rlcore.PolicyChanges, "
        f"got {type(candidates).__name__}"
    )


def _together(mdp: MDP) -> int:
    """Return how many whole policies to look at together: as many lanes as the core has, or a multiple of that."""
    return max(LANES, min(MOST_TOGETHER, MOST_NUMBERS // mdp.num_pairs) // LANES * LANES)


def _slices(mdp: MDP, policies: FloatArray) -> Iterator[Chunk]:
    together = _together(mdp)
    for begin in range(0, len(policies), together):
        part = policies[begin : begin + together]
        yield Chunk(begin, len(part), part)


def _streamed(mdp: MDP, candidates: Iterable[ArrayLike]) -> Iterator[Chunk]:
    together, first, held = _together(mdp), 0, []
    for number, candidate in enumerate(candidates):
        held.append(as_pair_array(candidate, mdp.pair_shape, f"candidates[{number}]", PolicyError))
        if len(held) == together:
            yield Chunk(first, len(held), np.stack(held))
            first, held = number + 1, []
    if held:
        yield Chunk(first, len(held), np.stack(held))
    elif first == 0:
        raise PolicyError("candidates: expected at least one policy, got an iterable without any")


def _changes(mdp: MDP, changes: PolicyChanges, together: int) -> Iterator[Chunk]:
    """Check that the changes fit the model, order each candidate's states, and hand them out in chunks."""
    states, start = changes.states, changes.start
    outside = np.flatnonzero((states < 0) | (states >= mdp.num_states))
    if outside.size:
        raise ArgumentError(
            f"states: expected numbers in 0 .. {mdp.num_states - 1}, got {states[outside[0]]}; "
            "mdp.state_index(label) gives the number of a label"
        )
    wrong = np.flatnonzero(changes.lengths != np.diff(mdp.pair_start)[states])
    if wrong.size:
        state = int(states[wrong[0]])
        raise ArgumentError(
            f"rows: expected {int(np.diff(mdp.pair_start)[state])} probabilities for state {state}, "
            f"got {int(changes.lengths[wrong[0]])}"
        )
    owner = np.repeat(np.arange(len(changes)), np.diff(start))
    order = np.lexsort((states, owner))
    ordered, owners = states[order], owner[order]
    twice = np.flatnonzero((np.diff(ordered) == 0) & (np.diff(owners) == 0))
    if twice.size:
        raise ArgumentError(
            f"states: expected each state once, candidate {owners[twice[0]]} changes state {ordered[twice[0]]} twice"
        )
    row_first = np.concatenate([[0], np.cumsum(changes.lengths)])
    is_ordered = bool((order == np.arange(order.size)).all())
    rows = changes.rows
    if not is_ordered:
        rows = np.concatenate([rows[row_first[k] : row_first[k + 1]] for k in order])
        row_first = np.concatenate([[0], np.cumsum(changes.lengths[order])])
    alone = bool((np.diff(start) == 1).all())
    begin = 0
    while begin < len(changes):
        end = min(begin + together, len(changes))
        if not alone:
            end = _until_many_states(start, ordered, begin, end)
        low, high = int(start[begin]), int(start[end])
        yield Chunk(
            begin,
            end - begin,
            np.ascontiguousarray(rows[row_first[low] : row_first[high]]),
            np.ascontiguousarray(start[begin : end + 1] - low),
            np.ascontiguousarray(ordered[low:high]),
        )
        begin = end


def _until_many_states(start: NDArray[np.int64], states: NDArray[np.int64], begin: int, end: int) -> int:
    """Return where to end a chunk so that its candidates change few states between them."""
    seen: set[int] = set()
    for candidate in range(begin, end):
        seen.update(states[int(start[candidate]) : int(start[candidate + 1])].tolist())
        if len(seen) > MOST_STATES_TOGETHER and candidate > begin:
            return candidate
    return end
