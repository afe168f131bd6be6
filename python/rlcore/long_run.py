"""Times of a policy's chain: to a state, to the end, to forgetting where it began (theory 3.1, 3.2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from rlcore import _core
from rlcore.arguments import as_callback, as_num_threads, as_single, as_states, as_tolerance
from rlcore.certificates import certificate_of, check_converged
from rlcore.errors import InputError, PolicyError
from rlcore.mdp import MDP, as_mdp
from rlcore.results import Certificate, CertifiedArray, Progress, certified_array


def first_passage_times(
    mdp: MDP,
    policy: ArrayLike,
    targets: ArrayLike | None = None,
    *,
    tol: float = 1e-9,
    num_threads: int | None = None,
    progress: Callable[[Progress], object] | None = None,
) -> CertifiedArray:
    """Find the mean first passage times to chosen states.

    m_ij is the expected number of steps from i until the process is in j: m_ij = 1 + sum_{k != j} P_pi(k|i) m_kj. On
    the diagonal stands the mean return time.

    Parameters
    ----------
    mdp
        The model.
    policy
        pi(a|s) of shape ``mdp.pair_shape``.
    targets
        State numbers j, shape (T,); None for all states. Each costs a solve.
    tol
        The error asked for, relative to the largest finite time to each target; 0 for the best attainable.
    num_threads
        Threads to use; None for one per core. Every number gives bitwise the same answer.
    progress
        Called with a `Progress` some twenty times a second.

    Returns
    -------
    CertifiedArray
        Shape (S, T), in steps; infinite where the process may never be in j, because it can end before or stay
        elsewhere. ``.certificate.error_bound`` has one bound for each target.

    Raises
    ------
    PolicyError
        If the policy has the wrong shape or is not a distribution in every state.
    ArgumentError
        If `targets` are not states of the model.
    ConvergenceError
        If `tol` could not be certified; ``.result`` holds the best answer.

    Notes
    -----
    Theory 3.2; Kemeny & Snell 1960, chapter 4. Any chain: several recurrent classes, transient targets.

    Examples
    --------
    >>> import rlcore as rl
    >>> mdp = rl.gallery.oz()
    >>> rl.first_passage_times(mdp, rl.uniform_policy(mdp)).round(7)
    array([[2.5      , 4.       , 3.3333333],
           [2.6666667, 5.       , 2.6666667],
           [3.3333333, 4.       , 2.5      ]])
    """
    mdp = as_mdp(mdp)
    chosen = np.arange(mdp.num_states) if targets is None else as_states(targets, mdp.num_states, "targets")
    found = _rows(mdp, policy, _core.first_passage_times, (chosen,), tol, num_threads, progress)
    return _certified(found.rows.T, found, tol, "first_passage_times", "the largest finite time")


def deviation_rows(
    mdp: MDP,
    policy: ArrayLike,
    states: ArrayLike | None = None,
    *,
    tol: float = 1e-9,
    num_threads: int | None = None,
    progress: Callable[[Progress], object] | None = None,
) -> CertifiedArray:
    """Find rows of the deviation matrix (I - P_pi + P*)^-1 - P*.

    Entry (i, j) is how many visits to j more than in the long run a start in i brings.

    Parameters
    ----------
    mdp
        The model; its process must never end under the policy.
    policy
        pi(a|s) of shape ``mdp.pair_shape``.
    states
        State numbers i, shape (R,); None for all states. Each costs a solve.
    tol
        The L1 error of a row asked for, relative to its L1 norm, or to 1 if that is less; 0 for the best attainable.
    num_threads
        Threads to use; None for one per core. Every number gives bitwise the same answer.
    progress
        Called with a `Progress` some twenty times a second.

    Returns
    -------
    CertifiedArray
        Shape (R, S), in visits. ``.certificate.error_bound`` has one bound for each row.

    Raises
    ------
    PolicyError
        If the policy has the wrong shape or is not a distribution in every state.
    SettingError
        If the process can end.
    ArgumentError
        If `states` are not states of the model.
    ConvergenceError
        If `tol` could not be certified; ``.result`` holds the best answer.

    Notes
    -----
    Theory 3.2; Puterman 1994, appendix A.6. Applied to the rewards it gives the bias.

    Examples
    --------
    >>> import rlcore as rl
    >>> mdp = rl.gallery.oz()
    >>> (75 * rl.deviation_rows(mdp, rl.uniform_policy(mdp), [0])).round(7)
    array([[ 56., -12., -44.]])
    """
    mdp = as_mdp(mdp)
    chosen = np.arange(mdp.num_states) if states is None else as_states(states, mdp.num_states)
    found = _rows(mdp, policy, _core.deviation_rows, (chosen,), tol, num_threads, progress)
    return _certified(found.rows, found, tol, "deviation_rows", "the L1 norm of a row")


def kemeny_constant(
    mdp: MDP,
    policy: ArrayLike,
    *,
    tol: float = 1e-9,
    num_threads: int | None = None,
    progress: Callable[[Progress], object] | None = None,
) -> CertifiedArray:
    """Find Kemeny's constant: the mean time to a state drawn from the stationary distribution.

    K = sum_j d_j m_ij over the recurrent states, with m_jj = 0: the same from every recurrent i.

    Parameters
    ----------
    mdp
        The model; its process must never end under the policy.
    policy
        pi(a|s) of shape ``mdp.pair_shape``.
    tol
        The error asked for, relative to K, or to 1 if that is less; 0 for the best attainable.
    num_threads
        Threads to use; None for one per core. Every number gives bitwise the same answer.
    progress
        Called with a `Progress` some twenty times a second.

    Returns
    -------
    CertifiedArray
        A number of shape (), in steps, with its ``.certificate``. It costs a solve for each recurrent state.

    Raises
    ------
    PolicyError
        If the policy has the wrong shape or is not a distribution in every state.
    SettingError
        If the process can end, or has several recurrent classes.
    ConvergenceError
        If `tol` could not be certified; ``.result`` holds the best answer.

    Notes
    -----
    Theory 3.2; Kemeny & Snell 1960, 4.4. It is trace((I - P + P*)^-1) - 1 for irreducible chains only.

    Examples
    --------
    >>> import rlcore as rl
    >>> mdp = rl.gallery.oz()
    >>> float(rl.kemeny_constant(mdp, rl.uniform_policy(mdp)).round(9))
    2.133333333
    """
    mdp = as_mdp(mdp)
    found = _rows(mdp, policy, _core.kemeny_constant, (), tol, num_threads, progress)
    return _certified(found.rows.reshape(()), found, tol, "kemeny_constant", "K")


def episode_length(
    mdp: MDP,
    policy: ArrayLike,
    *,
    tol: float = 1e-9,
    num_threads: int | None = None,
    progress: Callable[[Progress], object] | None = None,
) -> CertifiedArray:
    """Find the mean and the variance of the number of steps to the end.

    The mean t solves t = 1 + P_pi t, the second moment s = 2 t - 1 + P_pi s; the variance is s - t^2.

    Parameters
    ----------
    mdp
        The model.
    policy
        pi(a|s) of shape ``mdp.pair_shape``.
    tol
        The error of the moments asked for, relative to the largest of each; 0 for the best attainable.
    num_threads
        Threads to use; None for one per core. Every number gives bitwise the same answer.
    progress
        Called with a `Progress` some twenty times a second.

    Returns
    -------
    CertifiedArray
        Shape (2, S): the means, in steps, and the variances; NaN in states from which the policy may go on for ever.
        ``.certificate.error_bound`` has a bound for each row.

    Raises
    ------
    PolicyError
        If the policy has the wrong shape or is not a distribution in every state.
    ConvergenceError
        If `tol` could not be certified; ``.result`` holds the best answer.

    Notes
    -----
    Theory 3.1; Kemeny & Snell 1960, 3.3.

    Examples
    --------
    >>> import rlcore as rl
    >>> mdp = rl.gallery.drunkards_walk()
    >>> rl.episode_length(mdp, rl.uniform_policy(mdp))[0].round(7)
    array([3., 4., 3.])
    """
    mdp = as_mdp(mdp)
    found = _rows(mdp, policy, _core.episode_length, (), tol, num_threads, progress)
    return _certified(found.rows, found, tol, "episode_length", "the largest moment")


def _rows(
    mdp: MDP,
    policy: ArrayLike,
    function: Callable[..., _core.StateRowsFields],
    arguments: tuple[Any, ...],
    tol: float,
    num_threads: int | None,
    progress: Callable[[Progress], object] | None,
) -> _core.StateRowsFields:
    """Call a function of the core that returns rows over states."""
    pi = as_single(policy, mdp.pair_shape, "policy", PolicyError)
    tolerance = as_tolerance(tol)
    threads = as_num_threads(num_threads)
    try:
        return function(mdp._core, pi, *arguments, tolerance, threads, as_callback(progress))
    except InputError as error:
        raise mdp.located(error) from None


def _certified(array: Any, found: _core.StateRowsFields, tol: float, function: str, norm: str) -> CertifiedArray:
    bounds = found.bounds if array.ndim else float(found.bounds[0])
    certificate: Certificate = certificate_of(found.certificate, bounds, {function: bounds}, explain=False)
    result = certified_array(array, certificate)
    check_converged(result, tol, function, norm)
    return result
