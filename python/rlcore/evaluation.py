"""Policy evaluation: what a policy is worth (theory 2.1-2.3, 2.6)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from rlcore import _core
from rlcore.arguments import as_batch, as_callback, as_num_threads, as_tolerance
from rlcore.certificates import certificate_of, check_converged
from rlcore.errors import InputError, ModelError, PolicyError
from rlcore.mdp import MDP, as_mdp
from rlcore.results import Evaluation, Progress
from rlcore.settings import Discounted, as_discounted


def evaluate(
    mdp: MDP,
    policy: ArrayLike,
    setting: Discounted | float,
    *,
    tol: float = 1e-9,
    reward: ArrayLike | None = None,
    num_threads: int | None = None,
    progress: Callable[[Progress], object] | None = None,
    explain: bool = False,
    raise_on_failure: bool = True,
) -> Evaluation:
    """Find V, Q, A and the start value of a policy, each with a proven error bound.

    V solves V = r_pi + gamma P_pi V; Q(s,a) = r(s,a) + gamma sum_s' P(s'|s,a) V(s'); A = Q - V; eta = rho0^T V.

    Parameters
    ----------
    mdp
        The model.
    policy
        pi(a|s) of shape ``mdp.pair_shape``, or a batch ``(B, *pair_shape)``, which gives every field of the
        result a leading axis.
    setting
        ``Discounted(gamma)``, or just gamma.
    tol
        The error of V asked for, relative to max|V|; 0 for the best attainable.
    reward
        r(s,a) in place of the model's, of shape ``mdp.pair_shape``, or a batch ``(R, *pair_shape)``: the result has
        leading axes (B, R), or (R,) for one policy.
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
    Evaluation
        ``.value`` (S,), ``.action_value`` and ``.advantage`` (pair shape), ``.start_value``,
        ``.on_policy_objective``, ``.certificate``; in the units of the reward.

    Raises
    ------
    PolicyError
        If the policy has the wrong shape or is not a distribution in every state.
    ModelError
        If `reward` has the wrong shape or is not finite.
    SettingError
        If gamma is not in [0, 1).
    ConvergenceError
        If `tol` could not be certified; ``.result`` holds the best answer.

    Notes
    -----
    Theory 2.1-2.3 and 2.6; Puterman 1994, chapter 6.

    Examples
    --------
    >>> import rlcore as rl
    >>> mdp = rl.gallery.forest()
    >>> ev = rl.evaluate(mdp, rl.uniform_policy(mdp), rl.Discounted(0.9))
    >>> round(ev.start_value, 10)
    7.9672916667
    >>> bool(ev.certificate.error_bound < 1e-9 * ev.value.max())
    True
    """
    mdp = as_mdp(mdp)
    gamma = as_discounted(setting).gamma
    tolerance = as_tolerance(tol)
    threads = as_num_threads(num_threads)
    policies, lead = as_batch(policy, mdp.pair_shape, "policy", PolicyError)
    rewards = None
    if reward is not None:
        rewards, more = as_batch(reward, mdp.pair_shape, "reward", ModelError)
        lead += more
    try:
        found = _core.evaluate(mdp._core, policies, rewards, lead, gamma, tolerance, threads, as_callback(progress))
    except InputError as error:
        raise mdp.located(error) from None

    bounds = {
        "value": found.value_bound,
        "action_value": found.action_value_bound,
        "advantage": found.advantage_bound,
    }
    if found.start_value is not None:
        bounds["start_value"] = found.start_value_bound
    value = found.value

    def find_objective() -> tuple[Any, Any]:
        return _on_policy_objective(mdp, policies, gamma, tol, num_threads, value, bounds["value"])

    result = Evaluation(
        value,
        found.action_value,
        found.advantage,
        found.start_value,
        certificate_of(found.certificate, found.value_bound, bounds, explain),
        find_objective,
    )
    if raise_on_failure:
        check_converged(result, tolerance, "evaluate", "max|V|")
    return result


def _on_policy_objective(
    mdp: MDP, policies: Any, gamma: float, tol: float, num_threads: int | None, value: Any, value_bound: Any
) -> tuple[Any, Any]:
    """Form sum_s d(s) V(s) and its bound: |d V - d^ V^| <= ||d - d^||_1 max|V^| + ||d||_1 max|V - V^|."""
    from rlcore.occupancy import occupancy

    found = occupancy(mdp, policies, gamma, tol=tol, num_threads=num_threads)
    # A batch of rewards stands behind the batch of policies: (B, S) meets (B, R, S).
    state, state_bound = found.state, found.certificate.bounds["state"]
    batched = policies.ndim > len(mdp.pair_shape) and policies.shape != (mdp.num_pairs,)
    if batched and value.ndim == 3:
        state, state_bound = state[:, None, :], np.asarray(state_bound)[:, None]
    objective = (state * value).sum(axis=-1)
    largest = np.abs(value).max(axis=-1)
    mass = state.sum(axis=-1) + state_bound
    rounding = (mdp.num_states + 2) * np.finfo(float).eps * mass * largest
    bound = state_bound * (largest + value_bound) + mass * value_bound + rounding
    if value.ndim == 1:
        return float(objective), float(bound)
    return objective, bound
