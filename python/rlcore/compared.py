"""What one look at every candidate tells, enclosed (theory 5 and 6)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from rlcore import _core
from rlcore.candidates import Chunk
from rlcore.comparison_base import ComparisonBase
from rlcore.enclosure import ULP, Enclosure, longer, product_or_zero
from rlcore.over_actions import most_actions
from rlcore.results import FloatArray
from rlcore.settings import Average, Discounted

# Bounds what is lost where products of probabilities below 1e-300 are too small for doubles.
UNDERFLOW = 1e-290


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """What one look at each candidate tells.

    Attributes
    ----------
    measures
        The cheap measures of `rlcore.bounds.Measures`, by name.
    gain
        sum w Abar = L - eta.
    abar_min, abar_max
        The extremes of Abar, and 0 where the process can end.
    abar_error
        Bounds the error of every Abar(s) that is formed in doubles.
    tv_mean, kl_mean
        sum d TV and sum d KL.
    tv
        sum w TV.
    tv_visited
        max TV where w > 0.
    drift, drift_max
        What excesses in the sums of the candidate's rows add to the return: to first order, and the most in one step.
    sum_change
        Bounds sum w |sum_a pi' - sum_a pi|, the excesses themselves.
    most_sum
        Bounds the sums of the candidates' rows.
    """

    measures: dict[str, Any]
    gain: Enclosure
    abar_min: Enclosure
    abar_max: Enclosure
    abar_error: FloatArray
    tv_mean: Enclosure
    kl_mean: Enclosure
    tv: Enclosure
    tv_visited: FloatArray
    drift: Enclosure
    drift_max: FloatArray
    sum_change: FloatArray
    most_sum: FloatArray


def core_candidates(chunk: Chunk) -> _core.Candidates:
    """Return the candidates as the core takes them."""
    if chunk.start is None:
        return _core.Candidates(chunk.rows.reshape(-1))
    return _core.Candidates(chunk.rows, chunk.start, chunk.states)


def compared(base: ComparisonBase, chunk: Chunk) -> Compared:
    """Look once at every candidate."""
    return compared_with_abar(base, chunk, wanted=False)[0]


def compared_with_abar(base: ComparisonBase, chunk: Chunk, *, wanted: bool) -> tuple[Compared, FloatArray | None]:
    """Look once at every candidate; if it is wanted with Abar in doubles, of every candidate in every state."""
    found = _core.compare(base.mdp._core, base.core, core_candidates(chunk), wanted, *base.threads_and_callback)
    with np.errstate(invalid="ignore", over="ignore"):
        return _Look(base, found).enclosed(), found.abar


class _Look:
    """The core's findings, and how far what is rounded and what is wrong in the base policy's numbers moves them."""

    def __init__(self, base: ComparisonBase, found: _core.Comparisons) -> None:
        self.base, self.found = base, found
        self.num_actions = most_actions(base.mdp)
        self.outward = 1.0 + (self.num_actions + 4) * ULP + _core.COMPARISON_ERROR
        self.of_row = (self.num_actions + 4) * base.unit
        self.of_kl_row = 8.0 * self.of_row  # of the terms of KL an eighth may be left
        of_sum = base.mdp.num_states * base.unit if base.is_sharp else _core.COMPARISON_ERROR
        self.rounding = self.of_row + of_sum
        self.lost = np.where(found.alpha > 0.0, UNDERFLOW, 0.0)
        self.lost_visited = np.where(found.tv_visited > 0.0, UNDERFLOW, 0.0)

    def enclosed(self) -> Compared:
        share = _share(self.base)
        found = self.found
        measures = {
            "gamma": self.base.gamma,
            "epsilon": self.base.epsilon,
            "epsilon_bar": abs(longer(-self.abar_min, self.abar_max)),
            "span": self.span(),
            "alpha": self.alpha,
            "kl_max": self.kl_max(),
            "visited_tv": self.tv,
            "visited_root_kl": self.root_kl(),
        }
        return Compared(
            measures,
            self.gain(),
            self.abar_min,
            self.abar_max,
            self.abar_error,
            _times_share(self.tv, share),
            _times_share(self.kl(), share),
            self.tv,
            found.tv_visited * self.outward,
            self.drift(),
            found.drift_max + product_or_zero(self.base.worth_error, found.sum_change),
            found.sum_change * self.outward,
            np.maximum(found.largest_row_sum, 1.0),
        )

    @cached_property
    def alpha(self) -> Enclosure:
        found = self.found
        return Enclosure.of_twofold(found.alpha, found.alpha_low, self.of_row * found.alpha + self.lost)

    @cached_property
    def tv(self) -> Enclosure:
        found, base = self.found, self.base
        of_weights = base.full_weight.error * found.tv_visited * self.outward
        error = (self.rounding + base.start_defect) * found.tv + of_weights + self.lost_visited
        return Enclosure.of_twofold(found.tv, found.tv_low, error)

    def root_kl(self) -> Enclosure:
        found = self.found
        relative = _core.kl_error(self.num_actions) + _core.COMPARISON_ERROR
        of_weights = product_or_zero(self.base.weight_error, np.sqrt(found.kl_visited))
        return Enclosure.around(found.root_kl, np.sqrt(self.lost_visited) + relative * found.root_kl + of_weights)

    def kl(self) -> Enclosure:
        found, base = self.found, self.base
        # Where one of the quotients is no ordinary number, all is summed in doubles.
        sharp = found.kl_error < _core.kl_error(self.num_actions)
        weight_error = np.where(sharp, base.full_weight.error, base.weight_error)
        of_sum = np.where(sharp, self.of_kl_row + self.rounding, _core.COMPARISON_ERROR)
        relative = found.kl_error + base.start_defect + of_sum
        of_weights = product_or_zero(weight_error, found.kl_visited * self.outward)
        return Enclosure.of_twofold(found.kl, found.kl_low, self.lost_visited + relative * found.kl + of_weights)

    def kl_max(self) -> Enclosure:
        found = self.found
        error = (found.kl_error + self.of_kl_row) * found.kl_max + self.lost
        return Enclosure.of_twofold(found.kl_max, found.kl_max_low, error)

    @cached_property
    def abar_error(self) -> FloatArray:
        """Of an Abar(s) that is formed in doubles."""
        return self._abar_error(self.base.advantage_error, (self.num_actions + 4) * ULP)

    def _abar_error(self, advantage_error: float, roundings: float) -> FloatArray:
        of_advantages = 2.0 * np.asarray(self.alpha.upper) * advantage_error
        error = of_advantages + roundings * self.found.abar_scale * self.outward + self.lost
        return np.where(np.asarray(self.alpha.upper) == 0.0, 0.0, error)

    @cached_property
    def _extreme_error(self) -> FloatArray:
        """Of the extremes of Abar, which the core forms from all that is known of A."""
        return self._abar_error(self.base.full_advantage.error, self.of_row)

    @cached_property
    def abar_min(self) -> Enclosure:
        found = Enclosure.of_twofold(self.found.abar_min, self.found.abar_min_low, self._extreme_error)
        if not self.base.mdp.can_end:
            return found
        return Enclosure(np.minimum(found.lower, 0.0), np.minimum(found.upper, 0.0))

    @cached_property
    def abar_max(self) -> Enclosure:
        found = Enclosure.of_twofold(self.found.abar_max, self.found.abar_max_low, self._extreme_error)
        return found.at_least_zero() if self.base.mdp.can_end else found

    def span(self) -> Enclosure:
        return (self.abar_max - self.abar_min).at_least_zero()

    def gain(self) -> Enclosure:
        found, base = self.found, self.base
        visited = np.where(found.tv_visited == 0.0, 0.0, found.abar_visited + self.abar_error)
        error = (
            self.lost_visited
            + product_or_zero(2.0 * self.tv.upper, base.full_advantage.error)
            + self.rounding * found.gain_scale * self.outward
            + base.start_defect * np.abs(found.gain)
            + base.full_weight.error * visited
        )
        return Enclosure.of_twofold(found.gain, found.gain_low, error)

    def drift(self) -> Enclosure:
        found, base = self.found, self.base
        error = found.drift_error + base.worth_error * found.sum_change + base.weight_error * found.drift_max
        return Enclosure.around(found.drift, error)


def _times_share(sum_of_weights: Enclosure, share: Enclosure) -> Enclosure:
    """Return a mean over d from a sum over w."""
    return Enclosure(sum_of_weights.lower * share.lower * (1.0 - ULP), sum_of_weights.upper * share.upper * (1.0 + ULP))


def _share(base: ComparisonBase) -> Enclosure:
    """Enclose what turns the weights into d."""
    one = Enclosure(1.0, 1.0)
    if isinstance(base.setting, Average):
        return one
    if isinstance(base.setting, Discounted):
        return one - Enclosure(base.gamma, base.gamma)
    weight = base.full_weight
    if base.is_sharp:
        sum_of_weights, rounding = math.fsum([*weight.high, *weight.low]), ULP
    else:
        sum_of_weights, rounding = float(weight.high.sum()), base.mdp.num_states * ULP
    total = Enclosure.around(sum_of_weights, weight.error + rounding * sum_of_weights)
    return Enclosure((1.0 - ULP) / total.upper, (1.0 + ULP) / max(total.lower, 5e-324))
