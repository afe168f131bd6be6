"""What the gallery's models are made from: counts, numbers, probabilities, seeds."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rlcore.errors import ModelError


def as_count(value: Any, argument: str, least: int) -> int:
    """Check a whole number that is not too small."""
    if isinstance(value, int | np.integer) and not isinstance(value, bool) and value >= least:
        return int(value)
    raise ModelError(f"{argument}: expected a whole number from {least} on, got {value!r}")


def as_number(value: Any, argument: str) -> float:
    """Check a finite number."""
    if isinstance(value, float | int | np.floating | np.integer) and not isinstance(value, bool):
        number = float(value)
        if math.isfinite(number):
            return number
    raise ModelError(f"{argument}: expected a finite number, got {value!r}")


def as_probability(value: Any, argument: str) -> float:
    """Check a number in [0, 1]."""
    number = as_number(value, argument)
    if not 0.0 <= number <= 1.0:
        raise ModelError(f"{argument}: expected a probability in [0, 1], got {value!r}")
    return number


def as_successors(b: Any, of: int, named: str) -> int:
    """Check a number of distinct successors out of so many states, which the argument `named` gives."""
    b = as_count(b, "b", 1)
    if b > of:
        raise ModelError(f"b: expected at most {named} = {of} distinct successors, got {b}")
    return int(b)


def as_generator(seed: Any) -> np.random.Generator:
    """Return the generator of a seed, or the generator itself."""
    if isinstance(seed, np.random.Generator):
        return seed
    return np.random.default_rng(as_count(seed, "seed", 0))
