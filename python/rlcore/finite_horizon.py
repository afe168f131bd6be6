"""A number of steps that is known beforehand, with a policy for each of them (theory 2.8)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from rlcore import _core
from rlcore.arguments import as_batch, as_callback, as_num_threads, as_single, as_tolerance
from rlcore.certificates import certificate_of, check_converged
from rlcore.errors import ArgumentError, InputError, ModelError, PolicyError
from rlcore.mdp import MDP, as_mdp, start_of
from rlcore.results import Certificate, FloatArray, Progress
from rlcore.settings import FiniteHorizon

MOST_NUMBERS = 2**37  # of a table: a terabyte

_Actions = tuple[FloatArray, FloatArray, Mapping[str, Any]]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class FiniteHorizonEvaluation:
    """What a policy, or a sequence of policies, is worth over a number of steps (theory 2.8).

    Attributes
    ----------
    value
        V, shape (steps + 1, S): row t is the expected sum of the rewards from time t on, those to come after it
        discounted from there; the last row is 0. With n steps to go it is ``value[steps - n]``.
    start_value
        rho0^T V at time 0, or None if the model has no start distribution.
    certificate
        Error bounds: of ``value``, ``action_value`` and ``advantage`` one for each time.
    """

    value: FloatArray
    start_value: float | None
    certificate: Certificate
    _find_actions: Callable[[], _Actions] = field(repr=False)
    _actions: list[_Actions] = field(default_factory=list, repr=False)

    @property
    def action_value(self) -> FloatArray:
        """Q, shape (steps, *pair_shape): row t is the worth of an action at time t.

        Found together with `advantage` when either is first asked for, by going through the steps once more.
        """
        return self._with_actions()[0]

    @property
    def advantage(self) -> FloatArray:
        """A = Q - V at each time, shape (steps, *pair_shape)."""
        return self._with_actions()[1]

    def _with_actions(self) -> _Actions:
        if not self._actions:
            found = self._find_actions()
            self.certificate.bounds.update(found[2])  # type: ignore[attr-defined]
            self._actions.append(found)
        return self._actions[0]

    def __repr__(self) -> str:
        start = "" if self.start_value is None else f", start_value={self.start_value:.6g}"
        first = self.value[0]
        return (
            f"FiniteHorizonEvaluation({len(self.value) - 1} steps, value at time 0: shape {first.shape}, from "
            f"{first.min():.6g} to {first.max():.6g}{start}, {self.certificate!r})"
        )


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class FiniteHorizonOccupancy:
    """Where a policy, or a sequence of policies, goes in a number of steps (theory 2.8).

    Attributes
    ----------
    distribution
        Pr(s_t = s), shape (steps + 1, S). With termination a row sums to the probability of being still alive.
    visits
        Expected discounted visits at the times 0 .. steps - 1, at which there is a reward, shape (S,).
    state
        The visits divided by the sum of the discounts, shape (S,): a distribution if nothing ends.
    pair
        The share of each pair, the shape of a policy.
    certificate
        Bounds on the L1 error of all of these; of ``distribution`` one for each time.
    """

    distribution: FloatArray
    visits: FloatArray
    state: FloatArray
    pair: FloatArray
    certificate: Certificate

    def __repr__(self) -> str:
        return (
            f"FiniteHorizonOccupancy({len(self.distribution) - 1} steps, state: shape {self.state.shape}, from "
            f"{self.state.min():.6g} to {self.state.max():.6g}, {self.certificate!r})"
        )


def evaluate_finite_horizon(
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
) -> FiniteHorizonEvaluation:
    """Find the values of a policy over a number of steps, from every time on, with proven error bounds.

    Backwards in time from V = 0 at the end: Q_t = r + gamma_t P V_{t+1}, V_t(s) = sum_a pi_t(a|s) Q_t(s,a). This is
    what `rlcore.evaluate` does for a `FiniteHorizon`.

    Parameters
    ----------
    mdp
        The model.
    policy
        pi(a|s) of shape ``mdp.pair_shape``, or one for each step, shape (steps, *pair_shape).
    setting
        The number of steps and the discounts.
    tol
        The error of V asked for, relative to max|V| over all times.
    reward
        r(s,a) in place of the model's, of shape ``mdp.pair_shape``.
    num_threads
        Threads to use; None for one per core. Every number gives bitwise the same answer.
    progress
        Called with a `Progress` some twenty times a second.
    explain
        Tell in ``certificate.story`` what was done.
    raise_on_failure
        Raise `ConvergenceError` if the error may be larger than `tol`; otherwise return the answer, ``status``
        "stalled".

    Returns
    -------
    FiniteHorizonEvaluation
        ``.value`` (steps + 1, S), ``.action_value`` and ``.advantage`` (steps, *pair_shape), ``.start_value``,
        ``.certificate``; in the units of the reward.

    Raises
    ------
    PolicyError
        If the policy has the wrong shape or is not a distribution in every state.
    ModelError
        If `reward` has the wrong shape or is not finite.
    ArgumentError
        If the values of all times are more than a memory can hold.
    ConvergenceError
        If `tol` could not be certified; ``.result`` holds the answer.

    Notes
    -----
    Theory 2.8; Puterman 1994, 4.2. Every step is formed in twofold precision from the stored model.

    Examples
    --------
    The fewer years are left, the less a forest is worth:

    >>> import rlcore as rl
    >>> mdp = rl.gallery.forest()
    >>> rl.evaluate(mdp, rl.uniform_policy(mdp), rl.FiniteHorizon(3)).value.round(6)
    array([[0.95625, 2.58125, 5.08125],
           [0.225  , 1.85   , 4.35   ],
           [0.     , 0.5    , 3.     ],
           [0.     , 0.     , 0.     ]])
    """
    mdp = as_mdp(mdp)
    tolerance = as_tolerance(tol)
    if reward is not None:
        mdp = mdp.with_reward(as_single(reward, mdp.pair_shape, "reward", ModelError))
    # A copy, since the caller may change its own before action values are asked for.
    policies = _schedule(mdp, policy, setting.steps).copy()
    check_memory(setting.steps, mdp.num_states)
    arguments = (tolerance, as_num_threads(num_threads), as_callback(progress))
    found = _backwards(mdp, policies, setting, False, *arguments)
    bounds: dict[str, Any] = {"value": found.value_bounds}
    if found.start_value is not None:
        bounds["start_value"] = found.start_value_bound

    def find_actions() -> _Actions:
        check_memory(setting.steps, 2 * mdp.num_pairs)
        more = _backwards(mdp, policies, setting, True, *arguments)
        return (
            more.action_value,
            more.advantage,
            {"action_value": more.action_value_bounds, "advantage": more.advantage_bounds},
        )

    result = FiniteHorizonEvaluation(
        found.value,
        found.start_value,
        certificate_of(found.certificate, found.certificate.error_bound, bounds, explain),
        find_actions,
    )
    if raise_on_failure:
        check_converged(result, tolerance, "evaluate", "max|V|")
    return result


def occupancy_finite_horizon(
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
) -> FiniteHorizonOccupancy:
    """Find where a policy goes in a number of steps, with proven error bounds.

    Forwards in time from Pr(s_0 = .) = rho0: Pr(s_{t+1} = u) = sum_s Pr(s_t = s) P_{pi_t}(u|s). The visits are
    sum_{t < steps} gamma_0 ... gamma_{t-1} Pr(s_t = s). This is what `rlcore.occupancy` does for a `FiniteHorizon`.

    Parameters
    ----------
    mdp
        The model.
    policy
        pi(a|s) of shape ``mdp.pair_shape``, or one for each step, shape (steps, *pair_shape).
    setting
        The number of steps and the discounts.
    initial
        rho0 in place of the model's, shape (S,).
    tol
        The L1 error of the visits asked for, relative to their sum.
    num_threads
        Threads to use; None for one per core. Every number gives bitwise the same answer.
    progress
        Called with a `Progress` some twenty times a second.
    explain
        Tell in ``certificate.story`` what was done.
    raise_on_failure
        Raise `ConvergenceError` if the error may be larger than `tol`; otherwise return the answer, ``status``
        "stalled".

    Returns
    -------
    FiniteHorizonOccupancy
        ``.distribution`` (steps + 1, S), ``.visits`` and ``.state`` (S,), ``.pair`` (pair shape), ``.certificate``.

    Raises
    ------
    ModelError
        If there is no start distribution, or it is not one.
    PolicyError
        If the policy has the wrong shape or is not a distribution in every state.
    ArgumentError
        If the distributions of all times are more than a memory can hold.
    ConvergenceError
        If `tol` could not be certified; ``.result`` holds the answer.

    Notes
    -----
    Theory 2.8; Puterman 1994, 4.2. Every step is formed in twofold precision from the stored model.

    Examples
    --------
    >>> import rlcore as rl
    >>> mdp = rl.gallery.forest()
    >>> rl.occupancy(mdp, rl.uniform_policy(mdp), rl.FiniteHorizon(2)).visits.round(4)
    array([0.8833, 0.4833, 0.6333])
    """
    mdp = as_mdp(mdp)
    tolerance = as_tolerance(tol)
    policies = _schedule(mdp, policy, setting.steps)
    start = as_single(start_of(mdp, initial, "occupancy"), (mdp.num_states,), "initial", ModelError)
    check_memory(setting.steps, mdp.num_states)
    try:
        found = _core.occupancy_finite_horizon(
            mdp._core,
            policies,
            setting.discounts,
            start,
            tolerance,
            as_num_threads(num_threads),
            as_callback(progress),
        )
    except InputError as error:
        raise mdp.located(error) from None
    bounds = {
        "distribution": found.distribution_bounds,
        "visits": found.visits_bound,
        "state": found.state_bound,
        "pair": found.pair_bound,
    }
    result = FiniteHorizonOccupancy(
        found.distribution,
        found.visits,
        found.state,
        found.pair,
        certificate_of(found.certificate, found.visits_bound, bounds, explain),
    )
    if raise_on_failure:
        check_converged(result, tolerance, "occupancy", "the sum of the visits")
    return result


def _backwards(
    mdp: MDP, policies: FloatArray, setting: FiniteHorizon, with_actions: bool, *arguments: Any
) -> _core.FiniteHorizonEvaluationFields:
    try:
        return _core.evaluate_finite_horizon(mdp._core, policies, setting.discounts, with_actions, *arguments)
    except InputError as error:
        raise mdp.located(error) from None


def _schedule(mdp: MDP, policy: ArrayLike, steps: int) -> FloatArray:
    """Return one policy for all steps, or one for each."""
    policies, lead = as_batch(policy, mdp.pair_shape, "policy", PolicyError)
    if lead not in ((), (steps,)):
        raise PolicyError(f"policy: expected one policy, or one for each of the {steps} steps, got {lead[0]}")
    return policies


def check_memory(steps: int, numbers: int) -> None:
    """Refuse tables of so many numbers for each step that no memory holds them."""
    total = (steps + 1) * numbers
    if total > MOST_NUMBERS:
        gigabytes = total * np.dtype(np.float64).itemsize / 1e9
        raise ArgumentError(f"steps: expected a table that fits in memory, got {steps}: {gigabytes:.0f} GB")
