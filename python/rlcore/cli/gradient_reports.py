"""The screen of `rlcore gradient`."""

from __future__ import annotations

import numpy as np
from rich.console import Console
from rich.text import Text

from rlcore.cli.choices import action_name
from rlcore.cli.digits import at_most, column, count
from rlcore.cli.family_argument import NamedFamily
from rlcore.cli.gradient_answer import GradientAnswer
from rlcore.cli.reports import Question, heading, headline_text
from rlcore.cli.tables import plain_table, state_name
from rlcore.cli.terminal import glyphs_of
from rlcore.gradient_estimation import GradientEstimate
from rlcore.mdp import MDP

TABLE_ROWS = 12


def show_gradient(question: Question, family: NamedFamily, found: GradientAnswer, console: Console) -> None:
    """Print the gradient, what is made of it, and what estimates are worth."""
    heading(question, console)
    _objective(found, console)
    _components(question, family, found, console)
    _sizes(found, console)
    if found.episodes is not None:
        _estimates(found, console)
    bound = at_most(float(found.gradient.certificate.bounds["gradient"]))
    console.print(f"Certified: every component of the gradient is within {bound} of the exact one.")
    console.print(f"Found by {found.gradient.certificate.method}.", style="dim")


def _objective(found: GradientAnswer, console: Console) -> None:
    gradient, bounds = found.gradient, found.gradient.certificate.bounds
    glyphs = glyphs_of(console)
    if gradient.gain is not None:
        console.print(headline_text("gain", gradient.gain, float(bounds["gain"]), glyphs))
    else:
        assert gradient.start_value is not None
        console.print(headline_text("start value", gradient.start_value, float(bounds["start_value"]), glyphs))
    console.print()


def _components(question: Question, family: NamedFamily, found: GradientAnswer, console: Console) -> None:
    mdp, gradient = question.model.mdp, found.gradient.gradient.ravel()
    bound = float(found.gradient.certificate.bounds["gradient"])
    rows = TABLE_ROWS if question.limit is None else question.limit
    order = np.argsort(-np.abs(gradient), kind="stable")[:rows]
    if not order.size:
        return
    console.print(f"{family.description}, {count(gradient.size, 'parameter')}; the gradient's largest components")
    write = column(gradient[order], bound)
    by_pair = family.name != "linear"
    titles = {"state": "right", "action": "left"} if by_pair else {"parameter": "right"}
    table = plain_table({**titles, "gradient": "right"})  # type: ignore[dict-item]
    for place in order.tolist():
        name = _pair_names(mdp, place) if by_pair else [str(place)]
        table.add_row(*map(Text, name), Text(write(float(gradient[place]))))
    console.print(table)
    if order.size < gradient.size:
        console.print(f"{count(gradient.size - order.size, 'other component')}, none of them larger", style="dim")
    console.print()


def _pair_names(mdp: MDP, pair: int) -> list[str]:
    return [state_name(mdp, int(mdp.pair_state[pair])), action_name(mdp, pair)]


def _sizes(found: GradientAnswer, console: Console) -> None:
    """Print the lengths of the gradient and the natural one, and where the practical one points."""
    console.print(f"length of the gradient          {float(np.linalg.norm(found.gradient.gradient)):.6g}")
    if found.natural is not None:
        console.print(f"length of the natural gradient  {float(np.linalg.norm(found.natural)):.6g}")
    if found.practical is not None and found.practical.cosine is not None:
        console.print(f"practical gradient              cosine {found.practical.cosine:.6g} with the gradient")
    console.print()


def _estimates(found: GradientAnswer, console: Console) -> None:
    assert found.episodes is not None
    episodes = found.episodes
    cut = f"{count(episodes.count, 'episode')} of at most {count(episodes.steps, 'step')}"
    console.print(f"estimates from {cut}, seed {episodes.seed}")
    table = plain_table({"estimator": "left", "off by": "right", "by chance": "right", "cosine": "right", "z": "right"})
    for name, estimate in found.estimates.items():
        table.add_row(*map(Text, [name, *_judged(estimate)]))
    console.print(table)
    console.print(
        "off by: |estimate - gradient| / |gradient|; by chance: what chance alone makes of it; z: the error along the "
        "gradient, in standard errors; beyond some 4 it is a bias",
        style="dim",
    )
    first = next(iter(found.estimates.values()))
    if first.truncation_bound is not None:
        console.print(
            f"cutting episodes off moves the mean of {next(iter(found.estimates))} by at most "
            f"{at_most(first.truncation_bound)}",
            style="dim",
        )
    console.print()


def _judged(estimate: GradientEstimate) -> list[str]:
    length = float(np.linalg.norm(estimate.true_gradient))
    cosine = "" if estimate.cosine is None else f"{estimate.cosine:.4f}"
    if length == 0.0:
        return ["", "", cosine, ""]
    off = float(np.linalg.norm(estimate.bias)) / length
    if estimate.episodes == 1:  # by how much chance moves it is not known
        return [f"{off:.3g}", "", cosine, ""]
    chance = float(np.linalg.norm(estimate.standard_error)) / length
    return [f"{off:.3g}", f"{chance:.3g}", cosine, f"{estimate.projected_z_score:.1f}"]
