"""What a policy's chain looks like: where it stays for ever, where it passes through, where it ends (theory 3.2)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import ArrayLike, NDArray

from rlcore import _core
from rlcore.arguments import as_callback, as_num_threads, as_single
from rlcore.errors import InputError, PolicyError
from rlcore.mdp import MDP, as_mdp
from rlcore.results import Certificate, CertifiedArray, FloatArray, Progress, certified_array
from rlcore.settings import Episodic

IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ChainStructure:
    """The structure of a policy's chain (theory 3.2).

    Attributes
    ----------
    recurrent_classes
        The sets of states that the chain never leaves once it is there, and in which it comes back to every state: a
        tuple of arrays of state numbers. States are in rising order, and so are classes by their smallest state.
    transient
        All other states, in rising order. Those from which the chain can end are among them.
    periods
        The period of each class, shape (classes,): the greatest common divisor of all times of return.
    class_of
        The number of the class of each state, shape (S,); -1 for transient states.
    proper
        For each state, whether the chain surely ends when it starts there: no class can be reached. Shape (S,).
    """

    recurrent_classes: tuple[IntArray, ...]
    transient: IntArray
    periods: IntArray
    class_of: IntArray
    proper: NDArray[np.bool_]
    _find_absorption: Callable[[], CertifiedArray] = field(repr=False)
    _absorption: list[CertifiedArray] = field(default_factory=list, repr=False)

    @property
    def is_unichain(self) -> bool:
        """Whether there is exactly one recurrent class."""
        return len(self.recurrent_classes) == 1

    @property
    def is_irreducible(self) -> bool:
        """Whether all states together are one recurrent class."""
        return self.is_unichain and not self.transient.size

    @property
    def is_aperiodic(self) -> bool:
        """Whether every recurrent class has period 1."""
        return bool((self.periods == 1).all())

    @property
    def absorption(self) -> CertifiedArray:
        """The probability of getting into each class for good, shape (S, classes).

        A row sums to 1, and to less where the chain may end first. Found when first asked for, to the best attainable
        precision; ``.certificate.bounds["absorption"]`` bounds the largest error of each column.
        """
        if not self._absorption:
            self._absorption.append(self._find_absorption())
        return self._absorption[0]

    def __repr__(self) -> str:
        count = len(self.recurrent_classes)
        classes = f"{count} recurrent class{'' if count == 1 else 'es'}"
        if count:
            sizes = _listed(len(states) for states in self.recurrent_classes[:5])
            classes += f" of {sizes} states, periods {_listed(self.periods[:5])}"
        return f"ChainStructure({classes}, {self.transient.size} transient states)"


def chain_structure(
    mdp: MDP,
    policy: ArrayLike,
    *,
    num_threads: int | None = None,
    progress: Callable[[Progress], object] | None = None,
) -> ChainStructure:
    """Find the recurrent classes of a policy's chain, its transient states, and the periods of the classes.

    Structure alone decides, never a size: a step is possible if pi(a|s) > 0 and P(s'|s,a) > 0, and the chain can end
    in a state if pi(a|s) > 0 and termination(s,a) > 0.

    Parameters
    ----------
    mdp
        The model.
    policy
        pi(a|s) of shape ``mdp.pair_shape``.
    num_threads
        Threads to use; None for one per core. Every number gives the same answer.
    progress
        Called with a `Progress` between the parts of the work.

    Returns
    -------
    ChainStructure
        ``.recurrent_classes``, ``.transient``, ``.periods``, ``.is_unichain``, ``.is_irreducible``,
        ``.is_aperiodic``, ``.absorption`` (S, classes), ``.class_of`` and ``.proper`` (S,).

    Raises
    ------
    PolicyError
        If the policy has the wrong shape or is not a distribution in every state.

    Notes
    -----
    Theory 3.2; Kemeny & Snell 1960, chapters 2 and 3; Puterman 1994, appendix A. Time is linear in the number of
    stored transitions.

    Examples
    --------
    A walk to the right or to the left until one of two absorbing states is reached:

    >>> import rlcore as rl
    >>> walk = rl.MDP([[1, 0, 0, 0], [0.5, 0, 0.5, 0], [0, 0.5, 0, 0.5], [0, 0, 0, 1]], [0, 0, 0, 0])
    >>> found = rl.chain_structure(walk, rl.uniform_policy(walk))
    >>> found
    ChainStructure(2 recurrent classes of 1 and 1 states, periods 1 and 1, 2 transient states)
    >>> found.recurrent_classes, found.transient
    ((array([0]), array([3])), array([1, 2]))
    """
    mdp = as_mdp(mdp)
    pi = as_single(policy, mdp.pair_shape, "policy", PolicyError)
    try:
        found = _core.chain_structure(mdp._core, pi, as_num_threads(num_threads), as_callback(progress))
    except InputError as error:
        raise mdp.located(error) from None
    starts = found.class_start.tolist()
    kept = pi.ravel().copy()  # the caller may change its own before absorption is asked for
    return ChainStructure(
        tuple(found.recurrent[begin:end] for begin, end in pairwise(starts)),
        found.transient,
        found.periods,
        found.class_of,
        found.proper,
        lambda: _absorption(mdp, kept, found, num_threads),
    )


def _absorption(
    mdp: MDP, policy: FloatArray, structure: _core.ChainStructureFields, num_threads: int | None
) -> CertifiedArray:
    """Return B(s, C): a class is its own for certain, and what transient states pass on is what they get into.

    Getting into a class is the reward of a process on the transient states that ends there: B(s, C) is its value.
    """
    from rlcore.evaluation import evaluate

    classes = structure.periods.size
    absorption = np.zeros((mdp.num_states, classes))
    absorption[structure.recurrent, structure.class_of[structure.recurrent]] = 1.0
    proof = Certificate(0.0, {"absorption": np.zeros(classes)}, 0.0, "converged", "structure", 0)
    if structure.transient.size and classes:
        passing, into, pairs = _until_absorbed(mdp, structure)
        rewards = into.T.reshape(-1, *passing.pair_shape)
        found = evaluate(passing, policy[pairs], Episodic(), reward=rewards, tol=0, num_threads=num_threads)
        absorption[structure.transient] = found.value.T.clip(0.0, 1.0)
        # The sums of rows are rounded: chances of getting into a class, and of ending, by as much relative to their
        # size, and each of the two changes the answer by no more than that.
        longest = int(np.diff(mdp._indptr).max())
        bound = found.certificate.bounds["value"] + 2 * (longest + 2) * np.finfo(np.float64).eps
        proof = replace(found.certificate, error_bound=float(bound.max()), bounds={"absorption": bound})
    absorption.setflags(write=False)
    return certified_array(absorption, proof)


def _until_absorbed(mdp: MDP, structure: _core.ChainStructureFields) -> tuple[MDP, FloatArray, NDArray[np.bool_]]:
    """Return the process on the transient states, which ends in a class, the chances of that, and its pairs."""
    pairs = structure.class_of[mdp.pair_state] < 0
    rows = mdp.transition[pairs]
    members = (np.ones(structure.recurrent.size), structure.recurrent, structure.class_start)
    into = (rows @ scipy.sparse.csc_array(members, shape=(mdp.num_states, structure.periods.size))).toarray()
    actions = np.diff(mdp.pair_start)[structure.transient]
    passing = MDP(
        rows[:, structure.transient],
        np.zeros(len(into)),
        pair_start=np.concatenate([[0], np.cumsum(actions)]),
        termination=mdp.termination.ravel()[pairs] + into.sum(axis=1),
    )
    return passing, into, pairs


def _listed(numbers: Any) -> str:
    """Return a few numbers as a sentence lists them."""
    *most, last = map(str, numbers)
    return f"{', '.join(most)} and {last}" if most else last
