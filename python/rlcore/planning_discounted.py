"""Planning with a discount (theory 2.9)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rlcore import _core
from rlcore.certificates import certificate_of
from rlcore.errors import InputError
from rlcore.mdp import MDP
from rlcore.results import Solution
from rlcore.settings import Discounted


def solve_discounted(
    mdp: MDP,
    setting: Discounted,
    tolerance: float,
    num_threads: int,
    progress: Callable[..., object] | None,
    explain: bool,
) -> Solution:
    """Return what `solve` returns."""
    try:
        found = _core.solve_discounted(mdp._core, setting.gamma, tolerance, num_threads, progress)
    except InputError as error:
        raise mdp.located(error) from None
    bounds: dict[str, Any] = {"value": found.value_bound, "policy_value": found.policy_value_bound}
    if found.start_value is not None:
        bounds["start_value"] = found.start_value_bound
    certificate = certificate_of(found.certificate, found.value_bound, bounds, explain)
    return Solution(found.policy, found.value, found.start_value, certificate)
