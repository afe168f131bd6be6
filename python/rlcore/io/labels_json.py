"""Labels as JSON: what comes back is what was there, of the same type.

Text, whole numbers, finite numbers, true, false and null stand for themselves: Python's JSON writes a float with a
point or an exponent, and a whole number without. An array is a tuple, since no label can be a list. The floats that
JSON lacks are objects: {"float": "inf"}.
"""

from __future__ import annotations

import json
import math
from collections.abc import Hashable, Sequence
from types import NoneType
from typing import Any

import numpy as np

from rlcore.errors import ModelError

DEEPEST = 50  # tuples within tuples
PLAIN = frozenset({str, int, bool, NoneType})
NOT_IN_JSON = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


def labels_to_json(labels: Sequence[Hashable], argument: str) -> bytes:
    """Return the labels as bytes. NumPy's numbers and texts become Python's, which are equal to them."""
    try:
        return json.dumps([_encoded(label, DEEPEST) for label in labels], separators=(",", ":")).encode("ascii")
    except (_NotInFileError, ValueError) as fault:
        raise ModelError(
            f"{argument}: a file holds labels of type str, int, float, bool, None and tuples of these, "
            f"got {fault}; give the model such labels before it is saved"
        ) from None


def labels_from_json(text: bytes) -> tuple[Hashable, ...]:
    """Return the labels; raises ValueError if they are none."""
    try:
        found = json.loads(text.decode("ascii"), parse_constant=_refuse)
    except RecursionError:
        raise ValueError("too many brackets") from None
    if not isinstance(found, list):
        raise ValueError("not a list")
    labels = tuple(_decoded(item, DEEPEST) for item in found)
    if len(set(labels)) != len(labels):
        raise ValueError("the same label twice")
    return labels


class _NotInFileError(Exception):
    """A label that a file cannot hold."""


def _encoded(label: Any, depth: int) -> Any:
    if isinstance(label, np.generic):
        label = label.item()
    kind = type(label)
    if kind in PLAIN:
        return label
    if kind is float:
        return label if math.isfinite(label) else {"float": repr(label)}
    if kind is tuple and depth:
        return [_encoded(part, depth - 1) for part in label]
    raise _NotInFileError("a tuple that is nested too deeply" if kind is tuple else _shown(label))


def _decoded(item: Any, depth: int) -> Hashable:
    if isinstance(item, list):
        if not depth:
            raise ValueError("too many brackets")
        return tuple(_decoded(part, depth - 1) for part in item)
    if isinstance(item, dict):
        name = item.get("float")
        if len(item) != 1 or not isinstance(name, str) or name not in NOT_IN_JSON:
            raise ValueError("an object that is no number")
        return NOT_IN_JSON[name]
    return item  # type: ignore[no-any-return]


def _shown(label: object) -> str:
    text = repr(label)
    return f"{text if len(text) <= 80 else text[:77] + '...'} of type {type(label).__name__}"


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")
