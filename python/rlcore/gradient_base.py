"""What gradients, critics and Fisher matrices are made of: the visits, Q and A of a family's policy (theory 4)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlcore import _core
from rlcore.arguments import as_num_threads, as_tolerance
from rlcore.comparison_base import reachable_states, start_defect, start_for
from rlcore.enclosure import ULP
from rlcore.errors import ImproperPolicyError, InputError, ModelError, SettingError
from rlcore.evaluation import evaluate
from rlcore.families import Family, as_family
from rlcore.family_on_model import ROW_TOLERANCE, DirectOnModel, FamilyOnModel
from rlcore.mdp import MDP, as_mdp, start_or_even
from rlcore.occupancy import occupancy
from rlcore.over_actions import most_actions
from rlcore.results import Certificate, Evaluation, FloatArray, Occupancy, Progress
from rlcore.settings import Average, Discounted, Episodic, as_setting
from rlcore.twofold import TWOFOLD_ULP, Twofold, twofold_field

Kind = Discounted | Episodic | Average

# Up to so many states, a second and more precise solution takes milliseconds.
FEW_STATES = 4096

# The error of A is twice that of V, and A is usually smaller.
SHARPER = 0.125

# The least positive double: visits that are smaller are lost.
LEAST = 5e-324


@dataclass(frozen=True, eq=False)
class GradientBase:
    """A family's policy in a setting, and what is proven of it.

    Attributes
    ----------
    family
        The policy and its scores on the model.
    setting
        In which kind of task.
    evaluation, occupancy
        Values and visits, each with its certificate.
    num_threads
        How many threads may go over the pairs.
    """

    family: FamilyOnModel
    setting: Kind
    evaluation: Evaluation
    occupancy: Occupancy
    num_threads: int | None

    @property
    def mdp(self) -> MDP:
        """The model."""
        return self.family.mdp

    @property
    def visits(self) -> FloatArray:
        """rho, e or d: how the states weigh in the gradient, shape (S,)."""
        return self.occupancy.state if isinstance(self.setting, Average) else self.occupancy.visits

    @cached_property
    def twofold_visits(self) -> Twofold:
        """The visits, with what rounding left over where that is known; the error is that of the L1 norm."""
        found = twofold_field(self.occupancy, "state" if isinstance(self.setting, Average) else "visits")
        least = self.mdp.num_states * LEAST
        return replace(found, error=found.error + least, rounded_error=found.rounded_error + least)

    @property
    def visits_error(self) -> float:
        """Bounds the L1 error of the visits as doubles."""
        return self.twofold_visits.rounded_error

    @cached_property
    def start_defect(self) -> float:
        """Bounds, relative to them, what the visits miss as the probabilities of the start miss the sum 1.

        `Average`: those here are of a start in one state; of the model's start, as it is stored, they are as much more.
        """
        return start_defect(self.mdp, self.setting)

    @cached_property
    def mass(self) -> float:
        """Bounds the sum of the visits."""
        return (float(self.visits.sum()) + self.visits_error) * (1.0 + self.mdp.num_states * ULP)

    @property
    def share(self) -> FloatArray:
        """The distribution d of states under which critics are fitted and Fisher matrices are means, shape (S,)."""
        return self.occupancy.state

    @property
    def measure(self) -> FloatArray:
        """d(s) pi(a|s), shape (num_pairs,)."""
        return self.occupancy.pair.ravel()

    @property
    def measure_error(self) -> float:
        """Bounds the L1 error of the measure."""
        return float(self.occupancy.certificate.bounds["pair"]) + self.start_defect + self.mdp.num_pairs * LEAST

    @property
    def visits_per_share(self) -> float:
        """Visits per share of d: 1 / (1 - gamma), the expected length of an episode, or 1."""
        if isinstance(self.setting, Discounted):
            return 1.0 / (1.0 - self.setting.gamma)
        return float(self.visits.sum()) if isinstance(self.setting, Episodic) else 1.0

    @cached_property
    def visited(self) -> NDArray[np.bool_]:
        """Which states have visits, be they too few for a double."""
        visited: NDArray[np.bool_] = self.visits > 0.0
        endures = not isinstance(self.setting, Average) and self.setting != Discounted(0.0)
        if endures and not visited.all():
            assert self.mdp.initial is not None
            visited |= reachable_states(self.mdp, self.family.policy, self.mdp.initial)
        return visited

    @cached_property
    def advantages(self) -> AdvantageWeights:
        """The visits, shared out to the pairs and times A; or times Q, for which the policy need not be known."""
        if isinstance(self.family, DirectOnModel):
            return _weights(self, None, twofold_field(self.evaluation, "action_value"))
        return _weights(self, self.family.policy, twofold_field(self.evaluation, "advantage"))

    @property
    def bounds(self) -> Any:
        """Bounds on the errors of the values."""
        return self.evaluation.certificate.bounds


@dataclass(frozen=True, slots=True, eq=False)
class AdvantageWeights:
    """rho(s) m(s,a) y(s,a), of which the gradient is the product with the scores (theory 4.1): m = pi, y = A.

    For `Direct` m = 1 and y = Q. The mean of A is taken out of the weights, see below.

    Attributes
    ----------
    weight
        One number for each pair, shape (num_pairs,).
    low
        What rounding to doubles leaves over of the weights, if they were formed in twofold arithmetic; else empty.
    size
        The sum of their magnitudes.
    scale
        Bounds what they could sum up to: the visits times max |y|.
    largest_error
        Bounds the error of each, and that of the sum over a state's actions.
    mean
        Bounds the sum over all states of |sum_a rho m y|. It is 0 for A, but for the rounding of pi: where a state's
        probabilities sum to 1 + e, its mean of A is -e V, which would give weights to actions that are all alike.
    largest_mean
        Bounds what is taken out of a weight with the mean.
    lost, largest_lost
        The sum of ``|low|``, and the largest: what the weights lack without it.
    from_values, from_visits, rounding
        Bounds what the errors of y, those of the visits, and rounding add to their L1 error, that of ``weight + low``.
    """

    weight: FloatArray
    low: FloatArray
    size: float
    scale: float
    largest_error: float
    mean: float
    largest_mean: float
    lost: float
    largest_lost: float
    from_values: float
    from_visits: float
    rounding: float

    @property
    def error(self) -> float:
        """Bounds the L1 error of the weights with ``low``."""
        return (self.from_values + self.from_visits + self.rounding) * (1.0 + 8 * ULP)


def gradient_base(
    mdp: MDP,
    family: Family,
    setting: Kind | float,
    function: str,
    tol: float,
    num_threads: int | None,
    progress: Callable[[Progress], object] | None,
) -> GradientBase:
    """Evaluate a family's policy and find its visits, again and more precisely if A is small beside V."""
    on_model = as_family(family).on(as_mdp(mdp))
    kind = as_kind(setting, on_model.mdp, function)
    tolerance = as_tolerance(tol)
    solving = {"num_threads": num_threads, "progress": progress, "raise_on_failure": False}
    base = GradientBase(
        on_model,
        kind,
        _evaluated(on_model, kind, SHARPER * tolerance, function, solving),
        visits_of(on_model, kind, tolerance, solving, start_for(on_model.mdp, kind)),
        num_threads,
    )
    for_values, for_visits = _finer_tolerances(base, tolerance)
    if for_values < SHARPER * tolerance:
        base = replace(base, evaluation=_evaluated(on_model, kind, for_values, function, solving))
    if for_visits < tolerance:
        base = replace(base, occupancy=visits_of(on_model, kind, for_visits, solving, start_for(on_model.mdp, kind)))
    return base


def as_kind(setting: Any, mdp: MDP, function: str) -> Kind:
    """Return the setting, of one of the kinds in which gradients exist; all but `Average` need a start distribution."""
    found = as_setting(setting, function, Discounted, Episodic, Average)
    assert isinstance(found, Kind)
    if mdp.initial is None and not isinstance(found, Average):
        raise ModelError(
            f"initial: {function} needs a start distribution, and the model has none; "
            "make it with initial=p or mdp.with_initial(p)"
        )
    return found


def _evaluated(family: FamilyOnModel, setting: Kind, tol: float, function: str, solving: dict[str, Any]) -> Evaluation:
    found = evaluate(family.mdp, family.policy, setting, tol=tol, **solving)
    assert isinstance(found, Evaluation)
    if found.advantage is None:
        raise SettingError(
            f"setting: {function} exists in Average() for policies with one recurrent class, "
            "this one has several; use Discounted(gamma)"
        )
    return found


def visits_of(
    family: FamilyOnModel, setting: Kind, tol: float, solving: dict[str, Any], start: FloatArray | None = None
) -> Occupancy:
    """Find the visits from a start distribution, or from the model's own."""
    initial = start_or_even(family.mdp) if start is None else start
    found = occupancy(family.mdp, family.policy, setting, initial=initial, tol=tol, **solving)
    assert isinstance(found, Occupancy)
    return found


def _finer_tolerances(base: GradientBase, tol: float) -> tuple[float, float]:
    """Return the tolerances for values and visits with which the weights meet theirs.

    Few states are worth the digits that make each of many small weights exact, beside the largest. What was found is
    often far better than what was asked for, so that the tolerances go by what was found.
    """
    found = base.advantages
    few = base.mdp.num_states <= FEW_STATES
    aim = tol * (float(np.abs(found.weight).max()) if few else found.scale)
    if found.from_values + found.from_visits <= aim:
        return SHARPER * tol, tol

    def finer(asked: float, part: float, certificate: Certificate, size: float) -> float:
        if part <= aim / 2.0:
            return asked
        wanted = min(asked, float(certificate.error_bound) / size if size > 0.0 else 0.0) * (aim / 4.0) / part
        # Rounding an answer to doubles counts: what is finer than that is the best attainable.
        return wanted if wanted > 2 * ULP else 0.0

    values, visits = base.evaluation, base.occupancy
    largest = float(np.nanmax(np.abs(values.value), initial=0.0))
    return (
        finer(SHARPER * tol, found.from_values, values.certificate, largest),
        finer(tol, found.from_visits, visits.certificate, float(base.visits.sum())),
    )


def _weights(base: GradientBase, policy: FloatArray | None, y: Twofold) -> AdvantageWeights:
    """Form rho m y: |rho m y - rho^ m y^| <= |rho - rho^| m |y^| + rho m |y - y^|, and a few roundings.

    Taking out the mean of y adds no more than the mean, of which the caller is told.
    """
    threads = as_num_threads(base.num_threads)
    visits, unit = base.twofold_visits, TWOFOLD_ULP
    if not (y.has_digits and visits.has_digits):
        y, visits, unit = y.rounded(), visits.rounded(), ULP
    found = _core.advantage_weights(base.mdp._core, policy, y.high, y.low, visits.high, visits.low, threads)
    if found.undefined >= 0:
        raise _undefined(base.mdp, found.undefined)
    actions = most_actions(base.mdp)
    width = actions if policy is None else 1.0 + ROW_TOLERANCE  # sum_a m
    rounding = (actions + 8) * unit
    outward = 1.0 + (actions + 4) * ULP
    in_all = outward * (1.0 + base.mdp.num_states * ULP)
    largest_visits = float(base.visits.max()) + base.visits_error
    # Up to so much is lost of a weight where products are too small for doubles.
    least = 16 * (actions + 1) * LEAST * (1.0 + largest_visits)
    size = found.size * in_all
    return AdvantageWeights(
        found.weight,
        found.low,
        size,
        base.mass * width * found.largest_value,
        outward
        * (
            visits.error * found.largest_row
            + largest_visits * width * y.error
            + rounding * (found.largest_size + visits.error * found.largest_row)
            + least
        ),
        (found.mean + rounding * size) * in_all,
        found.largest_mean * outward,
        found.lost * in_all,
        found.largest_lost,
        outward * base.mass * width * y.error,
        outward * visits.error * found.largest_row,
        rounding * size + base.mdp.num_pairs * least,
    )


def _undefined(mdp: MDP, pair: int) -> InputError:
    """Return the error for a pair that counts and has no value.

    An action that is never taken may lead to where the process stays for ever; it has no Q then, and the return no
    derivative by its probability.
    """
    state = int(mdp.pair_state[pair])
    fault = (
        "expected an action after which the process surely ends, for it has no value otherwise; use Discounted(gamma)"
    )
    action = pair - int(mdp.pair_start[state])
    return mdp.located(ImproperPolicyError.placed("family", fault, state=state, action=action))
