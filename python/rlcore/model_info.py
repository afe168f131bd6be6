"""What can be said of a model at a glance (`rlcore.MDP.info`)."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from rlcore.mdp import MDP

MOST_NAMES = 6  # labels that are shown


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """The figures of a model; ``print(mdp.info())`` is a table of them.

    Attributes
    ----------
    num_states, num_pairs, num_transitions
        The numbers of states, of admissible (state, action) pairs, and of stored transitions.
    actions
        The fewest and the most actions of a state.
    successors
        The fewest and the most successors of a pair.
    mean_successors
        Successors for each pair, on average.
    reward_range
        The least and the largest r(s,a).
    ending_pairs, certain_endings
        After how many pairs the process may end, and after how many it ends for certain.
    start_states
        The number of states in which the process may start, or None without a start distribution.
    memory_bytes
        What the arrays take.
    state_labels, action_labels
        The first few labels, or None.
    """

    num_states: int
    num_pairs: int
    num_transitions: int
    actions: tuple[int, int]
    successors: tuple[int, int]
    mean_successors: float
    reward_range: tuple[float, float]
    ending_pairs: int
    certain_endings: int
    start_states: int | None
    memory_bytes: int
    state_labels: tuple[Hashable, ...] | None
    action_labels: tuple[Hashable, ...] | None

    def __str__(self) -> str:
        lines = [
            ("states", f"{self.num_states:,}{_examples(self.state_labels, self.num_states)}"),
            ("actions", f"{_range(*self.actions)} in each state{_examples(self.action_labels, self.actions[1])}"),
            ("pairs", f"{self.num_pairs:,}"),
            ("transitions", f"{self.num_transitions:,}, {self._successors()} for each pair"),
            ("rewards", _range(*self.reward_range)),
            ("ends", self._ends()),
            ("starts", self._starts()),
            ("memory", memory_in_words(self.memory_bytes)),
        ]
        return "\n".join(f"{name:<11}  {text}" for name, text in lines)

    def _successors(self) -> str:
        least, most = self.successors
        return f"{most:,}" if least == most else f"{least:,} to {most:,} and on average {self.mean_successors:.3g}"

    def _ends(self) -> str:
        if not self.ending_pairs:
            return "never"
        certain = f", for certain after {self.certain_endings:,}" if self.certain_endings else ""
        return f"possibly after {self.ending_pairs:,} of {self.num_pairs:,} pairs{certain}"

    def _starts(self) -> str:
        if self.start_states is None:
            return "nowhere: there is no start distribution"
        return f"in {'one state' if self.start_states == 1 else f'one of {self.start_states:,} states'}"


def info_of(mdp: MDP) -> ModelInfo:
    """Return the figures of a model. Reads it once."""
    transition, reward, termination = mdp.transition, mdp.reward, mdp.termination
    actions, successors = np.diff(mdp.pair_start), np.diff(transition.indptr)
    parts = [transition.data, transition.indices, transition.indptr, mdp.pair_start, reward]
    parts += [termination] if mdp.can_end else []
    parts += [mdp.initial] if mdp.initial is not None else []
    return ModelInfo(
        num_states=mdp.num_states,
        num_pairs=mdp.num_pairs,
        num_transitions=int(transition.nnz),
        actions=(int(actions.min()), int(actions.max())),
        successors=(int(successors.min()), int(successors.max())),
        mean_successors=float(transition.nnz / mdp.num_pairs),
        reward_range=(float(reward.min()) + 0.0, float(reward.max()) + 0.0),  # not -0
        ending_pairs=int(np.count_nonzero(termination)),
        certain_endings=int(np.count_nonzero(termination == 1.0)),
        start_states=None if mdp.initial is None else int(np.count_nonzero(mdp.initial)),
        memory_bytes=sum(part.nbytes for part in parts),
        state_labels=None if mdp.state_labels is None else mdp.state_labels[:MOST_NAMES],
        action_labels=None if mdp.action_labels is None else mdp.action_labels[:MOST_NAMES],
    )


def _examples(labels: tuple[Hashable, ...] | None, count: int) -> str:
    if labels is None:
        return ", known by their numbers"
    return f": {', '.join(map(repr, labels))}{', ...' if len(labels) < count else ''}"


def _range(least: float, most: float) -> str:
    return f"{least:,.6g}" if least == most else f"{least:,.6g} to {most:,.6g}"


def memory_in_words(number: int) -> str:
    """Return a number of bytes as people read it."""
    size = float(number)
    for unit in ("bytes", "kB", "MB"):
        if size < 1000.0:
            return f"{size:.3g} {unit}"
        size /= 1000.0
    return f"{size:.3g} GB"
