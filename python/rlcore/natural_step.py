"""One step of the natural policy gradient (theory 7.4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from rlcore.arguments import as_positive
from rlcore.checked_step import CheckedStep, checked_step
from rlcore.comparison_base import ComparisonBase
from rlcore.mdp import MDP
from rlcore.natural_direction import moved_by, natural_direction
from rlcore.over_actions import max_over_actions, over_pairs, sum_over_actions
from rlcore.results import FloatArray
from rlcore.trust_region import StepBase

LEAST = float(np.finfo(np.float64).tiny)


@dataclass(frozen=True, slots=True)
class NaturalGradient:
    """A step of the natural policy gradient: no region, but a step of a given length (theory 7.4).

    A policy becomes ``pi' ~ pi exp(step A)``, normalised in every state; states that are not visited keep their rows.
    A family moves to ``theta + step w``, where w are the weights of the compatible critic: that is ``theta + beta F^+
    grad J`` with beta = (1 - gamma) step, and for `TabularSoftmax` both are the same.

    Parameters
    ----------
    step
        The factor of the advantages, above 0.

    Raises
    ------
    ArgumentError
        If the step is not a finite number above 0.

    Notes
    -----
    Theory 4.3, 6 and 7.4; Kakade 2002; Agarwal et al. 2021. Without parameters Abar >= 0 in every state, so the return
    never falls, however long the step. With parameters that states share it can.

    Examples
    --------
    >>> import rlcore as rl
    >>> mdp = rl.gallery.forest()
    >>> step = rl.trust_region_step(mdp, rl.uniform_policy(mdp), 0.9, rl.NaturalGradient(0.1))
    >>> step.policy.round(3)[0], step.improves
    (array([0.531, 0.469]), <Verdict.HOLDS: 'HOLDS'>)
    """

    step: float
    takes_families: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "step", as_positive(self.step, "step"))

    def _step(self, base: StepBase) -> CheckedStep:
        family = base.family
        if family is None:
            return checked_step(base, exponentiated(base.known, self.step), self, length=self.step)
        direction = natural_direction(base, family.on(base.mdp))
        moved = moved_by(family, self.step * direction)
        return checked_step(base, moved.on(base.mdp).policy, self, length=self.step, family=moved)


def exponentiated(base: ComparisonBase, step: float) -> FloatArray:
    """Return pi exp(step A), normalised in every state that is visited, as a vector over pairs.

    What the policy does it goes on doing: a probability too small for doubles becomes the least normal one.
    """
    mdp, policy = base.mdp, base.policy
    possible = policy > 0.0
    # Exponents count from that of the action that becomes likeliest, so that nothing but small shares is lost.
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        likeliest = _first_largest(mdp, np.where(possible, np.log(policy) + step * base.advantage, -np.inf))
        half = 0.5 * step * (base.advantage - over_pairs(mdp, base.advantage[likeliest]))
        weight = np.where(possible, policy * np.exp(half) * np.exp(half), 0.0)
    weight /= over_pairs(mdp, sum_over_actions(mdp, weight))
    weight = np.where(possible, np.maximum(weight, np.minimum(policy, LEAST)), 0.0)
    return np.where(over_pairs(mdp, base.weight > 0.0), weight, policy)


def _first_largest(mdp: MDP, x: FloatArray) -> NDArray[np.int64]:
    """Return the pair with the largest number in each state, the first of several."""
    largest = np.flatnonzero(x == over_pairs(mdp, max_over_actions(mdp, x)))
    return largest[np.searchsorted(largest, mdp.pair_start[:-1])]
