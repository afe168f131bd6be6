"""The models and policies that are timed."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

import rlcore as rl

Policy = NDArray[np.float64]

WORKLOADS: dict[str, Callable[[int], rl.MDP]] = {
    "garnet": lambda num_states: rl.gallery.garnet(num_states, 4, 5),
    "grid": lambda num_states: rl.gallery.slippery_grid(round(num_states**0.5)),
    "lake": lambda num_states: rl.gallery.frozen_lake(round(num_states**0.5)),
    "queue": rl.gallery.queue,
    "shuffled cycle": rl.gallery.shuffled_cycle,
    "lazy cycle": lambda num_states: rl.gallery.lazy_cycle(num_states, 0.5),
    "layered": lambda num_states: rl.gallery.layered(max(2, num_states // 100), 100),
    "layered staying": lambda num_states: rl.gallery.layered(max(2, num_states // 100), 100, stay=0.5),
    "nearly decomposable": lambda num_states: rl.gallery.nearly_decomposable(max(2, num_states // 10)),
}


def shuffled(mdp: rl.MDP) -> rl.MDP:
    """The same model with its states renumbered at random, so that neighbours have distant numbers."""
    order = np.random.default_rng(1).permutation(mdp.num_states)  # 0 is the shuffled cycle's: it would be put in order
    pairs = np.argsort(np.argsort(order)[mdp.pair_state], kind="stable")
    return rl.MDP(
        scipy.sparse.csr_array(mdp.transition)[pairs][:, order],
        mdp.reward.ravel()[pairs],
        pair_start=np.concatenate([[0], np.cumsum(np.diff(mdp.pair_start)[order])]),
        termination=None if mdp.termination is None else mdp.termination.ravel()[pairs],
        initial=None if mdp.initial is None else mdp.initial[order],
    )


def random(mdp: rl.MDP) -> Policy:
    """A policy drawn evenly from all policies, the same in every run."""
    return rl.random_policy(mdp, 0)


def greedy(mdp: rl.MDP) -> Policy:
    """Greedy for the values of the uniform policy at gamma .9: a row of one action in every state."""
    return rl.greedy_policy(mdp, rl.evaluate(mdp, rl.uniform_policy(mdp), 0.9))


def near_greedy(mdp: rl.MDP) -> Policy:
    """The greedy policy, with a tenth of the probability spread over all actions."""
    return rl.mixture_policy(greedy(mdp), rl.uniform_policy(mdp), 0.1)


POLICIES: dict[str, Callable[[rl.MDP], Policy]] = {
    "uniform": rl.uniform_policy,
    "random": random,
    "near-greedy": near_greedy,
    "greedy": greedy,
}


@lru_cache(maxsize=1)
def model(name: str, num_states: int, is_shuffled: bool = False) -> rl.MDP:
    """A workload of about so many states."""
    mdp = WORKLOADS[name](num_states)
    return shuffled(mdp) if is_shuffled else mdp


@lru_cache(maxsize=1)
def policy(name: str, mdp: rl.MDP) -> Policy:
    """A policy for a model."""
    return POLICIES[name](mdp)
