"""Which action a policy takes in a state, which would be best there, and how actions are shown."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from rlcore.cli.terminal import Glyphs
from rlcore.mdp import MDP
from rlcore.over_actions import max_over_actions, min_over_actions, single_best_pairs
from rlcore.policy import greedy_policy
from rlcore.results import Evaluation, FloatArray

TIED = 1e-12  # probabilities that differ by less are drawn as equal
DIRECTIONS = {"left": "left", "west": "left", "right": "right", "east": "right"}
DIRECTIONS |= {"up": "up", "north": "up", "down": "down", "south": "down"}

PairNumbers = NDArray[np.int64]


def likeliest_pairs(mdp: MDP, policy: FloatArray) -> PairNumbers:
    """Return for each state the pair of the policy's most likely action, or -1 where several are equally likely."""
    return single_best_pairs(mdp, policy.ravel(), TIED)


def best_pairs(mdp: MDP, evaluation: Evaluation) -> PairNumbers:
    """Return for each state the pair of its best action, the lowest of those that are equal within the proven error."""
    known = np.nan_to_num(evaluation.action_value)  # there is no value where an episode may never end
    return np.flatnonzero(greedy_policy(mdp, replace(evaluation, action_value=known)).ravel())


def indifferent(mdp: MDP, evaluation: Evaluation) -> NDArray[np.bool_]:
    """Return for each state whether its actions cannot be told apart by their values."""
    q = evaluation.action_value.ravel()
    spread = max_over_actions(mdp, q) - min_over_actions(mdp, q)
    same: NDArray[np.bool_] = spread <= 2.0 * float(evaluation.certificate.bounds["action_value"])
    return same


def ended_states(mdp: MDP) -> NDArray[np.bool_]:
    """Return for each state whether the process is over there: every action ends it and pays nothing."""
    if not mdp.can_end:
        return np.zeros(mdp.num_states, dtype=np.bool_)
    idle = (mdp.termination.ravel() == 1.0) & (mdp.reward.ravel() == 0.0)
    ended: NDArray[np.bool_] = np.logical_and.reduceat(idle, mdp.pair_start[:-1])
    return ended


def action_name(mdp: MDP, pair: int) -> str:
    """Return the label of a pair's action, or its number."""
    action = int(mdp.pair_action[pair])
    return str(action if mdp.action_labels is None else mdp.action_labels[action])


def arrows(mdp: MDP, glyphs: Glyphs) -> dict[int, str]:
    """Return the arrow of every action that is named by a direction."""
    labels: tuple[Hashable, ...] = mdp.action_labels or ()
    named = {action: DIRECTIONS.get(str(label).lower()) for action, label in enumerate(labels)}
    return {action: getattr(glyphs, direction) for action, direction in named.items() if direction is not None}
