"""What the gallery's models are made of: sparse rows, start distributions, labels."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from rlcore.results import FloatArray

Columns = NDArray[np.int32]

# A million labels take 80 MB, two fifths of what their whole grid takes, and hardly anybody reads so many.
MOST_LABELS = 100_000


def summed(rows: NDArray[Any], columns: NDArray[Any], probabilities: FloatArray, shape: tuple[int, int]) -> Any:
    """Return the matrix of these entries: repeated ones are added up, and zeros are not stored."""
    entries = scipy.sparse.coo_array(
        (probabilities, (rows.astype(np.int32, copy=False), columns.astype(np.int32, copy=False))), shape=shape
    )
    matrix = entries.tocsr()
    matrix.eliminate_zeros()
    return matrix


def ordered(columns: Columns, probabilities: FloatArray, row_start: NDArray[Any], S: int) -> Any:
    """Return the matrix of rows whose columns increase already; nothing is copied."""
    parts = (probabilities.ravel(), columns.ravel(), row_start)
    return scipy.sparse.csr_array(parts, shape=(len(row_start) - 1, S))


def row_starts(lengths: NDArray[Any]) -> NDArray[Any]:
    """Return where rows of these lengths begin, as int32 if that is wide enough."""
    total = int(lengths.sum())
    starts = np.zeros(len(lengths) + 1, np.int32 if total < 2**31 else np.int64)
    np.cumsum(lengths, out=starts[1:])
    return starts


def equal_row_starts(rows: int, length: int) -> NDArray[Any]:
    """Return where rows begin that all have the same length."""
    return np.arange(0, rows * length + 1, length, dtype=np.int32 if rows * length < 2**31 else np.int64)


def evenly(S: int) -> FloatArray:
    """Return the start distribution in which all states are equally likely."""
    return np.full(S, 1.0 / S)


def surely(state: int, S: int) -> FloatArray:
    """Return the start distribution of one certain state."""
    initial = np.zeros(S)
    initial[state] = 1.0
    return initial


def labels_if_few(labels: Iterable[Hashable], count: int) -> list[Hashable] | None:
    """Return the labels, or None if there would be too many."""
    return list(labels) if count <= MOST_LABELS else None
