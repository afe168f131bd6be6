"""How far a policy can be from an optimal one, and a value from the right one (theory 6, Convergence)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from rlcore.arguments import as_floats, as_single
from rlcore.enclosure import ULP, Enclosure
from rlcore.errors import ArgumentError, PolicyError
from rlcore.mdp import MDP, as_mdp
from rlcore.over_actions import max_over_actions, most_actions, sum_over_actions
from rlcore.settings import Discounted, as_setting


def npg_bound(step: float, setting: Discounted | float, iterations: int, actions: int) -> Enclosure:
    """Bound V* - V after some iterations of the natural policy gradient from the uniform policy.

    With rewards in [0, 1] and ``pi <- pi exp(step A)``, normalised, in every state:
    ``V* - V_T <= log|A| / (step (1 - gamma) T) + 1 / ((1 - gamma)^2 T)``.

    Parameters
    ----------
    step
        The step of the exponent, > 0.
    setting
        ``Discounted(gamma)``, or just gamma.
    iterations
        T >= 1.
    actions
        The largest number of actions of a state.

    Returns
    -------
    Enclosure
        The bound, between two numbers.

    Raises
    ------
    ArgumentError
        If a number is not positive.
    SettingError
        If the setting is not discounted.

    Notes
    -----
    Theory 6; Agarwal et al. 2021, theorem 16.

    Examples
    --------
    >>> import rlcore as rl
    >>> round(rl.npg_bound(1.0, 0.5, 10, 2).value, 12)
    0.538629436112
    """
    found = as_setting(setting, "npg_bound", Discounted)
    assert isinstance(found, Discounted)
    if not (np.isfinite(step) and step > 0.0):
        raise ArgumentError(f"step: expected a finite number above 0, got {step!r}")
    if not iterations >= 1:
        raise ArgumentError(f"iterations: expected at least 1, got {iterations!r}")
    if not actions >= 1:
        raise ArgumentError(f"actions: expected at least 1, got {actions!r}")
    horizon = 1.0 / (1.0 - found.gamma)
    bound = float(np.log(actions)) * horizon / (step * iterations) + horizon**2 / iterations
    return Enclosure.around(bound, 16 * ULP * bound)


def direct_parameter_bound(
    mdp: MDP, policy: ArrayLike, best_state: ArrayLike, state: ArrayLike, gradient: ArrayLike
) -> Enclosure:
    """Bound V*(rho0) - V(rho0) by the gradient in the probabilities themselves.

    ``max_s d*(s) / d(s) * max_pi~ <pi~ - pi, grad V>``, with 0/0 = 0 and x/0 = inf: where the policy never goes the
    gradient says nothing. The distributions and the gradient are taken as they are given.

    Parameters
    ----------
    mdp
        The model.
    policy
        pi(a|s), of shape ``mdp.pair_shape``.
    best_state, state
        d* of an optimal policy from the same start, and d, each of shape (S,).
    gradient
        The derivative rho(s) Q(s,a) of V(rho0) by pi(a|s), of shape ``mdp.pair_shape``.

    Returns
    -------
    Enclosure
        The bound, between two numbers; infinite if d is 0 where d* is not.

    Raises
    ------
    PolicyError
        If the policy has the wrong shape.
    ArgumentError
        If another argument has the wrong shape.

    Notes
    -----
    Theory 6; Agarwal et al. 2021, lemma 4.

    Examples
    --------
    >>> import rlcore as rl
    >>> mdp = rl.MDP([[1], [1]], [0, 1], pair_start=[0, 2])
    >>> rl.direct_parameter_bound(mdp, [[0.5, 0.5]], [1], [1], [[1, 3]]).value
    1.0
    """
    mdp = as_mdp(mdp)
    pi = as_single(policy, mdp.pair_shape, "policy", PolicyError).ravel()
    slope = as_single(gradient, mdp.pair_shape, "gradient", ArgumentError).ravel()
    best, d = (_per_state(x, name, mdp) for x, name in ((best_state, "best_state"), (state, "state")))
    if (best[d == 0.0] > 0.0).any():
        return Enclosure(np.inf, np.inf)
    ratio = np.divide(best, d, out=np.zeros_like(best), where=best > 0.0)
    most = max_over_actions(mdp, slope)
    promised = most - sum_over_actions(mdp, pi * slope)
    scale = np.abs(most) + sum_over_actions(mdp, np.abs(pi * slope))
    rounding = (mdp.num_pairs + 8) * ULP * float(scale.sum())
    bound = float(ratio.max()) * float(promised.sum())
    return Enclosure.around(bound, float(ratio.max()) * rounding * (1.0 + 4 * ULP) + 4 * ULP * abs(bound))


def simulation_bound(mdp: MDP, policy: ArrayLike, setting: Discounted | float, value: ArrayLike) -> Enclosure:
    """Bound how far a value, from another model or from anywhere else, is from the policy's value in this one.

    ``max |V - V^| <= max |r_pi + gamma P_pi V^ - V^| / (1 - gamma)``: the simulation lemma.

    Parameters
    ----------
    mdp
        The true model.
    policy
        pi(a|s), of shape ``mdp.pair_shape``.
    setting
        ``Discounted(gamma)``, or just gamma.
    value
        V^, of shape (S,).

    Returns
    -------
    Enclosure
        The bound, between two numbers.

    Raises
    ------
    PolicyError
        If the policy has the wrong shape.
    ArgumentError
        If the value has the wrong shape.
    SettingError
        If the setting is not discounted.

    Notes
    -----
    Theory 6 and 10.1; Kearns & Singh 2002.

    Examples
    --------
    >>> import rlcore as rl
    >>> mdp = rl.MDP([[1]], [1])
    >>> rl.simulation_bound(mdp, [[1]], 0.5, [1]).value                 # the value is 2
    1.0
    """
    mdp = as_mdp(mdp)
    found = as_setting(setting, "simulation_bound", Discounted)
    assert isinstance(found, Discounted)
    pi = as_single(policy, mdp.pair_shape, "policy", PolicyError).ravel()
    guess = _per_state(value, "value", mdp)
    reward = np.ravel(mdp.reward)
    after = mdp.transition @ guess
    residual = np.abs(sum_over_actions(mdp, pi * (reward + found.gamma * after)) - guess)
    scale = sum_over_actions(mdp, pi * (np.abs(reward) + mdp.transition @ np.abs(guess))) + np.abs(guess)
    terms = int(np.diff(mdp.transition.indptr).max()) + most_actions(mdp) + 6
    error = terms * ULP * scale
    horizon = 1.0 / (1.0 - found.gamma)
    low = max(float((residual - error).max()), 0.0) * horizon
    high = float((residual + error).max()) * horizon
    return Enclosure(low * (1.0 - 8 * ULP), high * (1.0 + 8 * ULP))


def _per_state(x: ArrayLike, name: str, mdp: MDP) -> np.ndarray:
    found = as_floats(x, name, ArgumentError)
    if found.shape != (mdp.num_states,):
        raise ArgumentError(f"{name}: expected one number for each state, shape ({mdp.num_states},), got {found.shape}")
    return found
