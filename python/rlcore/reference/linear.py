"""Rational linear algebra: products and elimination, carried out in integers.

Python adds and multiplies long integers quickly, but a Fraction divides out a common divisor after every operation.
So each row is brought to one denominator, the work is done on the numerators, and a fraction is formed once, at the
end.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import lcm

from .rational import Matrix, Vector


def dot(x: Vector, y: Vector) -> Fraction:
    """Return ``sum_i x_i y_i``.

    Parameters
    ----------
    x, y
        Two vectors of the same length.

    Raises
    ------
    ValueError
        If the lengths differ.

    Examples
    --------
    >>> dot([Fraction(1, 2), Fraction(1, 3)], [Fraction(1), Fraction(3, 2)])
    Fraction(1, 1)
    """
    (product,) = multiply([x], y)
    return product


def multiply(matrix: Matrix, x: Vector) -> Vector:
    """Return the product ``matrix x``.

    Parameters
    ----------
    matrix
        Rows of the length of x; any number of them.
    x
        The vector.

    Returns
    -------
    list of Fraction
        One number per row.

    Raises
    ------
    ValueError
        If a row is not as long as x.

    Examples
    --------
    >>> multiply([[Fraction(1), Fraction(1, 2)], [Fraction(0), Fraction(1, 3)]], [Fraction(2), Fraction(6)])
    [Fraction(5, 1), Fraction(2, 1)]
    """
    numerators, denominator = _common_denominator(x)
    product = []
    for row in matrix:
        row_numerators, row_denominator = _common_denominator(row)
        total = sum(a * b for a, b in zip(row_numerators, numerators, strict=True))
        product.append(Fraction(total, row_denominator * denominator))
    return product


def transpose(matrix: Sequence[Vector]) -> Matrix:
    """Return the transposed matrix.

    Raises
    ------
    ValueError
        If the rows differ in length.

    Examples
    --------
    >>> transpose([[Fraction(1), Fraction(2)]])
    [[Fraction(1, 1)], [Fraction(2, 1)]]
    """
    return [list(column) for column in zip(*matrix, strict=True)]


def solve(matrix: Matrix, columns: Sequence[Vector]) -> list[Vector]:
    """Return the solution x of ``matrix x = b`` for each b in columns.

    Each equation is scaled to integers, which leaves x alone. Bareiss's elimination keeps all entries integers
    without letting them grow faster than the minors of the matrix, because the division by the previous pivot
    leaves no remainder. By Cramer's rule ``det x`` is an integer vector too, so that the back substitution stays in
    integers as well.

    Parameters
    ----------
    matrix
        Square, n by n.
    columns
        Any number of right-hand sides of length n; one elimination serves all.

    Returns
    -------
    list of list of Fraction
        One solution of length n for each right-hand side.

    Raises
    ------
    ValueError
        If the matrix is singular, or the shapes do not fit.

    References
    ----------
    E. H. Bareiss (1968), Sylvester's identity and multistep integer-preserving Gaussian elimination, Mathematics of
    Computation 22, 565-578.

    Examples
    --------
    >>> two, one, zero = Fraction(2), Fraction(1), Fraction(0)
    >>> solve([[two, one], [one, one]], [[one, zero], [zero, one]])
    [[Fraction(1, 1), Fraction(-1, 1)], [Fraction(-1, 1), Fraction(2, 1)]]
    """
    size = len(matrix)
    if any(len(vector) != size for vector in [*matrix, *columns]):
        raise ValueError(f"expected rows and right-hand sides of length {size}, the number of rows")
    rows = [_common_denominator([*row, *(b[i] for b in columns)])[0] for i, row in enumerate(matrix)]
    _triangularise(rows)
    return [_back_substitute(rows, size + k) for k in range(len(columns))]


def _common_denominator(x: Vector) -> tuple[list[int], int]:
    """Return the integers n and the denominator d with ``x_i = n_i / d``."""
    denominator = lcm(*(entry.denominator for entry in x))
    return [entry.numerator * (denominator // entry.denominator) for entry in x], denominator


def _triangularise(rows: list[list[int]]) -> None:
    """Bring the left square of the rows to upper triangular form, in place; the last pivot is its determinant."""
    previous = 1
    for k in range(len(rows)):
        _move_pivot_up(rows, k)
        top, pivot = rows[k], rows[k][k]
        for row in rows[k + 1 :]:
            factor = row[k]
            row[k:] = [(pivot * own - factor * above) // previous for own, above in zip(row[k:], top[k:], strict=True)]
        previous = pivot


def _move_pivot_up(rows: list[list[int]], k: int) -> None:
    """Exchange row k with the first row from there on that has something in column k."""
    for i in range(k, len(rows)):
        if rows[i][k]:
            # The sign keeps the determinant of the whole what it was.
            rows[k], rows[i] = rows[i], rows[k] if i == k else [-entry for entry in rows[k]]
            return
    raise ValueError("the matrix is singular")


def _back_substitute(rows: list[list[int]], column: int) -> Vector:
    """Solve the triangular system for one right-hand side in integers: the unknowns are ``det x``."""
    size = len(rows)
    determinant = rows[-1][size - 1]
    unknowns = [0] * size
    for i in reversed(range(size)):
        known = sum(a * b for a, b in zip(rows[i][i + 1 : size], unknowns[i + 1 :], strict=True))
        unknowns[i] = (determinant * rows[i][column] - known) // rows[i][i]
    return [Fraction(unknown, determinant) for unknown in unknowns]
