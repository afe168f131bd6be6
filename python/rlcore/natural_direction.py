"""The direction of the natural gradient, found by the compatible critic (theory 4.2, 4.3)."""

from __future__ import annotations

import numpy as np

from rlcore.comparison_base import ComparisonBase
from rlcore.families import Family
from rlcore.family_on_model import FamilyOnModel
from rlcore.results import FloatArray


def natural_direction(base: ComparisonBase, model: FamilyOnModel) -> FloatArray:
    """Return w of least norm for which w^T psi is nearest to A, weighted as states are visited and actions taken."""
    root = np.sqrt(np.repeat(base.weight, np.diff(base.mdp.pair_start)) * model.policy)
    psi = model.score_matrix()
    psi = psi if isinstance(psi, np.ndarray) else psi.toarray()
    w, *_ = np.linalg.lstsq(root[:, None] * psi, root * base.advantage, rcond=None)
    return np.asarray(w).reshape(model.parameter_shape)


def moved_by(family: Family, step: FloatArray) -> Family:
    """Return the family at parameters that a step leads to."""
    theta = family.parameters
    return family.with_parameters(step if theta is None else theta + step)
