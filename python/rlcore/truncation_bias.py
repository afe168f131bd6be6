"""What it costs to cut episodes off: a bound on how far the mean of an estimate moves (theory 4.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse

from rlcore.episode_estimates import Estimator
from rlcore.family_on_model import FamilyOnModel
from rlcore.long_run import episode_length
from rlcore.occupancy import state_distribution
from rlcore.results import FloatArray
from rlcore.settings import Discounted, Episodic

MOST_NUMBERS = 2**27  # of the distributions after each step that the bound of episodes is made of
ROUNDING = 1.0 + 1e-9  # covers that of short sums of numbers >= 0


@dataclass(frozen=True, slots=True, eq=False)
class Bounded:
    """Numbers, and a bound on the error of each."""

    numbers: FloatArray
    error: float

    @property
    def largest(self) -> float:
        """Bounds their magnitudes; a number that does not exist belongs to a state that cannot be reached."""
        return float(np.nanmax(np.abs(self.numbers), initial=0.0)) + self.error


def truncation_bound(
    family: FamilyOnModel,
    setting: Discounted | Episodic,
    estimator: Estimator,
    x: Bounded,
    value: Bounded,
    steps: tuple[int, int],
) -> float | None:
    """Bound the change of each component's mean by cutting episodes off, after at least and at most so many steps.

    Cut off are the terms of the times t >= T, and of earlier returns what comes from T on: with D = max_s |sum_a pi psi
    x|, where x is what stands for Q, and M = max_s sum_a pi |psi|,

    - Discounted: gamma^T (D / (1 - gamma) + T M max|V|), without the second term if there is a critic;
    - Episodic: D sum_{t >= T} Pr(s_t) + T max|psi| max|V| Pr(s_T), where Pr(s_t) is the probability not to have ended.

    None where there is nothing to bound: without gamma^t, discounted estimates belong to another gradient.
    """
    least, most = steps
    direct, spread = _extremes(family, x)
    later = 0.0 if estimator.critic is not None else value.largest
    if isinstance(setting, Discounted):
        if not estimator.discounted_states and setting.gamma > 0.0:
            return None
        gamma = setting.gamma
        return float(gamma**least * (direct / (1.0 - gamma) + most * spread * later)) * ROUNDING
    if (least + 1) * family.mdp.num_states > MOST_NUMBERS:
        return None
    alive, remaining = _after(family, least)
    largest = float(family.largest_scores.max(initial=0.0))
    return (direct * remaining + most * largest * later * alive) * ROUNDING


def _extremes(family: FamilyOnModel, x: Bounded) -> tuple[float, float]:
    """Return D and M."""
    psi = family.score_matrix()
    mean = _by_state(family, family.policy * np.nan_to_num(x.numbers))
    spread = float((_by_state(family, family.policy) @ abs(psi)).max())
    return float(abs(mean @ psi).max()) + x.error * spread, spread


def _by_state(family: FamilyOnModel, weights: FloatArray) -> Any:
    """Return the matrix that sums numbers of pairs with weights over the actions of each state."""
    mdp = family.mdp
    parts = (weights, np.arange(mdp.num_pairs), mdp.pair_start)
    return scipy.sparse.csr_array(parts, shape=(mdp.num_states, mdp.num_pairs))


def _after(family: FamilyOnModel, steps: int) -> tuple[float, float]:
    """Return bounds on the probability to go on after so many steps, and on the mean number of steps from then on."""
    rows = state_distribution(family.mdp, family.policy, steps)
    assert rows.certificate is not None
    error = float(np.max(rows.certificate.bounds["state_distribution"]))
    there = np.asarray(rows[-1])
    moments = episode_length(family.mdp, family.policy)
    assert moments.certificate is not None
    upper = np.nan_to_num(np.asarray(moments)[0]) + float(moments.certificate.error_bound[0])
    return float(there.sum()) + error, float(there @ upper) + error * float(upper.max())
