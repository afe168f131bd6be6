"""The option --region: what a step may change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rlcore.conservative import Conservative
from rlcore.errors import ArgumentError
from rlcore.natural_step import NaturalGradient
from rlcore.regions import KLPenalty, MaxKL, MeanKL
from rlcore.trpo import TRPO

FORMS = "mean-kl:DELTA, max-kl:DELTA, penalty[:C], conservative, natural:STEP or trpo:DELTA"

WITH_NUMBER: dict[str, Callable[[float], Any]] = {
    "mean-kl": MeanKL,
    "max-kl": MaxKL,
    "penalty": KLPenalty,
    "natural": NaturalGradient,
    "trpo": TRPO,
}
WITHOUT_NUMBER: dict[str, Callable[[], Any]] = {"conservative": Conservative, "penalty": KLPenalty}


def read_regions(texts: list[str]) -> dict[str, Any]:
    """Return the regions by what they are called, in the order in which they are given."""
    return {text: _read(text) for text in texts}


def _read(text: str) -> Any:
    name, colon, number = text.partition(":")
    if not colon and name in WITHOUT_NUMBER:
        return WITHOUT_NUMBER[name]()
    if name not in WITH_NUMBER:
        raise ArgumentError(f"region: expected {FORMS}, got {text!r}")
    try:
        size = float(number)
    except ValueError:
        raise ArgumentError(f"region: expected {FORMS}, with a number, got {text!r}") from None
    return WITH_NUMBER[name](size)
