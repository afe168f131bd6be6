"""Couplings: two policies that act alike as often as they can (theory 5.3)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from rlcore.arguments import as_floats, as_states
from rlcore.divergence import policy_divergences
from rlcore.enclosure import ULP
from rlcore.errors import PolicyError
from rlcore.mdp import MDP, as_mdp
from rlcore.policy import as_policy
from rlcore.results import FloatArray

SUM_TOLERANCE = 1e-9  # within which the probabilities of a row sum to 1
TINY = float(np.finfo(np.float64).tiny)  # more than what underflow takes from a product


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Coupling:
    """Two distributions over the same actions, drawn together (theory 5.3).

    Attributes
    ----------
    table
        The probability that the old policy takes action i and the new one action j, shape (n, n).
    disagreement
        The total variation distance: the probability that they take different actions, the smallest of any coupling.
    error
        Bounds the error of each entry of ``table``, shape (n, n). The diagonal is exact.
    relative_error
        Bounds the relative error of ``disagreement`` and of the entries off the diagonal.
    marginal_error
        Bounds by how much the sum of a row misses p or that of a column misses q: rounding, and what it costs that
        p and q do not have the same sum.
    """

    table: FloatArray
    disagreement: float
    error: FloatArray
    relative_error: float
    marginal_error: float

    def __repr__(self) -> str:
        return f"Coupling(of {len(self.table)} actions, disagreement={self.disagreement:.6g})"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class PolicyCoupling:
    """Two policies, coupled in every state (theory 5.3).

    Attributes
    ----------
    disagreement
        TV(pi(.|s), pi'(.|s)), shape (S,): the probability of different actions in each state.
    alpha
        The largest of them.
    relative_error
        Bounds the relative error of these.
    """

    disagreement: FloatArray
    alpha: float
    relative_error: float
    _rows: tuple[tuple[FloatArray, FloatArray], ...]

    def coupling(self, state: int) -> Coupling:
        """Return the coupling of the two rows of a state."""
        number = int(as_states(state, len(self._rows), "state")[0])
        return _coupled(*self._rows[number])

    def table(self, state: int) -> FloatArray:
        """Return the joint probabilities of the actions in a state: rows for the old policy, columns for the new."""
        return self.coupling(state).table

    def __repr__(self) -> str:
        return f"PolicyCoupling(of {len(self._rows)} states, alpha={self.alpha:.6g})"


def coupling(policy_row: ArrayLike, candidate_row: ArrayLike) -> Coupling:
    """Couple two distributions over the same actions such that they differ as rarely as possible.

    The table has min(p, q) on its diagonal, and (p_i - q_i)^+ (q_j - p_j)^+ / TV(p, q) off it: what the two have in
    common is drawn once for both, and what is left of each is drawn independently. Its rows sum to p and its columns
    to q. If TV = 0 it is the identity coupling, diag(p).

    Parameters
    ----------
    policy_row
        p, the old policy's probabilities of the actions in one state, shape (n,).
    candidate_row
        q, the new policy's, shape (n,).

    Returns
    -------
    Coupling
        ``.table`` (n, n), ``.disagreement``, and bounds on their errors.

    Raises
    ------
    PolicyError
        If one of the rows is not a distribution, or they are of different lengths.

    Notes
    -----
    Theory 5.3; Levin, Peres & Wilmer 2009, 4.2. Everything is formed from q - p, which is exact or right to the last
    digit, so that rows that hardly differ keep their digits.

    Examples
    --------
    >>> import rlcore as rl
    >>> found = rl.coupling([0.5, 0.5, 0], [0.5, 0.25, 0.25])
    >>> found.table
    array([[0.5 , 0.  , 0.  ],
           [0.  , 0.25, 0.25],
           [0.  , 0.  , 0.  ]])
    >>> found.disagreement
    0.25
    """
    p = _as_row(policy_row, "policy_row")
    q = _as_row(candidate_row, "candidate_row")
    if len(p) != len(q):
        raise PolicyError(
            f"candidate_row: expected {len(p)} probabilities, one for each of policy_row, got {len(q)}; "
            "give an action that one of them cannot take the probability 0"
        )
    return _coupled(p, q)


def policy_coupling(mdp: MDP, policy: ArrayLike, candidate: ArrayLike) -> PolicyCoupling:
    """Couple two policies in every state such that they differ as rarely as possible.

    In each state the coupling is that of `coupling`: P(a != a' | s) = TV(pi(.|s), pi'(.|s)).

    Parameters
    ----------
    mdp
        The model.
    policy, candidate
        pi and pi', of shape ``mdp.pair_shape``.

    Returns
    -------
    PolicyCoupling
        ``.disagreement`` (S,), ``.alpha``, ``.relative_error``; ``.table(state)`` and ``.coupling(state)``.

    Raises
    ------
    PolicyError
        If one of the policies has the wrong shape or is not a distribution in every state.

    Notes
    -----
    Theory 5.3; Schulman et al. 2015, appendix A.

    Examples
    --------
    >>> import rlcore as rl
    >>> mdp = rl.gallery.forest()
    >>> found = rl.policy_coupling(mdp, [[0.5, 0.5]] * 3, [[0.75, 0.25], [0.5, 0.5], [0, 1]])
    >>> found.disagreement, found.alpha
    (array([0.25, 0.  , 0.5 ]), 0.5)
    >>> found.table(0)
    array([[0.5 , 0.  ],
           [0.25, 0.25]])
    """
    mdp = as_mdp(mdp)
    old, new = (as_policy(mdp, rows, name) for rows, name in ((policy, "policy"), (candidate, "candidate")))
    apart = policy_divergences(mdp, old, new)
    cuts = mdp.pair_start[1:-1]
    rows = tuple(zip(np.split(old.copy(), cuts), np.split(new.copy(), cuts), strict=True))
    return PolicyCoupling(apart.tv, apart.tv_max, apart.relative_error, rows)


def _as_row(row: ArrayLike, argument: str) -> FloatArray:
    """Return a distribution over the actions of one state."""
    found = as_floats(row, argument, PolicyError)
    if found.ndim != 1 or not found.size:
        raise PolicyError(
            f"{argument}: expected the probabilities of at least one action, shape (n,), got shape {found.shape}; "
            "rlcore.policy_coupling couples whole policies"
        )
    valid = (found >= 0.0) & np.isfinite(found)
    if not valid.all():
        action = int(np.argmin(valid))
        raise PolicyError(
            f"{argument}, action {action}: expected a probability in [0, 1], got {float(found[action])!r}"
        )
    total = float(found.sum())
    if not abs(total - 1.0) <= SUM_TOLERANCE:
        raise PolicyError(
            f"{argument}: expected probabilities that sum to 1 within 1e-9, got a sum of {total!r}; "
            "divide the row by its sum"
        )
    return found


def _coupled(p: FloatArray, q: FloatArray) -> Coupling:
    change = q - p
    gain, loss = np.maximum(change, 0.0), np.maximum(-change, 0.0)
    distance = float(np.abs(change).sum())  # in the L1 norm
    disagreement = 0.5 * distance
    # A rounding for each difference, n for their sum, and a product and a quotient.
    relative_error = (len(p) + 8) * ULP
    if disagreement == 0.0:
        return Coupling(np.diag(p), 0.0, np.zeros((len(p), len(p))), relative_error, distance)
    apart = np.outer(loss, 2.0 * gain / distance)
    error = np.where(np.outer(loss > 0.0, gain > 0.0), relative_error * apart + TINY, 0.0)
    table = np.diag(np.minimum(p, q)) + apart
    # Row i of the exact table sums to p_i + loss_i (G - TV) / TV, where the gains sum to G, and column j likewise. But
    # for rounding G - TV is half of what the sum of q exceeds that of p by.
    uneven = 0.5 * abs(float(change.sum())) + relative_error * disagreement
    skew = 2.0 * max(float(loss.max()), float(gain.max())) / distance * uneven
    rounded = max(float(error.sum(axis=0).max()), float(error.sum(axis=1).max()))
    return Coupling(table, disagreement, error, relative_error, (skew + rounded) * (1.0 + relative_error))
