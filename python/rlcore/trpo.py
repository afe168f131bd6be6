"""The classic step of a family: the natural direction, scaled and searched along (theory 7.4)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from rlcore.arguments import as_positive
from rlcore.checked_step import CheckedStep, checked_step
from rlcore.errors import ArgumentError
from rlcore.families import Family, TabularSoftmax
from rlcore.improvement import compared_with
from rlcore.natural_direction import moved_by, natural_direction
from rlcore.over_actions import over_pairs
from rlcore.results import FloatArray
from rlcore.trust_region import StepBase


@dataclass(frozen=True, slots=True)
class TRPO:
    """The classic trust-region step of a family: up to a mean KL of delta along the natural direction (theory 7.4).

    The parameters move by ``b w``, where w are the weights of the compatible critic (so ``b w`` is a multiple of ``F^+
    grad J``) and ``b^2 w^T F w / 2 = delta``, which is what the quadratic model of the mean KL allows. The step is then
    shortened until the mean KL is at most delta and L above eta, both beyond their errors. If no step is left,
    nothing moves.

    Parameters
    ----------
    delta
        The largest mean KL, sum_s d(s) KL(s), above 0.
    backtracking
        The factor of the step from one trial to the next, between 0 and 1.

    Raises
    ------
    ArgumentError
        If delta is not a finite number above 0, or the factor not between 0 and 1.

    Notes
    -----
    Theory 4.3 and 7.4; Schulman et al. 2015, appendix C. Nothing is proven of the return: what rises is the surrogate.
    A policy in place of a family is that of a `TabularSoftmax`, if it gives probability to every action.

    Examples
    --------
    The surrogate rises, the KL is in order, and the return falls:

    >>> import rlcore as rl
    >>> mdp = rl.gallery.blind_shuttle()
    >>> family = rl.LinearSoftmax(mdp.pair_action[:, None], theta=[0])
    >>> step = rl.trust_region_step(mdp, family, 0.95, rl.TRPO(0.01))
    >>> round(step.surrogate_gain, 4), round(step.eta_new - step.eta, 4), step.improves
    (0.0702, -0.1173, <Verdict.VIOLATED: 'VIOLATED'>)
    """

    delta: float
    backtracking: float = 0.5
    takes_families: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "delta", as_positive(self.delta, "delta"))
        object.__setattr__(self, "backtracking", as_positive(self.backtracking, "backtracking"))
        if not self.backtracking < 1.0:
            raise ArgumentError(f"backtracking: expected a factor between 0 and 1, got {self.backtracking!r}")

    def _step(self, base: StepBase) -> CheckedStep:
        family = base.family or _tabular(base.policy)
        old = family.on(base.mdp)
        direction = natural_direction(base, old)
        for length, tried in _shorter_and_shorter(base, family, direction, self):
            policy = tried.on(base.mdp).policy
            if (policy == old.policy).all():
                break
            if _is_accepted(base, policy, self.delta):
                return checked_step(base, policy, self, length=length, family=tried)
        return checked_step(base, base.policy, self, length=0.0, family=family)


def _shorter_and_shorter(
    base: StepBase, family: Family, direction: FloatArray, region: TRPO
) -> Iterator[tuple[float, Family]]:
    """Yield the family after shorter and shorter steps, the first as long as the quadratic model of KL allows."""
    slope = family.on(base.mdp).scores_product(direction)
    w = over_pairs(base.mdp, base.known.weight)
    curvature = base.share * float(np.sum(w * base.policy * slope**2))
    length = float(np.sqrt(2.0 * region.delta / curvature)) if curvature > 0.0 else 0.0
    while 0.0 < length < np.inf:
        yield length, moved_by(family, length * direction)
        length *= region.backtracking


def _is_accepted(base: StepBase, policy: FloatArray, delta: float) -> bool:
    """Whether the mean KL is at most delta and the surrogate has risen, beyond what rounding can tell."""
    report = compared_with(base.known, policy, bounds=[], new_return="skip")
    mean_kl = report.kl_mean + report.certificate.bounds["kl_mean"]
    by_ties = 2.0 * base.tie * report.tv_mean / base.share
    return bool(mean_kl <= delta and report.expected_gain.lower > by_ties)


def _tabular(policy: FloatArray) -> TabularSoftmax:
    """Return the policy as a softmax of its own logarithms."""
    if not (policy > 0.0).all():
        raise ArgumentError(
            "policy: expected a family, or a policy that gives probability to every action, got one with zeros; "
            "a softmax has none"
        )
    return TabularSoftmax(np.log(policy))
