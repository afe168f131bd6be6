"""Planning: the best that any policy can do, and a policy that does it (theory 2.9, 3.7, 3.8)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rlcore import _core
from rlcore.arguments import as_callback, as_num_threads, as_tolerance
from rlcore.certificates import certificate_of, check_converged
from rlcore.errors import InputError
from rlcore.finite_horizon import check_memory
from rlcore.mdp import MDP, as_mdp
from rlcore.results import Progress, Solution
from rlcore.settings import Average, Discounted, Episodic, Setting, as_setting


def solve(
    mdp: MDP,
    setting: Setting | float,
    *,
    tol: float = 1e-6,
    num_threads: int | None = None,
    progress: Callable[[Progress], object] | None = None,
    explain: bool = False,
    raise_on_failure: bool = True,
) -> Solution:
    """Find an optimal policy, and its value with a proven distance to the optimum.

    Discounted: V* solves V(s) = max_a r(s,a) + gamma sum_s' P(s'|s,a) V(s'), and the policy takes in each state an
    action that attains the maximum. Finite horizon: the same backwards in time, a policy for each step. Episodic:
    V*(s) is the supremum over policies that surely end of the expected total reward. Average: g*(s) is the largest gain
    of any policy.

    Parameters
    ----------
    mdp
        The model.
    setting
        ``Discounted(gamma)``, or just gamma; ``Episodic()``; ``Average()``; or ``FiniteHorizon(steps)``.
    tol
        The error of V asked for, relative to max|V*|; 0 for the best attainable. Average: that of the gain, relative
        to the largest.
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
    Solution
        ``.policy`` (the shape of policies; finite horizon: one for each step), ``.value`` (S,) (finite horizon:
        (steps + 1, S)), ``.start_value``, ``.gain`` (S,) (Average), ``.certificate``; in the units of the reward.
        ``certificate.bounds["policy_value"]`` bounds what the policy's own value falls short of V* in any state.
        Discounted and finite horizon: where actions cannot be told apart the policy takes the lowest.
        Episodic: the policy surely ends wherever one can; elsewhere the value is NaN. Average: the value is the bias of
        the policy, which is not made as large as possible, and ``certificate.bounds["policy_gain"]`` bounds what its
        gain falls short of g*. In both, any of several actions may be taken that are as good up to the bounds.

    Raises
    ------
    SettingError
        If gamma is not in [0, 1), or a process that can end is asked for its average.
    ImproperPolicyError
        Episodic: if the model can start where no policy surely ends.
    UnboundedValueError
        Episodic: if there is no best policy, since rewards without end can be had.
    ConvergenceError
        If `tol` could not be certified; ``.result`` holds the best answer.

    Notes
    -----
    Theory 2.9 and 2.10, episodic 3.7, average 3.8; Puterman 1994, chapters 4 and 6 to 9.

    Examples
    --------
    Every year a forest is better left alone than cut:

    >>> import rlcore as rl
    >>> mdp = rl.gallery.forest()
    >>> best = rl.solve(mdp, rl.Discounted(0.9))
    >>> best.value.round(9)
    array([26.244, 29.484, 33.484])
    >>> best.policy
    array([[1., 0.],
           [1., 0.],
           [1., 0.]])
    >>> best.certificate.bounds["policy_value"] < 1e-12
    True

    In the long run too:

    >>> rl.solve(mdp, rl.Average()).gain.round(5)
    array([3.24, 3.24, 3.24])

    The chance of crossing a frozen lake, at best:

    >>> lake = rl.gallery.frozen_lake(4, holes=[(1, 1), (1, 3), (2, 3), (3, 0)])
    >>> round(rl.solve(lake, rl.Episodic()).start_value * 17, 6)
    14.0
    """
    mdp = as_mdp(mdp)
    tolerance = as_tolerance(tol)
    found_setting = as_setting(setting, "solve")
    found = _found(mdp, found_setting, (tolerance, as_num_threads(num_threads), as_callback(progress)))
    result = _solution(found, isinstance(found_setting, Average), explain)
    if raise_on_failure:
        check_converged(result, tolerance, "solve", "max|g|" if isinstance(found_setting, Average) else "max|V|")
    return result


def _found(mdp: MDP, setting: Setting, asked: tuple[float, int, Callable[..., object] | None]) -> Any:
    """Let the core plan: with a tolerance, on so many threads, telling of its progress."""
    try:
        if isinstance(setting, Discounted):
            return _core.solve_discounted(mdp._core, setting.gamma, *asked)
        if isinstance(setting, Episodic):
            return _core.solve_episodic(mdp._core, *asked)
        if isinstance(setting, Average):
            return _core.solve_average(mdp._core, *asked)
        check_memory(setting.steps, mdp.num_pairs + 2 * mdp.num_states)
        return _core.solve_finite_horizon(mdp._core, setting.discounts, *asked)
    except InputError as error:
        raise mdp.located(error) from None


def _solution(found: Any, is_average: bool, explain: bool) -> Solution:
    """Return what the core found, with the bounds of what exists in the setting."""
    names = ["value", "gain", "policy_gain"] if is_average else ["value", "policy_value"]
    if found.start_value is not None:
        names.append("start_value")
    bounds = {name: getattr(found, f"{name}_bound") for name in names}
    certificate = certificate_of(found.certificate, found.certificate.error_bound, bounds, explain)
    return Solution(found.policy, found.value, found.start_value, certificate, found.gain if is_average else None)
