"""The update that is used in practice in place of the gradient, and how far it is from it (theory 4.5)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rlcore.arguments import as_tolerance
from rlcore.certificates import check_converged
from rlcore.chain_structure import chain_structure
from rlcore.enclosure import ULP
from rlcore.errors import ArgumentError, SettingError
from rlcore.families import Family
from rlcore.gradient import certificate_of_both, gradient_with_error
from rlcore.gradient_base import LEAST, GradientBase, gradient_base
from rlcore.mdp import MDP
from rlcore.occupancy import occupancy
from rlcore.results import Certificate, FloatArray, Occupancy, Progress
from rlcore.settings import Average, Discounted, Episodic, FiniteHorizon, as_discounted
from rlcore.twofold import TWOFOLD_ULP, Twofold, twofold_field


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class PracticalGradient:
    """The practical gradient beside the true one (theory 4.5).

    Attributes
    ----------
    gradient
        g_w = sum_s w(s) sum_a grad pi(a|s) Q(s,a), of the shape of the parameters.
    true_gradient
        g, the gradient of the discounted return.
    inner_product
        <g_w, g>: a small step along g_w lowers the return if it is negative.
    cosine
        <g_w, g> / (|g_w| |g|); None where g_w or g cannot be told from 0.
    relative_error
        |g_w - g| / |g|, lengths in the Euclidean norm; None where g cannot be told from 0.
    certificate
        Error bounds of these, those of the gradients in the sup norm.
    """

    gradient: FloatArray
    true_gradient: FloatArray
    inner_product: float
    cosine: float | None
    relative_error: float | None
    certificate: Certificate

    def __repr__(self) -> str:
        cosine = "None" if self.cosine is None else f"{self.cosine:.6g}"
        return f"PracticalGradient(gradient of shape {self.gradient.shape}, cosine={cosine}, {self.certificate!r})"


def practical_gradient(
    mdp: MDP,
    family: Family,
    gamma: Discounted | float,
    weights: str | int = "stationary",
    *,
    tol: float = 1e-9,
    num_threads: int | None = None,
    progress: Callable[[Progress], object] | None = None,
    raise_on_failure: bool = True,
) -> PracticalGradient:
    """Find what most programs follow in place of the gradient: the discount of Q is kept, that of the states left out.

    g_w = sum_s w(s) sum_a grad pi(a|s) Q(s,a) with the discounted Q. For the gradient g of the discounted return, w
    would be rho(s) = sum_t gamma^t Pr(s_t = s); here the times are not discounted.

    Parameters
    ----------
    mdp
        The model, with a start distribution.
    family
        The policy and its parameters: `TabularSoftmax`, `LinearSoftmax`, `Direct` or `Scores`.
    gamma
        The discount factor, or a `Discounted` setting.
    weights
        "stationary": w = d / (1 - gamma) with the stationary distribution d, for one recurrent class. "episodic": w =
        e, the expected visits of an episode. A whole number T: the expected visits in the first T steps.
    tol
        The relative error asked for of the values and the visits, as in `policy_gradient`; 0 for the best attainable.
    num_threads
        Threads to use; None for one per core. Every number gives bitwise the same answer.
    progress
        Called with a `Progress` some twenty times a second.
    raise_on_failure
        Raise `ConvergenceError` if `tol` cannot be certified; otherwise return the best answer, ``status`` "stalled".

    Returns
    -------
    PracticalGradient
        ``.gradient`` and ``.true_gradient`` of the shape of the parameters, ``.inner_product``, ``.cosine``,
        ``.relative_error``, ``.certificate``.

    Raises
    ------
    PolicyError
        If the family does not fit the model, or the mean of scores is not 0 in every state.
    ModelError
        If there is no start distribution.
    ArgumentError
        If `weights` is none of these.
    SettingError
        If gamma is not in [0, 1), or the weights are "stationary" and the process can end or has several recurrent
        classes.
    ImproperPolicyError
        If the weights are "episodic" and states in which the policy may stay for ever can be reached.
    ConvergenceError
        If `tol` could not be certified; ``.result`` holds the best answer.

    Notes
    -----
    Theory 4.5; Thomas 2014; Nota & Thomas 2020: g_w is the gradient of no function in general. For tabular softmax
    <g_w, g> = sum_s rho w sum_a (pi A)^2 >= 0; where states share parameters, g_w can point the wrong way.

    Examples
    --------
    >>> import rlcore as rl
    >>> mdp = rl.gallery.wrong_way()
    >>> right = [[[0.0], [1.0]]] * mdp.num_states
    >>> found = rl.practical_gradient(mdp, rl.LinearSoftmax(right, [0.0]), 0.875, "episodic")
    >>> found.true_gradient, found.gradient, round(found.cosine, 9)
    (array([0.01757812]), array([-0.015625]), -1.0)
    """
    discounted = as_discounted(gamma, "practical_gradient")
    which = _as_weights(weights)
    base = gradient_base(mdp, family, discounted, "practical_gradient", tol, num_threads, progress)
    solving = {"tol": as_tolerance(tol), "num_threads": num_threads, "progress": progress, "raise_on_failure": False}
    practical = replace(base, occupancy=_weighing(base, discounted.gamma, which, solving))
    result = _compared(base, practical, tol)
    if raise_on_failure:
        check_converged(result, tol, "practical_gradient", "the sum of |w pi A|")
    return result


def _as_weights(weights: Any) -> str | int:
    if isinstance(weights, str) and weights in ("stationary", "episodic"):
        return weights
    if isinstance(weights, int | np.integer) and not isinstance(weights, bool) and weights >= 1:
        return int(weights)
    raise ArgumentError(
        f'weights: expected "stationary", "episodic", or the number of steps of a horizon from 1 on, got {weights!r}'
    )


def _weighing(base: GradientBase, gamma: float, weights: str | int, solving: dict[str, Any]) -> Occupancy:
    """Return an occupancy whose visits are the weights."""
    mdp, policy = base.mdp, base.family.policy
    if weights == "stationary":
        assert mdp.initial is not None
        return _stationary(_long_run(base, solving), mdp.initial, gamma)
    if weights == "episodic":
        return occupancy(mdp, policy, Episodic(), **solving)
    found = occupancy(mdp, policy, FiniteHorizon(int(weights)), **solving)
    return Occupancy(found.visits, found.state, found.pair, found.certificate)


def _long_run(base: GradientBase, solving: dict[str, Any]) -> Occupancy:
    """Return the occupancy of a process that never ends and has one stationary distribution."""
    try:
        return occupancy(base.mdp, _of_one_class(base), Average(), **solving)
    except SettingError as error:
        if error.state is None:
            raise
        fault = (
            'expected a process that never ends for "stationary", but this action, which the policy takes, can end '
            'it; use "episodic" or a number of steps'
        )
        place = {"state": error.state, "action": error.action}
        raise base.mdp.located(SettingError.placed("weights", fault, **place)) from None


def _of_one_class(base: GradientBase) -> FloatArray:
    """Return the policy, which has one stationary distribution."""
    structure = chain_structure(base.mdp, base.family.policy)
    if len(structure.recurrent_classes) > 1:
        raise SettingError(
            'weights: "stationary" exists for policies with one recurrent class, this one has '
            f"{len(structure.recurrent_classes)}; use a number of steps"
        )
    return base.family.policy


def _single(high: float, low: float) -> Twofold:
    """Return one twofold number."""
    return Twofold(np.array([high]), 0.0, np.array([low]), 0.0)


def _stationary(found: Occupancy, start: FloatArray, gamma: float) -> Occupancy:
    """Return the occupancy with visits d / (1 - gamma); the shares that are found sum to what the start does."""
    certificate, share = found.certificate, twofold_field(found, "state")
    total, ending = math.fsum(start), 1.0 - gamma
    visits = found.state / ending
    mass = float(visits.sum())
    outward = (1.0 + 8 * ULP) * (1.0 + 2.0 * abs(total - 1.0))
    # 1 - gamma is rounded, and so is the quotient.
    error = (certificate.bounds["state"] / ending + (2 * ULP + abs(total - 1.0)) * mass) * outward
    remainders = {}
    if share.has_digits:
        high, low = share / _single(ending, (1.0 - ending) - gamma)
        visits, low = Twofold(high, 0.0, low, 0.0) / _single(total, math.fsum([*start, -total]))
        remainders["visits"] = low, (share.error / ending + 16 * TWOFOLD_ULP * mass) * outward
    bounds = {**certificate.bounds, "visits": error}
    return replace(found, visits=visits, certificate=replace(certificate, bounds=bounds), _remainders=remainders)


def _compared(base: GradientBase, practical: GradientBase, tol: float) -> PracticalGradient:
    """Form what is said of the two gradients, with bounds on the errors."""
    (g, g_error), (g_w, error) = gradient_with_error(base), gradient_with_error(practical)
    true, found = _Vector.of(base, g, g_error), _Vector.of(practical, g_w, error)
    inner_product, inner_error = found.times(true)
    cosine, cosine_error = found.cosine(true)
    relative_error, relative_error_error = found.minus(true).length_in(true)
    bounds = {"gradient": error, "true_gradient": g_error, "inner_product": inner_error}
    if cosine is not None:
        bounds["cosine"] = cosine_error
    if relative_error is not None:
        bounds["relative_error"] = relative_error_error
    certificate, of_true = certificate_of_both(practical, error, bounds, tol), certificate_of_both(base, 0.0, {}, tol)
    if of_true.status == "stalled":
        certificate = replace(certificate, status="stalled")
    return PracticalGradient(g_w, g, inner_product, cosine, relative_error, certificate)


@dataclass(frozen=True, slots=True)
class _Vector:
    """A vector, known up to an error whose Euclidean length is bounded."""

    x: FloatArray
    error: float

    @classmethod
    def of(cls, base: GradientBase, gradient: FloatArray, largest_error: float) -> _Vector:
        """Return the gradient, the length of whose error is at most sqrt(K) times the largest.

        Where pairs have parameters of their own it is also at most the L1 error: that of the weights, and that of their
        sums over the actions of each state, which are shared out to these (by pi, which sums to 1 within 1e-9).
        """
        error = float(np.sqrt(gradient.size)) * largest_error * (1.0 + 2 * ULP)
        family, found = base.family, base.advantages
        if family.one_parameter_for_each_pair:
            centre = family.largest_centre * (1.0 + 2e-9)
            of_weights = found.error + centre * (found.error + found.mean) + found.lost
            error = min(error, of_weights * (1.0 + 8 * ULP))
        return cls(gradient.ravel(), error)

    @property
    def roundings(self) -> float:
        """What sums over its entries round, relative to the sums of magnitudes."""
        return (self.x.size + 8) * ULP

    @property
    def scale(self) -> float:
        """The largest entry, by which the others are divided so that no square is too small or too large."""
        return float(np.abs(self.x).max())

    def length(self) -> tuple[float, float]:
        """Return the Euclidean length and a bound on its error."""
        scale = self.scale
        if scale == 0.0:
            return 0.0, self.error
        length = scale * float(np.linalg.norm(self.x / scale))
        return length, self.error + self.roundings * length + LEAST

    def times(self, other: _Vector) -> tuple[float, float]:
        """Return the inner product and a bound on its error, by Cauchy and Schwarz."""
        (length, _), (other_length, _) = self.length(), other.length()
        error = length * other.error + self.error * (other_length + other.error)
        with np.errstate(over="ignore", invalid="ignore"):  # beyond all doubles, with an infinite bound
            product, size = float(self.x @ other.x), float(np.abs(self.x) @ np.abs(other.x))
        rounding = self.roundings * size + self.x.size * LEAST
        return product, (error + rounding) * (1.0 + 2 * self.roundings)

    def cosine(self, other: _Vector) -> tuple[float | None, float]:
        """Return the cosine of the angle and a bound on its error.

        If x is off by e, x / |x| is off by at most 2 |e| / |x|, where |x| may be the length of either.
        """
        (length, _), (other_length, _) = self.length(), other.length()
        if not (length > 2.0 * self.error and other_length > 2.0 * other.error):
            return None, 0.0
        product = (self.x / self.scale) @ (other.x / other.scale)
        cosine = float(product / (length / self.scale) / (other_length / other.scale))
        error = 2.0 * (self.error / length + other.error / other_length) + 4.0 * self.roundings
        return min(max(cosine, -1.0), 1.0), error * (1.0 + 2 * self.roundings)

    def minus(self, other: _Vector) -> _Vector:
        """Return the difference."""
        difference = self.x - other.x
        rounding = ULP * float(np.linalg.norm(difference)) if difference.any() else 0.0
        return _Vector(difference, (self.error + other.error + rounding) * (1.0 + 4 * ULP))

    def length_in(self, unit: _Vector) -> tuple[float | None, float]:
        """Return the length, divided by that of another vector, and a bound on the error of this ratio."""
        (length, error), (whole, whole_error) = self.length(), unit.length()
        if not whole > 2.0 * whole_error:
            return None, 0.0
        ratio = length / whole
        return ratio, (error + ratio * whole_error) / (whole - whole_error) * (1.0 + 8 * ULP) + ULP * ratio
