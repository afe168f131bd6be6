"""Small nasty chains, made from a seed: what the settings without a discount are held against their references on.

A *family* is a short function that draws one kind of trouble: chains that fall apart or nearly do, that go round and
round, that pass through trees or end once in a million million steps. The families of ``CONTINUING`` never end; those
of ``ENDING`` surely do from every state in which they start. ``model(family, index)`` is always the same model.
``features`` says what a model has, and ``SHARES`` which part of the models has it at least.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from generated_models import (
    GAMMAS,
    Array,
    Generator,
    RawModel,
    _model,
    _normalised,
    _num_states,
    _owner,
    _pair_start,
    _policy,
    _rows_within,
    _sparse_rows,
    _with_termination,
)
from rlcore import reference

Mask = NDArray[np.bool_]


# Parts.


def _steps_within(rng: Generator, allowed: Mask, weak: Array | float = 0.0) -> RawModel:
    """Return a model with one row for each pair of a state, positive where allowed, and ``weak`` added off it."""
    pair_start = _pair_start(rng, len(allowed), ragged=rng.random() < 0.5)
    owner = _owner(pair_start)
    links = np.broadcast_to(np.where(allowed, 0.0, weak), allowed.shape)
    return _model(rng, _normalised(_rows_within(rng, allowed[owner]) + links[owner]), pair_start)


def _blocks(rng: Generator, smallest: int = 2, largest: int = 4) -> NDArray[np.int64]:
    """Return the block of each state, in rising order: as many blocks as that, none of them empty."""
    blocks = int(rng.integers(smallest, largest + 1))
    states = _num_states(rng, smallest=blocks)
    return np.arange(states) * blocks // states


def _same(block: NDArray[np.int64]) -> Mask:
    return np.asarray(block[:, None] == block[None, :])


def _shuffled(rng: Generator, model: RawModel) -> RawModel:
    """Return the same model with its states numbered by chance: no algorithm may rely on their order."""
    order = rng.permutation(model.num_states)
    pairs = np.concatenate([np.arange(*model.pair_start[s : s + 2]) for s in order])
    return replace(
        model,
        transition=model.transition[pairs][:, order],
        pair_start=np.concatenate([[0], np.cumsum(model.num_actions[order])]),
        reward=model.reward[pairs],
        termination=model.termination[pairs],
        policy=model.policy[pairs],
        initial=model.initial[order],
    )


def _structure(model: RawModel) -> reference.ChainStructure:
    rows, policy, ends = (model.by_state(pairs) for pairs in (model.transition, model.policy, model.termination))
    return reference.chain_structure(rows, policy, ends)


def _powers_of_ten(rng: Generator, low: float, high: float, size: tuple[int, ...]) -> Array:
    return np.asarray(10.0 ** rng.uniform(low, high, size=size))


def _ending_after(rng: Generator, model: RawModel, chance: float) -> RawModel:
    """End the process with that chance in one state, whatever the policy does there."""
    last = _owner(model.pair_start) == rng.integers(model.num_states)
    return _with_termination(model, np.where(last, chance, 0.0))


# Families that never end.


def several_classes(rng: Generator) -> RawModel:
    """Two to five closed classes and transient states in front of them."""
    block = _blocks(rng, smallest=3, largest=6)
    return _shuffled(rng, _steps_within(rng, _same(block) | (block == 0)[:, None]))


def layers_in_a_ring(rng: Generator) -> RawModel:
    """Every step leads from one layer of states to the next, round and round, with period 2 to 6."""
    period = int(rng.integers(2, 7))
    layer = np.arange(_num_states(rng, smallest=period)) % period
    return _shuffled(rng, _steps_within(rng, layer[None, :] == (layer[:, None] + 1) % period))


def periodic_classes(rng: Generator) -> RawModel:
    """One to three closed classes, each with a period of its own from 2 to 6; sometimes one state leads to all."""
    front = rng.random() < 0.3
    states = _num_states(rng, smallest=8) - front
    layer, block = np.zeros((2, states), dtype=np.int64)
    period = np.ones(states, dtype=np.int64)
    for number, members in enumerate(np.array_split(np.arange(states), int(rng.integers(1, 4)))):
        block[members] = number
        period[members] = min(int(rng.integers(2, 7)), len(members))
        layer[members] = np.arange(len(members)) % period[members]
    allowed = _same(block) & (((layer + 1) % period)[:, None] == layer[None, :])
    if front:
        allowed = np.pad(allowed, [(0, 1), (0, 1)])
        allowed[-1] = True
    return _shuffled(rng, _steps_within(rng, allowed))


def transient_tree(rng: Generator) -> RawModel:
    """From the leaves to the root, which is in a closed class; half of the states may stay where they are."""
    states = _num_states(rng, smallest=3)
    closed = int(rng.integers(1, max(2, states // 3)))
    allowed = np.diag(rng.random(states) < 0.5)
    allowed[:closed, :closed] = True
    for child in range(closed, states):
        allowed[child, rng.integers(child)] = True
    return _shuffled(rng, _steps_within(rng, allowed))


def transient_forest(rng: Generator) -> RawModel:
    """Trees whose roots are absorbing, with leaves that can choose between them."""
    states = _num_states(rng, smallest=5)
    roots = int(rng.integers(2, 4))
    allowed = np.eye(states, dtype=bool) & (np.arange(states) < roots)
    for child in range(roots, states):
        allowed[child, rng.integers(child, size=2)] = True
    return _shuffled(rng, _steps_within(rng, allowed))


def weak_ring(rng: Generator) -> RawModel:
    """Blocks in a ring, each joined to the next by one link of a billionth."""
    block = _blocks(rng)
    weak = np.zeros((len(block), len(block)))
    first = np.flatnonzero(np.diff(block, prepend=-1))
    weak[first - 1, first] = 1e-9
    return _shuffled(rng, _steps_within(rng, _same(block), weak))


def nearly_decomposable(rng: Generator) -> RawModel:
    """Blocks with links of 1e-3 to 1e-12 between all their states."""
    block = _blocks(rng)
    return _shuffled(rng, _steps_within(rng, _same(block), _powers_of_ten(rng, -12, -3, (len(block), len(block)))))


def nested_blocks(rng: Generator) -> RawModel:
    """Blocks of blocks: links of 1e-4 within a pair of blocks, of 1e-8 within four, of 1e-12 otherwise."""
    states = _num_states(rng, smallest=4)
    block = np.arange(states) * min(states, 8) // states
    distance = np.frexp(block[:, None] ^ block[None, :])[1]
    return _shuffled(rng, _steps_within(rng, distance == 0, 10.0 ** (-4.0 * distance)))


def leaking_classes(rng: Generator) -> RawModel:
    """Blocks with a link of 1e-9 down and none up: all but one are transient, and hardly so."""
    block = _blocks(rng)
    below = block[:, None] == block[None, :] + 1
    return _shuffled(rng, _steps_within(rng, _same(block), np.where(below, 1e-9, 0.0)))


def birth_and_death(rng: Generator) -> RawModel:
    """Up and down by chances of 1 to 1e-3: stationary probabilities over many orders of magnitude."""
    states = _num_states(rng, smallest=2)
    up, down = 0.5 * _powers_of_ten(rng, -3, 0, (2, states))
    up[-1] = down[0] = 0.0
    rows = np.diag(up[:-1], 1) + np.diag(down[1:], -1) + np.diag(1 - up - down)
    return _shuffled(rng, _model(rng, rows, np.arange(states + 1)))


def sluggish(rng: Generator) -> RawModel:
    """States that are left so rarely that the diagonal is stored as 1, or nearly so."""
    states = _num_states(rng, smallest=2)
    pair_start = _pair_start(rng, states)
    itself = np.eye(states)[_owner(pair_start)]
    rare = _powers_of_ten(rng, -20, -16, itself.shape) * (rng.random(itself.shape) < 0.7)
    return _model(rng, np.where(itself == 1.0, 1.0, rare), pair_start)


def absorbing_states(rng: Generator) -> RawModel:
    states = _num_states(rng, smallest=2)
    pair_start = _pair_start(rng, states)
    owner = _owner(pair_start)
    stays = (rng.random(states) < 0.4)[owner]
    return _model(
        rng, np.where(stays[:, None], np.eye(states)[owner], _sparse_rows(rng, len(owner), states)), pair_start
    )


def one_state(rng: Generator) -> RawModel:
    pair_start = _pair_start(rng, 1)
    return _model(rng, np.ones((int(pair_start[-1]), 1)), pair_start)


def deterministic(rng: Generator) -> RawModel:
    """One sure successor for each pair and one sure action in each state."""
    states = _num_states(rng)
    pair_start = _pair_start(rng, states)
    rows = np.eye(states)[rng.integers(states, size=int(pair_start[-1]))]
    return _model(rng, rows, pair_start, policy=_policy(rng, pair_start, lambda w: (w == w.max()).astype(float)))


def policy_decides(rng: Generator) -> RawModel:
    """The first action of a state stays in its block, the others go anywhere: with probability 0, or 1e-12."""
    block = _blocks(rng)
    pair_start = np.arange(0, 2 * len(block) + 1, 2)
    allowed = _same(block)[_owner(pair_start)]
    allowed[1::2] = True
    leaving = rng.choice([0.0, 0.0, 1e-12], size=len(block))
    policy = np.column_stack([1 - leaving, leaving]).ravel()
    return _shuffled(rng, _model(rng, _rows_within(rng, allowed), pair_start, policy=policy))


CONTINUING: dict[str, Callable[[Generator], RawModel]] = {
    family.__name__: family
    for family in (
        several_classes,
        layers_in_a_ring,
        periodic_classes,
        transient_tree,
        transient_forest,
        weak_ring,
        nearly_decomposable,
        nested_blocks,
        leaking_classes,
        birth_and_death,
        sluggish,
        absorbing_states,
        one_state,
        deterministic,
        policy_decides,
    )
}

# Families that end.


def ends_in_layers(rng: Generator) -> RawModel:
    """From layer to layer to the end, and from the last one nowhere else."""
    states = _num_states(rng)
    layer = np.sort(rng.integers(0, 5, size=states))
    forwards = layer[:, None] < layer[None, :]
    model = _steps_within(rng, forwards | (layer == layer[-1])[:, None])
    last = (layer == layer[-1])[_owner(model.pair_start)]
    return _shuffled(rng, _with_termination(model, np.where(last, 1.0, 0.1 * rng.random(len(last)))))


def ends_rarely(rng: Generator) -> RawModel:
    """Round and round, with one state in which the process ends once in a million million times."""
    states = _num_states(rng)
    return _ending_after(rng, _steps_within(rng, np.ones((states, states), dtype=bool)), 1e-12)


def ends_rarely_in_blocks(rng: Generator) -> RawModel:
    """Blocks with links of 1e-3 to 1e-12, in one of which the process ends once in a million million times."""
    return _ending_after(rng, nearly_decomposable(rng), 1e-12)


def ends_in_each_class(rng: Generator) -> RawModel:
    """A chain of another family that can end in one state of each of its recurrent classes."""
    model = CONTINUING[rng.choice(list(CONTINUING))](rng)
    doors = [rng.choice(members) for members in _structure(model).recurrent_classes]
    chance = np.where(np.isin(np.arange(model.num_states), doors), rng.random(model.num_states), 0.0)
    return _with_termination(model, chance[_owner(model.pair_start)])


def ends_by_choice(rng: Generator) -> RawModel:
    """Every other action ends the process now and then, but the policy may take it with probability 0 or 1e-12."""
    states = _num_states(rng, smallest=2)
    pair_start = np.arange(0, 2 * states + 1, 2)
    ending = rng.choice([0.0, 0.5, 1e-12], size=states)
    ending[0] = 1e-12
    rows = _rows_within(rng, np.ones((2 * states, states), dtype=bool))
    model = _model(rng, rows, pair_start, policy=np.column_stack([1 - ending, ending]).ravel())
    return _with_termination(model, np.tile([0.0, 0.25], states))


def improper_out_of_reach(rng: Generator) -> RawModel:
    """A part that ends, in which the process starts, a part that does not, and states that lead to both."""
    block = _blocks(rng, smallest=3, largest=3)
    model = _steps_within(rng, _same(block) | (block == 1)[:, None])
    first = block == 0
    ending = np.where(first[_owner(model.pair_start)], rng.choice([0.3, 1e-12]), 0.0)
    initial = _normalised(first * rng.exponential(size=len(block)))
    return _shuffled(rng, replace(_with_termination(model, ending), initial=initial))


def one_state_that_ends(rng: Generator) -> RawModel:
    return _ending_after(rng, one_state(rng), rng.choice([1.0, 0.1, 1e-12]))


ENDING: dict[str, Callable[[Generator], RawModel]] = {
    family.__name__: family
    for family in (
        ends_in_layers,
        ends_rarely,
        ends_rarely_in_blocks,
        ends_in_each_class,
        ends_by_choice,
        improper_out_of_reach,
        one_state_that_ends,
    )
}

FAMILIES = CONTINUING | ENDING

SHARES = {
    "several recurrent classes": 0.18,
    "period 2": 0.02,
    "period 3": 0.02,
    "period 4": 0.015,
    "period 5": 0.01,
    "period 6": 0.005,
    "transient states": 0.25,
    "absorbing state": 0.25,
    "one state": 0.1,
    "deterministic": 0.1,
    "links below 1e-8": 0.3,
    "diagonal stored as 1 but left": 0.04,
    "unused pairs": 0.1,
    "ends": 0.3,
    "ends by 1e-12 or less": 0.1,
    "improper, out of reach": 0.03,
}
"""The least share of the models, taken alike from all families, that have each of the features."""


def features(model: RawModel) -> set[str]:
    """Return the features of a model."""
    P_pi = np.add.reduceat(model.transition * model.policy[:, None], model.pair_start[:-1])
    termination = np.add.reduceat(model.termination * model.policy, model.pair_start[:-1])
    elsewhere = np.where(np.eye(model.num_states) == 1.0, 0.0, P_pi)
    structure = _structure(model)
    found = {
        "several recurrent classes": len(structure.recurrent_classes) > 1,
        "transient states": bool(structure.transient) and not termination.any(),
        "absorbing state": any(len(members) == 1 for members in structure.recurrent_classes),
        "one state": model.num_states == 1,
        "deterministic": bool(np.isin(P_pi, [0.0, 1.0]).all()),
        "links below 1e-8": bool(((elsewhere > 0) & (elsewhere < 1e-8)).any()),
        "diagonal stored as 1 but left": bool(((P_pi.diagonal() == 1) & elsewhere.any(axis=1)).any()),
        "unused pairs": bool((model.policy == 0).any()),
        "ends": bool(termination.any()),
        "ends by 1e-12 or less": bool(termination.any()) and termination.max() <= 1e-12,
        "improper, out of reach": bool(termination.any()) and bool(structure.recurrent_classes),
    }
    periods = {f"period {period}" for period in structure.periods if period > 1}
    return periods | {name for name, has in found.items() if has}


def model(family: str, index: int) -> RawModel:
    """Return the model of this number in this family; neighbouring numbers run through the discount factors."""
    rng = np.random.default_rng([zlib.crc32(family.encode()), index])
    return replace(FAMILIES[family](rng), name=f"{family}[{index}]", gamma=GAMMAS[index % len(GAMMAS)])
