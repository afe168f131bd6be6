"""How far to go towards a better policy: the mixture bound and its best step (theory 5.8)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from rlcore.arguments import as_single
from rlcore.enclosure import ULP, Enclosure
from rlcore.errors import ArgumentError, PolicyError
from rlcore.improvement import check_improvement
from rlcore.improvement_report import ImprovementReport
from rlcore.mdp import MDP, as_mdp
from rlcore.settings import Discounted, as_setting


@dataclass(frozen=True, slots=True)
class MixtureBound:
    """What a mixture of two policies gains at least (theory 5.8).

    Attributes
    ----------
    step
        a, the share of the candidate.
    guaranteed_gain
        Encloses the bound; the mixture gains at least its lower end.
    d_abar
        Encloses sum d Abar of the candidate.
    epsilon_bar
        Encloses max |Abar| of the candidate.
    """

    step: float
    guaranteed_gain: Enclosure
    d_abar: Enclosure
    epsilon_bar: Enclosure


def mixture_bound(
    mdp: MDP, policy: ArrayLike, candidate: ArrayLike, setting: Discounted | float, step: float | None = None
) -> MixtureBound:
    """Bound what a mixture of a policy with a candidate gains, by default with the step that promises most.

    For ``pi_a = (1 - a) pi + a pi'``, with Abar of the whole candidate, ``eta_a - eta >= a / (1 - gamma) (d^T Abar -
    2 a gamma epsilon_bar / (1 - gamma (1 - a)))``.

    Parameters
    ----------
    mdp
        The model, with a start distribution.
    policy, candidate
        pi and pi', of shape ``mdp.pair_shape``.
    setting
        ``Discounted(gamma)``, or just gamma.
    step
        a in [0, 1]; None for the best one, which is 0 if nothing is to be gained.

    Returns
    -------
    MixtureBound
        ``.step``, ``.guaranteed_gain``, ``.d_abar``, ``.epsilon_bar``.

    Raises
    ------
    PolicyError
        If one of the policies has the wrong shape or is not a distribution in every state.
    ArgumentError
        If the step is not in [0, 1].
    SettingError
        If the setting is not discounted.
    ModelError
        If there is no start distribution.

    Notes
    -----
    Theory 5.8; Kakade & Langford 2002, section 4. The step is rounded; the gain is enclosed for the rounded one.

    Examples
    --------
    >>> import rlcore as rl
    >>> mdp = rl.gallery.forest().with_initial([1, 0, 0])
    >>> pi = rl.uniform_policy(mdp)
    >>> found = rl.mixture_bound(mdp, pi, rl.greedy_policy(mdp, rl.evaluate(mdp, pi, 0.9).action_value), 0.9)
    >>> round(found.step, 6), found.guaranteed_gain.lower > 0
    (0.013354, True)
    """
    mdp = as_mdp(mdp)
    found_setting = as_setting(setting, "mixture_bound", Discounted)
    assert isinstance(found_setting, Discounted)
    old = as_single(policy, mdp.pair_shape, "policy", PolicyError)
    new = as_single(candidate, mdp.pair_shape, "candidate", PolicyError)
    if step is not None and not (isinstance(step, int | float) and 0.0 <= step <= 1.0):
        raise ArgumentError(f"step: expected a number in [0, 1], or None for the best step, got {step!r}")
    report = check_improvement(mdp, old, new, found_setting, bounds=[], new_return="skip")
    return mixture_of(report, found_setting, None if step is None else float(step))


def mixture_of(report: ImprovementReport, setting: Discounted, step: float | None = None) -> MixtureBound:
    """Bound what a mixture gains, from a report on the whole candidate."""
    gamma = setting.gamma
    d_abar = _scaled(report.expected_gain, 1.0 - gamma)
    epsilon_bar = abs(Enclosure.around(report.epsilon_bar, report.certificate.bounds["epsilon_bar"]))
    best = _best_step(d_abar.value, epsilon_bar.value, gamma) if step is None else step
    return MixtureBound(best, _guaranteed(best, d_abar, epsilon_bar, gamma), d_abar, epsilon_bar)


def _best_step(d_abar: float, epsilon_bar: float, gamma: float) -> float:
    """Return where the derivative of the bound is 0; with 1 - sqrt(1 - y) = y / (1 + sqrt(1 - y)), nothing cancels."""
    if not d_abar > 0.0:
        return 0.0
    if gamma == 0.0:
        return 1.0
    y = min(d_abar / (2.0 * epsilon_bar), 0.5)
    root = float(np.sqrt(1.0 - y))
    return min(1.0, (1.0 - gamma) / gamma * y / (root * (1.0 + root)))


def _guaranteed(a: float, d_abar: Enclosure, epsilon_bar: Enclosure, gamma: float) -> Enclosure:
    """Enclose the bound: it grows with d^T Abar and falls with epsilon_bar."""
    if a == 0.0:
        return Enclosure(0.0, 0.0)

    def bound(advantage: float, largest: float) -> tuple[float, float]:
        penalty = 2.0 * a * gamma * largest / (1.0 - gamma + gamma * a)
        found = a / (1.0 - gamma) * (advantage - penalty)
        return found, 32 * ULP * a / (1.0 - gamma) * (abs(advantage) + penalty) + 5e-324

    least, below = bound(d_abar.lower, epsilon_bar.upper)
    most, above = bound(d_abar.upper, epsilon_bar.lower)
    return Enclosure(float(least - below), float(most + above))


def _scaled(x: Enclosure, factor: float) -> Enclosure:
    """Enclose a positive multiple."""
    low, high = float(x.lower) * factor, float(x.upper) * factor
    return Enclosure(low - 2 * ULP * abs(low), high + 2 * ULP * abs(high))
