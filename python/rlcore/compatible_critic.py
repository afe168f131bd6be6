"""The critic that is linear in the scores, with which the policy gradient stays exact (theory 4.2)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse
from scipy.sparse.linalg import LinearOperator, lsmr

from rlcore.certificates import check_converged
from rlcore.enclosure import ULP
from rlcore.families import Family
from rlcore.family_on_model import ROW_TOLERANCE, DirectOnModel, FamilyOnModel, TabularOnModel
from rlcore.gradient import certificate_of_both, gradient_with_error
from rlcore.gradient_base import GradientBase, gradient_base
from rlcore.mdp import MDP
from rlcore.over_actions import over_pairs, sum_over_actions
from rlcore.results import Certificate, FloatArray, Progress
from rlcore.settings import Average, Discounted, Episodic

# The singular values of sqrt(d pi) psi are found where that takes some seconds and 256 MB at most, and is never in one
# library call for more than a second.
MOST_PARAMETERS = 512
MOST_WORK = 2**33
MOST_SCORES = 2**25

# Rows that are reduced to a triangle at a time.
MOST_ROWS = 2**14

# Beyond it, least squares are solved by products with the scores, to this accuracy and in at most so many steps.
ACCURACY = 1e-14
MOST_STEPS = 20_000


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class CompatibleCritic:
    """The critic Q_w = w . psi nearest to Q (theory 4.2).

    Attributes
    ----------
    weights
        w of the least norm, of the shape of the parameters.
    action_value
        Q_w, the shape of a policy.
    mean_squared_error
        E_{d,pi}[(Q - Q_w)^2].
    rank
        That of the Fisher matrix: how many directions of the parameters change the policy where it goes. None if it was
        not found, since there are too many parameters.
    natural_gradient
        F^+ grad J (theory 4.3), of the shape of the parameters.
    gradient
        The gradient with Q_w in place of Q.
    certificate
        ``bounds["gradient"]`` bounds how far ``gradient`` can be from the exact gradient, in the sup norm: that it is
        rounding shows the theorem. Bounds of "weights" and "natural_gradient" are infinite where the Fisher matrix is
        singular to working precision, and where the rank was not found.
    """

    weights: FloatArray
    action_value: FloatArray
    mean_squared_error: float
    rank: int | None
    natural_gradient: FloatArray
    gradient: FloatArray
    certificate: Certificate

    def __repr__(self) -> str:
        return (
            f"CompatibleCritic(weights of shape {self.weights.shape}, rank={self.rank}, "
            f"mean_squared_error={self.mean_squared_error:.6g}, {self.certificate!r})"
        )


def compatible_critic(
    mdp: MDP,
    family: Family,
    setting: Discounted | Episodic | Average | float,
    *,
    tol: float = 1e-9,
    num_threads: int | None = None,
    progress: Callable[[Progress], object] | None = None,
    raise_on_failure: bool = True,
) -> CompatibleCritic:
    """Fit the critic that is linear in the scores, and show that the gradient with it is exact.

    w minimises E_{d,pi}[(Q - w . psi)^2], with the d of the policy's own start distribution; of several, the shortest.

    Parameters
    ----------
    mdp, family, setting, tol, num_threads, progress, raise_on_failure
        As in `policy_gradient`.

    Returns
    -------
    CompatibleCritic
        ``.weights``, ``.action_value`` = Q_w, ``.mean_squared_error``, ``.rank``, ``.natural_gradient``,
        ``.gradient`` (with Q_w in place of Q), ``.certificate``.

    Raises
    ------
    PolicyError
        As in `policy_gradient`, and for `Direct` where pi = 0: there are no scores.
    ModelError, SettingError, ImproperPolicyError
        As in `policy_gradient`.
    ConvergenceError
        If `tol` could not be certified, or the gradient with the critic misses it; ``.result`` holds the best answer.

    Notes
    -----
    Theory 4.2 and 4.3; Sutton et al. 2000, theorem 2. With a parameter for each pair the fit is exact: for tabular
    softmax w = A minus its mean over the actions that the policy takes. Otherwise sqrt(d pi) psi is reduced to a
    triangle, whose singular values below max(num_pairs, K) ulp of the largest count as 0. With many parameters w is
    found by LSMR (Fong & Saunders 2011), from products with the scores alone.

    Examples
    --------
    >>> import rlcore as rl
    >>> corridor = rl.gallery.short_corridor()
    >>> right = [[[0.0], [1.0]]] * corridor.num_states
    >>> critic = rl.compatible_critic(corridor, rl.LinearSoftmax(right, [0.0]), rl.Episodic())
    >>> critic.gradient.round(9), critic.rank
    (array([2.]), 1)
    """
    base = gradient_base(mdp, family, setting, "compatible_critic", tol, num_threads, progress)
    found = critic_of(base, tol)
    if raise_on_failure:
        check_converged(found, tol, "compatible_critic", "sum rho max |A|")
    return found


def critic_of(base: GradientBase, tol: float) -> CompatibleCritic:
    """Fit the critic of a policy whose values and visits are known."""
    on_model = base.family
    fit = _fit(base)
    q_w = on_model.scores_product(fit.weights)
    exact, exact_error = gradient_with_error(base)
    gradient, rounding = _gradient_with(base, fit.weights, q_w)
    missed = float(np.abs(gradient - exact).max())
    natural = base.visits_per_share * fit.weights
    mse, mse_error = _mean_squared_error(base, q_w)
    weights_error = (
        fit.error if fit.error is not None else _error_of_weights(base, fit, missed + exact_error + rounding)
    )
    bounds = {
        "weights": weights_error,
        "mean_squared_error": mse_error,
        "natural_gradient": _error_of_natural(base, weights_error, natural),
        "gradient": (missed + exact_error) * (1.0 + 2 * ULP),
    }
    certificate = certificate_of_both(base, bounds["gradient"], bounds, tol)
    limit = max(tol, 64 * ULP) * base.advantages.scale * float(on_model.largest_scores.max())
    if not missed <= limit + exact_error:
        certificate = Certificate(
            certificate.error_bound,
            bounds,
            certificate.residual,
            "stalled",
            certificate.method,
            certificate.iterations,
        )
    shape = on_model.parameter_shape
    return CompatibleCritic(
        fit.weights.reshape(shape),
        q_w.reshape(base.mdp.pair_shape),
        mse,
        fit.rank,
        natural.reshape(shape),
        gradient,
        certificate,
    )


# ---- least squares ----


class _Fit(NamedTuple):
    weights: FloatArray  # flat
    rank: int | None
    least: float  # a lower bound on the least singular value of sqrt(d pi) psi; 0 if it may be singular
    error: float | None = None  # bounds the error of each weight, where it is known beforehand


def _fit(base: GradientBase) -> _Fit:
    on_model = base.family
    if isinstance(on_model, TabularOnModel):
        return _fit_of_preferences(base)
    if isinstance(on_model, DirectOnModel):
        return _fit_of_probabilities(base)
    pairs, parameters = base.mdp.num_pairs, on_model.parameter_shape[0]
    few = parameters <= MOST_PARAMETERS and pairs * parameters <= MOST_SCORES
    if few and pairs * parameters**2 <= MOST_WORK:
        return _fit_by_singular_values(base)
    return _fit_by_products(base)


def _fit_of_preferences(base: GradientBase) -> _Fit:
    """Tabular softmax: A, minus its mean over the actions that the policy takes, fits exactly."""
    policy = base.family.policy
    a, a_error = _known(base.evaluation.advantage), float(base.bounds["advantage"])
    taken = (policy > 0.0) & over_pairs(base.mdp, base.visited)
    actions = np.maximum(sum_over_actions(base.mdp, taken.astype(np.int64)), 1)
    mean = sum_over_actions(base.mdp, np.where(taken, a, 0.0)) / actions
    weights = np.where(taken, a - over_pairs(base.mdp, mean), 0.0)
    rounding = (int(actions.max()) + 4) * ULP * float(np.abs(a[taken]).max(initial=0.0))
    rank = int((actions - 1).sum())
    return _Fit(weights, rank, 0.0, 2.0 * a_error + rounding)


def _fit_of_probabilities(base: GradientBase) -> _Fit:
    """Direct parameters: w / pi = Q."""
    visited = over_pairs(base.mdp, base.visited)
    q = _known(base.evaluation.action_value)
    base.family.scores_product(q)  # an error where pi = 0
    weights = np.where(visited, base.family.policy * q, 0.0)
    error = (float(base.bounds["action_value"]) + 2 * ULP * float(np.abs(q).max())) * (1.0 + 1e-9)
    return _Fit(weights, int(np.count_nonzero(visited)), 0.0, error)


def _fit_by_singular_values(base: GradientBase) -> _Fit:
    """Reduce [sqrt(d pi) psi, sqrt(d pi) A] to a triangle, and solve that by its singular values."""
    triangle = _triangle(base)
    u, sigma, vt = np.linalg.svd(triangle[:, :-1], full_matrices=False)
    cut = max(base.mdp.num_pairs, vt.shape[1]) * ULP * float(sigma.max(initial=0.0))
    kept = sigma > cut
    weights = vt[kept].T @ ((u[:, kept].T @ triangle[:, -1]) / sigma[kept])
    rank = int(np.count_nonzero(kept))
    # Householder reflections are off by so many roundings of the whole matrix (Higham 2002, 19.3), and so are these.
    backward = 8.0 * base.mdp.num_pairs * weights.size**1.5 * ULP * float(sigma.max(initial=0.0))
    return _Fit(weights, rank, max(float(sigma.min()) - backward, 0.0) if rank == weights.size else 0.0)


def _triangle(base: GradientBase) -> FloatArray:
    scores: Any = base.family.score_matrix()
    root = np.sqrt(base.measure)
    right = root * _known(base.evaluation.advantage)
    triangle: Any = np.empty((0, scores.shape[1] + 1))
    step = max(MOST_ROWS, 4 * scores.shape[1])
    for first in range(0, len(root), step):
        rows = slice(first, first + step)
        block = scores[rows].toarray() if scipy.sparse.issparse(scores) else scores[rows]
        weighted = np.column_stack([root[rows, None] * block, right[rows]])
        triangle = np.linalg.qr(np.vstack([triangle, weighted]), mode="r")
    found: FloatArray = triangle
    return found


def _fit_by_products(base: GradientBase) -> _Fit:
    """Solve the same least squares from products with the scores alone."""
    on_model: FamilyOnModel = base.family
    root = np.sqrt(base.measure)
    weighted = LinearOperator(
        (base.mdp.num_pairs, on_model.parameter_shape[0]),
        matvec=lambda v: root * on_model.scores_product(v),
        rmatvec=lambda w: on_model.scores_transposed(root * w),
        dtype=np.float64,
    )
    right = root * _known(base.evaluation.advantage)
    weights = lsmr(weighted, right, atol=ACCURACY, btol=ACCURACY, conlim=0.0, maxiter=MOST_STEPS)[0]
    return _Fit(weights, None, 0.0)


# ---- what is proven ----


def _gradient_with(base: GradientBase, weights: FloatArray, q_w: FloatArray) -> tuple[FloatArray, float]:
    """Form psi^T rho pi Q_w, and bound how far it is from that of the weights, exactly."""
    family = base.family
    weighted = over_pairs(base.mdp, base.visits) * family.policy * q_w
    size = float(np.abs(weighted).sum()) * (1.0 + weighted.size * ULP)
    of_weights = base.visits_error * float(np.abs(q_w).max(initial=0.0)) + base.mass * family.product_rounding(weights)
    errors = family.largest_scores * (of_weights + 4 * ULP * size) + family.rounding_per_weight * size
    return family.scores_transposed(weighted), float(np.max(errors)) * (1.0 + 2 * ROW_TOLERANCE)


def _mean_squared_error(base: GradientBase, q_w: FloatArray) -> tuple[float, float]:
    """Form E[(Q - Q_w)^2] and its bound: the error of the measure times the largest square, and that of Q."""
    measure, q_error = base.measure, float(base.bounds["action_value"])
    off = _known(base.evaluation.action_value) - q_w
    mse = float(measure @ off**2)
    largest = float(np.abs(off).max())
    each = q_error + ULP * largest
    mass = (float(measure.sum()) + base.measure_error) * (1.0 + measure.size * ULP)
    error = base.measure_error * (largest + each) ** 2 + mass * each * (2.0 * largest + each)
    return mse, (error + (measure.size + 4) * ULP * mse) * (1.0 + 16 * ULP)


def _error_of_weights(base: GradientBase, fit: _Fit, gradient_error: float) -> float:
    """Bound |w - w*| by the gradient: F (w - w*) is what it misses with Q_w, in visits per share.

    The least eigenvalue of F is at least that of the F that was reduced, less what the errors of the measure and of the
    scores can change.
    """
    largest = base.family.largest_scores
    mass = float(base.measure.sum()) * (1.0 + base.measure.size * ULP)
    changed = base.measure_error * float((largest**2).sum())
    changed += 2.0 * mass * float((largest * base.family.rounding_per_weight).sum())
    eigenvalue = fit.least**2 * (1.0 - 8 * ULP) - changed
    if eigenvalue <= 0.0:
        return float("inf")
    missed = float(np.sqrt(largest.size)) * gradient_error / base.visits_per_share
    return missed / eigenvalue * (1.0 + 16 * ULP)


def _error_of_natural(base: GradientBase, weights_error: float, natural: FloatArray) -> float:
    scale = base.visits_per_share
    scale_error = base.visits_error + base.mdp.num_states * ULP * scale if isinstance(base.setting, Episodic) else 0.0
    largest = float(np.abs(natural).max(initial=0.0))
    return (scale + scale_error) * weights_error + (scale_error / scale + 4 * ULP) * largest


def _known(x: FloatArray) -> FloatArray:
    """Return numbers of pairs with 0 where they do not exist: where the policy does not come."""
    flat = x.ravel()
    undefined = np.isnan(flat)
    return np.where(undefined, 0.0, flat) if undefined.any() else flat
