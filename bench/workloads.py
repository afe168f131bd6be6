"""The models and policies that are timed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

import rlcore as rl

Policy = NDArray[np.float64]

WORKLOADS: dict[str, Callable[[int], rl.MDP]] = {
    "garnet": lambda num_states: rl.gallery.garnet(num_states, 4, 5),
    "grid": lambda num_states: rl.gallery.slippery_grid(round(num_states**0.5)),
    "queue": rl.gallery.queue,
    "lake": lambda num_states: rl.gallery.frozen_lake(round(num_states**0.5)),
    "shuffled cycle": rl.gallery.shuffled_cycle,
    "lazy cycle": lambda num_states: rl.gallery.lazy_cycle(num_states, 0.5),
    "layered": lambda num_states: rl.gallery.layered(max(2, num_states // 100), 100),
    "nearly decomposable": lambda num_states: rl.gallery.nearly_decomposable(max(2, num_states // 10)),
}


def greedy(mdp: rl.MDP) -> Policy:
    """Greedy for the values of the uniform policy at gamma .9: a row of one action in every state."""
    return rl.greedy_policy(mdp, rl.evaluate(mdp, rl.uniform_policy(mdp), 0.9))


def near_greedy(mdp: rl.MDP) -> Policy:
    """The greedy policy, with a tenth of the probability spread over all actions."""
    return rl.mixture_policy(greedy(mdp), rl.uniform_policy(mdp), 0.1)


POLICIES: dict[str, Callable[[rl.MDP], Policy]] = {
    "uniform": rl.uniform_policy,
    "greedy": greedy,
    "near-greedy": near_greedy,
}
