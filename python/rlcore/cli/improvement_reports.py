"""The screens of `rlcore audit` and `rlcore check`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.text import Text

from rlcore.audit import Audit
from rlcore.cli.digits import at_most, count, headline
from rlcore.cli.reports import Question, heading
from rlcore.cli.tables import plain_table
from rlcore.enclosure import Verdict
from rlcore.improvement_report import ImprovementReport
from rlcore.statements import AuditRow

COLOURS = {
    Verdict.HOLDS: "green",
    Verdict.VIOLATED: "bold red",
    Verdict.UNDECIDED: "yellow",
    Verdict.NOT_EVALUATED: "dim",
    Verdict.NOT_APPLICABLE: "dim",
}


def show_audit(question: Question, candidate: str, found: Audit, console: Console) -> None:
    """Print every statement with both sides and its verdict, and what that means."""
    heading(question, console)
    console.print(f"candidate: {candidate}")
    console.print()
    table = plain_table(
        {"theory": "left", "statement": "left", "left": "right", "": "left", "right": "right", "off by": "right",
         "verdict": "left"}
    )  # fmt: skip
    for row in found.rows:
        verdict = Text(str(row.verdict).lower().replace("_", " "), style=COLOURS[row.verdict])
        table.add_row(row.source, Text(_label(row)), *map(Text, _sides(row)), verdict)
    console.print(table)
    console.print()
    for row in found.rows:
        if row.verdict in (Verdict.NOT_APPLICABLE, Verdict.NOT_EVALUATED):
            console.print(Text(f"{row.name}: {row.reason}", style="dim"))
    console.print("off by: the largest difference of the two sides that is not excluded", style="dim")
    console.print()
    console.print(Text(found.summary, style=COLOURS[Verdict.VIOLATED] if found.violated else ""))


def show_candidates(
    question: Question, candidates: str, found: ImprovementReport, order: NDArray[np.int64], top: int, console: Console
) -> None:
    """Print a row for each of the best candidates."""
    heading(question, console)
    eta = headline(found.eta, found.certificate.bounds["eta"])
    console.print(f"{candidates}; the policy's return is {eta}")
    console.print()
    returns = found.eta_new is not None
    columns: dict[str, Any] = {"no": "right", "gain >=": "right"}
    columns |= {"eta'": "right"} if returns else {}
    columns |= {"L": "right", "alpha": "right", "best bound": "left", "its gain": "right"}
    table = plain_table(columns | {"better": "left"})
    for item in order[:top].tolist():
        verdict = Verdict(str(found.improves[item]))
        shown = [str(item), _number(float(found.guaranteed[item]))]
        shown += [_number(float(found.eta_new[item]))] if returns else []
        shown += [_number(float(getattr(found, name)[item])) for name in ("surrogate", "alpha")]
        name, gain = best_bound(found, item)
        shown += ["none" if name is None else name, "" if name is None else _number(gain)]
        table.add_row(*map(Text, shown), Text(IMPROVES[verdict], style=COLOURS[verdict]))
    console.print(table)
    console.print()
    if order.size > top:
        console.print(f"{count(order.size - top, 'other candidate')} below these", style="dim")
    console.print(Text(_meaning(found, order)))


IMPROVES = {Verdict.HOLDS: "yes", Verdict.VIOLATED: "no", Verdict.UNDECIDED: "undecided"}


def best_bound(found: ImprovementReport, item: int) -> tuple[str | None, float]:
    """Return the bound that guarantees a candidate most, by itself, and what it guarantees of eta' - eta."""
    lower = {name: float(bound.lower[item]) for name, bound in found.bounds.items() if bound.gap is not None}
    if not lower:
        return None, -math.inf
    name = max(lower, key=lambda each: lower[each])
    return name, lower[name] - found.eta


def _meaning(found: ImprovementReport, order: NDArray[np.int64]) -> str:
    """Return in a sentence or two what the table says."""
    better = sum(Verdict(str(verdict)) is Verdict.HOLDS for verdict in found.improves)
    by_bound = sum(best_bound(found, item)[1] > 0.0 for item in range(order.size))
    best = int(np.argmax(found.guaranteed))
    gain = float(found.guaranteed[best])
    most = f"candidate {best} gains most for certain, at least {gain:.6g}" if gain > 0.0 else "none gains for certain"
    return (
        f"{better} of {count(order.size, 'candidate')} {'is' if better == 1 else 'are'} proven to be no worse than the "
        f"policy, {by_bound} of them better by a bound alone; {most}."
    )


def _label(row: AuditRow) -> str:
    return row.name if row.source == "6" else row.statement


def _sides(row: AuditRow) -> list[str]:
    if row.left is None or row.right is None:
        return ["", row.relation, "", ""]
    off = "" if row.residual is None else at_most(row.residual.upper) if math.isfinite(row.residual.upper) else "inf"
    left = 0.0 if row.relation == "=" and 0.0 in row.left else float(row.left.value)
    return [_number(left), row.relation, _number(float(row.right.value)), off]


def _number(x: float) -> str:
    return f"{x:.4g}"
