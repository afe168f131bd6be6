"""Natural gradients and Fisher matrices (theory 4.3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import ArrayLike

from rlcore.arguments import as_tolerance
from rlcore.certificates import check_converged
from rlcore.compatible_critic import critic_of
from rlcore.enclosure import ULP
from rlcore.errors import ArgumentError
from rlcore.families import Family, as_family
from rlcore.family_on_model import FamilyOnModel
from rlcore.gradient_base import LEAST, as_kind, gradient_base, visits_of
from rlcore.mdp import MDP, as_mdp
from rlcore.results import Certificate, CertifiedArray, FloatArray, Occupancy, Progress, certified_array
from rlcore.settings import Average, Discounted, Episodic

# Rows of scores that are multiplied at a time.
MOST_ROWS = 2**14


def natural_gradient(
    mdp: MDP,
    family: Family,
    setting: Discounted | Episodic | Average | float,
    *,
    tol: float = 1e-9,
    num_threads: int | None = None,
    progress: Callable[[Progress], object] | None = None,
    raise_on_failure: bool = True,
) -> CertifiedArray:
    """Find the natural gradient F^+ grad J, with the Fisher matrix F = E_{d,pi}[psi psi^T].

    It is w / (1 - gamma), w the weights of the compatible critic; Episodic: w times the expected length of an episode;
    Average: w.

    Parameters
    ----------
    mdp, family, setting, tol, num_threads, progress, raise_on_failure
        As in `policy_gradient`.

    Returns
    -------
    CertifiedArray
        The shape of the parameters. ``.certificate.bounds["natural_gradient"]`` bounds its error in the sup norm; it is
        infinite where F is singular to working precision, or has too many parameters for its singular values.
        ``bounds["gradient"]`` bounds by how much F times it misses grad J.

    Raises
    ------
    PolicyError, ModelError, SettingError, ImproperPolicyError, ConvergenceError
        As in `compatible_critic`.

    Notes
    -----
    Theory 4.3; Kakade 2002. F is never formed.

    Examples
    --------
    For tabular softmax it is A / (1 - gamma), up to a constant for each state.

    >>> import rlcore as rl
    >>> mdp = rl.gallery.forest()
    >>> rl.natural_gradient(mdp, rl.TabularSoftmax([[0, 0], [0, 0], [0, 0]]), 0.9).round(6)
    array([[  6.125625,  -6.125625],
           [ 11.250625, -11.250625],
           [ 26.250625, -26.250625]])
    """
    base = gradient_base(mdp, family, setting, "natural_gradient", tol, num_threads, progress)
    critic = critic_of(base, tol)
    if raise_on_failure:
        check_converged(critic, tol, "natural_gradient", "sum rho max |A|")
    found = critic.certificate
    bounds = {name: found.bounds[name] for name in ("natural_gradient", "gradient")}
    certificate = Certificate(
        bounds["natural_gradient"], bounds, found.residual, found.status, found.method, found.iterations
    )
    return certified_array(critic.natural_gradient, certificate)


def fisher_matrix(
    mdp: MDP,
    family: Family,
    setting: Discounted | Episodic | Average | float,
    *,
    memory: float = 2**30,
    tol: float = 1e-9,
    num_threads: int | None = None,
    progress: Callable[[Progress], object] | None = None,
    raise_on_failure: bool = True,
) -> CertifiedArray:
    """Form the Fisher matrix F = E_{d,pi}[psi psi^T].

    Parameters
    ----------
    mdp, family, setting, num_threads, progress, raise_on_failure
        As in `policy_gradient`.
    memory
        How many bytes the matrix may take.
    tol
        The L1 error of the visits asked for, relative to their sum; 0 for the best attainable.

    Returns
    -------
    CertifiedArray
        Shape (K, K), K the number of parameters; ``.certificate.error_bound`` bounds the error of each entry.

    Raises
    ------
    ArgumentError
        If the matrix would take more than `memory`; `fisher_vector_product` needs no matrix.
    PolicyError
        If the family does not fit the model, or has no scores: `Direct` where pi = 0.
    ModelError
        If there is no start distribution.
    SettingError
        If the setting is a finite horizon, or a process that can end is asked for its average.
    ImproperPolicyError
        Episodic: if states in which the policy may stay for ever can be reached.
    ConvergenceError
        If `tol` could not be certified; ``.result`` holds the best answer.

    Notes
    -----
    Theory 4.3. With several recurrent classes, `Average` takes the d of the start distribution.

    Examples
    --------
    >>> import rlcore as rl
    >>> corridor = rl.gallery.short_corridor()
    >>> right = [[[0.0], [1.0]]] * corridor.num_states
    >>> rl.fisher_matrix(corridor, rl.LinearSoftmax(right, [0.0]), rl.Episodic()).round(9)
    array([[0.25]])
    """
    on_model = as_family(family).on(as_mdp(mdp))
    size = int(np.prod(on_model.parameter_shape))
    needed = 8 * size**2
    if isinstance(memory, bool) or not isinstance(memory, float | int | np.floating | np.integer):
        raise ArgumentError(f"memory: expected a number of bytes, got {memory!r}")
    if needed > memory:
        raise ArgumentError(
            f"memory: expected a Fisher matrix of at most {memory / 2**30:.3g} GiB, got {size} parameters, hence "
            f"{needed / 2**30:.3g} GiB; pass a larger memory, or use fisher_vector_product, which needs no matrix"
        )
    visits = _visits(on_model, setting, "fisher_matrix", tol, num_threads, progress, raise_on_failure)
    matrix = _weighted_gram(on_model, visits.pair.ravel())
    largest = float(on_model.largest_scores.max())
    # A score is rounded in its mean and its difference, and a product in the sum over all pairs.
    each = float(on_model.product_rounding(np.ones(size)))
    mass, measure_error = _mass_and_error(on_model, visits)
    error = measure_error * largest**2 + mass * (
        2.0 * largest * each + each**2 + (len(visits.pair.ravel()) + 4) * ULP * largest**2
    )
    return _certified(matrix, error, "fisher_matrix", visits)


def fisher_vector_product(
    mdp: MDP,
    family: Family,
    setting: Discounted | Episodic | Average | float,
    vector: ArrayLike,
    *,
    tol: float = 1e-9,
    num_threads: int | None = None,
    progress: Callable[[Progress], object] | None = None,
    raise_on_failure: bool = True,
) -> CertifiedArray:
    """Form F v = E_{d,pi}[psi (psi . v)] without forming the Fisher matrix F.

    Parameters
    ----------
    mdp, family, setting, num_threads, progress, raise_on_failure
        As in `policy_gradient`.
    vector
        v, of the shape of the parameters, or flat.
    tol
        The L1 error of the visits asked for, relative to their sum; 0 for the best attainable.

    Returns
    -------
    CertifiedArray
        The shape of the parameters; ``.certificate.error_bound`` bounds the error of each number.

    Raises
    ------
    ArgumentError
        If the vector does not have a number for each parameter.
    PolicyError, ModelError, SettingError, ImproperPolicyError, ConvergenceError
        As in `fisher_matrix`.

    Notes
    -----
    Theory 4.3.

    Examples
    --------
    >>> import rlcore as rl
    >>> corridor = rl.gallery.short_corridor()
    >>> right = [[[0.0], [1.0]]] * corridor.num_states
    >>> rl.fisher_vector_product(corridor, rl.LinearSoftmax(right, [0.0]), rl.Episodic(), [2.0]).round(9)
    array([0.5])
    """
    on_model = as_family(family).on(as_mdp(mdp))
    along = on_model.scores_product(vector)
    visits = _visits(on_model, setting, "fisher_vector_product", tol, num_threads, progress, raise_on_failure)
    weight = visits.pair.ravel() * along
    product = on_model.scores_transposed(weight)
    mass, measure_error = _mass_and_error(on_model, visits)
    each = on_model.product_rounding(np.asarray(vector, dtype=np.float64))
    along_error = measure_error * float(np.abs(along).max()) + mass * (each + 2 * ULP * float(np.abs(along).max()))
    size = float(np.abs(weight).sum()) * (1.0 + weight.size * ULP)
    error = on_model.largest_scores * along_error + on_model.rounding_per_weight * size
    return _certified(product, float(error.max()), "fisher_vector_product", visits)


def _visits(
    on_model: FamilyOnModel,
    setting: Any,
    function: str,
    tol: float,
    num_threads: int | None,
    progress: Callable[[Progress], object] | None,
    raise_on_failure: bool,
) -> Occupancy:
    solving = {"num_threads": num_threads, "progress": progress, "raise_on_failure": False}
    found = visits_of(on_model, as_kind(setting, on_model.mdp, function), as_tolerance(tol), solving)
    if raise_on_failure:
        check_converged(found, tol, function, "the sum of the visits")
    return found


def _mass_and_error(on_model: FamilyOnModel, visits: Occupancy) -> tuple[float, float]:
    """Return bounds on the sum of d pi, and on its L1 error."""
    error = float(visits.certificate.bounds["pair"]) + on_model.mdp.num_pairs * LEAST
    pairs: FloatArray = visits.pair.ravel()
    return (float(pairs.sum()) + error) * (1.0 + pairs.size * ULP), error


def _weighted_gram(on_model: FamilyOnModel, measure: FloatArray) -> FloatArray:
    """Form psi^T diag(measure) psi."""
    scores: Any = on_model.score_matrix()
    if scipy.sparse.issparse(scores):
        sparse: FloatArray = (scores.T @ scipy.sparse.diags_array(measure) @ scores).toarray()
        return sparse
    total = np.zeros((scores.shape[1], scores.shape[1]))
    for first in range(0, len(measure), MOST_ROWS):
        rows = slice(first, first + MOST_ROWS)
        total += scores[rows].T @ (measure[rows, None] * scores[rows])
    return total


def _certified(array: Any, error: float, name: str, visits: Occupancy) -> CertifiedArray:
    bound = error * (1.0 + 32 * ULP)
    found = visits.certificate
    certificate = Certificate(bound, {name: bound}, found.residual, found.status, found.method, found.iterations)
    rows = np.asarray(array)
    rows.flags.writeable = False
    return certified_array(rows, certificate)
