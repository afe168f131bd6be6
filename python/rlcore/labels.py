"""Names of states and actions: any hashable values."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from difflib import get_close_matches
from itertools import islice

MOST_COMPARED = 20_000  # labels among which a near one is looked for: a second at the most


def did_you_mean(label: object, known: Iterable[Hashable]) -> str:
    """Return "; did you mean ...?" with the known label that is nearest to a wrong one, or "" if none is near."""
    near = get_close_matches(repr(label), map(repr, islice(known, MOST_COMPARED)), n=1)
    return f"; did you mean {near[0]}?" if near else ""
