"""Small nasty models, made from a seed: what the compiled core and the exact reference are held against each other on.

A *family* is a short function that draws one kind of trouble. ``model(family, index)`` is always the same model, so
that the name in a failure report, such as ``periodic[17]``, is all that it takes to look at it again. Rows and policies
are normalised in floating point and left with the rounding defects that they have.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Generator = np.random.Generator

GAMMAS = (0.0, 0.5, 0.9, 0.99, 0.999, 1 - 2.0**-16)
LARGEST = 16
ACTIONS = 4


@dataclass(frozen=True, eq=False)
class RawModel:
    """A decision process with a policy, as plain arrays: S states, and one row for each admissible pair."""

    name: str
    transition: Array
    """(pairs, S), dense."""
    pair_start: NDArray[np.int64]
    """(S + 1,): the pairs of state s are pair_start[s], ..., pair_start[s + 1] - 1."""
    reward: Array
    """(pairs,)."""
    termination: Array
    """(pairs,): a row and its termination sum to 1 within rounding."""
    initial: Array
    """(S,)."""
    policy: Array
    """(pairs,): sums to 1 over the pairs of a state within rounding."""
    gamma: float

    @property
    def num_states(self) -> int:
        return len(self.initial)

    @property
    def num_actions(self) -> NDArray[np.int64]:
        return np.diff(self.pair_start)

    @property
    def pair_shape(self) -> tuple[int, ...]:
        """(S, A) if every state has the same number of actions, else (pairs,)."""
        counts = self.num_actions
        return (self.num_states, int(counts[0])) if np.all(counts == counts[0]) else (len(self.reward),)

    def by_state(self, pairs: NDArray[Any]) -> list[Any]:
        """Return a pair array as nested lists, indexed [state][action]."""
        return [part.tolist() for part in np.split(pairs, self.pair_start[1:-1])]


# Parts.


def _num_states(rng: Generator, smallest: int = 1) -> int:
    """Small models are as nasty as large ones and far quicker to solve exactly: log-uniform."""
    return int(np.exp(rng.uniform(np.log(smallest), np.log(LARGEST + 1))))


def _pair_start(rng: Generator, states: int, ragged: bool = False) -> NDArray[np.int64]:
    counts = rng.integers(1, ACTIONS + 1, states) if ragged else np.full(states, rng.integers(1, ACTIONS + 1))
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def _normalised(weights: Array) -> Array:
    return np.asarray(weights / weights.sum(axis=-1, keepdims=True))


def _dense_rows(rng: Generator, pairs: int, states: int) -> Array:
    return _normalised(rng.exponential(size=(pairs, states)))


def _sparse_rows(rng: Generator, pairs: int, states: int, entries: int = 3) -> Array:
    weights = np.zeros((pairs, states))
    for row in weights:
        successors = rng.choice(states, size=min(entries, states), replace=False)
        row[successors] = rng.exponential(size=len(successors))
    return _normalised(weights)


def _deterministic_rows(rng: Generator, pairs: int, states: int) -> Array:
    return np.eye(states)[rng.integers(states, size=pairs)]


def _rows_within(rng: Generator, allowed: NDArray[np.bool_]) -> Array:
    """Return one row for each row of allowed, with successors among the allowed ones."""
    return _normalised(np.where(allowed, rng.exponential(size=allowed.shape), 0.0))


def _policy(rng: Generator, pair_start: NDArray[np.int64], sharpen: Callable[[Array], Array] | None = None) -> Array:
    """Return random probabilities; ``sharpen`` may change the weights of a state before they are normalised."""
    parts = []
    for count in np.diff(pair_start):
        weights = rng.exponential(size=count)
        parts.append(_normalised(weights if sharpen is None else sharpen(weights)))
    return np.concatenate(parts)


def _initial(rng: Generator, states: int) -> Array:
    """Return all of one state, some zeros, or all positive: each a third of the time."""
    kind = rng.integers(3)
    if kind == 0:
        return np.asarray(np.eye(states)[rng.integers(states)])
    weights = rng.exponential(size=states)
    if kind == 1:
        weights *= rng.permutation(states) < (states + 1) // 2
    return _normalised(weights)


def _model(rng: Generator, transition: Array, pair_start: NDArray[np.int64], **parts: Any) -> RawModel:
    """Complete a transition matrix with a random policy, reward and start; ``parts`` come instead of these."""
    pairs, states = transition.shape
    complete: dict[str, Any] = {
        "name": "",
        "transition": transition,
        "pair_start": pair_start,
        "reward": rng.normal(size=pairs),
        "termination": np.zeros(pairs),
        "initial": _initial(rng, states),
        "policy": _policy(rng, pair_start),
        "gamma": 0.0,
    }
    return RawModel(**(complete | parts))


def _with_termination(model: RawModel, termination: Array) -> RawModel:
    """Scale every row down to leave room for its termination."""
    return replace(model, transition=model.transition * (1 - termination)[:, None], termination=termination)


def _owner(pair_start: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the state of every pair."""
    return np.repeat(np.arange(len(pair_start) - 1), np.diff(pair_start))


# Families.


def dense(rng: Generator) -> RawModel:
    states = _num_states(rng)
    pair_start = _pair_start(rng, states)
    return _model(rng, _dense_rows(rng, int(pair_start[-1]), states), pair_start)


def sparse(rng: Generator) -> RawModel:
    states = _num_states(rng)
    pair_start = _pair_start(rng, states)
    return _model(rng, _sparse_rows(rng, int(pair_start[-1]), states), pair_start)


def deterministic_rows(rng: Generator) -> RawModel:
    states = _num_states(rng)
    pair_start = _pair_start(rng, states)
    return _model(rng, _deterministic_rows(rng, int(pair_start[-1]), states), pair_start)


def ragged_actions(rng: Generator) -> RawModel:
    states = _num_states(rng, smallest=2)
    pair_start = _pair_start(rng, states, ragged=True)
    return _model(rng, _sparse_rows(rng, int(pair_start[-1]), states), pair_start)


def one_state(rng: Generator) -> RawModel:
    pair_start = _pair_start(rng, 1)
    model = _model(rng, np.ones((int(pair_start[-1]), 1)), pair_start)
    return _with_termination(model, rng.choice([0.0, 0.25, 0.1, 1.0], size=len(model.reward)))


def one_action(rng: Generator) -> RawModel:
    states = _num_states(rng)
    return _model(rng, _sparse_rows(rng, states, states), np.arange(states + 1))


def termination_somewhere(rng: Generator) -> RawModel:
    model = ragged_actions(rng)
    ends = rng.random(len(model.reward)) < 0.3
    return _with_termination(model, np.where(ends, rng.random(len(ends)), 0.0))


def termination_tiny(rng: Generator) -> RawModel:
    model = sparse(rng)
    return _with_termination(model, np.where(rng.random(len(model.reward)) < 0.5, 1e-12, 0.0))


def termination_everywhere(rng: Generator) -> RawModel:
    model = dense(rng)
    return _with_termination(model, rng.uniform(0.01, 1.0, size=len(model.reward)))


def termination_sure(rng: Generator) -> RawModel:
    """Some rows are empty: the process certainly ends there."""
    model = sparse(rng)
    return _with_termination(model, (rng.random(len(model.reward)) < rng.choice([0.3, 1.0])).astype(float))


def unreachable_states(rng: Generator) -> RawModel:
    states = _num_states(rng, smallest=3)
    pair_start = _pair_start(rng, states)
    reachable = rng.permutation(states) < (states + 1) // 2
    rows = _rows_within(rng, np.broadcast_to(reachable, (int(pair_start[-1]), states)))
    return _model(rng, rows, pair_start, initial=_normalised(reachable * rng.exponential(size=states)))


def absorbing_states(rng: Generator) -> RawModel:
    model = sparse(rng)
    stays = (rng.random(model.num_states) < 0.4)[_owner(model.pair_start)]
    itself = np.eye(model.num_states)[_owner(model.pair_start)]
    return replace(model, transition=np.where(stays[:, None], itself, model.transition))


def recurrent_classes(rng: Generator) -> RawModel:
    """Two to four closed classes and a few transient states in front of them."""
    states = _num_states(rng, smallest=6)
    pair_start = _pair_start(rng, states)
    block = rng.integers(0, rng.integers(3, 6), size=states)
    owner = _owner(pair_start)
    transient = block == 0
    allowed = (block[owner][:, None] == block[None, :]) | transient[owner][:, None]
    return _model(rng, _rows_within(rng, allowed), pair_start)


def periodic(rng: Generator) -> RawModel:
    """Every step leads from one layer of states to the next, round and round, with period 2 to 6."""
    period = int(rng.integers(2, 7))
    states = _num_states(rng, smallest=period)
    pair_start = _pair_start(rng, states)
    layer = np.arange(states) % period
    allowed = layer[None, :] == ((layer[_owner(pair_start)] + 1) % period)[:, None]
    return _model(rng, _rows_within(rng, allowed), pair_start)


def nearly_decomposable(rng: Generator) -> RawModel:
    """Blocks that exchange a billionth of their probability in a step."""
    states = _num_states(rng, smallest=4)
    pair_start = _pair_start(rng, states)
    block = np.arange(states) * int(rng.integers(2, 5)) // states
    allowed = block[_owner(pair_start)][:, None] == block[None, :]
    return _model(rng, _normalised(_rows_within(rng, allowed) + 1e-9 * (~allowed)), pair_start)


def transitions_tiny(rng: Generator) -> RawModel:
    """Probabilities down to the smallest subnormal number."""
    model = sparse(rng)
    tiny = rng.choice([1e-300, 1e-310, 5e-324, 1e-17], size=model.transition.shape)
    return replace(model, transition=np.where(model.transition == 0.0, tiny, model.transition))


def policy_deterministic(rng: Generator) -> RawModel:
    model = sparse(rng)
    return replace(model, policy=_policy(rng, model.pair_start, lambda w: (w == w.max()).astype(float)))


def policy_with_zeros(rng: Generator) -> RawModel:
    model = ragged_actions(rng)
    return replace(model, policy=_policy(rng, model.pair_start, lambda w: np.where(w < np.median(w), 0.0, w)))


def policy_with_tiny_entries(rng: Generator) -> RawModel:
    model = ragged_actions(rng)
    return replace(model, policy=_policy(rng, model.pair_start, lambda w: np.where(w < w.max(), 1e-300, 1.0)))


def rewards_huge(rng: Generator) -> RawModel:
    model = sparse(rng)
    return replace(model, reward=model.reward * 1e12)


def rewards_tiny(rng: Generator) -> RawModel:
    model = sparse(rng)
    return replace(model, reward=model.reward * 1e-12)


def rewards_mixed(rng: Generator) -> RawModel:
    """Twenty-four orders of magnitude in one model."""
    model = ragged_actions(rng)
    return replace(model, reward=model.reward * 10.0 ** rng.uniform(-12, 12, size=len(model.reward)))


def rewards_offset(rng: Generator) -> RawModel:
    """The part that matters sits on a constant of a billion."""
    model = dense(rng)
    return replace(model, reward=model.reward + rng.choice([-1e9, 1e9]))


def rewards_offset_with_termination(rng: Generator) -> RawModel:
    model = termination_somewhere(rng)
    return replace(model, reward=model.reward + rng.choice([-1e9, 1e9]))


def rewards_constant(rng: Generator) -> RawModel:
    """Nothing to choose: all advantages are 0 up to the rounding of the rows; a third of the time, so is the value."""
    model = sparse(rng)
    return replace(model, reward=np.full(len(model.reward), rng.choice([0.0, 1.0, 0.1])))


def rewards_rare(rng: Generator) -> RawModel:
    """One pair pays, the others do not."""
    model = sparse(rng)
    return replace(model, reward=np.eye(len(model.reward))[rng.integers(len(model.reward))])


def rewards_cancelling(rng: Generator) -> RawModel:
    """Rewards that nearly cancel in the long run: the value stays far below max|r| / (1 - gamma)."""
    model = dense(rng)
    visits = np.full(model.num_states, 1.0 / model.num_states)
    P_pi = np.add.reduceat(model.transition * model.policy[:, None], model.pair_start[:-1])
    for _ in range(100):
        visits = visits @ P_pi
    weights = visits[_owner(model.pair_start)] * model.policy
    return replace(model, reward=model.reward - weights @ model.reward / weights.sum())


def everything(rng: Generator) -> RawModel:
    """Ragged actions, termination, zeros and huge, tiny and offset rewards, all at once."""
    model = policy_with_zeros(rng) if rng.random() < 0.5 else termination_somewhere(rng)
    scale = 10.0 ** rng.uniform(-12, 12)
    policy = _policy(rng, model.pair_start, lambda w: w ** rng.choice([1, 8, 64]))
    return replace(model, reward=scale * (model.reward + rng.choice([0.0, 1e9, -1e3])), policy=policy)


FAMILIES: dict[str, Callable[[Generator], RawModel]] = {
    family.__name__: family
    for family in (
        dense,
        sparse,
        deterministic_rows,
        ragged_actions,
        one_state,
        one_action,
        termination_somewhere,
        termination_tiny,
        termination_everywhere,
        termination_sure,
        unreachable_states,
        absorbing_states,
        recurrent_classes,
        periodic,
        nearly_decomposable,
        transitions_tiny,
        policy_deterministic,
        policy_with_zeros,
        policy_with_tiny_entries,
        rewards_huge,
        rewards_tiny,
        rewards_mixed,
        rewards_offset,
        rewards_offset_with_termination,
        rewards_constant,
        rewards_rare,
        rewards_cancelling,
        everything,
    )
}


def model(family: str, index: int) -> RawModel:
    """Return the model of this number in this family; neighbouring numbers run through the discount factors."""
    rng = np.random.default_rng([zlib.crc32(family.encode()), index])
    return replace(FAMILIES[family](rng), name=f"{family}[{index}]", gamma=GAMMAS[index % len(GAMMAS)])


def larger_model(states: int, gamma: float, termination: bool) -> RawModel:
    """Return a sparse model with that many states, ragged actions and perhaps some termination."""
    rng = np.random.default_rng([states, int(gamma * 2**20), termination])
    pair_start = _pair_start(rng, states, ragged=True)
    pairs = int(pair_start[-1])
    plain = _model(rng, _sparse_rows(rng, pairs, states, entries=4), pair_start)
    ends = np.where(rng.random(pairs) < 0.1, rng.random(pairs), 0.0) * termination
    return replace(_with_termination(plain, ends), name=f"larger[{states}, {gamma}, {termination}]", gamma=gamma)
