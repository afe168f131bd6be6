"""Planning for the long run: the largest gain from each state (theory 3.8)."""

from __future__ import annotations

from collections.abc import Callable

from rlcore import _core
from rlcore.certificates import certificate_of
from rlcore.errors import InputError
from rlcore.mdp import MDP
from rlcore.results import Solution


def solve_average(
    mdp: MDP,
    tolerance: float,
    num_threads: int,
    progress: Callable[..., object] | None,
    explain: bool,
) -> Solution:
    """Return what `solve` returns for `Average`."""
    try:
        found = _core.solve_average(mdp._core, tolerance, num_threads, progress)
    except InputError as error:
        raise mdp.located(error) from None
    bounds = {"gain": found.gain_bound, "policy_gain": found.policy_gain_bound, "value": found.value_bound}
    certificate = certificate_of(found.certificate, found.gain_bound, bounds, explain)
    return Solution(found.policy, found.value, None, certificate, found.gain)
