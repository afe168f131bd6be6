"""Policy evaluation: what a policy is worth in each kind of task (theory 2.1-2.3, 2.6, 3.1, 3.2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike

from rlcore import _core
from rlcore.arguments import as_batch, as_callback, as_num_threads, as_tolerance
from rlcore.certificates import certificate_of, check_converged
from rlcore.certified_sums import weighted_sum
from rlcore.errors import InputError, ModelError, PolicyError
from rlcore.finite_horizon import FiniteHorizonEvaluation, evaluate_finite_horizon
from rlcore.mdp import MDP, as_mdp
from rlcore.results import Evaluation, Progress
from rlcore.settings import Average, Discounted, Episodic, FiniteHorizon, Setting, as_setting


@overload
def evaluate(
    mdp: MDP,
    policy: ArrayLike,
    setting: FiniteHorizon,
    *,
    tol: float = 1e-9,
    reward: ArrayLike | None = None,
    num_threads: int | None = None,
    progress: Callable[[Progress], object] | None = None,
    explain: bool = False,
    raise_on_failure: bool = True,
) -> FiniteHorizonEvaluation: ...
@overload
def evaluate(
    mdp: MDP,
    policy: ArrayLike,
    setting: Discounted | Episodic | Average | float,
    *,
    tol: float = 1e-9,
    reward: ArrayLike | None = None,
    num_threads: int | None = None,
    progress: Callable[[Progress], object] | None = None,
    explain: bool = False,
    raise_on_failure: bool = True,
) -> Evaluation: ...
def evaluate(
    mdp: MDP,
    policy: ArrayLike,
    setting: Setting | float,
    *,
    tol: float = 1e-9,
    reward: ArrayLike | None = None,
    num_threads: int | None = None,
    progress: Callable[[Progress], object] | None = None,
    explain: bool = False,
    raise_on_failure: bool = True,
) -> Evaluation | FiniteHorizonEvaluation:
    """Find V, Q, A and the start value of a policy, each with a proven error bound.

    Discounted: V solves V = r_pi + gamma P_pi V; Q(s,a) = r(s,a) + gamma sum_s' P(s'|s,a) V(s'); A = Q - V;
    eta = rho0^T V. Episodic: the same with gamma = 1, for a process that ends. Average: V is the bias h, which solves
    h = r_pi - g + P_pi h with P* h = 0, and g the gain of each state; Q(s,a) = r(s,a) - g + sum_s' P(s'|s,a) h(s').

    Parameters
    ----------
    mdp
        The model.
    policy
        pi(a|s) of shape ``mdp.pair_shape``, or a batch ``(B, *pair_shape)``, which gives every field of the
        result a leading axis.
    setting
        ``Discounted(gamma)``, or just gamma; ``Episodic()``; ``Average()``; or ``FiniteHorizon(steps)``, which returns
        values for every time.
    tol
        The error of V asked for, relative to max|V|; 0 for the best attainable. Average: relative to the larger of
        max|h| and max|r|.
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
        ``.on_policy_objective``, ``.certificate``; in the units of the reward. Episodic: ``.proper``, and NaN where a
        value does not exist because the policy may go on for ever. Average: ``.gain`` and ``.bias``; no start value,
        and no Q and A if there are several recurrent classes.

    Raises
    ------
    PolicyError
        If the policy has the wrong shape or is not a distribution in every state.
    ModelError
        If `reward` has the wrong shape or is not finite.
    SettingError
        If gamma is not in [0, 1), or a process that can end is asked for its average.
    ImproperPolicyError
        Episodic: if the model's start distribution reaches states in which the policy may stay for ever.
    ConvergenceError
        If `tol` could not be certified; ``.result`` holds the best answer.

    Notes
    -----
    Theory 2.1-2.3, 2.6, 3.1 and 3.2; Puterman 1994, chapters 6 and 8.

    Examples
    --------
    >>> import rlcore as rl
    >>> mdp = rl.gallery.forest()
    >>> ev = rl.evaluate(mdp, rl.uniform_policy(mdp), rl.Discounted(0.9))
    >>> round(ev.start_value, 10)
    7.9672916667
    >>> bool(ev.certificate.error_bound < 1e-9 * ev.value.max())
    True
    >>> rl.evaluate(mdp, rl.uniform_policy(mdp), rl.Average()).gain.round(7)
    array([0.73125, 0.73125, 0.73125])
    """
    mdp = as_mdp(mdp)
    found_setting = as_setting(setting, "evaluate")
    if isinstance(found_setting, FiniteHorizon):
        return evaluate_finite_horizon(
            mdp,
            policy,
            found_setting,
            tol=tol,
            reward=reward,
            num_threads=num_threads,
            progress=progress,
            explain=explain,
            raise_on_failure=raise_on_failure,
        )
    tolerance = as_tolerance(tol)
    threads = as_num_threads(num_threads)
    policies, lead = as_batch(policy, mdp.pair_shape, "policy", PolicyError)
    rewards = None
    if reward is not None:
        rewards, more = as_batch(reward, mdp.pair_shape, "reward", ModelError)
        lead += more
    try:
        function, details = _function_for(found_setting)
        found = function(mdp._core, policies, rewards, lead, *details, tolerance, threads, as_callback(progress))
    except InputError as error:
        raise mdp.located(error) from None

    bounds = _bounds(found)
    value, gain = found.value, found.gain

    def find_objective() -> tuple[Any, Any]:
        if gain is not None:
            return _mean_gain(mdp, gain, bounds["gain"])
        return _on_policy_objective(mdp, policies, found_setting, tol, num_threads, value, bounds["value"])

    result = Evaluation(
        value,
        found.action_value,
        found.advantage,
        found.start_value,
        certificate_of(found.certificate, found.value_bound, bounds, explain),
        find_objective if mdp.initial is not None else None,
        found.proper,
        gain,
        _remainders={"action_value": found.rest_of_action_value, "advantage": found.rest_of_advantage},
    )
    if raise_on_failure:
        check_converged(result, tolerance, "evaluate", "max|V|")
    return result


def _function_for(setting: Setting) -> tuple[Callable[..., _core.EvaluationFields], tuple[float, ...]]:
    """Return the core's function for a setting, and what it needs to know of it."""
    if isinstance(setting, Discounted):
        return _core.evaluate, (setting.gamma,)
    functions = {Episodic: _core.evaluate_episodic, Average: _core.evaluate_average}
    return functions[type(setting)], ()


def _bounds(found: _core.EvaluationFields) -> dict[str, Any]:
    """Name the bounds of what there is."""
    bounds = {"value": found.value_bound}
    if found.action_value is not None:
        bounds |= {"action_value": found.action_value_bound, "advantage": found.advantage_bound}
    if found.start_value is not None:
        bounds["start_value"] = found.start_value_bound
    if found.gain is not None:
        bounds["gain"] = found.gain_bound
    return bounds


def _mean_gain(mdp: MDP, gain: Any, gain_bound: Any) -> tuple[Any, Any]:
    """Form rho0^T g and its bound."""
    start = np.broadcast_to(np.asarray(mdp.initial), gain.shape)
    objective, bound = weighted_sum(start, 0.0, gain, gain_bound)
    if gain.ndim == 1:
        return float(objective), float(bound)
    return objective, bound


def _on_policy_objective(
    mdp: MDP, policies: Any, setting: Setting, tol: float, num_threads: int | None, value: Any, value_bound: Any
) -> tuple[Any, Any]:
    """Form sum_s d(s) V(s) and its bound: |d V - d^ V^| <= ||d - d^||_1 max|V^| + ||d||_1 max|V - V^|."""
    from rlcore.occupancy import occupancy

    found = occupancy(mdp, policies, setting, tol=tol, num_threads=num_threads, raise_on_failure=False)
    # A batch of rewards stands behind the batch of policies: (B, S) meets (B, R, S).
    state, state_bound = found.state, found.certificate.bounds["state"]
    batched = policies.ndim > len(mdp.pair_shape) and policies.shape != (mdp.num_pairs,)
    if batched and value.ndim == 3:
        state, state_bound = state[:, None, :], np.asarray(state_bound)[:, None]
    objective, bound = weighted_sum(state, state_bound, value, value_bound)
    if value.ndim == 1:
        return float(objective), float(bound)
    return objective, bound
