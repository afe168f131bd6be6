"""Models from Gymnasium: environments that hold their dynamics as a table ``P``."""

from __future__ import annotations

import itertools
import re
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from rlcore.errors import ArgumentError, MissingPackageError, ModelError
from rlcore.mdp import MDP
from rlcore.results import FloatArray

ROW_TOLERANCE = 1e-9

# Of which kinds the parts of (probability, next_state, reward, terminated) may be, by NumPy's letters.
KINDS = re.compile("[fiu][iu][fiu][biu]")

WITH_TABLE = ("FrozenLake", "FrozenLake8x8", "Taxi", "CliffWalking", "CliffWalkingSlippery")

# Gymnasium's classes whose `step` and `reset` leave states, actions, rewards and endings as they are. What they do to
# observations does not matter: the states of the model are those of the environment itself.
TRANSPARENT = frozenset(
    {
        *("Wrapper", "ObservationWrapper", "OrderEnforcing", "PassiveEnvChecker", "TimeLimit", "Autoreset"),
        *("RecordEpisodeStatistics", "RecordVideo", "RenderCollection", "HumanRendering"),
        *("DelayObservation", "FrameStackObservation", "TimeAwareObservation", "NormalizeObservation"),
        *("ArrayConversion", "JaxToNumpy", "JaxToTorch", "NumpyToTorch"),
    }
)


def from_gymnasium(env_or_id: Any, **make_kwargs: Any) -> MDP:
    """Make a model from the table of an environment: P[s][a] = [(probability, next_state, reward, terminated), ...].

    P(s'|s,a) adds up the entries that lead to s' without being flagged `terminated`, ``termination`` those that are
    flagged, wherever they lead; r(s,a) is the mean reward of all entries. States are not treated by what they are, so
    the rows of terminal states, which no episode ever uses, come over as they stand.

    Parameters
    ----------
    env_or_id
        An environment, or the id of one, such as "FrozenLake-v1"; or the table itself, a dict or a list.
    **make_kwargs
        What `gymnasium.make` takes besides the id, such as ``is_slippery=False``.

    Returns
    -------
    MDP
        Its states and actions have the numbers that they have in the table; pairs are the actions that the table
        lists. ``initial`` is the environment's ``initial_state_distrib``, or None if it has none. FrozenLake and
        CliffWalking have the state labels (row, column), Taxi has (row, column, passenger, destination), and the
        actions of all three are named.

    Raises
    ------
    ModelError
        If Gymnasium cannot make the environment, if it has no table, if a wrapper around it may change what the table
        says, or if the table is wrong; then the error names the state and the action.
    MissingPackageError
        If an id is given and Gymnasium is not installed. It is an ImportError.
    ArgumentError
        If there are `make_kwargs` without an id.

    Notes
    -----
    Theory 1. Wrappers that limit the time, record, render or change observations are looked through: a time limit is a
    property of the experiment and no termination. Any other wrapper may change rewards, actions or transitions, of
    which the table knows nothing, and is an error; ``from_gymnasium(env.unwrapped)`` is the model without it.

    Examples
    --------
    >>> import rlcore as rl
    >>> lake = rl.from_gymnasium("FrozenLake-v1")
    >>> lake
    MDP(16 states, 4 actions each, 98 transitions, can end, with start distribution)
    >>> round(rl.evaluate(lake, rl.uniform_policy(lake), 0.99).start_value, 9)
    0.012356137
    >>> rl.from_gymnasium({0: {0: [(0.5, 0, 1.0, False), (0.5, 0, 3.0, True)]}}).reward
    array([[2.]])
    """
    if isinstance(env_or_id, str):
        env = _made(env_or_id, make_kwargs)
        try:
            return _model_of(env)
        finally:
            env.close()
    if make_kwargs:
        raise ArgumentError(
            f"{next(iter(make_kwargs))}: expected with the id of an environment that is still to be made, "
            f"got it with {type(env_or_id).__name__}"
        )
    if isinstance(env_or_id, Mapping | list | tuple):
        return _from_table(env_or_id)
    return _model_of(env_or_id)


# ---- the environment ----


def _made(name: str, make_kwargs: dict[str, Any]) -> Any:
    try:
        import gymnasium
    except ImportError:
        raise MissingPackageError(
            f"{name!r} is an environment of Gymnasium, which is not installed; pip install 'rlcore[gym]'"
        ) from None
    try:
        return gymnasium.make(name, **make_kwargs)
    except gymnasium.error.Error as error:
        raise ModelError(f"env: {error}") from None
    except Exception as error:
        # Whatever the environment's own constructor makes of its arguments.
        call = ", ".join([repr(name), *(f"{key}={value!r}" for key, value in make_kwargs.items())])
        raise ModelError(f"env: gymnasium.make({call}) failed with {type(error).__name__}: {error}") from error


def _model_of(env: Any) -> MDP:
    bare = getattr(env, "unwrapped", env)
    table = getattr(bare, "P", None)
    if isinstance(env, type) or not isinstance(table, Mapping | list | tuple):
        raise ModelError(f"env: {_no_table(env, table)}")
    _check_wrappers(env)
    if getattr(bare, "fickle_passenger", False):
        raise ModelError(
            "env: expected an environment that does what its table says, got Taxi with fickle_passenger=True, which "
            "changes the destination besides; make it with fickle_passenger=False"
        )
    initial = getattr(bare, "initial_state_distrib", None)
    state_labels, action_labels = _labels(bare, len(table))
    return _from_table(table, initial, state_labels, action_labels)


def _check_wrappers(env: Any) -> None:
    for wrapper in _wrappers(env):
        for method in ("step", "reset"):
            owner = next((base for base in type(wrapper).__mro__ if method in vars(base)), object)
            if owner.__name__ not in TRANSPARENT or owner.__module__.partition(".")[0] not in ("gymnasium", "gym"):
                raise ModelError(
                    f"env: expected wrappers that leave the process as it is, got {type(wrapper).__name__}, which may "
                    "change what the environment's table says; pass env.unwrapped for the model without it"
                )


def _wrappers(env: Any) -> Iterator[Any]:
    bare = getattr(env, "unwrapped", env)
    while env is not bare and hasattr(env, "env"):
        yield env
        env = env.env


def _no_table(env: Any, table: Any) -> str:
    if isinstance(env, type):
        return f"expected an environment, got the class {env.__name__}; pass {env.__name__}()"
    if not hasattr(env, "unwrapped"):
        return (
            f"expected an environment, the id of one or a table P[s][a], got {type(env).__name__}; "
            "for arrays use rlcore.MDP.from_arrays"
        )
    if hasattr(env, "num_envs"):
        return "expected one environment, got a vector of them; pass one that is made by gymnasium.make"
    spec = getattr(env, "spec", None)
    name = type(env.unwrapped).__name__ if spec is None else spec.id
    found = "no such table" if table is None else f"P of type {type(table).__name__}"
    return (
        f"expected an environment with its dynamics in a table env.unwrapped.P[s][a], got {name} with {found}; "
        "work out its transitions and pass them to rlcore.MDP.from_arrays. Gymnasium's environments with a table are "
        + ", ".join(_known_with_table())
    )


def _known_with_table() -> list[str]:
    """Return the ids that the installed Gymnasium knows: their version numbers grow from release to release."""
    try:
        from gymnasium import registry
    except ImportError:
        return list(WITH_TABLE)
    return [name for name, spec in registry.items() if spec.namespace is None and spec.name in WITH_TABLE]


Labels = Sequence[Hashable] | None


def _labels(bare: Any, num_states: int) -> tuple[Labels, Labels]:
    """Return names for the states and actions of Gymnasium's own environments and of what is derived from them."""
    families = {base.__name__ for base in type(bare).__mro__ if ".toy_text." in base.__module__}
    if "FrozenLakeEnv" in families:
        return _counted((bare.nrow, bare.ncol), num_states), ("left", "down", "right", "up")
    if "CliffWalkingEnv" in families:
        return _counted(bare.shape, num_states), ("up", "right", "down", "left")
    if "TaxiEnv" in families:
        # Row, column, where the passenger is (four places or the taxi), and where they want to go.
        return _counted((5, 5, 5, 4), num_states), ("south", "north", "east", "west", "pickup", "dropoff")
    return None, None


def _counted(shape: tuple[int, ...], num_states: int) -> Labels:
    """Return the indices of an array of this shape, in order, if there is one for each state."""
    indices = list(itertools.product(*map(range, shape)))
    return indices if len(indices) == num_states else None


# ---- the table ----


class _Entries(NamedTuple):
    """The entries of a table, one after the other, by state and action."""

    pair: NDArray[np.int64]
    probability: FloatArray
    successor: NDArray[np.int64]
    reward: FloatArray
    terminated: NDArray[np.bool_]

    def possible(self) -> _Entries:
        # What is paid on transitions that cannot happen does not count, be it infinite or missing.
        keep = self.probability > 0.0
        return _Entries(
            self.pair[keep], self.probability[keep], self.successor[keep], self.reward[keep], self.terminated[keep]
        )


class _Pairs(NamedTuple):
    """The rows of a table, and which state and action each belongs to."""

    rows: list[Sequence[Any]]
    state: NDArray[np.int64]
    action: NDArray[np.int64]

    def fault(self, pair: int, fault: str) -> ModelError:
        state, action = int(self.state[pair]), int(self.action[pair])
        error = ModelError(f"P, state {state}, action {action}: {fault}")
        error.argument, error.fault = "P", fault
        error.state, error.action = state, pair - int(np.searchsorted(self.state, state))
        return error


def _from_table(table: Any, initial: Any = None, state_labels: Labels = None, action_labels: Labels = None) -> MDP:
    num_states = len(table)
    pairs = _pairs(table)
    entries = _entries(pairs)
    _check(entries, pairs, num_states)
    pair, probability, successor, reward, terminated = entries.possible()
    num_pairs, live = len(pairs.rows), np.logical_not(terminated)
    transition = scipy.sparse.coo_array(
        (probability[live], (pair[live].astype(np.int32), successor[live].astype(np.int32))),
        shape=(num_pairs, num_states),
    ).tocsr()
    ending = np.bincount(pair[terminated], weights=probability[terminated], minlength=num_pairs)
    pair_start = np.searchsorted(pairs.state, np.arange(num_states + 1))
    if action_labels is not None and pairs.action.max() >= len(action_labels):
        action_labels = None
    in_order = np.array_equal(pairs.action, np.arange(num_pairs) - pair_start[pairs.state])
    return MDP(
        transition,
        np.bincount(pair, weights=probability * reward, minlength=num_pairs),
        pair_start=pair_start,
        termination=ending if terminated.any() else None,
        initial=initial,
        state_labels=state_labels,
        action_labels=action_labels,
        pair_action=None if in_order else pairs.action,
    )


def _pairs(table: Any) -> _Pairs:
    rows: list[Sequence[Any]] = []
    states, actions = [], []
    for state, by_action in enumerate(_states(table)):
        for action, row in _actions(by_action, state):
            rows.append(row)
            states.append(state)
            actions.append(action)
    return _Pairs(rows, np.array(states, np.int64), np.array(actions, np.int64))


def _states(table: Any) -> Sequence[Any]:
    if len(table) == 0:
        raise ModelError("P: expected at least one state, got an empty table")
    if not isinstance(table, Mapping):
        return table  # type: ignore[no-any-return]
    missing = next((state for state in range(len(table)) if state not in table), None)
    if missing is not None:
        other = next(key for key in table if not (_is_count(key) and key < len(table)))
        raise ModelError(
            f"P: expected a key for each of the {len(table)} states, 0 .. {len(table) - 1}, "
            f"got {other!r} instead of {missing}"
        )
    return [table[state] for state in range(len(table))]


def _actions(by_action: Any, state: int) -> Sequence[tuple[int, Any]]:
    if isinstance(by_action, Mapping):
        wrong = [key for key in by_action if not _is_count(key)]
        if wrong:
            raise ModelError(f"P, state {state}: expected actions numbered from 0 on, got {wrong[0]!r}")
        numbered = sorted(by_action.items())
    elif isinstance(by_action, list | tuple):
        numbered = list(enumerate(by_action))
    else:
        raise ModelError(f"P, state {state}: expected a dict or list over actions, got {type(by_action).__name__}")
    if not numbered:
        raise ModelError(f"P, state {state}: expected at least one action, got none")
    return numbered


def _entries(pairs: _Pairs) -> _Entries:
    for pair, row in enumerate(pairs.rows):
        if not isinstance(row, list | tuple):
            raise pairs.fault(pair, f"expected a list of transitions, got {type(row).__name__}")
        if not row:
            raise pairs.fault(
                pair,
                "expected at least one transition, got an empty list; leave the action out if the state does not have "
                "it, or flag its transition as terminated if the process ends there",
            )
    flat = list(itertools.chain.from_iterable(pairs.rows))
    pair_of = np.repeat(np.arange(len(pairs.rows)), [len(row) for row in pairs.rows])
    columns = _columns(flat)
    if columns is None:
        # A look at all entries at once is quick; one at each is needed only to say which of them is wrong.
        first = next((at for at, entry in enumerate(flat) if _columns([entry]) is None), 0)
        raise pairs.fault(
            int(pair_of[first]),
            f"expected transitions (probability, next_state, reward, terminated), got {flat[first]!r}",
        )
    probability, successor, reward, terminated = columns
    return _Entries(
        pair_of,
        probability.astype(np.float64),
        successor.astype(np.int64),
        reward.astype(np.float64),
        terminated.astype(np.bool_),
    )


def _columns(entries: Sequence[Any]) -> list[NDArray[Any]] | None:
    """Return probabilities, next states, rewards and flags, or None if some entry does not have these four."""
    try:
        columns = [np.array(column) for column in zip(*entries, strict=True)]
    except (TypeError, ValueError):
        return None
    kinds = "".join(column.dtype.kind for column in columns if column.ndim == 1)
    return columns if len(columns) == 4 and KINDS.fullmatch(kinds) else None


def _check(entries: _Entries, pairs: _Pairs, num_states: int) -> None:
    probability, successor, reward = entries.probability, entries.successor, entries.reward
    for good, expected, got in (
        ((probability >= 0.0) & (probability <= 1.0 + ROW_TOLERANCE), "a probability in [0, 1]", probability),
        ((successor >= 0) & (successor < num_states), f"next states in 0 .. {num_states - 1}", successor),
        (np.isfinite(reward) | (probability == 0.0), "finite rewards", reward),
    ):
        if not good.all():
            first = int(good.argmin())
            raise pairs.fault(int(entries.pair[first]), f"expected {expected}, got {got[first]}")
    total = np.bincount(entries.pair, weights=probability)
    wrong = np.abs(total - 1.0) > ROW_TOLERANCE
    if wrong.any():
        pair = int(wrong.argmax())
        raise pairs.fault(pair, f"expected probabilities that sum to 1 within 1e-9, got a sum of {total[pair]}")


def _is_count(key: Any) -> bool:
    return isinstance(key, int | np.integer) and bool(key >= 0)
