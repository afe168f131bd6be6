"""Numbers as text: no digit that is not certified, and columns that line up."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Context, Decimal

HEADLINE_DIGITS = 8
MOST_DIGITS = 18
EXACT = Context(prec=1400, rounding=ROUND_HALF_EVEN)  # the sum of any two doubles fits


def headline(value: float, bound: float) -> str:
    """Return the value to eight significant digits, or to as many as are certified.

    >>> headline(0.01235613732516322, 4e-19)
    '0.012356137'
    >>> headline(0.01235613732516322, 3e-6)
    '0.01236'
    """
    places = HEADLINE_DIGITS - 1 - _exponent(value)
    return "0" if abs(value) <= bound else _rounded(value, min(places, _certified_places(bound)))


def enclosure(value: float, bound: float, plus_minus: str = "±") -> str:
    """Return the value with all its certified digits, and a bound that includes the rounding of the text.

    >>> enclosure(0.01235613732516322, 3.7e-19)
    '0.0123561373251632207 ± 4e-19'
    >>> enclosure(0.1, 0.0)
    '0.1000000000000000055511151231257827021181583404541015625, exactly'
    """
    if bound == 0.0:
        return f"{Decimal(value):f}, exactly"
    text = _rounded(value, min(-_exponent(bound), MOST_DIGITS - 1 - _exponent(value)))
    rounding = abs(EXACT.subtract(Decimal(value), Decimal(text)))
    return f"{text} {plus_minus} {at_most(EXACT.add(Decimal(bound), rounding), 1)}"


def at_most(bound: float | Decimal, digits: int = 2) -> str:
    """Return a bound, rounded up.

    >>> at_most(1.1152897387971671e-17), at_most(0.25), at_most(0.0)
    ('1.2e-17', '0.25', '0')
    """
    if bound == 0:
        return "0"
    return f"{Context(prec=digits, rounding=ROUND_CEILING).create_decimal(Decimal(bound)):g}".lower().replace("e+", "e")


def column(values: Iterable[float], bound: float, digits: int = 5, spare: int = 3) -> Callable[[float], str]:
    """Return how to write the numbers of one column.

    All have the same number of decimals: the largest gets `digits` significant digits, and up to `spare` more where
    the smallest would have fewer than three. What is then still too small to be seen is written as a power of ten, and
    what cannot be told from 0 as 0.

    >>> write = column([3.14159265, -0.25, 1.3e-9, 1e-17], 1e-16)
    >>> [write(x) for x in (3.14159265, -0.25, 1.3e-9, 1e-17)]
    ['3.1415927', '-0.2500000', '1.3e-09', '0']
    """
    sizes = [abs(x) for x in values if abs(x) > bound]
    highest, lowest = _exponent(max(sizes, default=0.0)), _exponent(min(sizes, default=0.0))
    places = digits - 1 - highest
    places = min(max(places, min(2 - lowest, places + spare)), _certified_places(bound))

    def write(x: float) -> str:
        if abs(x) <= bound:
            return "0"
        if not -4 <= highest <= 7:
            return f"{x:.{digits - 1}e}"
        text = f"{x:.{max(places, 0)}f}"
        return text if float(text) != 0.0 else f"{x:.1e}"

    return write


def count(number: int, thing: str) -> str:
    """Return a number and its noun.

    >>> count(1, "state"), count(12345, "state")
    ('1 state', '12,345 states')
    """
    return f"{number:,} {thing}" + ("" if number == 1 else "s")


def _exponent(x: float) -> int:
    """Return the place of the first digit: 10^e <= |x| < 10^(e+1)."""
    return Decimal(x).adjusted() if x != 0.0 else 0


def _certified_places(bound: float) -> int:
    """Return how many decimals can be written so that the last is off by at most one."""
    return -_exponent(bound) - 1 if bound > 0.0 else 400


def _rounded(value: float, places: int) -> str:
    """Write a number to a decimal place, below a millionth as a power of ten."""
    if value == 0.0:
        return "0"
    rounded = Decimal(value).quantize(Decimal(1).scaleb(-max(places, 0)), context=EXACT)
    if not rounded:
        return f"{abs(rounded):f}"
    return f"{rounded:e}" if rounded.adjusted() < -6 else f"{rounded:f}"
