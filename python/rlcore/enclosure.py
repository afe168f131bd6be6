"""Numbers that are known to lie between two bounds, and what they decide (theory 9)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

ULP = float(np.finfo(np.float64).eps)


class Verdict(StrEnum):
    """What is proven of a statement.

    HOLDS and VIOLATED are decided by enclosures of both of its sides, beyond all rounding; UNDECIDED says that the
    enclosures overlap. NOT_EVALUATED: a side of it was not asked for. NOT_APPLICABLE: its conditions do not hold, or
    the model is too large for it.

    Examples
    --------
    >>> import rlcore as rl
    >>> rl.Verdict.HOLDS == "HOLDS"
    True
    """

    HOLDS = "HOLDS"
    VIOLATED = "VIOLATED"
    UNDECIDED = "UNDECIDED"
    NOT_EVALUATED = "NOT_EVALUATED"
    NOT_APPLICABLE = "NOT_APPLICABLE"


@dataclass(frozen=True, slots=True, eq=False)
class Enclosure:
    """A number, or an array of them, between two proven bounds.

    Attributes
    ----------
    lower, upper
        The bounds; the same number if it is known exactly.

    Examples
    --------
    >>> import rlcore as rl
    >>> x = rl.Enclosure(1.0, 1.5)
    >>> x.value, round(x.error, 9)
    (1.25, 0.25)
    """

    lower: Any
    upper: Any

    def __post_init__(self) -> None:
        object.__setattr__(self, "lower", _number(self.lower))
        object.__setattr__(self, "upper", _number(self.upper))

    @classmethod
    def around(cls, value: Any, error: Any) -> Enclosure:
        """Return value +- error, rounded outwards; an error of zero is exact."""
        error = np.asarray(error, dtype=float)
        error = np.where(np.isnan(error), np.inf, error)  # an error that is not known bounds nothing
        widened = error * (1.0 + 4 * ULP)
        lower, upper = _sum_below(value, -widened), _sum_above(value, widened)
        unknown = np.isnan(lower) | np.isnan(upper)  # inf - inf: an infinite number that is known to be so
        return cls(np.where(unknown, value, lower), np.where(unknown, value, upper))

    @classmethod
    def of_twofold(cls, high: Any, low: Any, error: Any) -> Enclosure:
        """Return high + low +- error, rounded outwards."""
        rest = cls.around(low, error)
        lower, upper = _sum_below(high, rest.lower), _sum_above(high, rest.upper)
        return cls(np.where(np.isnan(lower), high, lower), np.where(np.isnan(upper), high, upper))

    @property
    def value(self) -> Any:
        """The middle."""
        with np.errstate(invalid="ignore"):
            middle = self.lower + 0.5 * (np.asarray(self.upper) - self.lower)
        return _number(np.where(np.asarray(self.lower) == self.upper, self.lower, middle))

    @property
    def error(self) -> Any:
        """How far the number can be from the middle, which is rounded."""
        middle = self.value
        farthest = np.maximum(_sum_above(self.upper, -middle), _sum_above(middle, -np.asarray(self.lower)))
        endless = np.isinf(self.lower) | np.isinf(self.upper)
        return _number(np.where(np.asarray(self.lower) == self.upper, 0.0, np.where(endless, np.inf, farthest)))

    def at_least_zero(self) -> Enclosure:
        """Enclose the larger of the number and 0."""
        return Enclosure(np.maximum(self.lower, 0.0), np.maximum(self.upper, 0.0))

    def __abs__(self) -> Enclosure:
        """Enclose the magnitude."""
        least = np.maximum(np.maximum(self.lower, -np.asarray(self.upper)), 0.0)
        return Enclosure(least, np.maximum(-np.asarray(self.lower), self.upper))

    def __neg__(self) -> Enclosure:
        """Enclose the negative."""
        return Enclosure(-np.asarray(self.upper), -np.asarray(self.lower))

    def __add__(self, other: Enclosure) -> Enclosure:
        """Enclose a sum."""
        lower, upper = _sum_below(self.lower, other.lower), _sum_above(self.upper, other.upper)
        return Enclosure(np.where(np.isnan(lower), -np.inf, lower), np.where(np.isnan(upper), np.inf, upper))

    def __sub__(self, other: Enclosure) -> Enclosure:
        """Enclose a difference."""
        return self + (-other)

    def __mul__(self, other: Enclosure) -> Enclosure:
        """Enclose a product; 0 inf = 0."""
        with np.errstate(invalid="ignore"):
            ends = np.stack([np.multiply(x, y) for x in (self.lower, self.upper) for y in (other.lower, other.upper)])
        ends = np.where(np.isnan(ends), 0.0, ends)
        return _outwards(ends.min(axis=0), ends.max(axis=0))

    def __getitem__(self, item: Any) -> Enclosure:
        """Return one of several numbers."""
        return Enclosure(np.asarray(self.lower)[item], np.asarray(self.upper)[item])

    def __contains__(self, number: float) -> bool:
        """Whether a number lies between the bounds."""
        return bool(np.all((self.lower <= number) & (number <= self.upper)))

    def __repr__(self) -> str:
        if np.ndim(self.lower) == 0:
            return f"[{self.lower!r}, {self.upper!r}]"
        return f"Enclosure(of {np.shape(self.lower)} numbers, largest error {np.max(self.error, initial=0.0):.3g})"


def at_most(left: Enclosure, right: Enclosure) -> Any:
    """Decide left <= right: a `Verdict`, or an array of them."""
    holds = np.asarray(left.upper) <= right.lower
    violated = np.asarray(left.lower) > right.upper
    found: NDArray[Any] = np.where(holds, Verdict.HOLDS, np.where(violated, Verdict.VIOLATED, Verdict.UNDECIDED))
    return Verdict(found.item()) if found.ndim == 0 else as_verdicts(found)


def longer(a: Enclosure, b: Enclosure) -> Enclosure:
    """Enclose the larger of two numbers."""
    return Enclosure(np.maximum(a.lower, b.lower), np.maximum(a.upper, b.upper))


def product_or_zero(x: Any, y: Any) -> Any:
    """Return the product of numbers one of which may be infinite, 0 inf = 0."""
    x, y = np.asarray(x), np.asarray(y)
    with np.errstate(invalid="ignore"):
        return np.where((x == 0.0) | (y == 0.0), 0.0, x * y)


def as_verdicts(names: Any) -> NDArray[Any]:
    """Return an array of `Verdict` for an array of their names."""
    flat = [Verdict(str(name)) for name in np.ravel(names)]
    verdicts = np.empty(len(flat), dtype=object)
    verdicts[:] = flat
    return verdicts.reshape(np.shape(names))


def _sum_below(x: Any, y: Any) -> Any:
    """Return the largest double that is not above x + y."""
    total, rest = _two_sum(x, y)
    return np.where(rest < 0.0, np.nextafter(total, -np.inf), total)


def _sum_above(x: Any, y: Any) -> Any:
    """Return the least double that is not below x + y."""
    total, rest = _two_sum(x, y)
    return np.where(rest > 0.0, np.nextafter(total, np.inf), total)


def _two_sum(x: Any, y: Any) -> tuple[Any, Any]:
    """Return x + y, rounded, and what that loses (Knuth); the rest of an infinite sum is no number."""
    with np.errstate(invalid="ignore", over="ignore"):
        total = np.add(x, y)
        of_y = total - x
        return total, (x - (total - of_y)) + (y - of_y)


def _outwards(lower: Any, upper: Any) -> Enclosure:
    """Return what lies between two bounds that were rounded once."""
    with np.errstate(invalid="ignore"):  # 0 inf
        return Enclosure(
            np.where(np.isfinite(lower), lower - ULP * np.abs(lower), lower),
            np.where(np.isfinite(upper), upper + ULP * np.abs(upper), upper),
        )


def _number(x: Any) -> Any:
    """Return a plain number for a single one, so that it prints, compares and goes into files as such."""
    return float(x) if np.ndim(x) == 0 else x
