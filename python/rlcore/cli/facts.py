"""What can be said of a model before anything is computed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rlcore.cli.digits import count
from rlcore.cli.grid import Layout, layout_of
from rlcore.cli.tables import state_name
from rlcore.mdp import MDP
from rlcore.model_info import memory_in_words

MOST_NAMES = 8  # labels that are listed one by one


@dataclass(frozen=True, slots=True)
class Facts:
    """The figures of a model."""

    transitions: int
    memory_bytes: int
    mean_successors: float
    most_successors: int
    least_actions: int
    most_actions: int
    least_reward: float
    most_reward: float
    ending_pairs: int
    start_states: int | None
    layout: Layout | None


def facts_of(mdp: MDP) -> Facts:
    """Return the figures of a model."""
    transition = mdp.transition
    successors, actions = np.diff(transition.indptr), np.diff(mdp.pair_start)
    parts = [transition.data, transition.indices, transition.indptr, mdp.pair_start, mdp.reward]
    parts += [mdp.termination] if mdp.can_end else []
    parts += [mdp.initial] if mdp.initial is not None else []
    return Facts(
        transitions=int(transition.nnz),
        memory_bytes=sum(part.nbytes for part in parts),
        mean_successors=float(successors.mean()),
        most_successors=int(successors.max()),
        least_actions=int(actions.min()),
        most_actions=int(actions.max()),
        least_reward=float(mdp.reward.min()) + 0.0,  # not -0
        most_reward=float(mdp.reward.max()) + 0.0,
        ending_pairs=int(np.count_nonzero(mdp.termination)),
        start_states=None if mdp.initial is None else int(np.count_nonzero(mdp.initial)),
        layout=layout_of(mdp),
    )


def described(mdp: MDP, facts: Facts) -> list[tuple[str, str]]:
    """Return the figures in words, as names and texts."""
    return [
        ("states", f"{mdp.num_states:,}{_states(mdp, facts)}"),
        ("actions", _actions(mdp, facts)),
        ("pairs", f"{mdp.num_pairs:,} of a state and an action"),
        ("transitions", f"{facts.transitions:,}: {_successors(facts)} for each pair"),
        ("rewards", _range(facts.least_reward, facts.most_reward)),
        ("ends", _ending(mdp, facts)),
        ("starts", _start(mdp, facts)),
        ("memory", memory_in_words(facts.memory_bytes)),
    ]


def size_in_words(mdp: MDP) -> str:
    """Return the size of a model in half a line."""
    ending = "can end" if mdp.can_end else "never ends"
    return f"{count(mdp.num_states, 'state')}, {_number_of_actions(mdp)}, {ending}"


def _states(mdp: MDP, facts: Facts) -> str:
    if facts.layout is not None:
        return f", a grid of {count(facts.layout.rows, 'row')} and {count(facts.layout.columns, 'column')}"
    if mdp.state_labels is None:
        return ", known by their numbers"
    return f": {_some([str(label) for label in mdp.state_labels[: MOST_NAMES + 1]])}"


def _actions(mdp: MDP, facts: Facts) -> str:
    number = _range(facts.least_actions, facts.most_actions)
    if mdp.action_labels is None:
        return f"{number}, known by their numbers"
    return f"{number}: {_some([str(label) for label in mdp.action_labels])}"


def _number_of_actions(mdp: MDP) -> str:
    actions = np.diff(mdp.pair_start)
    least, most = int(actions.min()), int(actions.max())
    return count(most, "action") if least == most else f"{least} to {most} actions"


def _some(names: list[str]) -> str:
    return ", ".join(names) if len(names) <= MOST_NAMES else ", ".join(names[: MOST_NAMES - 1]) + ", ..."


def _successors(facts: Facts) -> str:
    mean, most = facts.mean_successors, facts.most_successors
    return count(most, "successor") if mean == most else f"{mean:.3g} successors on average and {most} at most"


def _ending(mdp: MDP, facts: Facts) -> str:
    if not facts.ending_pairs:
        return "never"
    certain = int(np.count_nonzero(mdp.termination == 1.0))
    if certain == facts.ending_pairs:
        return f"certainly after {count(certain, 'pair')}"
    return f"possibly after {count(facts.ending_pairs, 'pair')}, certainly after {certain:,} of them"


def _start(mdp: MDP, facts: Facts) -> str:
    if mdp.initial is None:
        return "nowhere: the model has no start distribution"
    if facts.start_states == 1:
        return f"in state {state_name(mdp, int(np.argmax(mdp.initial)))}"
    return f"in one of {facts.start_states:,} states"


def _range(least: float, most: float) -> str:
    return f"{least:.6g}" if least == most else f"{least:.6g} to {most:.6g}"
