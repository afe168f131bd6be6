"""Tables of states."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from rich import box
from rich.console import JustifyMethod
from rich.table import Table
from rich.text import Text

from rlcore.cli.choices import TIED, action_name, best_pairs, ended_states, indifferent, likeliest_pairs
from rlcore.cli.digits import column, headline
from rlcore.cli.terminal import Glyphs
from rlcore.finite_horizon import FiniteHorizonEvaluation, FiniteHorizonOccupancy
from rlcore.mdp import MDP
from rlcore.results import Evaluation, FloatArray, Occupancy
from rlcore.settings import Discounted
from rlcore.settings_comparison import SettingsComparison, name_of

States = NDArray[np.int64]
BAR_WIDTH = 20


@dataclass(frozen=True, slots=True)
class Selection:
    """The states that a table shows, in order: `head`, then a gap if some are left out, then `tail`."""

    head: States
    tail: States
    left_out: int

    @property
    def all(self) -> States:
        """Both parts."""
        return np.concatenate([self.head, self.tail])


def extremes(value: FloatArray, limit: int) -> Selection:
    """Return all states in their own order if `limit` allows, else the most and the least valuable ones."""
    if value.size <= limit:
        return Selection(np.arange(value.size), np.empty(0, dtype=np.int64), 0)
    order = np.argsort(-value, kind="stable")
    least = limit // 2
    return Selection(order[: limit - least], order[value.size - least :], value.size - limit)


def largest(value: FloatArray, limit: int) -> Selection:
    """Return the states of largest value, in falling order."""
    order = np.argsort(-value, kind="stable")[:limit]
    return Selection(order, np.empty(0, dtype=np.int64), value.size - order.size)


def value_table(mdp: MDP, policy: FloatArray, evaluation: Evaluation, chosen: Selection, glyphs: Glyphs) -> Table:
    """Return a row for each state: its value, what the policy does there, and what would be better.

    Where there are no action values, because there are several recurrent classes, the gain stands in their place.
    """
    bounds, gain = evaluation.certificate.bounds, evaluation.gain
    taken, ended = likeliest_pairs(mdp, policy), ended_states(mdp)
    value = evaluation.value
    write_value = column(np.nan_to_num(value[chosen.all]), bounds["value"])
    compared = evaluation.action_value is not None
    if compared:
        best, tied = best_pairs(mdp, evaluation), indifferent(mdp, evaluation)
        advantage = evaluation.advantage.ravel()[best]
        write_advantage = column(np.nan_to_num(advantage[chosen.all]), bounds["advantage"])
    elif gain is not None:
        write_gain = column(gain[chosen.all], bounds["gain"])

    def cells(state: int) -> list[str]:
        takes = _likeliest(mdp, policy.ravel(), state, int(taken[state]))
        if np.isnan(value[state]):
            return [state_name(mdp, state), "-", takes, "may never end", ""]
        shown = [state_name(mdp, state), write_value(value[state])]
        if not compared and gain is not None:
            return [*shown, takes, write_gain(gain[state])]
        if ended[state]:
            return [*shown, "over", "", ""]
        if tied[state]:
            return [*shown, takes, "any", "0"]
        return [*shown, takes, action_name(mdp, best[state]), write_advantage(advantage[state])]

    columns: dict[str, JustifyMethod] = {"state": "right", value_name(evaluation): "right", "policy takes": "left"}
    table = plain_table(columns | ({"best action": "left", "advantage": "right"} if compared else {"gain": "right"}))
    _fill(table, chosen, cells, glyphs)
    return table


def solution_table(mdp: MDP, policy: FloatArray, optimum: Evaluation, chosen: Selection, glyphs: Glyphs) -> Table:
    """Return a row for each state: the best value, in the long run the best gain, and the action that attains it."""
    name = "value" if optimum.gain is None else "gain"
    best = optimum.value if optimum.gain is None else optimum.gain
    taken, ended = likeliest_pairs(mdp, policy), ended_states(mdp)
    write = column(np.nan_to_num(best[chosen.all]), optimum.certificate.bounds[name])

    def cells(state: int) -> list[str]:
        action = "over" if ended[state] else action_name(mdp, taken[state])
        return [state_name(mdp, state), "-" if np.isnan(best[state]) else write(best[state]), action]

    table = plain_table({"state": "right", "V" if name == "value" else name: "right", "best action": "left"})
    _fill(table, chosen, cells, glyphs)
    return table


def visit_table(mdp: MDP, occupancy: Occupancy | FiniteHorizonOccupancy, chosen: Selection, glyphs: Glyphs) -> Table:
    """Return a row for each state: its share of the time, its expected visits if they are finite, and a bar."""
    bounds = occupancy.certificate.bounds
    d, visits = occupancy.state, occupancy.visits
    write_d = column(d[chosen.all], bounds["state"])
    write_visits = column(d if visits is None else visits[chosen.all], bounds.get("visits", 0.0))
    most = float(d.max()) or 1.0

    def cells(state: int) -> list[str]:
        bar = glyphs.bar * round(BAR_WIDTH * float(d[state]) / most)
        counted = [] if visits is None else [write_visits(visits[state])]
        return [state_name(mdp, state), write_d(d[state]), *counted, bar]

    columns: dict[str, JustifyMethod] = {"state": "right", "d": "right"}
    table = plain_table(columns | ({} if visits is None else {"visits": "right"}) | {"": "left"})
    _fill(table, chosen, cells, glyphs)
    return table


def settings_table(comparison: SettingsComparison) -> Table:
    """Return a row for each setting that exists: start value, objective, reward a step, and the distance."""
    table = plain_table(
        {"setting": "left", "start value": "right", "J": "right", "reward a step": "right", "distance": "right"}
    )
    for row in comparison.rows:
        if row.reason is None:
            setting = row.setting
            name = f"gamma = {setting.gamma!r}" if isinstance(setting, Discounted) else name_of(setting)
            numbers = [
                "" if (value := getattr(row, field)) is None else headline(value, row.bounds[field])
                for field in ("start_value", "objective", "mean_reward", "distance")
            ]
            table.add_row(*map(Text, [name, *numbers]))
    return table


def at_first(found: FiniteHorizonEvaluation) -> Evaluation:
    """Return the values at time 0 of a task of so many steps."""
    q, advantage, certificate = found.action_value[0], found.advantage[0], found.certificate
    bounds = {field: np.ravel(bound)[0] for field, bound in certificate.bounds.items()}
    first = replace(certificate, error_bound=float(bounds["value"]), bounds=bounds)
    return Evaluation(found.value[0], q, advantage, found.start_value, first, None)


def value_name(evaluation: Evaluation) -> str:
    """Return what the values are called: V, or bias."""
    return "V" if evaluation.gain is None else "bias"


def state_name(mdp: MDP, state: int) -> str:
    """Return the label of a state, or its number."""
    return str(state if mdp.state_labels is None else mdp.state_labels[state])


def facts_table(facts: Sequence[tuple[str, str]]) -> Table:
    """Return names and what is to be said of them, in two columns."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in facts:
        table.add_row(name, Text(text))
    return table


def plain_table(columns: Mapping[str, JustifyMethod]) -> Table:
    """Return a table without rows, with a line below its titles."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold", border_style="dim")
    for title, side in columns.items():
        table.add_column(title, justify=side, overflow="fold")
    return table


def _likeliest(mdp: MDP, policy: FloatArray, state: int, pair: int) -> str:
    if pair < 0:
        probabilities = policy[mdp.pair_start[state] : mdp.pair_start[state + 1]]
        return "any" if np.ptp(probabilities) <= TIED else "several alike"
    if policy[pair] > 1.0 - TIED:
        return action_name(mdp, pair)
    return f"{action_name(mdp, pair)} ({policy[pair]:.3g})"


def _fill(table: Table, chosen: Selection, cells: Callable[[int], list[str]], glyphs: Glyphs) -> None:
    for state in chosen.head.tolist():
        table.add_row(*(Text(cell) for cell in cells(state)))
    if chosen.left_out:
        table.add_row(*(glyphs.more for _ in table.columns), style="dim")
    for state in chosen.tail.tolist():
        table.add_row(*(Text(cell) for cell in cells(state)))
