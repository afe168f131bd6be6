"""Models and what belongs to them as objects of other packages: SciPy, pandas, xarray, NetworkX."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import scipy.sparse
from numpy.typing import ArrayLike

from rlcore.arguments import as_floats
from rlcore.errors import ArgumentError, ModelError
from rlcore.optional_packages import optional_package
from rlcore.results import FloatArray

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from rlcore.mdp import MDP


class ChainArrays(NamedTuple):
    """The chain of a policy (theory 1): P_pi(s,s') = sum_a pi(a|s) P(s'|s,a), r_pi(s) = sum_a pi(a|s) r(s,a)."""

    transition: csr_array
    reward: FloatArray


def chain_arrays(mdp: MDP, policy: ArrayLike) -> ChainArrays:
    """Return P_pi and r_pi. A row of P_pi sums to 1 minus the probability that the process ends."""
    weights = _weights(mdp, policy)
    return ChainArrays(scipy.sparse.csr_array(weights @ mdp.transition), weights @ mdp.reward.ravel())


def _weights(mdp: MDP, policy: ArrayLike) -> csr_array:
    """Return the policy as a matrix (S, num_pairs) that takes pair arrays to state arrays."""
    from rlcore.occupancy import state_distribution

    # What a policy is, is known in one place. It is asked for no step from the first state.
    state_distribution(mdp, policy, 0, initial=np.eye(1, mdp.num_states)[0])
    probability = np.array(policy, dtype=np.float64).ravel()
    index = (probability, np.arange(mdp.num_pairs), mdp.pair_start.copy())
    weights = scipy.sparse.csr_array(index, shape=(mdp.num_states, mdp.num_pairs))
    weights.eliminate_zeros()
    return weights


# ---- labelled arrays ----


class _Over(NamedTuple):
    """What an array is over: an item of a batch, and a state or a state and an action."""

    values: FloatArray  # (S,), (S, number of actions), or one of these with a leading axis
    batched: bool
    pairs: bool


def as_pandas(mdp: MDP, x: ArrayLike, name: Hashable = None, over: str | None = None) -> Any:
    """Return a Series over states, or a DataFrame: states by actions, or items of a batch by states."""
    pandas = _package("pandas", "MDP.to_pandas")
    found = _over(mdp, x, over)
    if found.batched and found.pairs:
        raise ModelError(
            f"x: expected one table over states and actions, got a batch of shape {np.shape(x)}; MDP.to_xarray takes it"
        )
    states = _index(pandas, mdp.state_labels, mdp.num_states, "state")
    if found.pairs:
        actions = _index(pandas, mdp.action_labels, found.values.shape[-1], "action")
        return pandas.DataFrame(found.values, index=states, columns=actions)
    if found.batched:
        return pandas.DataFrame(found.values, index=pandas.RangeIndex(len(found.values), name="item"), columns=states)
    return pandas.Series(found.values, index=states, name=name)


def as_xarray(mdp: MDP, x: ArrayLike, name: Hashable = None, over: str | None = None) -> Any:
    """Return a DataArray over states, or over states and actions, with an axis "item" before them for a batch."""
    xarray, pandas = _package("xarray", "MDP.to_xarray"), _package("pandas", "MDP.to_xarray")
    found = _over(mdp, x, over)
    dimensions = [*(["item"] if found.batched else []), "state", *(["action"] if found.pairs else [])]
    coordinates = xarray.Coordinates()
    for dimension, labels in (("state", mdp.state_labels), ("action", mdp.action_labels)):
        if dimension in dimensions:
            index = _index(pandas, labels, found.values.shape[dimensions.index(dimension)], dimension)
            if isinstance(index, pandas.MultiIndex):
                coordinates = coordinates.assign(xarray.Coordinates.from_pandas_multiindex(index, dimension))
            else:
                coordinates = coordinates.assign({dimension: index})
    return xarray.DataArray(found.values, coordinates, dimensions, name)


def _over(mdp: MDP, x: ArrayLike, over: str | None) -> _Over:
    if over not in (None, "states", "pairs"):
        raise ArgumentError(f"over: expected 'states', 'pairs' or None, got {over!r}")
    values = np.array(as_floats(x, "x", ModelError))  # a copy: what is handed out may be changed
    states, pairs, flat = (mdp.num_states,), mdp.pair_shape, (mdp.num_pairs,)
    fits = {
        "states": values.shape == states or (values.ndim == 2 and values.shape[1:] == states),
        "pairs": values.shape in (pairs, flat) or values.shape[1:] == pairs,
    }
    kinds = [kind for kind in fits if fits[kind] and over in (None, kind)]
    if values.shape == states and over is None and fits["states"]:
        kinds = ["states"]  # with one action in every state, flat pairs look the same
    if len(kinds) == 2:
        raise ArgumentError(
            f"over: shape {values.shape} can be read as numbers for states and for pairs; pass over='states' or "
            "over='pairs'"
        )
    if not kinds:
        raise ModelError(
            f"x: expected shape {states} over states or {pairs} over pairs, or a batch of such arrays, "
            f"got {values.shape}"
        )
    if kinds == ["states"]:
        return _Over(values, values.ndim == 2, pairs=False)
    batched = values.shape not in (pairs, flat)
    tables = [mdp.to_table(item) for item in (values if batched else values[None])]
    return _Over(np.stack(tables) if batched else tables[0], batched, pairs=True)


def _index(pandas: Any, labels: tuple[Hashable, ...] | None, size: int, name: str) -> Any:
    """Return labels as an index: several levels if all are tuples of one length, such as (row, column)."""
    if labels is None:
        return pandas.RangeIndex(size, name=name)
    named = list(labels[:size])
    lengths = {len(label) if isinstance(label, tuple) else 0 for label in named}
    if len(lengths) == 1 and 0 not in lengths:
        levels = [f"{name}_{level}" for level in range(lengths.pop())]
        return pandas.MultiIndex.from_tuples(named, names=levels)
    return pandas.Index(named, name=name, tupleize_cols=False)


# ---- graphs ----


def as_networkx(mdp: MDP, policy: ArrayLike) -> Any:
    """Return the chain of a policy as a DiGraph over state labels."""
    networkx = _package("networkx", "MDP.to_networkx")
    weights = _weights(mdp, policy)
    chain = scipy.sparse.csr_array(weights @ mdp.transition)
    # sum_a pi(a|s) r(s,a) P(s'|s,a) / P_pi(s,s'): the mean reward of a step that leads there.
    paid = scipy.sparse.csr_array(weights * mdp.reward.ravel()[None, :]) @ mdp.transition
    reward, ending = weights @ mdp.reward.ravel(), weights @ mdp.termination.ravel()
    graph = networkx.DiGraph()
    names = mdp.state_labels or range(mdp.num_states)
    for state, name in enumerate(names):
        graph.add_node(name, reward=float(reward[state]), termination=float(ending[state]))
    chain.eliminate_zeros()
    entries = chain.tocoo()
    along = paid[entries.row, entries.col]
    means = (along.toarray() if scipy.sparse.issparse(along) else np.asarray(along)).ravel() / entries.data
    for row, column, probability, mean in zip(
        entries.row.tolist(), entries.col.tolist(), entries.data.tolist(), means.tolist(), strict=True
    ):
        graph.add_edge(names[row], names[column], probability=probability, reward=mean)
    return graph


def _package(name: str, needed_by: str) -> Any:
    return optional_package(name, f"{needed_by} needs {name}, which is not installed; pip install {name}")
