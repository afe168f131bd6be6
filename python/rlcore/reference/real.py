"""Numbers that are no fractions: roots, logarithms and exponentials to sixty digits, and infinity (theory 1)."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal
from fractions import Fraction
from math import inf, isqrt

Extended = Fraction | float
"""A fraction, or ``math.inf``; no other float."""

ACCURACY = Fraction(1, 10**60)
"""The relative error of a root, a logarithm or an exponential is at most this."""


def product(x: Extended, y: Extended) -> Extended:
    """Return ``x y`` with 0 inf = 0.

    Parameters
    ----------
    x, y
        Numbers >= 0, either of which may be infinite.

    Examples
    --------
    >>> product(Fraction(0), inf), product(Fraction(1, 2), inf)
    (Fraction(0, 1), inf)
    """
    if x == 0 or y == 0:
        return Fraction(0)
    # An infinite factor is not multiplied with: a long fraction would first have to become a float.
    return inf if inf in (x, y) else x * y


def expectation(weights: Sequence[Fraction], x: Sequence[Extended]) -> Extended:
    """Return ``sum_s weights(s) x(s)`` with 0 inf = 0.

    Parameters
    ----------
    weights, x
        Numbers >= 0, as many of the one as of the other.

    Raises
    ------
    ValueError
        If the lengths differ.

    Examples
    --------
    >>> expectation([Fraction(1, 2), Fraction(0)], [Fraction(3), inf])
    Fraction(3, 2)
    """
    terms = [product(weight, number) for weight, number in zip(weights, x, strict=True)]
    return inf if inf in terms else sum(terms, Fraction(0))


def square_root(x: Extended) -> Extended:
    """Return the square root, exact where it is a fraction, else below by a relative error of at most 1e-60.

    Parameters
    ----------
    x
        A number >= 0.

    Examples
    --------
    >>> square_root(Fraction(4, 9))
    Fraction(2, 3)
    >>> 2 - Fraction(4, 10**60) <= square_root(Fraction(2)) ** 2 < 2
    True
    """
    if isinstance(x, float) or x == 0:
        return x
    # sqrt(n / d) = sqrt(n d) / d, and the integer root of n d 10**120 has more than sixty digits.
    scale = 10**60
    return Fraction(isqrt(x.numerator * x.denominator * scale**2), x.denominator * scale)


def logarithm(x: Fraction, tolerance: Fraction) -> Fraction:
    """Return the natural logarithm with an absolute error of at most the tolerance.

    With n digits, x is rounded by at most ``10**(1 - n) x / 2``, which moves its logarithm by less than
    ``10**(1 - n)``; that is then rounded to the nearest number of n digits, by at most ``10**(1 - n) |log x|``.

    Parameters
    ----------
    x
        A number > 0.
    tolerance
        The largest error, > 0.

    Examples
    --------
    >>> float(logarithm(Fraction(2), ACCURACY))
    0.6931471805599453
    >>> logarithm(Fraction(1), ACCURACY)
    Fraction(0, 1)
    """
    magnitude = abs(x.numerator.bit_length() - x.denominator.bit_length()) + 1  # >= |log2 x| >= |log x|
    needed = (magnitude + 2) / tolerance
    digits = (needed.numerator // needed.denominator + 1).bit_length() * 302 // 1000 + 3  # 302/1000 > log10(2)
    context = Context(prec=digits, Emax=MAX_EMAX, Emin=MIN_EMIN)
    return Fraction(context.ln(context.divide(Decimal(x.numerator), Decimal(x.denominator))))


def exponential(x: Fraction) -> Fraction:
    """Return e^x with a relative error of at most 1e-60.

    With n digits, x is rounded by at most ``10**(1 - n) |x| / 2``, which is the relative error that its exponential
    inherits; that is then rounded to the nearest number of n digits.

    Parameters
    ----------
    x
        Any number.

    Examples
    --------
    >>> float(exponential(Fraction(1)))
    2.718281828459045
    >>> exponential(Fraction(0))
    Fraction(1, 1)
    """
    magnitude = abs(x).__ceil__()
    context = Context(prec=63 + len(str(magnitude)), Emax=MAX_EMAX, Emin=MIN_EMIN)
    return Fraction(context.exp(context.divide(Decimal(x.numerator), Decimal(x.denominator))))
