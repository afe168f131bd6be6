"""The numbers of the reference: fractions, and nested lists of them."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any, overload

Number = int | float | Fraction
"""What may be put in; what comes out is always a Fraction."""

Vector = list[Fraction]
"""One number per state."""

Matrix = list[Vector]
"""Rows of numbers: a state by state matrix, or a pair array, whose rows may differ in length."""

Kernel = list[Matrix]
"""One row of transition probabilities for each action of each state."""


@overload
def exact(nested: Number) -> Fraction: ...
@overload
def exact(nested: Sequence[Number]) -> Vector: ...
@overload
def exact(nested: Sequence[Sequence[Number]]) -> Matrix: ...
@overload
def exact(nested: Sequence[Sequence[Sequence[Number]]]) -> Kernel: ...
def exact(nested: Any) -> Any:
    """Return the same nested lists with every number as a Fraction of exactly the same value.

    A float is the fraction that its bits say: 0.1 becomes 3602879701896397 / 2**55, not 1/10. Whoever means 1/10
    writes ``Fraction(1, 10)``.

    Parameters
    ----------
    nested
        A number, or sequences of numbers nested to any depth, ragged or not.

    Returns
    -------
    Fraction or nested lists of Fraction
        New lists of the shape of the argument.

    Raises
    ------
    TypeError
        If something is neither a sequence nor an int, float or Fraction. (NumPy's integers are turned away on
        purpose: they wrap around where a Fraction must grow.)
    ValueError, OverflowError
        If a float is NaN or infinite.

    Examples
    --------
    >>> exact([[0.5, 1], [Fraction(1, 3)]])
    [[Fraction(1, 2), Fraction(1, 1)], [Fraction(1, 3)]]
    >>> exact(0.1) == Fraction(1, 10)
    False
    """
    if isinstance(nested, Fraction):
        return nested
    if isinstance(nested, int | float):
        return Fraction(nested)
    return [exact(part) for part in nested]
