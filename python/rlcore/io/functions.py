"""Models from functions: of a state and an action by their labels, or of many states at once by their numbers."""

from __future__ import annotations

import inspect
import time
from array import array
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from rlcore.arguments import as_floats
from rlcore.errors import ArgumentError, ModelError
from rlcore.labels import did_you_mean
from rlcore.results import FloatArray

ENDING = -1  # the number of the successor None: the process ends
BLOCK = 2**16  # states that functions of arrays are asked for at once
SECONDS_BETWEEN_REPORTS = 0.05

Transitions = Callable[[Any, Any], Any]
Report = Callable[[int, int], object]


class Functions(NamedTuple):
    """What `rlcore.MDP.from_functions` is given."""

    states: Any
    actions: Any
    transitions: Any
    reward: Any
    initial: Any
    termination: Any
    normalize: bool
    max_states: int
    progress: Report | None


class Parts(NamedTuple):
    """What `rlcore.MDP` takes, by the names of its parameters."""

    transition: Any
    reward: FloatArray
    pair_start: NDArray[np.int64]
    termination: FloatArray | None
    initial: Any
    state_labels: tuple[Hashable, ...] | None
    action_labels: tuple[Hashable, ...] | None
    pair_action: NDArray[np.int64]


def parts_by_label(given: Functions) -> Parts:
    """Ask the functions for every state and action, and put together what they say."""
    _check_callables(given)
    states = _Reached(given) if given.states is None else _Listed(given.states, given.max_states)
    if isinstance(given.actions, Mapping):
        raise ModelError(
            "actions: expected labels or a function of a state, got a dict; pass lambda state: actions[state]"
        )
    actions = _Actions(given.actions)
    rows = _Rows(states, actions, given)
    rows.ask()
    block, pair_start, pair_action = rows.assembled()
    return Parts(
        block.transition,
        block.reward,
        pair_start,
        block.ending if block.ending.any() else None,
        _start(given.initial, states),
        states.names(),
        actions.names(),
        pair_action,
    )


def parts_by_array(given: Functions) -> Parts:
    """Ask the functions for blocks of states, one action at a time, and put together what they say."""
    _check_callables(given)
    if given.states is None:
        raise ModelError(
            "states: expected all states with vectorized=True, got None; only functions of labels can find them"
        )
    states = _Listed(given.states, given.max_states)
    masks = _Masks(given.actions, states)
    blocks = list(_blocks(states, masks, given))
    ending = np.concatenate([block.ending for block in blocks])
    return Parts(
        blocks[0].transition if len(blocks) == 1 else scipy.sparse.vstack([b.transition for b in blocks], "csr"),
        np.concatenate([block.reward for block in blocks]),
        np.concatenate([[0], np.cumsum(masks.counts())]).astype(np.int64),
        ending if ending.any() else None,
        _start(given.initial, states),
        states.names(),
        masks.actions.names(),
        masks.pair_action(),
    )


# ---- states ----


class _States:
    """Labels in order, and the number of each."""

    def __init__(self) -> None:
        self.labels: Any = []
        # As a successor None stands for the end, so it cannot be a state as well.
        self.number: dict[Hashable, int] = {None: ENDING}

    def __len__(self) -> int:
        return len(self.labels)

    def names(self) -> tuple[Hashable, ...] | None:
        return None if _counts_from_0(self.labels) else tuple(self.labels)


class _Listed(_States):
    """States that are all given."""

    def __init__(self, states: Any, most: int) -> None:
        super().__init__()
        if hasattr(states, "__len__"):
            most = 2**31 - 1  # it ends
        self.labels = states if _counts_from_0(states) else list(islice(_ordered(states, "states"), most + 1))
        if len(self) > most:
            raise ModelError(f"states: expected at most {most:,} states, got more; pass max_states if there are")
        if len(self) == 0:
            raise ModelError("states: expected at least one state, got none")
        try:
            self.number.update(zip(self.labels, range(len(self)), strict=True))
        except TypeError:
            wrong = next(label for label in self.labels if not _is_hashable(label))
            raise ModelError(f"states: expected hashable labels such as tuples, got {_short(wrong)}") from None
        if self.number[None] != ENDING:
            raise ModelError("states: None cannot be a label: as a successor it says that the process ends")
        if len(self.number) != len(self) + 1:
            raise ModelError(f"states: expected distinct labels, got {_first_repeated(self.labels)!r} twice")


class _Numbers(dict[Hashable, int]):
    """Gives a new label the next number."""

    def __init__(self, labels: list[Hashable], most: int) -> None:
        super().__init__({None: ENDING})
        self.labels, self.most = labels, most

    def __missing__(self, label: Hashable) -> int:
        if len(self.labels) >= self.most:
            raise ModelError(
                f"states: expected at most {self.most:,} states that can be reached from initial, got more, such as "
                f"{label!r}; pass max_states if there are, or check that transitions leads back to states it knows"
            )
        self[label] = number = len(self.labels)
        self.labels.append(label)
        return number


class _Reached(_States):
    """States that are found from the start on, in the order of a breadth-first search."""

    def __init__(self, given: Functions) -> None:
        super().__init__()
        self.number = _Numbers(self.labels, given.max_states)
        start = given.initial
        if not isinstance(start, Mapping):
            start = {start: 1.0} if _is_hashable(start) else {}
        for label, p in start.items():
            if label is not None and p != 0.0:
                self.number[label]
        if not self.labels:
            raise ModelError(
                "initial: expected a state or a dict {state: probability} to find the other states from, as states is "
                f"None, got {_short(given.initial)}"
            )


# ---- actions ----


class _Actions:
    """The labels of all actions in the order in which they are met, and those of each state."""

    def __init__(self, actions: Any) -> None:
        self.labels: list[Hashable] = []
        self.number: dict[Hashable, int] = {}
        self.counted = _counts_from_0(actions)
        self.of = actions if callable(actions) else None
        self.common: list[tuple[int, Hashable]] | None = None
        if self.of is None:
            self.common = self.numbered(actions, "actions")

    def admissible(self, state: Hashable) -> list[tuple[int, Hashable]]:
        """Return the numbers and labels of the actions of a state, by number."""
        if self.common is not None:
            return self.common
        return self.numbered(_asked("actions", self.of, state), f"actions, state {state!r}")

    def numbered(self, labels: Any, place: str) -> list[tuple[int, Hashable]]:
        found: dict[int, Hashable] = {}
        for count, label in enumerate(_ordered(labels, place)):
            if not _is_hashable(label):
                raise ModelError(f"{place}: expected hashable labels such as tuples, got {_short(label)}")
            found[self.number.setdefault(label, len(self.number))] = label
            if len(found) == count:
                raise ModelError(f"{place}: expected distinct labels, got {label!r} twice")
            if len(self.labels) < len(self.number):
                self.labels.append(label)
        if not found:
            raise ModelError(f"{place}: expected at least one action, got none")
        return sorted(found.items(), key=lambda numbered: numbered[0])

    def names(self) -> tuple[Hashable, ...] | None:
        return None if self.counted else tuple(self.labels)


class _Masks:
    """Which states have which action, for functions of arrays."""

    def __init__(self, actions: Any, states: _Listed) -> None:
        if callable(actions):
            raise ModelError(
                "actions: expected labels or a dict {label: booleans of shape (S,)} with vectorized=True, "
                "got a function"
            )
        self.actions = _Actions(actions)
        self.table = np.ones((len(states), len(self.actions.labels)), dtype=np.bool_)
        if isinstance(actions, Mapping):
            for label, mask in actions.items():
                self.table[:, self.actions.number[label]] = self._checked(mask, label, len(states))
        missing = np.flatnonzero(~self.table.any(axis=1))
        if missing.size:
            state = states.labels[int(missing[0])]
            raise ModelError(f"actions, state {state!r}: expected at least one action, got none")

    @staticmethod
    def _checked(mask: Any, label: Hashable, num_states: int) -> NDArray[np.bool_]:
        found = np.asarray(mask)
        if found.dtype != np.bool_ or found.shape != (num_states,):
            raise ModelError(
                f"actions, {label!r}: expected booleans of shape ({num_states},), one for each state, "
                f"got dtype {found.dtype}, shape {found.shape}"
            )
        return found

    def counts(self) -> NDArray[np.int64]:
        return np.asarray(self.table.sum(axis=1), np.int64)

    def pair_action(self) -> NDArray[np.int64]:
        return np.nonzero(self.table)[1].astype(np.int64)


# ---- functions of labels ----


class _Rows:
    """What the functions say, entry by entry in flat arrays: nothing is kept of an entry but its numbers."""

    def __init__(self, states: _States, actions: _Actions, given: Functions) -> None:
        self.states, self.actions, self.given = states, actions, given
        self.by_transition = _takes_successor(given.reward)
        self.column, self.probability = array("i"), array("d")
        self.paid, self.ending = array("d"), array("d")
        self.row_start, self.pair_start = array("q", [0]), array("q", [0])
        self.pair_action = array("q")

    def ask(self) -> None:
        """Ask for every state; where they are found on the way, there are more of them each time."""
        clock = _Clock(self.given.progress)
        for done, state in enumerate(self.states.labels):
            for number, action in self.actions.admissible(state):
                self.pair_action.append(number)
                self._ask_pair(state, action)
            self.pair_start.append(len(self.pair_action))
            clock.tick(done + 1, len(self.states))

    def _ask_pair(self, state: Hashable, action: Hashable) -> None:
        outcome = _asked("transitions", self.given.transitions, state, action)
        if not isinstance(outcome, dict):
            outcome = self._as_dict(outcome, state, action)
        try:
            if isinstance(self.states, _Reached) and 0.0 in outcome.values():
                outcome = {successor: p for successor, p in outcome.items() if p != 0.0}
            self.column.extend(map(self.states.number.__getitem__, outcome))
            self.probability.extend(outcome.values())
        except ModelError:
            raise  # too many states
        except (KeyError, TypeError, ValueError, OverflowError):
            raise self._fault(outcome, state, action) from None
        self.row_start.append(len(self.column))
        self._ask_reward(outcome, state, action)

    def _ask_reward(self, outcome: dict[Hashable, Any], state: Hashable, action: Hashable) -> None:
        reward, termination = self.given.reward, self.given.termination
        ending = 0.0
        if termination is not None:
            said = _asked("termination", termination, state, action)
            ending = _as_number(said, "termination", state, action, "a probability")
            self.ending.append(ending)
        if not self.by_transition:
            paid = _asked("reward", reward, state, action)
            self.paid.append(_as_number(paid, "reward", state, action))
            return
        mean = 0.0
        if ending:
            paid = _asked("reward", reward, state, action, None)
            mean = ending * _as_number(paid, "reward", state, action)
        # What is paid on transitions that cannot happen does not count.
        for successor, p in outcome.items():
            if p:
                paid = _asked("reward", reward, state, action, successor)
                mean += float(p) * _as_number(paid, "reward", state, action)
        self.paid.append(mean)

    def _as_dict(self, outcome: Any, state: Hashable, action: Hashable) -> dict[Hashable, Any]:
        if isinstance(outcome, Mapping):
            return dict(outcome)
        if isinstance(outcome, str | bytes) or not isinstance(outcome, Iterable):
            certain = f"; if it is certain, return {{{outcome!r}: 1.0}}" if _is_in(outcome, self.states.number) else ""
            fault = f"expected a dict {{successor: probability}} or such pairs, got {_short(outcome)}{certain}"
            raise _error("transitions", state, action, fault)
        summed: dict[Hashable, Any] = {}
        for pair in _asked("transitions", lambda *_: list(outcome), state, action):
            if not isinstance(pair, tuple | list) or len(pair) != 2:
                fault = f"expected pairs (successor, probability), got {_short(pair)}"
                raise _error("transitions", state, action, fault)
            successor, p = pair
            if not _is_hashable(successor):
                raise self._fault({None: 0.0, _Unhashable(successor): p}, state, action)
            if successor in summed:
                for part in (summed[successor], p):
                    if not _is_probability(part):
                        raise self._fault({successor: part}, state, action)  # the sum would hide it
                p = summed[successor] + p
            summed[successor] = p
        return summed

    def _fault(self, outcome: dict[Hashable, Any], state: Hashable, action: Hashable) -> ModelError:
        """Return what is wrong with an outcome that could not be taken."""
        for successor, p in outcome.items():
            if isinstance(successor, _Unhashable):
                fault = f"expected a hashable successor such as a tuple, got {successor!r}"
            elif successor not in self.states.number:
                hint = "; pairs are (successor, probability)"
                if not _is_in(p, self.states.number):
                    near = did_you_mean(successor, self.states.labels)
                    hint = (near + " Otherwise" if near else ";") + " add it to states, or give None where it ends"
                fault = f"expected a successor among the states, got {_short(successor)}{hint}"
            elif not _is_probability(p):
                fault = _bad_probability(repr(successor), _short(p))
            else:
                continue
            return _error("transitions", state, action, fault)
        return _error("transitions", state, action, f"expected {{successor: probability}}, got {_short(outcome)}")

    def assembled(self) -> tuple[_Block, NDArray[np.int64], NDArray[np.int64]]:
        row_start = np.frombuffer(self.row_start, np.int64)
        pair_start, pair_action = np.array(self.pair_start, np.int64), np.array(self.pair_action, np.int64)
        num_pairs = pair_action.size
        entries = _Entries(
            np.repeat(np.arange(num_pairs), np.diff(row_start)),
            np.array(self.column, np.int32),
            np.array(self.probability, np.float64),
        )

        def fault(pair: int, entry: int) -> ModelError:
            state = self.states.labels[int(np.searchsorted(pair_start, pair, side="right")) - 1]
            number = int(entries.column[entry])
            successor = None if number == ENDING else self.states.labels[number]
            found = _bad_probability(repr(successor), f"{entries.probability[entry]:g}")
            return _error("transitions", state, self.actions.labels[pair_action[pair]], found)

        ending = np.array(self.ending) if self.ending else np.zeros(num_pairs)
        shape = (num_pairs, len(self.states))
        block = _assembled(entries, np.array(self.paid), ending, shape, fault)
        return _rescaled(block, self.by_transition) if self.given.normalize else block, pair_start, pair_action


class _Unhashable:
    """Stands for a label in a dict that could not hold it."""

    def __init__(self, label: object) -> None:
        self.label = label

    def __repr__(self) -> str:
        return _short(self.label)


# ---- functions of arrays ----


def _blocks(states: _Listed, masks: _Masks, given: Functions) -> Iterator[_Block]:
    clock = _Clock(given.progress)
    for first in range(0, len(states), BLOCK):
        last = min(first + BLOCK, len(states))
        yield _block(first, masks.table[first:last], states, masks.actions, given)
        clock.tick(last, len(states))


def _block(first: int, mask: NDArray[np.bool_], states: _Listed, actions: _Actions, given: Functions) -> _Block:
    """Ask for the states from `first` on that `mask` has rows for."""
    by_transition = _takes_successor(given.reward)
    num_pairs = int(mask.sum())
    pair_of = np.cumsum(mask.ravel()).reshape(mask.shape) - 1
    reward = np.zeros(num_pairs)
    parts: list[_Entries] = []
    for number, action in enumerate(actions.labels):
        admissible = np.flatnonzero(mask[:, number])
        if not admissible.size:
            continue
        asked, pairs = admissible + first, pair_of[admissible, number]
        asked.flags.writeable = False
        successor, p = _successors(given.transitions, asked, action, states)
        if given.termination is not None:
            said = _asked_array("termination", given.termination, asked, action)
            ends = _spread(said, (asked.size,), "termination", action)
            _check_endings(ends, asked, action, states)
            # One more successor, so that rewards of transitions are asked for it too.
            successor = np.column_stack([successor, np.full(asked.size, ENDING, np.int32)])
            p = np.column_stack([p, ends])
        arguments = (asked, action, successor) if by_transition else (asked, action)
        shape = successor.shape if by_transition else (asked.size,)
        said = _spread(_asked_array("reward", given.reward, *arguments), shape, "reward", action)
        if by_transition:
            # What is paid on transitions that cannot happen does not count.
            with np.errstate(invalid="ignore"):
                said = np.where(p > 0.0, p * said, 0.0).sum(axis=1)
        reward[pairs] = said
        parts.append(_Entries(np.repeat(pairs, successor.shape[1]), successor.ravel(), p.ravel()))
    entries = _Entries(*(np.concatenate(column) for column in zip(*parts, strict=True)))

    def fault(pair: int, entry: int) -> ModelError:
        position, number = np.argwhere((pair_of == pair) & mask)[0]
        found = _bad_probability(str(entries.column[entry]), f"{entries.probability[entry]:g}")
        return _error("transitions", states.labels[first + int(position)], actions.labels[int(number)], found)

    block = _assembled(entries, reward, np.zeros(num_pairs), (num_pairs, len(states)), fault)
    return _rescaled(block, by_transition) if given.normalize else block


def _successors(
    transitions: Transitions, asked: NDArray[np.int64], action: Hashable, states: _Listed
) -> tuple[NDArray[np.int32], FloatArray]:
    """Return successors and probabilities, both of shape (n, k); without probability, a successor may be anything."""
    said = _asked_array("transitions", transitions, asked, action)
    if not isinstance(said, tuple) or len(said) != 2:
        raise ModelError(
            f"transitions, action {action!r}: expected a tuple (successors, probabilities) of arrays, "
            f"got {_short(said)}"
        )
    found = np.asarray(said[0])
    count = asked.size
    if found.dtype.kind not in "iu" or found.ndim not in (1, 2) or found.shape[0] != count or found.size == 0:
        raise ModelError(
            f"transitions, action {action!r}: expected successors as whole numbers of shape ({count}, k) for the "
            f"{count} states asked for, got dtype {found.dtype}, shape {found.shape}"
        )
    p = _spread(said[1], found.shape, "transitions", action, "probabilities ")
    found, p = found.reshape(count, -1), p.reshape(count, -1)
    wrong = (p != 0.0) & ((found < ENDING) | (found >= len(states)))
    if wrong.any():
        position, which = np.argwhere(wrong)[0]
        fault = (
            f"expected successors in 0 .. {len(states) - 1}, or {ENDING} where the process ends, "
            f"got {found[position, which]}"
        )
        raise _error("transitions", states.labels[int(asked[position])], action, fault)
    return np.where(p != 0.0, found, ENDING).astype(np.int32), p


def _check_endings(ends: FloatArray, asked: NDArray[np.int64], action: Hashable, states: _Listed) -> None:
    fine = (ends >= 0.0) & (ends < np.inf)
    if not fine.all():
        wrong = int(fine.argmin())
        fault = f"expected a probability in [0, 1], got {ends[wrong]:g}"
        raise _error("termination", states.labels[int(asked[wrong])], action, fault)


def _spread(said: Any, shape: tuple[int, ...], argument: str, action: Hashable, what: str = "numbers ") -> FloatArray:
    place = f"{argument}, action {action!r}"
    found = as_floats(said, place, ModelError)
    try:
        return np.broadcast_to(found, shape)
    except ValueError:
        raise ModelError(f"{place}: expected {what}of shape {shape}, got {found.shape}") from None


def _asked_array(name: str, function: Callable[..., Any], asked: NDArray[np.int64], action: Any, *more: Any) -> Any:
    try:
        return function(asked, action, *more)
    except Exception as error:
        error.add_note(f"{name} was asked for states {asked[0]} .. {asked[-1]}, action {action!r}")
        raise


# ---- putting together ----


class _Entries(NamedTuple):
    pair: NDArray[np.int64]
    column: NDArray[np.int32]
    probability: FloatArray


class _Block(NamedTuple):
    """Rows of consecutive pairs."""

    transition: Any
    reward: FloatArray
    ending: FloatArray


def _assembled(
    entries: _Entries,
    reward: FloatArray,
    ending: FloatArray,
    shape: tuple[int, int],
    fault: Callable[[int, int], ModelError],
) -> _Block:
    """Sum what leads to the same successor, and what ends the process."""
    pair, column, probability = entries
    # Before anything is summed: a negative probability must not hide behind a positive one.
    fine = (probability >= 0.0) & (probability < np.inf)
    if not fine.all():
        wrong = np.flatnonzero(~fine)
        first = int(wrong[pair[wrong].argmin()])
        raise fault(int(pair[first]), first)
    ends = column == ENDING
    if ends.any():
        ending = ending + np.bincount(pair[ends], weights=probability[ends], minlength=shape[0])
    keep = (probability > 0.0) & ~ends
    place = (pair[keep].astype(np.int32 if shape[0] < 2**31 else np.int64), column[keep])
    rows = scipy.sparse.coo_array((probability[keep], place), shape=shape).tocsr()
    return _Block(rows, reward, ending)


def _rescaled(block: _Block, by_transition: bool) -> _Block:
    """Divide rows and their endings by their sum, and with them the means of rewards over successors."""
    total = block.transition.sum(axis=1) + block.ending
    scale = np.where((total > 0.0) & np.isfinite(total), total, 1.0)
    block.transition.data /= np.repeat(scale, np.diff(block.transition.indptr))
    return _Block(block.transition, block.reward / scale if by_transition else block.reward, block.ending / scale)


# ---- the start ----


def _start(initial: Any, states: _States) -> Any:
    """Return the start distribution for a label, a dict over labels, or numbers for all states."""
    if initial is None or isinstance(initial, np.ndarray | list):
        return initial
    start = np.zeros(len(states))
    for label, p in initial.items() if isinstance(initial, Mapping) else [(initial, 1.0)]:
        number = states.number.get(label, ENDING) if _is_hashable(label) and label is not None else ENDING
        if number == ENDING and isinstance(states, _Reached) and p == 0.0:
            continue
        if number == ENDING:
            raise ModelError(f"initial: no state has the label {_short(label)}{did_you_mean(label, states.labels)}")
        if not _is_number(p):
            raise ModelError(f"initial, state {label!r}: expected a probability, got {_short(p)}")
        start[number] = p
    return start


# ---- what is given ----


def _check_callables(given: Functions) -> None:
    for name, function in (("transitions", given.transitions), ("reward", given.reward)):
        if not callable(function):
            instead = ""
            if isinstance(function, np.ndarray | list):
                instead = "; for arrays use rlcore.MDP.from_arrays"
            elif isinstance(function, Mapping):
                instead = f"; pass lambda state, action: {name}[state, action]"
            raise ModelError(f"{name}: expected a function of a state and an action, got {_short(function)}{instead}")
    if given.termination is not None and not callable(given.termination):
        raise ModelError(f"termination: expected a function of a state and an action, got {_short(given.termination)}")
    if given.progress is not None and not callable(given.progress):
        raise ArgumentError(
            f"progress: expected a callable that takes the numbers of states done and known, got {given.progress!r}"
        )
    most = given.max_states
    if isinstance(most, bool) or not isinstance(most, int | np.integer) or not 1 <= most < 2**31:
        raise ArgumentError(f"max_states: expected a whole number in 1 .. {2**31 - 1}, got {most!r}")


def _takes_successor(reward: Callable[..., Any]) -> bool:
    """Whether a reward is a function of the successor too."""
    try:
        parameters = inspect.signature(reward).parameters.values()
    except (TypeError, ValueError):
        parameters = None
    expected = "reward: expected a function of exactly (state, action) or (state, action, successor), got"
    if parameters is None:
        raise ModelError(f"{expected} one whose parameters cannot be seen; wrap it as lambda state, action: ...")
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters):
        raise ModelError(f"{expected} one with any number of parameters; wrap it as lambda state, action: ...")
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    required = sum(parameter.default is parameter.empty for parameter in positional)
    if len(positional) != required and required <= 3 <= len(positional) and required != 3:
        raise ModelError(
            f"{expected} one that can be called with {required} and with 3 arguments; "
            "wrap it as lambda state, action: ..."
        )
    if required not in (2, 3):
        raise ModelError(f"{expected} one of {required} parameters")
    return required == 3


def _ordered(labels: Any, place: str) -> Iterator[Any]:
    """Return the labels of an iterable that has an order."""
    if isinstance(labels, str | bytes):
        raise ModelError(f"{place}: expected an iterable of labels, got the text {labels!r}; pass [{labels!r}]")
    if isinstance(labels, set | frozenset):
        raise ModelError(
            f"{place}: expected labels in an order, got a set, which may have another in every run; pass a list or "
            "sorted(...)"
        )
    if isinstance(labels, np.ndarray) and labels.ndim > 0:
        return iter(labels.tolist())
    try:
        return iter(labels)
    except TypeError:
        count = f"; pass range({labels})" if isinstance(labels, int) and not isinstance(labels, bool) else ""
        raise ModelError(f"{place}: expected an iterable of labels, got {_short(labels)}{count}") from None


def _counts_from_0(labels: Any) -> bool:
    """Whether labels are the numbers that states and actions have anyway."""
    return isinstance(labels, range) and labels.start == 0 and labels.step == 1


class _Clock:
    """Reports some twenty times a second, and at the end."""

    def __init__(self, report: Report | None) -> None:
        self.report, self.next = report, 0.0

    def tick(self, done: int, known: int) -> None:
        if self.report is None:
            return
        now = time.monotonic()
        if now >= self.next or done == known:
            self.next = now + SECONDS_BETWEEN_REPORTS
            self.report(done, known)


def _asked(name: str, function: Any, state: Hashable, *more: Any) -> Any:
    """Return what a function of the user says; an exception of its own tells what it was asked for."""
    try:
        return function(state, *more)
    except Exception as error:
        pair = f"state {state!r}" + (f", action {more[0]!r}" if more else "")
        error.add_note(f"{name} was asked for {pair}")
        raise


def _as_number(value: Any, argument: str, state: Hashable, action: Hashable, what: str = "a number") -> float:
    if type(value) is float:
        return value
    if not _is_number(value):
        raise _error(argument, state, action, f"expected {what}, got {_short(value)}")
    return float(value)


def _is_number(value: Any) -> bool:
    if isinstance(value, str | bytes):
        return False
    try:
        float(value)
    except (TypeError, ValueError, OverflowError):
        return False
    return True


def _is_probability(value: Any) -> bool:
    return _is_number(value) and 0.0 <= float(value) < np.inf


def _error(argument: str, state: Hashable, action: Hashable, fault: str) -> ModelError:
    return ModelError(f"{argument}, state {state!r}, action {action!r}: {fault}")


def _bad_probability(successor: str, found: str) -> str:
    return f"expected a probability in [0, 1] for successor {successor}, got {found}"


def _is_hashable(label: object) -> bool:
    try:
        hash(label)
    except TypeError:
        return False
    return True


def _is_in(label: object, number: dict[Hashable, int]) -> bool:
    return label is not None and _is_hashable(label) and dict.__contains__(number, label)


def _first_repeated(labels: Iterable[Hashable]) -> Hashable:
    seen: set[Hashable] = set()
    for label in labels:
        if label in seen:
            return label
        seen.add(label)
    return None


def _short(value: object, most: int = 60) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= most else text[: most - 4] + " ..."
