"""Random models: without structure, in layers, in blocks."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from rlcore.errors import ModelError
from rlcore.gallery._arguments import as_count, as_generator, as_number, as_probability, as_successors
from rlcore.gallery._rows import Columns, equal_row_starts, evenly, ordered, row_starts
from rlcore.mdp import MDP
from rlcore.results import FloatArray

# So many numbers are drawn at a time: large enough for NumPy, small enough for the processor's cache. Every block has
# a stream of its own, so blocks could be drawn in any order, but their length is part of what a seed means.
BLOCK = 1 << 18


def garnet(S: int, A: int, b: int, seed: int | np.random.Generator = 0) -> MDP:
    """Return a random model: b random successors for each pair.

    The successors of a pair are b distinct states, every set of b equally likely. Their probabilities are the lengths
    of the b pieces into which b - 1 uniform points cut [0, 1]. r(s,a) is standard normal. All draws are independent.

    Parameters
    ----------
    S
        The number of states.
    A
        The number of actions in every state.
    b
        The number of successors of every pair, at most S.
    seed
        A whole number or a generator; the same number gives the same model.

    Returns
    -------
    MDP
        S states with A actions each; every state is equally likely at the start.

    Raises
    ------
    ModelError
        If S, A, b or seed is out of its range.

    Notes
    -----
    "Generic average reward non-stationary environment test-bed": T. W. Archibald, K. I. M. McKinnon and L. C. Thomas,
    "On the generation of Markov decision processes", Journal of the Operational Research Society 46(3), 1995; with the
    rewards of S. Bhatnagar, R. S. Sutton, M. Ghavamzadeh and M. Lee, "Natural actor-critic algorithms", Automatica
    45(11), 2009.

    P(s'_i | s,a) = u_(i) - u_(i-1) for sorted uniform points u_(1) <= ... <= u_(b-1), with u_(0) = 0 and u_(b) = 1.
    Needs 12 bytes for each of the S A b entries, and little more while it is made.

    Examples
    --------
    >>> import rlcore as rl
    >>> rl.gallery.garnet(100, 4, 5, seed=1)
    MDP(100 states, 4 actions each, 2,000 transitions, never ends, with start distribution)
    """
    S, A = as_count(S, "S", 1), as_count(A, "A", 1)
    b = as_successors(b, S, "S")
    columns, probabilities, reward = _random_rows(as_generator(seed), S * A, S, b)
    transition = ordered(columns, probabilities, equal_row_starts(S * A, b), S)
    return MDP(transition, reward, initial=evenly(S))


def layered(
    depth: int,
    width: int,
    A: int = 2,
    b: int | None = None,
    stay: float = 0.0,
    seed: int | np.random.Generator = 0,
) -> MDP:
    """Return a random episodic model in layers: each leads to the next, and the last one ends.

    With probability 1 - stay a move leads from its layer to the next, or to the end from the last layer; with
    probability `stay` it leads to another place in its own layer. Places are drawn as the successors in `garnet`: b
    distinct random states, whose probabilities are the pieces between uniform points. r(s,a) is standard normal.

    Parameters
    ----------
    depth, width
        The number of layers and the number of states in each.
    A
        The number of actions in every state.
    b
        The number of possible places in a layer for every pair, at most `width`. None: 5, or `width` if that is less.
    stay
        The probability of staying in a layer, in [0, 1). At 0 no state is ever seen again.
    seed
        A whole number or a generator; the same number gives the same model.

    Returns
    -------
    MDP
        depth * width states, layer by layer, with A actions each; starts evenly in the first layer.

    Raises
    ------
    ModelError
        If an argument is out of its range.

    Notes
    -----
    P(s' | s,a) = stay p(s') in the layer of s and (1 - stay) p'(s') in the next, with p and p' as in `garnet`;
    termination is 1 - stay in the last layer. The time in a layer is geometric, so that under every policy an episode
    has an expected length of depth / (1 - stay).

    Examples
    --------
    >>> import rlcore as rl
    >>> mdp = rl.gallery.layered(depth=3, width=2)
    >>> mdp
    MDP(6 states, 2 actions each, 16 transitions, can end, with start distribution)
    >>> mdp.termination[:, 0]
    array([0., 0., 0., 0., 1., 1.])
    """
    depth, width, A = as_count(depth, "depth", 1), as_count(width, "width", 1), as_count(A, "A", 1)
    b = min(5, width) if b is None else as_successors(b, width, "width")
    stay = as_number(stay, "stay")
    if not 0.0 <= stay < 1.0:
        raise ModelError(f"stay: expected a probability in [0, 1), got {stay!r}")
    rng = as_generator(seed)
    S, pairs, ending = depth * width, depth * width * A, width * A
    layer = np.repeat(np.arange(depth, dtype=np.int32) * np.int32(width), ending)[:, np.newaxis]
    onward, probabilities, reward = _random_rows(rng, pairs, width, b)
    onward += layer + np.int32(width)
    lengths = np.full(pairs, b)
    if stay > 0.0:
        around, staying, _ = _random_rows(rng, pairs, width, b)
        onward = np.concatenate([around + layer, onward], axis=1)
        probabilities = np.concatenate([stay * staying, (1.0 - stay) * probabilities], axis=1)
        lengths *= 2
    # Whatever leads beyond the last layer ends: in the last rows, that is the second half or all.
    keep = onward < S
    lengths[-ending:] -= b
    termination = np.zeros(pairs)
    termination[-ending:] = 1.0 - stay
    initial = np.zeros(S)
    initial[:width] = 1.0 / width
    transition = ordered(onward[keep], probabilities[keep], row_starts(lengths), S)
    return MDP(transition, reward, termination=termination, initial=initial)


def nearly_decomposable(
    blocks: int,
    coupling: float = 1e-6,
    size: int = 10,
    A: int = 2,
    b: int | None = None,
    seed: int | np.random.Generator = 0,
) -> MDP:
    """Return random models in a ring, each of which is left only rarely, for the next.

    With probability 1 - coupling a move stays in its block and goes as in `garnet`: to one of b distinct random states
    of the block, whose probabilities are the pieces between uniform points. With probability `coupling` it goes to one
    state of the next block, drawn evenly for each pair; after the last block comes the first. r(s,a) is standard
    normal.

    Parameters
    ----------
    blocks
        The number of blocks, at least 2.
    coupling
        The probability of leaving a block, in [0, 1]. At 0 the model falls apart into its blocks.
    size
        The number of states in a block.
    A
        The number of actions in every state.
    b
        The number of successors within the block for every pair, at most `size`. None: 5, or `size` if that is less.
    seed
        A whole number or a generator; the same number gives the same model.

    Returns
    -------
    MDP
        blocks * size states, block by block, with A actions each; every state is equally likely at the start.

    Raises
    ------
    ModelError
        If an argument is out of its range.

    Notes
    -----
    Nearly decomposable systems: H. A. Simon and A. Ando, "Aggregation of variables in dynamic systems", Econometrica
    29(2), 1961; P.-J. Courtois, Decomposability: Queueing and Computer System Applications, 1977.

    Every state leaves its block with the same probability, so the block of the state is a Markov chain of its own: in
    the long run every block holds exactly 1 / blocks of the time, under every policy and for every coupling > 0. It
    takes about 1 / coupling steps until that shows.

    Examples
    --------
    >>> import rlcore as rl
    >>> mdp = rl.gallery.nearly_decomposable(blocks=2, coupling=0.01, size=2, A=1)
    >>> mdp.transition.toarray().reshape(4, 2, 2).sum(axis=2)
    array([[0.99, 0.01],
           [0.99, 0.01],
           [0.01, 0.99],
           [0.01, 0.99]])
    """
    blocks, coupling = as_count(blocks, "blocks", 2), as_probability(coupling, "coupling")
    size, A = as_count(size, "size", 1), as_count(A, "A", 1)
    b = min(5, size) if b is None else as_successors(b, size, "size")
    rng = as_generator(seed)
    S, pairs, last = blocks * size, blocks * size * A, size * A
    first = np.repeat(np.arange(blocks, dtype=np.int32) * np.int32(size), last)[:, np.newaxis]
    within, probabilities, reward = _random_rows(rng, pairs, size, b)
    beyond = (first + size + rng.integers(size, size=(pairs, 1), dtype=np.int32)) % S
    columns = np.concatenate([within + first, beyond.astype(np.int32)], axis=1)
    probabilities = np.concatenate([(1.0 - coupling) * probabilities, np.full((pairs, 1), coupling)], axis=1)
    # From the last block the way out leads to lower numbers.
    for array in columns, probabilities:
        array[-last:] = np.roll(array[-last:], 1, axis=1)
    transition = ordered(columns, probabilities, equal_row_starts(pairs, b + 1), S)
    if coupling in (0.0, 1.0):
        transition.eliminate_zeros()
    return MDP(transition, reward, initial=evenly(S))


# ---- draws ----


def _random_rows(rng: np.random.Generator, rows: int, S: int, b: int) -> tuple[Columns, FloatArray, FloatArray]:
    """Return b distinct sorted states out of S for each row, their probabilities, and a reward for each row."""
    columns, probabilities, reward = np.empty((rows, b), np.int32), np.empty((rows, b)), np.empty(rows)
    # The first way of drawing costs b^2 a row and the second S log S; the factor was measured.
    few = b * b <= 32 * S
    key = rng.integers(0, 2**63, size=4).tolist()
    for number, block in enumerate(_blocks(rows, max(1, BLOCK // (b if few else S)))):
        own, length = np.random.default_rng(np.random.SeedSequence(key, spawn_key=(number,))), block.stop - block.start
        columns[block] = np.sort(_few_of_many(own, length, S, b) if few else _many_of_few(own, length, S, b), axis=1)
        probabilities[block] = _pieces(own, length, b)
        reward[block] = own.standard_normal(length)
    return columns, probabilities, reward


def _blocks(size: int, length: int) -> Iterator[slice]:
    return (slice(first, min(first + length, size)) for first in range(0, size, length))


def _few_of_many(rng: np.random.Generator, rows: int, S: int, b: int) -> Columns:
    """Return b distinct states for each row by Floyd's method (Bentley & Floyd 1987): no draw is ever rejected."""
    chosen = np.empty((b, rows), np.int32)
    for draw, newest in enumerate(range(S - b, S)):
        drawn = rng.integers(0, newest, size=rows, dtype=np.int32, endpoint=True)
        for earlier in chosen[:draw]:
            drawn[drawn == earlier] = newest
        chosen[draw] = drawn
    return np.ascontiguousarray(chosen.T)


def _many_of_few(rng: np.random.Generator, rows: int, S: int, b: int) -> Columns:
    """Return b distinct states for each row: the first of all states in a random order."""
    order = np.argsort(rng.random((rows, S)), axis=1)
    return order[:, :b].astype(np.int32)


def _pieces(rng: np.random.Generator, rows: int, b: int) -> FloatArray:
    cuts = np.empty((rows, b + 1))
    cuts[:, 0], cuts[:, -1] = 0.0, 1.0
    cuts[:, 1:-1] = np.sort(rng.random((rows, b - 1)), axis=1)
    return np.diff(cuts, axis=1)
