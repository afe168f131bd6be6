"""Statements that are checked on a model: two sides, how they should relate, and what is proven of that (theory 9)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from rlcore.enclosure import ULP, Enclosure, Verdict, at_most
from rlcore.results import FloatArray
from rlcore.settings import Average, Discounted, Episodic

Relation = Literal["=", "<=", ">="]
Place = tuple[str, str]  # the number of a statement in the theory, and its text

NOTHING = Enclosure(0.0, 0.0)
CLOSE = 1e-6  # relative to the terms of an equation: enclosures that are wider show nothing


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class AuditRow:
    """One statement of the theory, checked on one model.

    Attributes
    ----------
    name
        What it is called.
    source
        Its number in the theory.
    statement
        What it says.
    relation
        "=", "<=" or ">=", between left and right.
    left, right
        Both sides, enclosed. Of an equation between vectors the left side is the largest |difference|, or the sum of
        them for distributions, and the right side is 0. None if there is nothing to compare.
    residual
        An `Enclosure` of |left - right|, for equations.
    tolerance
        What the residual may be at most for an equation to hold: a millionth of its terms, or a thousand `tol` of
        them if that is more. Equations whose enclosures overlap and are wider than that are UNDECIDED.
    verdict
        HOLDS, VIOLATED, UNDECIDED, or NOT_APPLICABLE and NOT_EVALUATED with the reason.
    reason
        Why the verdict is neither HOLDS nor VIOLATED, or None.
    """

    name: str
    source: str
    statement: str
    relation: Relation
    left: Enclosure | None
    right: Enclosure | None
    residual: Enclosure | None
    tolerance: float | None
    verdict: Verdict
    reason: str | None = None

    def __repr__(self) -> str:
        if self.left is None or self.right is None:
            return f"AuditRow({self.source} {self.name}: {self.verdict}, {self.reason})"
        sides = f"{float(self.left.value):.6g} {self.relation} {float(self.right.value):.6g}"
        return f"AuditRow({self.source} {self.name}: {sides}, {self.verdict})"


class NotApplicableError(Exception):
    """The conditions of a statement do not hold here; the message says which."""


@dataclass(frozen=True, slots=True, eq=False)
class Finding:
    """What is found of a statement; an `AuditRow` without its name."""

    relation: Relation
    left: Enclosure
    right: Enclosure
    residual: Enclosure | None = None
    scale: float | None = None  # the size of an equation's terms
    verdict: Verdict | None = None  # if it is known from elsewhere


def equal(left: Enclosure, right: Enclosure, scale: Any) -> Finding:
    """Compare two numbers that should be the same; `scale` is the size of the terms that they are summed from."""
    apart = np.maximum(np.maximum(left.lower - np.asarray(right.upper), right.lower - np.asarray(left.upper)), 0.0)
    width = np.maximum(left.upper - np.asarray(right.lower), right.upper - np.asarray(left.lower))
    return Finding("=", left, right, Enclosure(float(apart), float(width)), float(scale))


def equal_everywhere(difference: FloatArray, error: Any, scale: Any) -> Finding:
    """Compare two vectors that should be the same in every state, by the largest difference."""
    size, error = np.abs(difference), np.broadcast_to(error, difference.shape)
    least = float(np.maximum(size - error, 0.0).max(initial=0.0))
    most = float((size + error).max(initial=0.0))
    residual = Enclosure(least, most)
    return Finding("=", residual, NOTHING, residual, float(scale))


def equal_in_sum(difference: FloatArray, error: Any, scale: Any) -> Finding:
    """Compare two distributions, or visits, that should be the same, by the sum of all differences."""
    size = float(np.abs(difference).sum())
    rounding = (difference.size + 2) * ULP * size
    residual = Enclosure(max(size - float(error) - rounding, 0.0), size + float(error) + rounding)
    return Finding("=", residual, NOTHING, residual, float(scale))


def less(left: Enclosure, right: Enclosure) -> Finding:
    """Compare two numbers of which the left one should not be larger."""
    return Finding("<=", left, right)


def more(left: Enclosure, right: Enclosure) -> Finding:
    """Compare two numbers of which the left one should not be smaller."""
    return Finding(">=", left, right)


def row_of(name: str, place: Place, found: Finding, tol: float) -> AuditRow:
    """Decide a statement."""
    tolerance = None if found.scale is None else max(CLOSE, 1e3 * tol) * found.scale
    verdict = found.verdict or _decided(found, tolerance)
    reason = None
    if verdict is Verdict.UNDECIDED:
        reason = "the enclosures of the two sides overlap" + (
            " and are too wide to show that the sides are the same" if found.relation == "=" else ""
        )
    left, right = _of_floats(found.left), _of_floats(found.right)
    return AuditRow(name, *place, found.relation, left, right, found.residual, tolerance, verdict, reason)


def without_sides(name: str, place: Place, relation: Relation, verdict: Verdict, reason: str) -> AuditRow:
    """Return the row of a statement that there is nothing to compare of."""
    return AuditRow(name, *place, relation, None, None, None, None, verdict, reason)


def _of_floats(x: Enclosure) -> Enclosure:
    return Enclosure(float(x.lower), float(x.upper))


def _decided(found: Finding, tolerance: float | None) -> Verdict:
    if found.relation == "<=":
        return Verdict(at_most(found.left, found.right))
    if found.relation == ">=":
        return Verdict(at_most(found.right, found.left))
    assert found.residual is not None
    assert tolerance is not None
    if found.residual.lower > 0.0:
        return Verdict.VIOLATED
    return Verdict.HOLDS if found.residual.upper <= tolerance else Verdict.UNDECIDED


# ---- the list of statements ----


@dataclass(frozen=True, slots=True, eq=False)
class Statement:
    """A statement of the theory: its name, where it stands in each setting, and how it is checked."""

    name: str
    places: dict[type, Place]
    relation: Relation
    check: Callable[[Any], Finding]


def statement(
    into: list[Statement],
    relation: Relation = "=",
    *,
    discounted: Place | None = None,
    episodic: Place | None = None,
    average: Place | None = None,
) -> Callable[[Callable[[Any], Finding]], Callable[[Any], Finding]]:
    """Register a function as the check of the statement of its name, in the settings for which its place is given."""
    found = {Discounted: discounted, Episodic: episodic, Average: average}
    places: dict[type, Place] = {kind: place for kind, place in found.items() if place is not None}

    def register(check: Callable[[Any], Finding]) -> Callable[[Any], Finding]:
        into.append(Statement(check.__name__.replace("_", " "), places, relation, check))
        return check

    return register


def checked(statements: list[Statement], subject: Any, setting: Any, tol: float) -> list[AuditRow]:
    """Check all statements that exist in a setting."""
    rows = []
    for each in statements:
        place = each.places.get(type(setting))
        if place is None:
            continue
        try:
            rows.append(row_of(each.name, place, each.check(subject), tol))
        except NotApplicableError as reason:
            rows.append(without_sides(each.name, place, each.relation, Verdict.NOT_APPLICABLE, str(reason)))
    return rows
