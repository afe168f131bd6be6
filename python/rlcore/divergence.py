"""How far apart two policies are: total variation and Kullback-Leibler divergence (theory 1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from rlcore import _core
from rlcore.arguments import as_floats, as_single
from rlcore.enclosure import ULP
from rlcore.errors import ArgumentError, InputError, PolicyError
from rlcore.mdp import MDP, as_mdp
from rlcore.over_actions import most_actions
from rlcore.results import FloatArray

Direction = Literal["old||new", "new||old"]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class PolicyDivergences:
    """What separates two policies (theory 1, 5.3).

    Attributes
    ----------
    tv
        TV(pi(.|s), pi'(.|s)), shape (S,): the smallest probability of different actions in any coupling.
    kl
        KL(pi || pi') in each state, shape (S,), or KL(pi' || pi) if that was asked for; inf where the second gives
        no probability to an action that the first takes.
    tv_max, kl_max
        The largest of each; tv_max is the alpha of theory 5.
    tv_mean, kl_mean
        sum_s weights(s) TV(s) and KL(s), with 0 inf = 0; None without weights.
    direction
        "old||new" or "new||old".
    relative_error
        Bounds the relative error of every one of these numbers.
    """

    tv: FloatArray
    kl: FloatArray
    tv_max: float
    kl_max: float
    tv_mean: float | None
    kl_mean: float | None
    direction: Direction
    relative_error: float

    def __repr__(self) -> str:
        mean = "" if self.tv_mean is None else f", tv_mean={self.tv_mean:.6g}, kl_mean={self.kl_mean:.6g}"
        return f"PolicyDivergences(tv_max={self.tv_max:.6g}, kl_max={self.kl_max:.6g}{mean}, {self.direction!r})"


def policy_divergences(
    mdp: MDP,
    policy: ArrayLike,
    candidate: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    direction: Direction = "old||new",
) -> PolicyDivergences:
    """Measure how far a candidate is from a policy, in each state, at most and on average.

    TV(p, q) = 1/2 sum |p - q| and KL(p || q) = sum_{p > 0} p log(p / q). Both keep their digits for policies that
    hardly differ: KL is summed as p phi((q - p) / p) with phi(x) = x - log(1 + x).

    Parameters
    ----------
    mdp
        The model.
    policy, candidate
        pi and pi', of shape ``mdp.pair_shape``.
    weights
        Weights of the states for the means, shape (S,): most often ``rlcore.occupancy(...).state``.
    direction
        "old||new" for KL(pi || pi'), the one in the trust-region theory, or "new||old" for KL(pi' || pi).

    Returns
    -------
    PolicyDivergences
        ``.tv`` and ``.kl`` (S,), ``.tv_max``, ``.kl_max``, ``.tv_mean``, ``.kl_mean``, ``.relative_error``.

    Raises
    ------
    PolicyError
        If one of the policies has the wrong shape or is not a distribution in every state.
    ArgumentError
        If the weights have the wrong shape, are negative or not finite, or the direction is unknown.

    Notes
    -----
    Theory 1, 5.3 and 9; Cover & Thomas 2006, chapter 2.

    Examples
    --------
    >>> import rlcore as rl
    >>> mdp = rl.gallery.forest()
    >>> found = rl.policy_divergences(mdp, [[0.5, 0.5]] * 3, [[0.6, 0.4]] * 3)
    >>> found.tv.round(12), round(found.kl_max, 9)
    (array([0.1, 0.1, 0.1]), 0.020410997)
    """
    mdp = as_mdp(mdp)
    old = as_single(policy, mdp.pair_shape, "policy", PolicyError)
    new = as_single(candidate, mdp.pair_shape, "candidate", PolicyError)
    if direction not in ("old||new", "new||old"):
        raise ArgumentError(f"direction: expected 'old||new' or 'new||old', got {direction!r}")
    first, second = (old, new) if direction == "old||new" else (new, old)
    try:
        found = _core.divergences(mdp._core, first, second)
    except InputError as error:
        raise mdp.located(error) from None
    tv, kl = found.tv, found.kl
    relative_error = _core.kl_error(most_actions(mdp))
    tv_mean = kl_mean = None
    if weights is not None:
        weight = _as_weights(weights, mdp.num_states)
        tv_mean = float(weight @ tv)
        kl_mean = float(weight @ np.where(weight == 0.0, 0.0, kl))
        relative_error += (mdp.num_states + 2) * ULP
    return PolicyDivergences(tv, kl, float(tv.max()), float(kl.max()), tv_mean, kl_mean, direction, relative_error)


def _as_weights(weights: ArrayLike, num_states: int) -> FloatArray:
    weight = as_floats(weights, "weights", ArgumentError)
    if weight.shape != (num_states,):
        raise ArgumentError(f"weights: expected one number for each state, shape ({num_states},), got {weight.shape}")
    if not (np.isfinite(weight).all() and (weight >= 0.0).all()):
        raise ArgumentError("weights: expected finite numbers that are not negative")
    return weight
