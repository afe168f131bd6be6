"""Numbers in twofold precision, as pairs of doubles (theory 9)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rlcore.results import Evaluation, FloatArray, Occupancy, Remainder

# Bounds the relative error of an operation of the core on twofold numbers.
TWOFOLD_ULP = 2.0**-101

# Numbers beyond this, or its inverse, may leave the range in which products of twofold numbers are exact.
MOST = 1e140

NONE: FloatArray = np.empty(0)


@dataclass(frozen=True, slots=True, eq=False)
class Twofold:
    """What is known of some numbers.

    Attributes
    ----------
    high, rounded_error
        The numbers, rounded to doubles, and the bound on the error of each of them, or of all.
    low, error
        What rounding left over, if that is known, and the same bound for ``high + low``; else nothing, and the same.
    """

    high: FloatArray
    rounded_error: float
    low: FloatArray
    error: float

    @classmethod
    def of(cls, high: FloatArray, rounded_error: float, remainder: Remainder | None) -> Twofold:
        """Join a field with what rounding left over of it."""
        low, error = (NONE, rounded_error) if remainder is None else remainder
        return cls(high, rounded_error, low, error)

    @property
    def has_digits(self) -> bool:
        """Whether there are more digits than doubles have, in numbers whose products are of ordinary size."""
        return self.low.size > 0 and bool(np.nanmax(np.abs(self.high), initial=0.0) <= MOST)

    def __truediv__(self, divisor: Twofold) -> tuple[FloatArray, FloatArray]:
        """Return the two parts of the quotient by a single number, right to 2^-100: that of doubles, mended once."""
        quotient = self.high / divisor.high
        product, rest = two_product(quotient, divisor.high)
        left = ((self.high - product) - rest) + (self.low - quotient * divisor.low)
        return quotient, left / divisor.high

    def rounded(self) -> Twofold:
        """Return the same as doubles alone."""
        return Twofold(self.high, self.rounded_error, NONE, self.rounded_error)


def two_product(x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return x y, rounded, and what that loses (Dekker, Veltkamp), for numbers of ordinary size."""
    product = x * y
    (x_high, x_low), (y_high, y_low) = _halves(x), _halves(y)
    return product, ((x_high * y_high - product) + x_high * y_low + x_low * y_high) + x_low * y_low


def _halves(x: FloatArray) -> tuple[FloatArray, FloatArray]:
    wide = (2.0**27 + 1.0) * x
    high = wide - (wide - x)
    return high, x - high


def twofold_field(found: Evaluation | Occupancy, name: str) -> Twofold:
    """Return a field of a result, flat, with what rounding left over of it, if that was kept."""
    high = np.asarray(getattr(found, name)).ravel()
    return Twofold.of(high, float(found.certificate.bounds[name]), found._remainders.get(name))
