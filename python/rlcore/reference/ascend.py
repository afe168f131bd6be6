"""Gradient ascent with a line search by bisection, in exact arithmetic (theory 4.1)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from .gradient import PolicyGradient
from .linear import dot
from .rational import Number, Vector, exact


@dataclass(frozen=True, slots=True)
class AscentStep:
    """A point on the way.

    Attributes
    ----------
    parameters
        theta, indexed [k].
    found
        The return there and its gradient.
    step
        By what the gradient before was multiplied to come here; 0 at the start.
    """

    parameters: Vector
    found: PolicyGradient
    step: Fraction


def ascend(
    gradient_at: Callable[[Vector], PolicyGradient],
    parameters: Sequence[Number],
    iterations: int,
    first: Number,
    longest: Number = 10,
    bisections: int = 60,
) -> list[AscentStep]:
    """Climb along gradients, in each direction to where the derivative along the line changes its sign (theory 4.1).

    The sign changes between the last of the steps x, 2 x, 4 x, ... at which it is positive and the next one, where x is
    the step before; between them, bisection. The search ends where a parameter has changed by the longest step.

    Parameters
    ----------
    gradient_at
        The return and its gradient at any parameters.
    parameters
        theta at the start, indexed [k].
    iterations
        How many steps to take.
    first
        What the first search begins with: the largest change of a parameter.
    longest
        The largest change of a parameter in a step.
    bisections
        How often to halve the interval in which the sign changes.

    Returns
    -------
    list of AscentStep
        The start and a point for each step; fewer where the gradient is 0.

    Examples
    --------
    Along -(x - 3)^2 / 2 one step leads to the top:

    >>> def hill(x):
    ...     return PolicyGradient(gradient=[3 - x[0]], start_value=-((3 - x[0]) ** 2) / 2)
    >>> [step.parameters for step in ascend(hill, [0], iterations=5, first=Fraction(3, 4))]
    [[Fraction(0, 1)], [Fraction(3, 1)]]
    """
    theta = exact(parameters)
    way = [AscentStep(theta, gradient_at(theta), Fraction(0))]
    guess = None
    for _ in range(iterations):
        here = way[-1]
        u = here.found.gradient
        if not any(u):
            break
        largest = max(map(abs, u))
        last = exact(longest) / largest
        start = min(guess or exact(first) / largest, last)

        def slope(step: Fraction, here: AscentStep = here, u: Vector = u) -> Fraction:
            return dot(u, gradient_at(_moved(here, u, step)).gradient)

        guess = _sign_change(slope, start, last, bisections)
        theta = _moved(here, u, guess)
        way.append(AscentStep(theta, gradient_at(theta), guess))
    return way


def _moved(here: AscentStep, u: Vector, step: Fraction) -> Vector:
    return [x + step * y for x, y in zip(here.parameters, u, strict=True)]


def _sign_change(slope: Callable[[Fraction], Fraction], start: Fraction, last: Fraction, bisections: int) -> Fraction:
    """Return where a slope that is positive at 0 becomes negative, from below, or the last step if it does not."""
    low, high = Fraction(0), start
    while (found := slope(high)) > 0:
        if high == last:
            return last
        low, high = high, min(2 * high, last)
    if found == 0:
        return high
    for _ in range(bisections):
        middle = (low + high) / 2
        found = slope(middle)
        if found == 0:
            return middle
        low, high = (middle, high) if found > 0 else (low, middle)
    return low
