"""Planning: Over a number of steps."""

from __future__ import annotations

from collections.abc import Callable

from rlcore.errors import SettingError
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
    """Return what `solve` returns."""
    raise SettingError("setting: not solved yet")
