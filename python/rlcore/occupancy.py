"""Where a policy goes in each kind of task (theory 2.4, 2.5, 2.7, 3.1, 3.2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import overload

import numpy as np
from numpy.typing import ArrayLike

from rlcore import _core
from rlcore.arguments import as_batch, as_callback, as_num_threads, as_single, as_states, as_tolerance
from rlcore.certificates import certificate_of, check_converged
from rlcore.errors import ArgumentError, InputError, ModelError, PolicyError
from rlcore.finite_horizon import FiniteHorizonOccupancy, occupancy_finite_horizon
from rlcore.mdp import MDP, as_mdp, start_of
from rlcore.results import CertifiedArray, Occupancy, Progress, certified_array
from rlcore.settings import Average, Discounted, Episodic, FiniteHorizon, Setting, as_discounted, as_setting


@overload
def occupancy(
    mdp: MDP,
    policy: ArrayLike,
    setting: FiniteHorizon,
    *,
    initial: ArrayLike | None = None,
    tol: float = 1e-9,
    num_threads: int | None = None,
    progress: Callable[[Progress], object] | None = None,
    explain: bool = False,
    raise_on_failure: bool = True,
) -> FiniteHorizonOccupancy: ...
@overload
def occupancy(
    mdp: MDP,
    policy: ArrayLike,
    setting: Discounted | Episodic | Average | float,
    *,
    initial: ArrayLike | None = None,
    tol: float = 1e-9,
    num_threads: int | None = None,
    progress: Callable[[Progress], object] | None = None,
    explain: bool = False,
    raise_on_failure: bool = True,
) -> Occupancy: ...
def occupancy(
    mdp: MDP,
    policy: ArrayLike,
    setting: Setting | float,
    *,
    initial: ArrayLike | None = None,
    tol: float = 1e-9,
    num_threads: int | None = None,
    progress: Callable[[Progress], object] | None = None,
    explain: bool = False,
    raise_on_failure: bool = True,
) -> Occupancy | FiniteHorizonOccupancy:
    """Find the occupancy of a policy, with a proven error bound.

    Discounted: rho^T = rho0^T (I - gamma P_pi)^-1, the expected discounted visits to each state; d = (1 - gamma) rho.
    Episodic: visits e^T = rho0^T (I - P_pi)^-1 to the end; d = e / sum e. Average: d^T = rho0^T P*, the share of time
    in the long run (the Cesaro limit, which exists for periodic chains too).

    Parameters
    ----------
    mdp
        The model.
    policy
        pi(a|s) of shape ``mdp.pair_shape``, or a batch ``(B, *pair_shape)``, which gives every field of the
        result a leading axis.
    setting
        ``Discounted(gamma)``, or just gamma; ``Episodic()``; ``Average()``; or ``FiniteHorizon(steps)``.
    initial
        rho0 in place of the model's, shape (S,), or a batch (I, S): the result has leading axes (B, I), or (I,) for
        one policy.
    tol
        The L1 error of the visits asked for, relative to their sum; 0 for the best attainable. Average: that of d.
    num_threads
        Threads to use; None for one per core. Every number gives bitwise the same answer.
    progress
        Called with a `Progress` some twenty times a second.
    explain
        Tell in ``certificate.story`` what was tried.
    raise_on_failure
        Raise `ConvergenceError` if `tol` cannot be certified; otherwise return the best answer, ``status`` "stalled".

    Returns
    -------
    Occupancy
        ``.visits`` = rho or e, None in Average, and ``.state`` = d (S,), ``.pair`` = d(s) pi(a|s) (pair shape),
        ``.certificate``.

    Raises
    ------
    ModelError
        If there is no start distribution, or it is not one.
    PolicyError
        If the policy has the wrong shape or is not a distribution in every state.
    SettingError
        If gamma is not in [0, 1), or a process that can end is asked for its average.
    ImproperPolicyError
        Episodic: if states in which the policy may stay for ever can be reached.
    ConvergenceError
        If `tol` could not be certified; ``.result`` holds the best answer.

    Notes
    -----
    Theory 2.5, 3.1 and 3.2; Puterman 1994, 6.9. The adjoint identity rho^T r_pi = rho0^T V (theory 2.6) ties it to
    `evaluate`.

    Examples
    --------
    >>> import rlcore as rl
    >>> mdp = rl.gallery.forest()
    >>> rl.occupancy(mdp, rl.uniform_policy(mdp), 0.9).visits.round(7)
    array([5.2833333, 2.4730833, 2.2435833])
    >>> rl.occupancy(mdp, rl.uniform_policy(mdp), rl.Average()).state.round(7)
    array([0.55  , 0.2475, 0.2025])
    """
    mdp = as_mdp(mdp)
    found_setting = as_setting(setting, "occupancy")
    if isinstance(found_setting, FiniteHorizon):
        return occupancy_finite_horizon(
            mdp,
            policy,
            found_setting,
            initial=initial,
            tol=tol,
            num_threads=num_threads,
            progress=progress,
            explain=explain,
            raise_on_failure=raise_on_failure,
        )
    tolerance = as_tolerance(tol)
    threads = as_num_threads(num_threads)
    policies, lead = as_batch(policy, mdp.pair_shape, "policy", PolicyError)
    initials, more = as_batch(start_of(mdp, initial, "occupancy"), (mdp.num_states,), "initial", ModelError)
    try:
        function, details = _function_for(found_setting)
        found = function(
            mdp._core, policies, initials, lead + more, *details, tolerance, threads, as_callback(progress)
        )
    except InputError as error:
        raise mdp.located(error) from None

    bounds = {"state": found.state_bound, "pair": found.pair_bound}
    if found.visits is not None:
        bounds["visits"] = found.visits_bound
    result = Occupancy(
        found.visits,
        found.state,
        found.pair,
        certificate_of(found.certificate, found.visits_bound, bounds, explain),
        {"visits" if found.visits is not None else "state": found.rest_of_visits},
    )
    if raise_on_failure:
        check_converged(result, tolerance, "occupancy", "the sum of the visits")
    return result


def _function_for(setting: Setting) -> tuple[Callable[..., _core.OccupancyFields], tuple[float, ...]]:
    """Return the core's function for a setting, and what it needs to know of it."""
    if isinstance(setting, Discounted):
        return _core.occupancy, (setting.gamma,)
    functions = {Episodic: _core.occupancy_episodic, Average: _core.occupancy_average}
    return functions[type(setting)], ()


def state_distribution(
    mdp: MDP,
    policy: ArrayLike,
    steps: int,
    *,
    initial: ArrayLike | None = None,
    num_threads: int | None = None,
    progress: Callable[[Progress], object] | None = None,
) -> CertifiedArray:
    """Find where the process is after 0, 1, ..., `steps` steps.

    Row t is Pr(s_t = .)^T = rho0^T P_pi^t. With termination a row sums to the probability of being still alive.

    Parameters
    ----------
    mdp
        The model.
    policy
        pi(a|s) of shape ``mdp.pair_shape``.
    steps
        The number of steps, at least 0.
    initial
        rho0 in place of the model's, shape (S,).
    num_threads
        Threads to use; None for one per core. Every number gives bitwise the same answer.
    progress
        Called with a `Progress` some twenty times a second.

    Returns
    -------
    CertifiedArray
        Shape (steps + 1, S); ``.certificate.bounds["state_distribution"]`` bounds the L1 error of each row.

    Raises
    ------
    ArgumentError
        If `steps` is not a whole number from 0 on.
    ModelError
        If there is no start distribution, or it is not one.
    PolicyError
        If the policy has the wrong shape or is not a distribution in every state.

    Notes
    -----
    Theory 2.4. Every step is formed in twofold precision from the stored model.

    Examples
    --------
    >>> import rlcore as rl
    >>> mdp = rl.gallery.forest()
    >>> rl.state_distribution(mdp, rl.uniform_policy(mdp), 2)[1].round(4)
    array([0.55, 0.15, 0.3 ])
    """
    mdp = as_mdp(mdp)
    count = _as_steps(steps, mdp)
    policies = as_single(policy, mdp.pair_shape, "policy", PolicyError)
    start = as_single(start_of(mdp, initial, "state_distribution"), (mdp.num_states,), "initial", ModelError)
    try:
        found = _core.state_distribution(
            mdp._core, policies, start, count, as_num_threads(num_threads), as_callback(progress)
        )
    except InputError as error:
        raise mdp.located(error) from None
    return _certified_rows(found, "state_distribution")


def successor_representation(
    mdp: MDP,
    policy: ArrayLike,
    gamma: Discounted | float,
    states: ArrayLike,
    *,
    tol: float = 1e-9,
    num_threads: int | None = None,
    progress: Callable[[Progress], object] | None = None,
    raise_on_failure: bool = True,
) -> CertifiedArray:
    """Find the expected discounted visits to every state from given states.

    The rows of (I - gamma P_pi)^-1 that belong to `states`.

    Parameters
    ----------
    mdp
        The model.
    policy
        pi(a|s) of shape ``mdp.pair_shape``.
    gamma
        The discount factor, or a `Discounted` setting.
    states
        Numbers of the states, shape (K,).
    tol
        The L1 error of each row asked for, relative to its sum; 0 for the best attainable.
    num_threads
        Threads to use; None for one per core. Every number gives bitwise the same answer.
    progress
        Called with a `Progress` some twenty times a second.
    raise_on_failure
        Raise `ConvergenceError` if `tol` cannot be certified; otherwise return the best answer, ``status`` "stalled".

    Returns
    -------
    CertifiedArray
        Shape (K, S); ``.certificate.bounds["successor_representation"]`` bounds the L1 error of each row.

    Raises
    ------
    ArgumentError
        If `states` are not states of the model.
    PolicyError
        If the policy has the wrong shape or is not a distribution in every state.
    SettingError
        If gamma is not in [0, 1).
    ConvergenceError
        If `tol` could not be certified; ``.result`` holds the best answer.

    Notes
    -----
    Theory 2.7; Dayan 1993.

    Examples
    --------
    >>> import rlcore as rl
    >>> mdp = rl.gallery.forest()
    >>> rl.successor_representation(mdp, rl.uniform_policy(mdp), 0.9, [0]).sum().round(9)
    np.float64(10.0)
    """
    mdp = as_mdp(mdp)
    discount = as_discounted(gamma).gamma
    tolerance = as_tolerance(tol)
    policies = as_single(policy, mdp.pair_shape, "policy", PolicyError)
    try:
        found = _core.successor_representation(
            mdp._core,
            policies,
            discount,
            as_states(states, mdp.num_states),
            tolerance,
            as_num_threads(num_threads),
            as_callback(progress),
        )
    except InputError as error:
        raise mdp.located(error) from None
    rows = _certified_rows(found, "successor_representation")
    if raise_on_failure:
        check_converged(rows, tolerance, "successor_representation", "the sum of a row")
    return rows


def _as_steps(steps: int, mdp: MDP) -> int:
    if isinstance(steps, bool) or not isinstance(steps, int | np.integer) or steps < 0:
        raise ArgumentError(f"steps: expected a whole number from 0 on, got {steps!r}")
    numbers = (int(steps) + 1) * mdp.num_states
    if numbers > 2**40:
        raise ArgumentError(f"steps: expected a table that fits in memory, got {steps}: {numbers * 8 / 2**30:.0f} GiB")
    return int(steps)


def _certified_rows(found: _core.StateRowsFields, field: str) -> CertifiedArray:
    bounds = {field: found.bounds}
    return certified_array(
        found.rows, certificate_of(found.certificate, float(found.bounds.max()), bounds, explain=False)
    )
