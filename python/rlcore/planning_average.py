"""Planning: In the long run."""

from __future__ import annotations

from collections.abc import Callable

from rlcore.errors import SettingError
from rlcore.mdp import MDP
from rlcore.results import Solution


def solve_average(
    mdp: MDP,
    tolerance: float,
    num_threads: int,
    progress: Callable[..., object] | None,
    explain: bool,
) -> Solution:
    """Return what `solve` returns."""
    raise SettingError("setting: not solved yet")
