"""One step to a better policy: as far as a region around the old one allows (theory 7)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from rlcore import _core
from rlcore.arguments import as_num_threads, as_single, as_tolerance
from rlcore.candidates import chunks_of
from rlcore.certified_sums import weighted_sum
from rlcore.compared import Compared, compared
from rlcore.comparison_base import SHARPER, ComparisonBase, comparison_base_of, solved_base
from rlcore.enclosure import ULP, Enclosure
from rlcore.errors import ArgumentError, InputError, PolicyError
from rlcore.evaluation import evaluate
from rlcore.families import Family
from rlcore.mdp import MDP, as_mdp
from rlcore.results import Certificate, Evaluation, FloatArray, Occupancy, Progress
from rlcore.settings import Average, Discounted, Episodic, Setting, as_setting


class Region(Protocol):
    """What a step may change: `MaxKL`, `MeanKL`, `KLPenalty` and their like."""

    def _step(self, base: StepBase) -> TrustRegionStep:
        """Take the best step within the region."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class TrustRegionStep:
    """A new policy, how far it is from the old one, and what it is worth (theory 7).

    Attributes
    ----------
    region
        What the step was allowed to change.
    policy
        pi', of pair shape.
    kl
        KL(pi || pi') in each state, shape (S,), of the exact step. Probabilities that are too small for doubles are
        stored as 5e-324; ``certificate.bounds["kl"]`` holds for the KL of the policy as it is stored, too.
    multiplier
        What one more unit of KL would be worth. `MaxKL`: the price of KL(s) beside q^T A, shape (S,). `MeanKL`: one
        price, beside sum d Abar. `KLPenalty`: the share of the penalty that each state bears, shape (S,); they sum to
        C. None where a step has none.
    surrogate_gain
        L - eta = sum w Abar >= 0, with w = rho (Discounted), e (Episodic) or d (Average).
    eta, eta_new
        The returns of the old and of the new policy; in `Average` the gains. A new policy with several recurrent
        classes starts where the old one is in the long run.
    dual_gap
        A proven upper bound, rounding and the errors of A and w included: no policy in the region has a larger L by
        more than this. `KLPenalty`: no policy has a larger L - C KLmax. None where nothing is maximised.
    certificate
        Bounds on the errors of all of these, by name; ``error_bound`` is that of eta_new.
    penalty
        `KLPenalty`: C. None elsewhere.
    evaluation
        The `Evaluation` of the new policy, from which the next step can start.
    """

    region: Any
    policy: FloatArray
    kl: FloatArray
    multiplier: Any
    surrogate_gain: float
    eta: float
    eta_new: float
    dual_gap: float | None
    certificate: Certificate
    evaluation: Evaluation
    penalty: float | None = None

    def __repr__(self) -> str:
        gap = "" if self.dual_gap is None else f", dual_gap <= {self.dual_gap:.3g}"
        return (
            f"TrustRegionStep({self.region!r}: eta {self.eta:.6g} -> {self.eta_new:.6g}, "
            f"surrogate_gain={self.surrogate_gain:.6g}, max KL={float(self.kl.max()):.6g}{gap})"
        )


@dataclass(frozen=True, slots=True, eq=False)
class StepBase:
    """The old policy, and what a region needs to know of it.

    Attributes
    ----------
    known
        V, A and the weights w of the old policy with their errors.
    evaluation, occupancy
        Where they are from.
    tol
        The relative error asked for.
    family
        What the policy belongs to, for regions that step to its members alone; or None.
    """

    known: ComparisonBase
    evaluation: Evaluation
    occupancy: Occupancy
    tol: float
    family: Family | None = None

    @property
    def mdp(self) -> MDP:
        """The model."""
        return self.known.mdp

    @property
    def policy(self) -> FloatArray:
        """The old policy as a vector over pairs."""
        return self.known.policy

    @property
    def mass(self) -> float:
        """Bounds the sum of the weights w from above."""
        return (float(self.known.weight.sum()) + self.known.weight_error) * (1.0 + self.mdp.num_states * ULP)

    @property
    def share(self) -> float:
        """What turns the weights w into d: 1 - gamma, 1 / sum e, or 1."""
        if isinstance(self.known.setting, Discounted):
            return 1.0 - self.known.gamma
        return 1.0 if isinstance(self.known.setting, Average) else 1.0 / float(self.known.weight.sum())

    @property
    def tie(self) -> float:
        """How far apart action values may be by errors alone: the bound of Q, and a few ulp of the largest."""
        q = self.evaluation.action_value
        largest = max(float(np.nanmax(q, initial=0.0)), -float(np.nanmin(q, initial=0.0)))
        return max(float(self.evaluation.certificate.bounds["action_value"]), 4 * ULP * largest)

    @property
    def core(self) -> _core.OldPolicy:
        """The same as the core takes it; actions after which nothing is known of the value are not taken."""
        known = self.known
        advantage = known.advantage
        if known.undefined_pairs.any():
            advantage = np.where(known.undefined_pairs, -np.inf, advantage)
        return _core.OldPolicy(known.policy, advantage, known.weight, self.tie)

    def unknown(self, most_tv: float, weighted_tv: float) -> float:
        """Bound what the errors of A and w may hide from L of two policies of the region.

        `most_tv` bounds their TV from the old policy in every state, `weighted_tv` sum w TV.
        """
        known = self.known
        largest = float(known.epsilon.upper)
        error = known.advantage_error + 2 * ULP * largest
        return (4.0 * error * weighted_tv + 4.0 * known.weight_error * largest * most_tv) * (1.0 + 16 * ULP)

    def step_to(
        self,
        policy: FloatArray,
        region: Region,
        *,
        kl: FloatArray,
        kl_error: float,
        multiplier: Any = None,
        dual_gap: float | None = None,
        penalty: float | None = None,
    ) -> TrustRegionStep:
        """Measure a new policy and return it with its certificate."""
        seen = self.compared_with(policy)
        gain = seen.gain[0]
        new, eta_new = self._return_of(policy.reshape(-1))
        bounds: dict[str, Any] = {
            "policy": 0.0,
            "kl": kl_error,
            "surrogate_gain": gain.error,
            "eta": self.known.eta.error,
            "eta_new": eta_new.error,
        }
        if dual_gap is not None:
            bounds["dual_gap"] = dual_gap
        certificate = replace(new.certificate, error_bound=eta_new.error, bounds=bounds)
        return TrustRegionStep(
            region,
            policy.reshape(self.mdp.pair_shape),
            kl,
            multiplier,
            float(gain.value),
            float(self.known.eta.value),
            float(eta_new.value),
            dual_gap,
            certificate,
            new,
            penalty,
        )

    def compared_with(self, policy: FloatArray) -> Compared:
        """Look once at a new policy."""
        chunks, _ = chunks_of(self.mdp, policy.reshape(-1), False)
        return compared(self.known, next(iter(chunks)))

    def _return_of(self, policy: FloatArray) -> tuple[Evaluation, Enclosure]:
        """Evaluate the new policy; it is as good a start for the next step as the old one's."""
        setting = self.known.setting
        new = evaluate(self.mdp, policy, setting, tol=SHARPER * self.tol, raise_on_failure=False, **self.known.solving)
        assert isinstance(new, Evaluation)
        bounds = new.certificate.bounds
        if isinstance(setting, Average):
            assert new.gain is not None
            if new.advantage is not None:
                return new, Enclosure.around(float(new.gain[0]), bounds["gain"])
            # Several recurrent classes: the new policy starts where the old one is in the long run.
            known = self.known
            return new, Enclosure.around(*weighted_sum(known.weight, known.weight_error, new.gain, bounds["gain"]))
        return new, Enclosure.around(new.start_value, bounds["start_value"])


def trust_region_step(
    mdp: MDP,
    policy: ArrayLike | Family,
    setting: Setting | float,
    region: Region,
    *,
    tol: float = 1e-9,
    num_threads: int | None = None,
    progress: Callable[[Progress], object] | None = None,
    evaluation: Evaluation | None = None,
    occupancy: Occupancy | None = None,
) -> TrustRegionStep:
    """Take one step to a better policy, the best one that a region around the old policy allows.

    The surrogate ``L = eta + sum_s w(s) sum_a pi'(a|s) A(s,a)`` is maximised over all tabular policies pi':
    ``MaxKL(delta)`` subject to KL(pi || pi') <= delta in every state, ``MeanKL(delta)`` subject to sum_s d(s) KL(s) <=
    delta, ``KLPenalty(C)`` minus C max_s KL(s). Each is solved to the last digits, with the gap to its dual as proof.

    Parameters
    ----------
    mdp
        The model, with a start distribution (in `Average` without one too).
    policy
        pi(a|s), the old policy, of shape ``mdp.pair_shape``; for `NaturalGradient` and `TRPO` also a family of policies
        at its old parameters.
    setting
        ``Discounted(gamma)``, or just gamma; ``Episodic()``; or ``Average()``, where every return is a gain.
    region
        ``MaxKL(delta)``, ``MeanKL(delta)`` or ``KLPenalty(coefficient)``; ``Conservative()``, ``NaturalGradient(step)``
        or ``TRPO(delta)``.
    tol
        The relative error asked for of V and of the visits; both are found a thousand times more precisely if that can
        be had.
    num_threads
        Threads to use; None for one per core. Every number gives bitwise the same answer.
    progress
        Called with a `Progress` some twenty times a second.
    evaluation, occupancy
        What `rlcore.evaluate` and `rlcore.occupancy` have found of the old policy already, so as not to find it
        again. A step's ``evaluation`` is that of its new policy.

    Returns
    -------
    TrustRegionStep
        ``.policy``, ``.kl``, ``.multiplier``, ``.surrogate_gain``, ``.eta``, ``.eta_new``, ``.dual_gap``,
        ``.certificate``.

    Raises
    ------
    PolicyError
        If the policy has the wrong shape or is not a distribution in every state.
    ArgumentError
        If `region` is no region, or `evaluation` or `occupancy` is of another shape than this model's.
    SettingError
        If the setting is none of these three, or the policy has several recurrent classes in `Average`, or the region
        needs a discount.
    ModelError
        If there is no start distribution.
    ImproperPolicyError
        Episodic: if the old or the new policy may stay for ever in states that it can reach.
    ConvergenceError
        If `tol` could not be certified.

    Notes
    -----
    Theory 7.1-7.3; Schulman et al. 2015; Kakade & Langford 2002. States that the old policy never visits do not enter
    L and keep their row, and so do states where no action is better than the others by more than the error of Q.

    Examples
    --------
    >>> import rlcore as rl
    >>> mdp = rl.gallery.forest().with_initial([1, 0, 0])
    >>> step = rl.trust_region_step(mdp, rl.uniform_policy(mdp), 0.9, rl.MaxKL(0.01))
    >>> step.policy.round(4)
    array([[0.5704, 0.4296],
           [0.5704, 0.4296],
           [0.5704, 0.4296]])
    >>> round(step.eta, 4), round(step.eta + step.surrogate_gain, 4), round(step.eta_new, 4)
    (6.1256, 7.6259, 7.7713)
    >>> step.dual_gap < 1e-9
    True
    """
    mdp = as_mdp(mdp)
    found_setting = as_setting(setting, "trust_region_step", Discounted, Episodic, Average)
    assert isinstance(found_setting, Discounted | Episodic | Average)
    old, family = policy_and_family(mdp, policy, as_region(region))
    tolerance = as_tolerance(tol)
    as_num_threads(num_threads)
    _check_known(mdp, found_setting, evaluation, occupancy)
    ev, visits = solved_base(mdp, old, found_setting, tolerance, num_threads, progress, evaluation, occupancy)
    known = comparison_base_of(mdp, old, found_setting, ev, visits, num_threads, progress)
    try:
        return region._step(StepBase(known, ev, visits, tolerance, family))
    except InputError as error:
        raise mdp.located(error) from None


def as_region(region: Any) -> Region:
    """Check a region."""
    if not hasattr(region, "_step") or isinstance(region, type):
        raise ArgumentError(
            "region: expected a region such as rlcore.MaxKL(delta), rlcore.MeanKL(delta) or rlcore.KLPenalty(), "
            f"got {region!r}"
        )
    found: Region = region
    return found


def policy_and_family(mdp: MDP, policy: ArrayLike | Family, region: Region) -> tuple[FloatArray, Family | None]:
    """Return the old policy as a vector over pairs, and the family that it belongs to, if any."""
    if not isinstance(policy, Family):
        return as_single(policy, mdp.pair_shape, "policy", PolicyError).reshape(-1), None
    if not getattr(region, "takes_families", False):
        raise ArgumentError(
            f"policy: {region!r} steps to any policy, not to those of a family alone; pass family.on(mdp).policy, or "
            "take rlcore.NaturalGradient(step) or rlcore.TRPO(delta)"
        )
    return policy.on(mdp).policy, policy


def _check_known(mdp: MDP, setting: Setting, evaluation: Evaluation | None, occupancy: Occupancy | None) -> None:
    """Check that what is known already is of one policy of this model, in a setting of this kind."""
    states = (mdp.num_states,)
    is_average = isinstance(setting, Average)
    if evaluation is not None and not (
        isinstance(evaluation, Evaluation)
        and np.shape(evaluation.value) == states
        and (evaluation.gain is not None) == is_average
    ):
        raise ArgumentError(f"evaluation: expected the Evaluation of one policy in {setting}, got {evaluation!r}")
    if occupancy is not None and not (
        isinstance(occupancy, Occupancy)
        and np.shape(occupancy.state) == states
        and (occupancy.visits is None) == is_average
    ):
        raise ArgumentError(f"occupancy: expected the Occupancy of one policy in {setting}, got {occupancy!r}")
