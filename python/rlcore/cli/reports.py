"""The screens of the commands: what a person reads."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.text import Text

from rlcore.cli.choices import arrows, best_pairs, ended_states, indifferent, likeliest_pairs
from rlcore.cli.digits import at_most, column, count, enclosure, headline
from rlcore.cli.facts import Facts, described, size_in_words
from rlcore.cli.grid import Layout, Picture, decades, draw, layout_of, ranks
from rlcore.cli.model_argument import NamedModel
from rlcore.cli.policy_argument import NamedPolicy
from rlcore.cli.setting_argument import in_words
from rlcore.cli.tables import (
    at_first,
    extremes,
    facts_table,
    largest,
    settings_table,
    solution_table,
    value_name,
    value_table,
    visit_table,
)
from rlcore.cli.terminal import Glyphs, glyphs_of
from rlcore.finite_horizon import FiniteHorizonEvaluation, FiniteHorizonOccupancy
from rlcore.mdp import MDP
from rlcore.results import Certificate, Evaluation, FloatArray, Occupancy, Solution
from rlcore.settings import Average, Discounted, Episodic, FiniteHorizon, Setting
from rlcore.settings_comparison import SettingsComparison, name_of

# From low to high. Values are read against each other, visits against nothing: cool to warm, and dark to bright.
VALUE_COLOURS = ("#3b4cc0", "#8db0fe", "#dddddd", "#f4987a", "#b40426")
VISIT_COLOURS = ("#1b1033", "#5c1a6e", "#b5367a", "#fb8761", "#fcfdbf")

_MEANING_OF_D: dict[type[Setting], str] = {
    Discounted: "(1 - gamma) visits",
    Episodic: "the share of an episode's visits",
    Average: "the share of time in the long run",
    FiniteHorizon: "visits / number of steps",
}

TABLE_ROWS = 20
ROWS_BESIDE_A_GRID = 5


@dataclass(frozen=True, slots=True)
class Question:
    """What was asked."""

    model: NamedModel
    policy: NamedPolicy
    setting: Setting
    tol: float
    limit: int | None  # rows of the table; None: as many as are useful


def show_evaluation(question: Question, found: Evaluation | FiniteHorizonEvaluation, console: Console) -> None:
    """Print what a policy is worth."""
    mdp, policy = question.model.mdp, question.policy.array
    evaluation = found if isinstance(found, Evaluation) else at_first(found)
    if policy.ndim > len(mdp.pair_shape):  # one for each step
        policy = policy[0]
    heading(question, console)
    _start_value(evaluation, console)
    layout = layout_of(mdp)
    numbered = layout is not None and _draw_values(layout, mdp, policy, evaluation, console)
    chosen = extremes(evaluation.value, _rows(question, 0 if numbered else TABLE_ROWS))
    if chosen.all.size:
        console.print(value_table(mdp, policy, evaluation, chosen, glyphs_of(console)))
        if chosen.left_out:
            ends = f"the {chosen.head.size:,} most and the {chosen.tail.size:,} least valuable states"
            console.print(f"{ends}; {chosen.left_out:,} lie between them", style="dim")
        console.print()
    largest = float(np.nanmax(np.abs(evaluation.value), initial=0.0))
    if evaluation.gain is not None:
        largest = max(largest, float(np.abs(mdp.reward).max()))
    every = f"every {value_name(evaluation)} is within {{}} of the exact one"
    _certified(every, evaluation.certificate, question.tol * largest, console)


def show_solution(question: Question, found: Solution, console: Console) -> None:
    """Print the best that any policy can do, and the policy that does it."""
    mdp, policy = question.model.mdp, question.policy.array
    optimum, bounds = _at_start(found), found.certificate.bounds
    if policy.ndim > len(mdp.pair_shape):  # one for each step
        policy = policy[0]
    heading(question, console)
    _start_value(optimum, console)
    layout = layout_of(mdp)
    numbered = layout is not None and optimum.gain is None and _draw_values(layout, mdp, policy, optimum, console)
    ranked = optimum.value if optimum.gain is None else optimum.gain
    chosen = extremes(ranked, _rows(question, 0 if numbered else TABLE_ROWS))
    if chosen.all.size:
        console.print(solution_table(mdp, policy, optimum, chosen, glyphs_of(console)))
        console.print()
    name, field = ("V", "value") if optimum.gain is None else ("gain", "gain")
    largest = float(np.nanmax(np.abs(ranked), initial=0.0))
    short = at_most(float(np.max(bounds[f"policy_{field}"])))
    every = f"every {name} is within {{}} of the best that any policy attains; this one falls short by {short} at most"
    _certified(every, found.certificate, question.tol * largest, console)


def _at_start(found: Solution) -> Evaluation:
    """Return the best values as those of a policy are held: of time 0, if they depend on the time."""
    certificate, timed = found.certificate, found.value.ndim > 1
    if timed:
        bounds = {field: float(np.ravel(bound)[0]) for field, bound in certificate.bounds.items()}
        certificate = replace(certificate, error_bound=bounds["value"], bounds=bounds)
    value = found.value[0] if timed else found.value
    unknown: Any = None
    return Evaluation(value, unknown, unknown, found.start_value, certificate, None, None, found.gain)


def show_occupancy(question: Question, occupancy: Occupancy | FiniteHorizonOccupancy, console: Console) -> None:
    """Print where a policy goes."""
    mdp = question.model.mdp
    heading(question, console)
    _visits_in_all(question, occupancy, console)
    layout = layout_of(mdp)
    if layout is not None:
        _draw_visits(question, layout, occupancy, console)
    chosen = largest(occupancy.state, _rows(question, TABLE_ROWS if layout is None else ROWS_BESIDE_A_GRID))
    if chosen.all.size:
        console.print(visit_table(mdp, occupancy, chosen, glyphs_of(console)))
        if chosen.left_out:
            others = max(1.0 - float(occupancy.state[chosen.all].sum() / occupancy.state.sum()), 0.0)
            share = f"{others:.3g}" if others > 1e-12 else "none"
            console.print(f"{count(chosen.left_out, 'other state')}: {share} of all visits", style="dim")
        console.print()
    what, amounts = ("shares", occupancy.state) if occupancy.visits is None else ("visits", occupancy.visits)
    asked = question.tol * float(amounts.sum())
    _certified(f"the errors of all {what} together are at most {{}}", occupancy.certificate, asked, console)


def show_settings(question: Question, comparison: SettingsComparison, console: Console) -> None:
    """Print what a policy is in every setting, and what that means."""
    heading(question, console, "in every setting")
    console.print(settings_table(comparison))
    console.print()
    for row in comparison.rows:
        if row.reason is not None:
            console.print(Text(f"{name_of(row.setting)}: does not exist. {row.reason}", style="dim"))
            console.print()
    console.print(Text(_meaning(comparison)))
    console.print(
        "J = sum d V, where the policy is worth V; reward a step: the mean over all steps; distance: total variation "
        "between the shares of steps in each state and those of the last line.",
        style="dim",
    )
    worst = max(float(bound) for row in comparison.rows for name, bound in row.bounds.items() if name == "distance")\
        if comparison.limit is not None else None  # fmt: skip
    if worst is not None:
        console.print(f"Certified: every distance is within {at_most(worst)} of the exact one.")


def _meaning(comparison: SettingsComparison) -> str:
    """Return in a sentence or two what the table says."""
    limit = comparison.limit
    if limit is None:
        return (
            "The process may end and may go on for ever, so only the discounted settings exist: what the policy is "
            "worth depends on the discount factor for good."
        )
    nearest = [row for row in comparison.rows if isinstance(row.setting, Discounted)][-1]
    away = f"At {in_words(nearest.setting)} they are {nearest.distance:.2g} away"
    if isinstance(limit.setting, Episodic):
        return (
            "The process surely ends. As gamma -> 1 the visits spread over the states as those of an episode do. "
            f"{away}. The start value tends to that of an episode. J is what is still to come from a state in which "
            "the process spends its steps."
        )
    return (
        f"The process never ends. As gamma -> 1 the visits become shares of time in the long run. {away}. Start value "
        "and J grow like gain / (1 - gamma); on average over the policy's own long run, V is exactly that, whatever "
        "gamma is."
    )


def show_facts(model: NamedModel, facts: Facts, console: Console) -> None:
    """Print what a model is."""
    console.print(Text(model.name, style="bold"))
    console.print(facts_table(described(model.mdp, facts)))


# ---- parts of a screen ----


def heading(question: Question, console: Console, setting: str | None = None) -> None:
    """Print what was asked."""
    console.print(Text.assemble((question.model.name, "bold"), "  ", (size_in_words(question.model.mdp), "dim")))
    console.print(Text(f"{question.policy.description}, {setting or in_words(question.setting)}"))
    console.print()


def _start_value(evaluation: Evaluation, console: Console) -> None:
    if evaluation.gain is not None and evaluation.on_policy_objective is not None:
        bound = evaluation.certificate.bounds["on_policy_objective"]
        console.print(headline_text("gain", evaluation.on_policy_objective, bound, glyphs_of(console)))
    elif evaluation.start_value is None:
        console.print("start value  none: the model has no start distribution", style="dim")
    else:
        bound = evaluation.certificate.bounds["start_value"]
        console.print(headline_text("start value", evaluation.start_value, bound, glyphs_of(console)))
    console.print()


def _visits_in_all(question: Question, occupancy: Occupancy | FiniteHorizonOccupancy, console: Console) -> None:
    if occupancy.visits is None:
        return
    total = math.fsum(occupancy.visits.tolist())  # rounded once
    bound = occupancy.certificate.bounds["visits"] + math.ulp(total) / 2
    line = headline_text("visits in all", total, bound, glyphs_of(console))
    endless = _steps_without_end(question.setting)
    if question.model.mdp.can_end and endless is not None:
        line.append(f"\n{'':15}{endless:.8g} if the process never ended", style="dim")
    console.print(line)
    console.print()


def _steps_without_end(setting: Setting) -> float | None:
    if isinstance(setting, FiniteHorizon):
        return float(setting.steps)
    return 1.0 / (1.0 - setting.gamma) if isinstance(setting, Discounted) else None


def headline_text(name: str, value: float, bound: float, glyphs: Glyphs) -> Text:
    """Return a number in full view, and all that is proven of it."""
    short, full = headline(value, bound), enclosure(value, bound, glyphs.plus_minus)
    return Text.assemble(f"{name}  ", (short, "bold green"), (f"   proven: {full}", "dim"))


def _draw_values(layout: Layout, mdp: MDP, policy: FloatArray, evaluation: Evaluation, console: Console) -> bool:
    """Draw V, and return whether its numbers can be read."""
    value, bound = np.nan_to_num(evaluation.value), float(evaluation.certificate.bounds["value"])
    ended = ended_states(mdp)
    marks, meaning = _arrows(mdp, policy, evaluation, ended, glyphs_of(console))
    blank = ended if evaluation.proper is None else ended | ~evaluation.proper
    texts = _numbers(value, bound, ended, None if evaluation.proper is None else ~evaluation.proper)
    picture = Picture(ranks(value, bound), texts, marks, blank, VALUE_COLOURS)
    drawing = draw(layout, picture, console)
    console.print(drawing.grid)
    by_rank = ", coloured by rank" if drawing.coloured else ""
    _caption([f"{value_name(evaluation)} of each state{by_rank}{_meaning_of_end(ended)}", meaning], console)
    return drawing.numbered


def _draw_visits(
    question: Question, layout: Layout, occupancy: Occupancy | FiniteHorizonOccupancy, console: Console
) -> None:
    mdp = question.model.mdp
    d, bound = occupancy.state, float(occupancy.certificate.bounds["state"])
    ended = ended_states(mdp) & (d <= bound)  # some may begin where it ends
    picture = Picture(decades(d), _numbers(d, bound, ended), [""] * mdp.num_states, ended, VISIT_COLOURS)
    drawing = draw(layout, picture, console)
    console.print(drawing.grid)
    by_logarithm = ", coloured by logarithm" if drawing.coloured else ""
    meaning = _MEANING_OF_D[type(question.setting)]
    _caption([f"d = {meaning}{by_logarithm}{_meaning_of_end(ended)}"], console)


def _numbers(
    values: FloatArray, bound: float, ended: NDArray[np.bool_], endless: NDArray[np.bool_] | None = None
) -> Callable[[int, int], list[str]]:
    def texts(digits: int, spare: int) -> list[str]:
        write = column(values, bound, digits, spare)
        found = ["end" if over else write(x) for x, over in zip(values.tolist(), ended.tolist(), strict=True)]
        return found if endless is None else ["-" if never else x for x, never in zip(found, endless, strict=True)]

    return texts


def _arrows(
    mdp: MDP, policy: FloatArray, evaluation: Evaluation, ended: NDArray[np.bool_], glyphs: Glyphs
) -> tuple[list[str], str]:
    """Return the arrow of each state, and what arrows mean here."""
    shapes = arrows(mdp, glyphs)
    if not shapes:
        return [""] * mdp.num_states, ""
    pairs, meaning = likeliest_pairs(mdp, policy), "arrows: what the policy does most"
    if evaluation.action_value is not None and (pairs[~ended] < 0).all():
        pairs = np.where(indifferent(mdp, evaluation), -1, best_pairs(mdp, evaluation))
        meaning = "arrows: the action that would gain most, since the policy favours none"
    pairs = np.where(ended, -1, pairs)
    actions = mdp.pair_action[pairs].tolist()
    return ["" if pair < 0 else shapes.get(a, "") for pair, a in zip(pairs.tolist(), actions, strict=True)], meaning


def _meaning_of_end(ended: NDArray[np.bool_]) -> str:
    return "; end: the process is over" if ended.any() else ""


def _caption(lines: list[str], console: Console) -> None:
    console.print("\n".join(line for line in lines if line), style="dim")
    console.print()


def _rows(question: Question, otherwise: int) -> int:
    return otherwise if question.limit is None else question.limit


def _certified(statement: str, certificate: Certificate, asked: float, console: Console) -> None:
    wanted = at_most(asked) if asked > 0.0 else "the best attainable"
    how = f"{certificate.method}; {count(certificate.iterations, 'iteration')} in all"
    console.print(f"Certified: {statement.format(at_most(certificate.error_bound))}.")
    console.print(f"Asked for: {wanted}. Found by {how}.", style="dim")
    for line in (certificate.story or "").splitlines():
        console.print(Text(f"  {line}", style="dim"))
