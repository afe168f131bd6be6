"""What comes back: answers with their certificates (theory 10)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
Status = Literal["converged", "stalled"]
Remainder = tuple[FloatArray, float]  # what rounding to doubles left over, and the bound on the error of the sums


@dataclass(frozen=True, slots=True, eq=False)
class Certificate:
    """What is proven about an answer, and how it was found.

    For a batch every number is an array of the batch's shape, and ``status``, ``method`` and ``story`` are tuples
    with one text for each item.

    Attributes
    ----------
    error_bound
        Proven bound on the absolute error of the main field: in the sup norm for values, in the L1 norm for
        occupancies.
    bounds
        The same for every field, by its name.
    residual
        The largest residual of the linear system (its L1 norm for occupancies), rounding included.
    status
        "converged": the bound meets the tolerance (with ``tol=0``: no further digit could be won). "stalled": it
        does not, and the answer is the best that was found.
    method
        The solver that gave the answer.
    iterations
        Iterations of all solvers that were tried.
    story
        With ``explain=True``: what was tried, in order, a line each.
    """

    error_bound: Any
    bounds: Mapping[str, Any]
    residual: Any
    status: Any
    method: Any
    iterations: Any
    story: Any = None

    def __repr__(self) -> str:
        if not isinstance(self.status, str):
            worst = float(np.max(self.error_bound))
            return f"Certificate(batch of {len(self.status)}, largest error_bound={worst:.3g})"
        bound = float(np.max(self.error_bound, initial=0.0))
        return (
            f"Certificate(error_bound={bound:.3g}, status={self.status!r}, method={self.method!r}, "
            f"iterations={self.iterations})"
        )


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Evaluation:
    """What a policy is worth (theory 2.1-2.3, 2.6, 3.1-3.3).

    Attributes
    ----------
    value
        V, shape (S,): the expected sum of rewards from each state, discounted or to the end. In `Average` the bias.
    action_value
        Q, the shape of a policy. In `Average` None if there are several recurrent classes.
    advantage
        A = Q - V, the shape of a policy; its mean under the policy is 0 in every state.
    start_value
        eta = rho0^T V, or None if the model has no start distribution, and in `Average`.
    certificate
        Error bounds of all of these.
    proper
        Episodic: from which states the process surely ends, shape (S,). Elsewhere values are NaN.
    gain
        Average: the mean reward of a step in the long run, from each state, shape (S,).
    """

    value: FloatArray
    action_value: FloatArray
    advantage: FloatArray
    start_value: Any
    certificate: Certificate
    _find_objective: Callable[[], tuple[Any, Any]] | None = field(repr=False)
    proper: NDArray[np.bool_] | None = None
    gain: FloatArray | None = None
    _objective: list[Any] = field(default_factory=list, repr=False)
    _remainders: Mapping[str, Remainder | None] = field(default_factory=dict, repr=False)

    @property
    def bias(self) -> FloatArray | None:
        """Average: h, what a start in each state earns beyond the gain (theory 3.2); None in other settings."""
        return None if self.gain is None else self.value

    @property
    def on_policy_objective(self) -> Any:
        """sum_s d(s) M(s) (theory 3.1-3.3), or None without a start distribution.

        Discounted and episodic: M = V, d the share of visits. It is not the start value, and can rank policies
        differently. Average: the gain from the start distribution. Found when first asked for, in the first two by
        one more solve; its error bound is then in ``certificate.bounds``.
        """
        if self._find_objective is None:
            return None
        if not self._objective:
            objective, bound = self._find_objective()
            self.certificate.bounds["on_policy_objective"] = bound  # type: ignore[index]
            self._objective.append(objective)
        return self._objective[0]

    def __repr__(self) -> str:
        start = "" if self.start_value is None else f", start_value={_shown(self.start_value)}"
        gain = "" if self.gain is None else f", gain: {_extent(self.gain)}"
        return f"Evaluation(value: {_extent(self.value)}{start}{gain}, {self.certificate!r})"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Occupancy:
    """Where a policy goes (theory 2.5, 3.1, 3.2).

    Attributes
    ----------
    visits
        rho, shape (S,): expected discounted visits, sum_t gamma^t Pr(s_t = s). Sums to 1 / (1 - gamma) if nothing
        ends. Episodic: e, the expected visits to the end. Average: None.
    state
        d = (1 - gamma) rho, shape (S,). With termination it sums to less than 1. Episodic: e / sum e. Average: the
        share of time in the long run (Cesaro limit).
    pair
        d(s) pi(a|s), the shape of a policy.
    certificate
        Bounds on the L1 error of all of these.
    """

    visits: Any
    state: FloatArray
    pair: FloatArray
    certificate: Certificate
    _remainders: Mapping[str, Remainder | None] = field(default_factory=dict, repr=False)

    def __repr__(self) -> str:
        return f"Occupancy(state: {_extent(self.state)}, {self.certificate!r})"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Solution:
    """The best that any policy can do, and a policy that does it (theory 2.9, 3.1, 3.2).

    Attributes
    ----------
    policy
        A policy that is optimal within its bounds: one action in each state, the lowest of those that could not be
        told apart. It has the shape of policies of the model; with a finite horizon there is one for each step, shape
        (steps, *pair_shape).
    value
        V*, shape (S,): the most that can be expected from each state. Finite horizon: shape (steps + 1, S), as in
        `FiniteHorizonEvaluation`. Average: the bias of the policy.
    start_value
        rho0^T V*, or None if the model has no start distribution, and in `Average`.
    certificate
        ``error_bound`` is the largest distance of ``value`` (Average: ``gain``) from the optimum. ``bounds`` has it for
        each field, and by "policy_value" (Average: "policy_gain") what the policy's own value may fall short of the
        optimum, in any state.
    gain
        Average: the largest mean reward of a step in the long run, from each state, shape (S,).
    """

    policy: FloatArray
    value: FloatArray
    start_value: float | None
    certificate: Certificate
    gain: FloatArray | None = None

    def __repr__(self) -> str:
        start = "" if self.start_value is None else f", start_value={_shown(self.start_value)}"
        gain = "" if self.gain is None else f", gain: {_extent(self.gain)}"
        return f"Solution(value: {_extent(self.value)}{start}{gain}, {self.certificate!r})"


class CertifiedArray(np.ndarray[Any, np.dtype[np.float64]]):
    """A read-only array that carries a ``certificate``. What is computed from it is a plain array."""

    certificate: Certificate | None

    def __array_finalize__(self, source: object) -> None:
        self.certificate = None

    def __array_wrap__(self, array: Any, context: Any = None, return_scalar: bool = False) -> Any:
        plain = np.asarray(array).view(np.ndarray)
        return plain[()] if return_scalar else plain


def certified_array(rows: FloatArray, certificate: Certificate) -> CertifiedArray:
    """Return `rows` as an array that carries `certificate`."""
    array = rows.view(CertifiedArray)
    array.certificate = certificate
    return array


@dataclass(frozen=True, slots=True)
class Progress:
    """What a ``progress=`` callable is told, some twenty times a second, while a long call runs.

    Attributes
    ----------
    method
        The solver at work.
    iterations
        How far it has come.
    error
        Its own estimate of the relative error; the proof comes at the end.
    target
        The relative error asked for.
    """

    method: str
    iterations: int
    error: float
    target: float


def _extent(x: FloatArray) -> str:
    known = x[~np.isnan(x)]
    return f"shape {x.shape}, from {known.min():.6g} to {known.max():.6g}" if known.size else f"shape {x.shape}, NaN"


def _shown(x: Any) -> str:
    return f"{x:.6g}" if isinstance(x, float) else f"shape {x.shape}"
