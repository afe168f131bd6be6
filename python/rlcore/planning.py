"""Planning: the best that any policy can do, and a policy that does it (theory 2.9)."""

from __future__ import annotations

from collections.abc import Callable

from rlcore.arguments import as_callback, as_num_threads, as_tolerance
from rlcore.certificates import check_converged
from rlcore.mdp import MDP, as_mdp
from rlcore.planning_average import solve_average
from rlcore.planning_discounted import solve_discounted
from rlcore.planning_episodic import solve_episodic
from rlcore.planning_finite_horizon import solve_finite_horizon
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
    """Find an optimal policy, and its value with a proven distance to the optimum."""
    mdp = as_mdp(mdp)
    tolerance = as_tolerance(tol)
    found_setting = as_setting(setting, "solve")
    arguments = (tolerance, as_num_threads(num_threads), as_callback(progress), explain)
    if isinstance(found_setting, Discounted):
        result = solve_discounted(mdp, found_setting, *arguments)
    elif isinstance(found_setting, Episodic):
        result = solve_episodic(mdp, *arguments)
    elif isinstance(found_setting, Average):
        result = solve_average(mdp, *arguments)
    else:
        result = solve_finite_horizon(mdp, found_setting, *arguments)
    if raise_on_failure:
        check_converged(result, tolerance, "solve", "max|g|" if isinstance(found_setting, Average) else "max|V|")
    return result
