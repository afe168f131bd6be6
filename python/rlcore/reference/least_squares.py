"""The shortest solution of linear equations of which some repeat others (theory 4.2)."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from .linear import dot, multiply, solve, transpose
from .rational import Matrix, Vector


@dataclass(frozen=True, slots=True)
class ShortestSolution:
    """The solution with the least sum of squares, and the rank of the matrix.

    Attributes
    ----------
    solution
        x.
    rank
        The number of equations that do not follow from others.
    """

    solution: Vector
    rank: int


def shortest_solution(matrix: Matrix, right: Vector) -> ShortestSolution:
    """Return the shortest x with ``matrix x = b``: ``matrix^+ b``, by a factorisation of full rank.

    The rows R that do not follow from those above them say all that the equations say, and their combinations are
    the vectors without a part that the equations ignore::

        x = R^T z,    R R^T z = b of these rows

    Parameters
    ----------
    matrix
        Any number of rows.
    right
        b, one number for each row.

    Raises
    ------
    ValueError
        If there is no solution, or the lengths differ.

    References
    ----------
    A. Ben-Israel and T. N. E. Greville (2003), Generalized Inverses, section 1.6 (MacDuffee's theorem).

    Examples
    --------
    >>> one, two = Fraction(1), Fraction(2)
    >>> shortest_solution([[one, one], [two, two]], [two, two + two])
    ShortestSolution(solution=[Fraction(1, 1), Fraction(1, 1)], rank=1)
    """
    kept = independent_rows(matrix)
    rows = [matrix[i] for i in kept]
    x = [Fraction(0)] * len(matrix[0])
    if kept:
        (z,) = solve([[dot(row, other) for other in rows] for row in rows], [[right[i] for i in kept]])
        x = multiply(transpose(rows), z)
    if multiply(matrix, x) != right:
        raise ValueError("right: the equations contradict each other")
    return ShortestSolution(solution=x, rank=len(kept))


def independent_rows(matrix: Matrix) -> list[int]:
    """Return the numbers of the rows that are no combination of rows before them.

    Parameters
    ----------
    matrix
        Rows of one length.

    Examples
    --------
    >>> zero, one = Fraction(0), Fraction(1)
    >>> independent_rows([[zero, zero], [one, zero], [one + one, zero], [zero, one]])
    [1, 3]
    """
    kept: list[int] = []
    reduced: dict[int, Vector] = {}  # by their first column that is not 0, where they are 1
    for i, row in enumerate(matrix):
        rest = row
        for column, other in reduced.items():
            if factor := rest[column]:
                rest = [x - factor * y for x, y in zip(rest, other, strict=True)]
        lead = next((column for column, x in enumerate(rest) if x), None)
        if lead is not None:
            reduced[lead] = [x / rest[lead] for x in rest]
            kept.append(i)
    return kept
