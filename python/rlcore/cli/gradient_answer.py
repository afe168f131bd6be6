"""What `rlcore gradient` finds: the exact gradient, what is made of it, and what estimates are worth."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from rlcore.cli.family_argument import NamedFamily
from rlcore.errors import ArgumentError
from rlcore.gradient import PolicyGradient, policy_gradient
from rlcore.gradient_estimation import GradientEstimate, estimates_in_ways
from rlcore.mdp import MDP
from rlcore.natural_gradient import natural_gradient
from rlcore.practical_gradient import PracticalGradient, practical_gradient
from rlcore.results import FloatArray, Progress
from rlcore.settings import Average, Discounted, Setting
from rlcore.simulation import simulate

USUAL_STEPS = 1000
MOST_USUAL_STEPS = 10_000
NEGLIGIBLE = 1e-4  # gamma^steps of episodes that are cut off after the usual number of steps

ESTIMATORS: dict[str, dict[str, Any]] = {
    "REINFORCE": {},
    "REINFORCE, baseline V": {"baseline": "value"},
    "actor-critic, exact A": {"estimator": "actor-critic"},
}
UNDISCOUNTED = " without gamma^t"


@dataclass(frozen=True, slots=True)
class Episodes:
    """Which episodes estimates are made from."""

    count: int
    steps: int
    seed: int


@dataclass(frozen=True, slots=True)
class GradientAnswer:
    """All that is printed.

    Attributes
    ----------
    gradient
        The exact one.
    natural
        The natural gradient, or None if the family has none.
    practical
        The practical gradient over as many steps as the episodes have, or None in settings without one.
    episodes
        What the estimates are made from, or None without any.
    estimates
        By name.
    """

    gradient: PolicyGradient
    natural: FloatArray | None
    practical: PracticalGradient | None
    episodes: Episodes | None
    estimates: dict[str, GradientEstimate]


def usual_steps(setting: Setting) -> int:
    """Return the number of steps after which nothing that counts is missing, if that is a reasonable one."""
    if not isinstance(setting, Discounted):
        return USUAL_STEPS
    if setting.gamma == 0.0:
        return 1
    return min(max(1, math.ceil(math.log(NEGLIGIBLE) / math.log(setting.gamma))), MOST_USUAL_STEPS)


def find_gradient(
    mdp: MDP,
    named: NamedFamily,
    setting: Setting,
    episodes: Episodes | None,
    *,
    tol: float,
    num_threads: int | None,
    progress: Callable[[Progress], object] | None,
) -> GradientAnswer:
    """Answer `rlcore gradient`."""
    solving: dict[str, Any] = {"tol": tol, "num_threads": num_threads, "progress": progress}
    family = named.family
    found = policy_gradient(mdp, family, setting, **solving)  # type: ignore[arg-type]
    positive = bool(named.policy.array.all())
    natural = natural_gradient(mdp, family, setting, **solving) if positive else None  # type: ignore[arg-type]
    practical = None
    if isinstance(setting, Discounted):
        steps = usual_steps(setting) if episodes is None else episodes.steps
        practical = practical_gradient(mdp, family, setting, steps, **solving)
    if episodes is None:
        return GradientAnswer(found, _plain(natural), practical, None, {})
    if isinstance(setting, Average):
        raise ArgumentError("episodes: expected 0 in the setting average, whose gradient episodes cannot estimate")
    drawn = simulate(
        mdp,
        named.policy.array,
        episodes=episodes.count,
        steps=episodes.steps,
        seed=episodes.seed,
        num_threads=num_threads,
        progress=progress,
    )
    ways = _estimators(named, setting)
    estimates = estimates_in_ways(mdp, family, setting, drawn, ways, **solving)  # type: ignore[arg-type]
    return GradientAnswer(found, _plain(natural), practical, episodes, estimates)


def _estimators(named: NamedFamily, setting: Setting) -> dict[str, dict[str, Any]]:
    """Return the estimators that exist, by name; without a discount gamma^t makes no difference."""
    exist = {name: how for name, how in ESTIMATORS.items() if named.name != "direct" or "baseline" not in how}
    if not isinstance(setting, Discounted):
        return exist
    return exist | {name + UNDISCOUNTED: how | {"discounted_states": False} for name, how in exist.items()}


def _plain(x: Any) -> FloatArray | None:
    return None if x is None else np.asarray(x)
