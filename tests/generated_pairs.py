"""Pairs of policies on the small nasty models: a base policy and a candidate of one kind of trouble each.

As in generated_models.py, ``candidate(model, index)`` is always the same, and what it draws is in its name.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable

import numpy as np

from generated_models import Array, Generator, RawModel

Kind = Callable[[Generator, RawModel], Array]

NEAR = (1e-12, 1e-9, 1e-6, 1e-3, 0.1)


def _rows(model: RawModel) -> list[slice]:
    return [slice(int(a), int(b)) for a, b in zip(model.pair_start[:-1], model.pair_start[1:], strict=True)]


def _normalised(model: RawModel, weights: Array) -> Array:
    policy = weights.copy()
    for row in _rows(model):
        policy[row] /= policy[row].sum()
    return policy


def random(rng: Generator, model: RawModel) -> Array:
    """Another policy altogether."""
    return _normalised(model, rng.random(model.policy.size) + 1e-3)


def deterministic(rng: Generator, model: RawModel) -> Array:
    """One action for sure in every state."""
    policy = np.zeros(model.policy.size)
    for row in _rows(model):
        policy[rng.integers(row.start, row.stop)] = 1.0
    return policy


def near(rng: Generator, model: RawModel) -> Array:
    """A mixture with another policy, from 1e-12 to a tenth of it."""
    step = rng.choice(NEAR)
    return _normalised(model, (1.0 - step) * model.policy + step * random(rng, model))


def ratios(rng: Generator, model: RawModel) -> Array:
    """All probabilities by factors near 1: zeros stay, and every sum is off by its own rounding."""
    size = rng.choice(NEAR)
    return _normalised(model, model.policy * (1.0 + size * rng.uniform(-1.0, 1.0, model.policy.size)))


def moved(rng: Generator, model: RawModel) -> Array:
    """A share of one action's probability moved to another, by an exact subtraction where that is possible."""
    policy = model.policy.copy()
    share = rng.choice(NEAR)
    for row in _rows(model):
        if row.stop - row.start > 1:
            giver = row.start + int(policy[row].argmax())
            taker = row.start + (giver - row.start + 1) % (row.stop - row.start)
            kept = policy[giver] * (1.0 - share)
            policy[taker] += policy[giver] - kept
            policy[giver] = kept
    return policy


def one_state(rng: Generator, model: RawModel) -> Array:
    """Only one state changes."""
    policy = model.policy.copy()
    row = _rows(model)[rng.integers(model.num_states)]
    policy[row] = random(rng, model)[row]
    return policy


def drops_actions(rng: Generator, model: RawModel) -> Array:
    """Some probabilities become zero: KL is infinite there."""
    weights = random(rng, model) * (rng.random(model.policy.size) < 0.6)
    for row in _rows(model):
        if not weights[row].any():
            weights[row] = random(rng, model)[row]
    return _normalised(model, weights)


def same(rng: Generator, model: RawModel) -> Array:
    """The base policy itself."""
    return model.policy.copy()


KINDS: dict[str, Kind] = {
    kind.__name__: kind for kind in (random, deterministic, near, ratios, moved, one_state, drops_actions, same)
}


def candidate(model: RawModel, kind: str) -> Array:
    """Return the candidate of a kind for a model."""
    rng = np.random.default_rng([zlib.crc32(f"{model.name} {kind}".encode())])
    return KINDS[kind](rng, model)
