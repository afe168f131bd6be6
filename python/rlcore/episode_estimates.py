"""What single episodes say of the policy gradient: REINFORCE and actor-critic (theory 4.1)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse

from rlcore.errors import ArgumentError
from rlcore.family_on_model import FamilyOnModel
from rlcore.results import FloatArray
from rlcore.simulation import OVER, Trajectories

MOST_STEPS = 2**20  # of a part of the episodes that is looked at together
MOST_NUMBERS = 2**22  # of the estimates of such a part, if they are dense


@dataclass(frozen=True, slots=True, eq=False)
class Estimator:
    """How steps of an episode weigh: w_t (x_t - b), the number that the score of (s_t, a_t) is multiplied with.

    Attributes
    ----------
    gamma
        What a step counts less than the one before it, in returns.
    discounted_states
        Whether w_t = gamma^t; else 1.
    reward
        r(s,a), (num_pairs,): returns are made of it where no others come along.
    baseline
        b of the pair's state, (num_pairs,), or None.
    critic
        What stands for the return, (num_pairs,), or None.
    """

    gamma: float
    discounted_states: bool
    reward: FloatArray
    baseline: FloatArray | None
    critic: FloatArray | None

    def weights(self, part: Trajectories) -> FloatArray:
        """Return one number for each time and episode, shape (steps, episodes); 0 after the end."""
        pairs = part.pairs.T
        x = self._returns(part) if self.critic is None else _at_pairs(self.critic, pairs)
        if self.baseline is not None:
            x -= _at_pairs(self.baseline, pairs)
        if self.discounted_states and self.gamma != 1.0:
            x *= (self.gamma ** np.arange(len(x)))[:, None]
        return x

    def _returns(self, part: Trajectories) -> FloatArray:
        """Form G_t = r_t + gamma G_{t+1}, backwards from the end or the cut."""
        given = part.rewards
        G = _at_pairs(self.reward, part.pairs.T) if given is None else np.array(given.T, order="C")
        for now, later in zip(reversed(G[:-1]), reversed(G[1:]), strict=True):
            now += self.gamma * later
        return G


def weighted_pairs(estimator: Estimator, part: Trajectories, num_pairs: int) -> Any:
    """Return the weights as a sparse matrix, a row for each episode: its product with psi has their estimates."""
    weights = estimator.weights(part).T
    taken = part.pairs != OVER
    starts = np.concatenate(([0], np.cumsum(taken.sum(axis=1))))
    shape = (len(part), num_pairs)
    return scipy.sparse.csr_array((weights[taken], part.pairs[taken], starts), shape=shape)


def parts_of(trajectories: Trajectories | Iterable[Trajectories], stops: Iterator[int], most: int) -> Iterator[Any]:
    """Yield (episodes so far, part), with at most `most` episodes in a part, and none that goes beyond a stop."""
    done, stop = 0, next(stops)
    for given in [trajectories] if isinstance(trajectories, Trajectories) else trajectories:
        if not isinstance(given, Trajectories):
            raise ArgumentError(
                f"trajectories: expected a rlcore.Trajectories, or several of them, got {type(given).__name__}; "
                "rlcore.Trajectories.from_actions takes arrays"
            )
        first = 0
        while first < len(given):
            while stop <= done:
                stop = next(stops)
            last = min(first + max(1, min(most, MOST_STEPS // given.steps)), first + stop - done, len(given))
            rewards = None if given.rewards is None else given.rewards[first:last]
            part = Trajectories(given.states[first:last], given.pairs[first:last], given.lengths[first:last], rewards)
            done += last - first
            yield done, part
            first = last


def cut_lengths(part: Trajectories) -> Any:
    """Return the lengths of the episodes that did not end: that have a state after their last action."""
    after = np.take_along_axis(part.states, part.lengths[:, None], axis=1)[:, 0]
    return part.lengths[after != OVER]


def check_part(family: FamilyOnModel, part: Trajectories) -> None:
    """Check that lengths and pairs are in their range, and that the policy takes these pairs."""
    pairs = part.pairs
    if not ((part.lengths >= 0) & (part.lengths <= part.steps)).all():
        raise ArgumentError(f"trajectories: expected lengths from 0 to {part.steps}, the number of steps")
    if pairs.size and not (pairs.min() >= OVER and pairs.max() < family.mdp.num_pairs):
        raise ArgumentError(
            f"trajectories: expected pairs in 0 .. {family.mdp.num_pairs - 1}, or -1 after the end, got "
            f"{pairs.max() if pairs.min() >= OVER else pairs.min()}; are they of another model?"
        )
    possible = np.append(family.policy > 0.0, True)
    if not possible.all() and not possible[pairs].all():
        pair = int(pairs.ravel()[possible[pairs].ravel().argmin()])
        state = int(family.mdp.pair_state[pair])
        fault = "expected actions that the policy of the family takes, got one that has the probability 0"
        action = pair - int(family.mdp.pair_start[state])
        raise family.mdp.located(ArgumentError.placed("trajectories", fault, state=state, action=action))


def _at_pairs(numbers: FloatArray, pairs: Any) -> FloatArray:
    """Return the number of each pair, in order of memory; 0 after the end, whose -1 is the place behind the last."""
    found: FloatArray = np.append(numbers, 0.0)[np.ascontiguousarray(pairs)]
    return found
