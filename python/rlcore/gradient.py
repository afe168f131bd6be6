"""Exact gradients of the return with respect to a policy's parameters (theory 4.1, 4.4)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rlcore.certificates import check_converged
from rlcore.enclosure import ULP
from rlcore.families import Family
from rlcore.gradient_base import GradientBase, gradient_base
from rlcore.mdp import MDP
from rlcore.results import Certificate, FloatArray, Progress, Status
from rlcore.settings import Average, Discounted, Episodic

# More than underflow leaves of an error where all rewards are zero.
NOTHING = 2.0**-1000


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class PolicyGradient:
    """How the return changes with the parameters of a policy (theory 4.1, 4.4).

    Attributes
    ----------
    gradient
        grad J, of the shape of the parameters.
    start_value
        J = rho0^T V, or None in `Average`.
    gain
        Average: J, the mean reward of a step in the long run; elsewhere None.
    certificate
        Error bounds of these, that of the gradient in the sup norm.
    """

    gradient: FloatArray
    start_value: float | None
    gain: float | None
    certificate: Certificate

    def __repr__(self) -> str:
        objective = f"start_value={self.start_value:.6g}" if self.gain is None else f"gain={self.gain:.6g}"
        return f"PolicyGradient(gradient of shape {self.gradient.shape}, {objective}, {self.certificate!r})"


def policy_gradient(
    mdp: MDP,
    family: Family,
    setting: Discounted | Episodic | Average | float,
    *,
    tol: float = 1e-9,
    num_threads: int | None = None,
    progress: Callable[[Progress], object] | None = None,
    raise_on_failure: bool = True,
) -> PolicyGradient:
    """Find the gradient of the return with respect to the parameters, with a proven error bound.

    grad J = sum_s rho(s) sum_a pi(a|s) psi(s,a) A(s,a), with the scores psi = grad log pi. Discounted and episodic:
    J = rho0^T V, with the visits rho or e. Average: J is the gain, with the share d of time and the differential A.

    Parameters
    ----------
    mdp
        The model, with a start distribution; Average needs none.
    family
        The policy and its parameters: `TabularSoftmax`, `LinearSoftmax`, `Direct` or `Scores`.
    setting
        ``Discounted(gamma)``, or just gamma; ``Episodic()``; or ``Average()``, for one recurrent class.
    tol
        The L1 error asked for of the weights rho pi A, whose product with the scores is the gradient, relative to
        sum rho max |A|; where all actions are equally good, to sum rho max |Q|. Models of up to 4096 states are solved
        until it is that small beside the largest weight, if that can be had. 0 for the best attainable.
    num_threads
        Threads to use; None for one per core. Every number gives bitwise the same answer.
    progress
        Called with a `Progress` some twenty times a second.
    raise_on_failure
        Raise `ConvergenceError` if `tol` cannot be certified; otherwise return the best answer, ``status`` "stalled".

    Returns
    -------
    PolicyGradient
        ``.gradient`` of the shape of the parameters, ``.start_value`` or ``.gain``, ``.certificate``.

    Raises
    ------
    PolicyError
        If the family does not fit the model, or the mean of scores is not 0 in every state.
    ModelError
        If there is no start distribution.
    SettingError
        If the setting is a finite horizon, if the policy has several recurrent classes in Average, or if a process
        that can end is asked for its average.
    ImproperPolicyError
        Episodic: if states in which the policy may stay for ever can be reached, or are reached by an action whose
        probability is 0 and a parameter of `Direct`.
    ConvergenceError
        If `tol` could not be certified; ``.result`` holds the best answer.

    Notes
    -----
    Theory 4.1 and 4.4; Sutton, McAllester, Singh & Mansour 2000. A stands in place of Q, of which a large constant
    would cancel; `Direct` parameters have rho Q, for probabilities that are 0 too. The gradient is that of the policy
    as it is stored: the softmax of theta, rounded.

    Examples
    --------
    In the short corridor, going right with the same probability everywhere is best with 2 - sqrt(2). At a half, dJ/dp
    is 8; the preference for it changes p by p (1 - p).

    >>> import rlcore as rl
    >>> corridor = rl.gallery.short_corridor()
    >>> right = [[[0.0], [1.0]]] * corridor.num_states
    >>> found = rl.policy_gradient(corridor, rl.LinearSoftmax(right, [0.0]), rl.Episodic())
    >>> found.gradient.round(9), round(found.start_value, 9)
    (array([2.]), -12.0)
    """
    base = gradient_base(mdp, family, setting, "policy_gradient", tol, num_threads, progress)
    gradient, error = gradient_with_error(base)
    objective, field, objective_error = objective_of(base)
    certificate = certificate_of_both(base, error, {"gradient": error, field: objective_error}, tol)
    average = field == "gain"
    result = PolicyGradient(gradient, None if average else objective, objective if average else None, certificate)
    if raise_on_failure:
        check_converged(result, tol, "policy_gradient", "sum rho max |A|")
    return result


def gradient_with_error(base: GradientBase) -> tuple[FloatArray, float]:
    """Form the gradient: the scores times rho pi A.

    The mean of A is taken out, so that a policy whose probabilities sum to 1 only up to rounding has the gradient 0
    where all actions are alike. The bound holds with and without it. What is taken out of features and scores, with
    the weights that are taken out, is rounded as the weights are.
    """
    family, found = base.family, base.advantages
    gradient, rounding = family.centred_product(found.weight, found.low)
    if family.one_parameter_for_each_pair:
        errors = (1.0 + family.largest_centre) * found.largest_error + family.largest_centre * found.largest_mean
    else:
        errors = family.largest_scores * found.error + family.largest_centre * found.rounding
        errors = errors + family.centring * found.mean
    errors = errors + rounding
    if base.start_defect > 0.0:
        errors = errors + base.start_defect * np.abs(gradient)
    return gradient, float(np.max(errors)) * (1.0 + 8 * ULP)


def objective_of(base: GradientBase) -> tuple[float, str, float]:
    """Return J, the name of its field and the bound on its error."""
    if isinstance(base.setting, Average):
        assert base.evaluation.gain is not None
        return float(base.evaluation.gain[0]), "gain", float(base.bounds["gain"])
    return float(base.evaluation.start_value), "start_value", float(base.bounds["start_value"])


def certificate_of_both(base: GradientBase, error_bound: float, bounds: dict[str, float], tol: float) -> Certificate:
    """Return the certificate of what is made of values and visits; "converged" means what `policy_gradient` says."""
    values, visits = base.evaluation.certificate, base.occupancy.certificate
    methods = dict.fromkeys([values.method, visits.method])
    return Certificate(
        error_bound,
        bounds,
        values.residual,
        _status(base, tol),
        ", ".join(methods),
        values.iterations + visits.iterations,
    )


def _status(base: GradientBase, tol: float) -> Status:
    if tol == 0.0:
        both = {base.evaluation.certificate.status, base.occupancy.certificate.status}
        return "converged" if both == {"converged"} else "stalled"
    found = base.advantages
    # Where all actions are as good as each other, A is what the rounding of Q leaves, and Q may be that of rewards.
    q = max(float(np.nanmax(np.abs(x), initial=0.0)) for x in (base.evaluation.action_value, base.mdp.reward))
    flat = found.scale <= found.from_values * (1.0 + 8 * ULP)
    aim = max(tol, 64 * ULP) * (base.mass * q if flat else found.scale)
    return "converged" if found.error <= max(aim, 64 * ULP * base.mass * q, NOTHING) else "stalled"
