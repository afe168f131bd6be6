"""Planning for episodes: the largest expected total reward of a policy that surely ends (theory 3.7)."""

from __future__ import annotations

from collections.abc import Callable

from rlcore import _core
from rlcore.certificates import certificate_of
from rlcore.errors import InputError
from rlcore.mdp import MDP
from rlcore.results import Solution


def solve_episodic(
    mdp: MDP,
    tolerance: float,
    num_threads: int,
    progress: Callable[..., object] | None,
    explain: bool,
) -> Solution:
    """Return what `solve` returns for `Episodic`."""
    try:
        found = _core.solve_episodic(mdp._core, tolerance, num_threads, progress)
    except InputError as error:
        raise mdp.located(error) from None
    bounds = {"value": found.value_bound, "policy_value": found.policy_value_bound}
    if found.start_value is not None:
        bounds["start_value"] = found.start_value_bound
    certificate = certificate_of(found.certificate, found.value_bound, bounds, explain)
    return Solution(found.policy, found.value, found.start_value, certificate)
