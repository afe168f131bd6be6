"""Sparse matrices that may be damaged: SciPy converts them without a look, and the whole process may crash."""

from __future__ import annotations

from typing import Any

import numpy as np


def damage_of(matrix: Any, row_by_row: bool = False) -> str | None:
    """Return what is wrong with the arrays of a sparse matrix, or None if it can be handed to SciPy.

    With `row_by_row`, the offsets and columns of a CSR matrix are left to a check that can say where they are wrong.
    """
    if matrix.format not in ("coo", "csr", "csc", "bsr"):
        return None  # made of Python objects, or of what cannot point outside
    parts = [matrix.data, *_indices(matrix)]
    fault = _not_vectors(parts, entries=3 if matrix.format == "bsr" else 1)
    if fault is None and matrix.format == "coo":
        fault = _outside(parts, matrix.shape)
    elif fault is None and row_by_row and matrix.format == "csr":
        fault = _sizes(parts, matrix.shape)
    elif fault is None:
        fault = _by_scipy(matrix)
    return None if fault is None else f"{fault}; the sparse matrix is damaged"


def _indices(matrix: Any) -> tuple[Any, ...]:
    if matrix.format != "coo":
        return matrix.indices, matrix.indptr
    return matrix.coords if hasattr(matrix, "coords") else (matrix.row, matrix.col)  # before SciPy 1.13


def _not_vectors(parts: list[Any], entries: int) -> str | None:
    for part, dimensions in zip(parts, [entries, 1, 1], strict=False):
        if not isinstance(part, np.ndarray) or part.ndim != dimensions:
            return f"expected vectors of entries and of indices, got {type(part).__name__} of shape {np.shape(part)}"
    for part in parts[1:]:
        if part.dtype.kind not in "iu":
            return f"expected indices that are whole numbers, got dtype {part.dtype}"
    return None


def _outside(parts: list[Any], shape: tuple[int, ...]) -> str | None:
    for index, length in zip(parts[1:], shape, strict=True):
        if index.size != parts[0].size:
            return f"expected an index for each of the {parts[0].size} entries, got {index.size}"
        if index.size and not (0 <= index.min() and index.max() < length):
            return f"expected indices in 0 .. {length - 1}, got {index[(index < 0) | (index >= length)][0]}"
    return None


def _sizes(parts: list[Any], shape: tuple[int, ...]) -> str | None:
    entries, columns, offsets = parts
    if columns.size != entries.size:
        return f"expected a column for each of the {entries.size} entries, got {columns.size}"
    if len(shape) == 2 and offsets.size != shape[0] + 1:
        return f"expected {shape[0] + 1} row offsets, one for each row and one more, got {offsets.size}"
    return None


def _by_scipy(matrix: Any) -> str | None:
    try:
        matrix.check_format(full_check=True)
    except (ValueError, IndexError) as error:
        return f"expected a valid {matrix.format.upper()} matrix, got one of which SciPy says: {error}"
    return None
