"""A step that no duality proves, with the verdict of `check_improvement` on it (theory 7.4)."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from rlcore.divergence import policy_divergences
from rlcore.enclosure import Enclosure, Verdict, at_most
from rlcore.families import Family
from rlcore.improvement import compared_with
from rlcore.improvement_report import ImprovementReport
from rlcore.results import FloatArray
from rlcore.trust_region import StepBase, TrustRegionStep

# The relative error with which a change of the return is known well enough.
RESOLVED = 1e-6


@dataclass(frozen=True, slots=True, eq=False, repr=False, kw_only=True)
class CheckedStep(TrustRegionStep):
    """A `TrustRegionStep` that was checked: of `Conservative`, `NaturalGradient` and `TRPO`.

    Attributes
    ----------
    report
        What `check_improvement` finds of the new policy. Where the two returns tell how much was gained, its ``gap`` is
        None.
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
    measured = {field.name: getattr(step, field.name) for field in fields(TrustRegionStep)}
    return CheckedStep(**measured, report=report_on(base, step), family=family, length=length)


def report_on(base: StepBase, step: TrustRegionStep) -> ImprovementReport:
    """Compare a step's policy with the old one: by both returns where these tell, else in difference form.

    The difference form keeps its digits however little the return changes, but takes another solve, and a long one
    where the policies are far apart. There the returns tell enough.
    """
    old = base.known
    report = compared_with(old, step.policy, new_return="enclosed", tol=base.tol)
    eta_new = Enclosure.around(step.eta_new, step.certificate.bounds["eta_new"])
    by_returns = eta_new - old.eta
    lower = float(np.maximum(report.improvement.lower, by_returns.lower))
    found = Enclosure(lower, float(np.minimum(report.improvement.upper, by_returns.upper)))
    if not found.error <= RESOLVED * abs(found.value):
        return compared_with(old, step.policy, tol=base.tol)
    bounds = {**report.certificate.bounds, "eta_new": eta_new.error, "improvement": found.error}
    return replace(
        report,
        eta_new=step.eta_new,
        improvement=found,
        improves=at_most(Enclosure(0.0, 0.0), found),
        certificate=replace(report.certificate, error_bound=found.error, bounds=bounds),
    )
