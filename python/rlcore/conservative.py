"""The conservative step: as far towards the greedy policy as the mixture bound likes best (theory 5.8)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rlcore.checked_step import CheckedStep, checked_step
from rlcore.comparison_base import ComparisonBase
from rlcore.improvement import compared_with
from rlcore.mixture_bound import mixture_of
from rlcore.over_actions import max_over_actions, over_pairs, sum_over_actions
from rlcore.results import FloatArray
from rlcore.settings import as_discounted
from rlcore.trust_region import StepBase


@dataclass(frozen=True, slots=True)
class Conservative:
    """The mixtures ``(1 - a) pi + a pi'`` of a policy with the greedy one (theory 5.8).

    a is the one for which the mixture bound guarantees most, so the return never falls. A state in which the policy is
    greedy already keeps its row. In `Discounted` alone.

    Notes
    -----
    Theory 5.8 and 7.4; Kakade & Langford 2002, section 4.

    Examples
    --------
    >>> import rlcore as rl
    >>> mdp = rl.gallery.forest()
    >>> step = rl.trust_region_step(mdp, rl.uniform_policy(mdp), 0.9, rl.Conservative())
    >>> round(step.length, 4), step.improves
    (0.0153, <Verdict.HOLDS: 'HOLDS'>)
    """

    def _step(self, base: StepBase) -> CheckedStep:
        setting = as_discounted(base.known.setting, "Conservative")
        target = greedy_where_better(base)
        whole = compared_with(base.known, target, bounds=[], new_return="skip")
        share = mixture_of(whole, setting).step
        return checked_step(base, mixed(base.known, target, share), self, length=share)


def greedy_where_better(base: StepBase) -> FloatArray:
    """Return the greedy policy, but the policy itself in states where it is as good up to what rounding can tell."""
    mdp, advantage = base.mdp, base.known.advantage
    tolerance = 2.0 * base.tie
    best = max_over_actions(mdp, advantage)
    good = np.flatnonzero(advantage >= over_pairs(mdp, best - tolerance))
    _, lowest = np.unique(mdp.pair_state[good], return_index=True)
    greedy = np.zeros(mdp.num_pairs)
    greedy[good[lowest]] = 1.0
    better = best > tolerance  # the mean of the policy's own advantages is 0
    return np.where(over_pairs(mdp, better), greedy, base.policy)


def mixed(base: ComparisonBase, target: FloatArray, share: float) -> FloatArray:
    """Return (1 - a) pi + a pi'; rows sum to 1 however often this is done."""
    mdp = base.mdp
    mixture = (1.0 - share) * base.policy + share * target
    sums = over_pairs(mdp, sum_over_actions(mdp, mixture))
    return np.where(target == base.policy, base.policy, mixture / sums)
