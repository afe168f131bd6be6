"""Trust regions in which the best step is found exactly: KL at most, on average, or penalised (theory 7.1-7.3)."""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass
from typing import Any

from rlcore import _core
from rlcore.errors import ArgumentError, SettingError
from rlcore.settings import Discounted
from rlcore.trust_region import Region, StepBase, TrustRegionStep


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
        found = _core.max_kl_step(base.mdp._core, base.core, self.delta, *base.known.threads_and_callback)
        most_tv = min(1.0, math.sqrt(self.delta / 2.0))  # Pinsker's inequality
        return _step_of(base, self, found, found.multiplier, base.unknown(most_tv, base.mass * most_tv))


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
        found = _core.mean_kl_step(base.mdp._core, base.core, base.share, self.delta, *base.known.threads_and_callback)
        weighted_tv = min(base.mass, math.sqrt(base.mass * self.delta / base.share / 2.0))
        return _step_of(base, self, found, found.price, base.unknown(1.0, weighted_tv))


@dataclass(frozen=True, slots=True)
class KLPenalty:
    """All policies pi', at the price of C max_s KL(pi(.|s) || pi'(.|s)) (theory 7.3).

    Parameters
    ----------
    coefficient
        C, at least 0. With 0 the step is greedy; with inf nothing changes. None: the C with which L - C KLmax bounds
        the return from below (theory 5.7), 4 eps gamma / (1 - gamma)^2 with eps = max|A| of the old policy; in
        `Discounted` alone.

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
        penalty = self._coefficient_for(base)
        found = _core.kl_penalty_step(base.mdp._core, base.core, penalty, *base.known.threads_and_callback)
        # C KL <= sum w Abar <= 2 eps TV sum w, and 2 TV^2 <= KL, for whoever does better than the old policy.
        most_tv = 1.0 if penalty == 0.0 else min(1.0, float(base.known.epsilon.upper) * base.mass / penalty)
        unknown = base.unknown(most_tv, base.mass * most_tv)
        return _step_of(base, self, found, found.multiplier, unknown, penalty)

    def _coefficient_for(self, base: StepBase) -> float:
        """Return C, by default that of theorem 2.1."""
        if self.coefficient is not None:
            return self.coefficient
        setting = base.known.setting
        if not isinstance(setting, Discounted):
            raise SettingError(
                f"region: the default coefficient of rlcore.KLPenalty() exists for rlcore.Discounted(gamma), not for "
                f"{setting!r}; give one, as in rlcore.KLPenalty(10.0)"
            )
        return 4.0 * float(base.known.epsilon.upper) * setting.gamma / (1.0 - setting.gamma) ** 2


def _step_of(
    base: StepBase,
    region: Region,
    found: _core.TrustRegionFields,
    multiplier: Any,
    unknown: float,
    penalty: float | None = None,
) -> TrustRegionStep:
    """Return the core's step, with what the errors of A and w add to its gap."""
    return base.step_to(
        found.policy,
        region,
        kl=found.kl,
        kl_error=found.kl_error,
        multiplier=multiplier,
        dual_gap=found.dual_gap + unknown,
        penalty=penalty,
    )


def _as_radius(x: Any, name: str) -> float:
    """Check a number from 0 to infinity."""
    given: Any = x
    number = math.nan
    if isinstance(x, numbers.Real) and not isinstance(x, bool):
        try:
            number = float(given)
        except OverflowError:  # a whole number beyond all doubles
            number = math.inf if given > 0 else -math.inf
    if not number >= 0.0:
        raise ArgumentError(f"{name}: expected a number from 0 on, got {x!r}")
    return number
