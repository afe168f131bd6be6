"""Planning for a number of steps that is known beforehand (theory 2.8, 2.9)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rlcore import _core
from rlcore.certificates import certificate_of
from rlcore.errors import InputError
from rlcore.finite_horizon import check_memory
from rlcore.mdp import MDP
from rlcore.results import Solution
from rlcore.settings import FiniteHorizon


def solve_finite_horizon(
    mdp: MDP,
    setting: FiniteHorizon,
    tolerance: float,
    num_threads: int,
    progress: Callable[..., object] | None,
    explain: bool,
) -> Solution:
    """Return what `solve` returns: backwards in time, V_t = max_a r + gamma_t P V_{t+1}."""
    check_memory(setting.steps, mdp.num_pairs + 2 * mdp.num_states)
    try:
        found = _core.solve_finite_horizon(mdp._core, setting.discounts, tolerance, num_threads, progress)
    except InputError as error:
        raise mdp.located(error) from None
    bounds: dict[str, Any] = {"value": found.value_bound, "policy_value": found.policy_value_bound}
    if found.start_value is not None:
        bounds["start_value"] = found.start_value_bound
    return Solution(
        found.policy,
        found.value,
        found.start_value,
        certificate_of(found.certificate, found.certificate.error_bound, bounds, explain),
    )
