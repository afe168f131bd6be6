"""Trust regions in which the best step is found exactly: KL at most, on average, or penalised (theory 7.1-7.3)."""

from __future__ import annotations

import numbers
from dataclasses import dataclass
from typing import Any

import numpy as np

from rlcore.errors import ArgumentError
from rlcore.trust_region import StepBase, TrustRegionStep


@dataclass(frozen=True, slots=True)
class MaxKL:
    """Policies pi' with KL(pi || pi') <= delta in every state (theory 7.1).

    Parameters
    ----------
    delta
        At least 0. With 0 nothing changes; with inf the step is greedy.

    Raises
    ------
    ArgumentError
        If delta is not a number from 0 on.

    Examples
    --------
    >>> import rlcore as rl
    >>> rl.MaxKL(0.01)
    MaxKL(delta=0.01)
    """

    delta: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "delta", _as_radius(self.delta, "delta"))

    def _step(self, base: StepBase) -> TrustRegionStep:
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class MeanKL:
    """Policies pi' with sum_s d(s) KL(pi(.|s) || pi'(.|s)) <= delta (theory 7.2).

    Parameters
    ----------
    delta
        At least 0. With 0 nothing changes; with inf the step is greedy.

    Raises
    ------
    ArgumentError
        If delta is not a number from 0 on.

    Notes
    -----
    The weights are d = (1 - gamma) rho, a mean if the process does not end; with rho itself the same delta would stand
    for (1 - gamma) delta.

    Examples
    --------
    >>> import rlcore as rl
    >>> rl.MeanKL(0.01)
    MeanKL(delta=0.01)
    """

    delta: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "delta", _as_radius(self.delta, "delta"))

    def _step(self, base: StepBase) -> TrustRegionStep:
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class KLPenalty:
    """All policies pi', at the price of C max_s KL(pi(.|s) || pi'(.|s)) (theory 7.3).

    Parameters
    ----------
    coefficient
        C, at least 0. With 0 the step is greedy; with inf nothing changes. None: the C with which L - C KLmax bounds the
        return from below (theory 5.7), 4 eps gamma / (1 - gamma)^2 with eps = max|A| of the old policy; in `Discounted`
        alone.

    Raises
    ------
    ArgumentError
        If C is not a number from 0 on.

    Examples
    --------
    >>> import rlcore as rl
    >>> rl.KLPenalty()
    KLPenalty(coefficient=None)
    """

    coefficient: float | None = None

    def __post_init__(self) -> None:
        if self.coefficient is not None:
            object.__setattr__(self, "coefficient", _as_radius(self.coefficient, "coefficient"))

    def _step(self, base: StepBase) -> TrustRegionStep:
        raise NotImplementedError


def _as_radius(x: Any, name: str) -> float:
    """Check a number from 0 to infinity."""
    if isinstance(x, bool) or not isinstance(x, numbers.Real | np.number):
        raise ArgumentError(f"{name}: expected a number from 0 on, got {x!r}")
    if not x >= 0.0:
        raise ArgumentError(f"{name}: expected a number from 0 on, got {x!r}")
    try:
        return float(x)
    except OverflowError:  # a whole number beyond all doubles
        return float("inf")
