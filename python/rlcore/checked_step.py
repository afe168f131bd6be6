"""A step that no duality proves, with the verdict of `check_improvement` on it (theory 7.4)."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from rlcore.divergence import policy_divergences
from rlcore.enclosure import Verdict
from rlcore.families import Family
from rlcore.improvement import compared_with
from rlcore.improvement_report import ImprovementReport
from rlcore.results import FloatArray
from rlcore.trust_region import StepBase, TrustRegionStep


@dataclass(frozen=True, slots=True, eq=False, repr=False, kw_only=True)
class CheckedStep(TrustRegionStep):
    """A `TrustRegionStep` that was checked: of `Conservative`, `NaturalGradient` and `TRPO`.

    Attributes
    ----------
    report
        What `check_improvement` finds of the new policy.
    family
        The family at its new parameters; None for a policy without parameters.
    length
        How far it went: the share a of the greedy policy, the step of the natural gradient, or what the direction of
        `TRPO` was multiplied by, 0 if no trial was accepted.
    """

    report: ImprovementReport
    family: Family | None
    length: float

    @property
    def improves(self) -> Verdict:
        """Whether eta_new >= eta, beyond all rounding."""
        return Verdict(self.report.improves)

    def __repr__(self) -> str:
        return f"{TrustRegionStep.__repr__(self)[:-1]}, improves={self.improves})"


def checked_step(
    base: StepBase, policy: FloatArray, region: Any, *, length: float, family: Family | None = None
) -> CheckedStep:
    """Measure a new policy, given as a vector over pairs, and check it."""
    found = policy_divergences(base.mdp, base.policy, policy)
    error = found.relative_error * found.kl_max if found.kl_max > 0.0 else 0.0
    step = base.step_to(policy, region, kl=found.kl, kl_error=error)
    report = compared_with(base.known, policy, tol=base.tol)
    measured = {field.name: getattr(step, field.name) for field in fields(TrustRegionStep)}
    return CheckedStep(**measured, report=report, family=family, length=length)
