"""The best return of any policy, to measure by how far others are from it."""

from __future__ import annotations

from typing import Literal

import numpy as np

from rlcore.enclosure import ULP, Enclosure
from rlcore.errors import ArgumentError
from rlcore.mdp import MDP, start_or_even
from rlcore.planning import solve
from rlcore.settings import Average, Discounted, Episodic

OPTIMUM_TOL = 1e-10  # relative: a gap that is smaller is told from 0 no more


def as_optimum(
    optimum: Literal["solve"] | Enclosure | float | None,
    mdp: MDP,
    setting: Discounted | Episodic | Average,
    num_threads: int | None,
) -> Enclosure | None:
    """Return what is known of the best return; "solve" for finding it."""
    if optimum is None or isinstance(optimum, Enclosure):
        return optimum
    if isinstance(optimum, str) and optimum == "solve":
        return _solved(mdp, setting, num_threads)
    if isinstance(optimum, float | int | np.floating | np.integer) and np.isfinite(optimum):
        return Enclosure(float(optimum), float(optimum))
    raise ArgumentError(
        f"optimum: expected 'solve', the best return as a number or an rlcore.Enclosure, or None, got {optimum!r}"
    )


def _solved(mdp: MDP, setting: Discounted | Episodic | Average, num_threads: int | None) -> Enclosure | None:
    """Enclose the best return of any policy; None without a start, which the first step asks for."""
    found = solve(mdp, setting, tol=OPTIMUM_TOL, num_threads=num_threads, raise_on_failure=False)
    bounds = found.certificate.bounds
    if isinstance(setting, Average):
        gain = np.asarray(found.gain)
        rounding = (mdp.num_states + 2) * ULP * float(np.abs(gain).max())
        return Enclosure.around(float(start_or_even(mdp) @ gain), float(np.max(bounds["gain"])) + rounding)
    if found.start_value is None:
        return None
    return Enclosure.around(found.start_value, float(bounds["start_value"]))
