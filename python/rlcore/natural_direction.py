"""The direction of the natural gradient: the weights of the compatible critic (theory 4.2, 4.3)."""

from __future__ import annotations

from rlcore.compatible_critic import critic_of
from rlcore.families import Family
from rlcore.family_on_model import FamilyOnModel
from rlcore.gradient_base import GradientBase
from rlcore.results import FloatArray
from rlcore.trust_region import StepBase


def natural_direction(base: StepBase, model: FamilyOnModel) -> FloatArray:
    """Return w of least norm for which w . psi is nearest to A, weighted as states are visited and actions taken."""
    return critic_of(
        GradientBase(model, base.known.setting, base.evaluation, base.occupancy, base.known.solving["num_threads"]),
        base.tol,
    ).weights


def moved_by(family: Family, step: FloatArray) -> Family:
    """Return the family at parameters that a step leads to."""
    theta = family.parameters
    return family.with_parameters(step if theta is None else theta + step)
