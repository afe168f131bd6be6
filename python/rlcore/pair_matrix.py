"""Matrices with a row for each pair, dense or sparse: features and scores (theory 4.1)."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array

from rlcore import _core
from rlcore.arguments import as_floats
from rlcore.enclosure import ULP
from rlcore.errors import PolicyError
from rlcore.io.sparse import damage_of
from rlcore.mdp import MDP
from rlcore.results import FloatArray
from rlcore.twofold import MOST

# Transposed products are summed in blocks of so many pairs: sums of sums are rounded less than long sums.
BLOCK = 2**16


class PairMatrix:
    """A matrix of finite numbers with a row for each pair.

    Attributes
    ----------
    rows
        Dense, or CSR; shape (num_pairs, K).
    given_shape
        The shape in which it was given, which may have a state and an action for each row.
    """

    def __init__(self, rows: Any, given_shape: tuple[int, ...]) -> None:
        self.rows = rows
        self.given_shape = given_shape

    @property
    def is_sparse(self) -> bool:
        """Whether only some of the numbers are stored."""
        return bool(scipy.sparse.issparse(self.rows))

    @property
    def num_columns(self) -> int:
        """K."""
        return int(self.rows.shape[1])

    def product(self, v: FloatArray) -> FloatArray:
        """Return the matrix times v."""
        found: FloatArray = self.rows @ v
        return found

    def transposed_product(self, w: FloatArray) -> FloatArray:
        """Return its transpose times w, summed in blocks of pairs."""
        total = np.zeros(self.num_columns)
        for block, first in zip(self._blocks, range(0, len(w), BLOCK), strict=True):
            total += block.T @ w[first : first + BLOCK]
        return total

    def transposed_product_with_error(self, w: FloatArray, low: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return its transpose times w, with bounds on the errors: of twofold numbers, if there are low parts."""
        largest = np.abs(w).max(initial=0.0)
        if low.size == 0 or not (largest <= MOST and self.largest.max(initial=0.0) <= MOST):
            size = float((np.abs(w).sum() + np.abs(low).sum()) * (1.0 + w.size * ULP))
            return self.transposed_product(w), (self.roundings + 2.0) * ULP * self.largest * size
        rows = csr_array(self.rows)
        place = (rows.indptr.astype(np.int64), rows.indices.astype(np.int64))
        found = _core.transposed_product(*place, np.ascontiguousarray(rows.data), self.num_columns, w, low)
        return found.value, found.bound

    @cached_property
    def roundings(self) -> FloatArray:
        """How often a term of ``transposed_product`` is rounded, for each column: in its block, and in their sum."""
        return np.minimum(self._entries, BLOCK) + len(self._blocks) + 2.0

    @cached_property
    def extremes(self) -> tuple[FloatArray, FloatArray]:
        """The least and the largest number of each column, zeros that are not stored included."""
        if not self.is_sparse:
            return self.rows.min(axis=0), self.rows.max(axis=0)
        full = self._entries == self.rows.shape[0]
        lowest, highest = np.where(full, np.inf, 0.0), np.where(full, -np.inf, 0.0)
        np.minimum.at(lowest, self.rows.indices, self.rows.data)
        np.maximum.at(highest, self.rows.indices, self.rows.data)
        return lowest, highest

    @cached_property
    def largest(self) -> FloatArray:
        """The largest magnitude of each column."""
        lowest, highest = self.extremes
        return np.maximum(-lowest, highest)

    @cached_property
    def width(self) -> int:
        """The largest number of entries in a row."""
        return int(np.diff(self.rows.indptr).max()) if self.is_sparse else self.num_columns

    def largest_product(self, v: FloatArray) -> float:
        """Bounds, for all rows, the sum of the magnitudes of entries times v."""
        terms = np.sort(self.largest * np.abs(v))[::-1][: self.width]
        return float(terms.sum()) * (1.0 + self.width * ULP)

    @cached_property
    def _entries(self) -> NDArray[np.int64]:
        """How many numbers of each column are stored."""
        if not self.is_sparse:
            return np.full(self.num_columns, self.rows.shape[0])
        return np.bincount(self.rows.indices, minlength=self.num_columns)

    @cached_property
    def _blocks(self) -> list[Any]:
        """The rows in blocks, which share the numbers with the matrix."""
        return [self._block(first, first + BLOCK) for first in range(0, self.rows.shape[0], BLOCK)]

    def _block(self, first: int, last: int) -> Any:
        if not self.is_sparse:
            return self.rows[first:last]
        offsets = self.rows.indptr[first : last + 1]
        entries = slice(offsets[0], offsets[-1])
        parts = (self.rows.data[entries], self.rows.indices[entries], offsets - offsets[0])
        return csr_array(parts, shape=(len(offsets) - 1, self.num_columns))


def as_pair_matrix(matrix: Any, argument: str) -> PairMatrix:
    """Check a matrix with a row for each pair, or a dense array with a row for each state and action."""
    if not scipy.sparse.issparse(matrix):
        dense = as_finite(matrix, argument)
        if dense.ndim not in (2, 3) or dense.shape[-1] == 0:
            raise PolicyError(
                f"{argument}: expected shape (num_pairs, K), or (*pair_shape, K), with K at least 1, got {dense.shape}"
            )
        return PairMatrix(dense.reshape(-1, dense.shape[-1]), dense.shape)
    damage = damage_of(matrix)
    if damage is not None:
        raise PolicyError(f"{argument}: {damage}")
    if matrix.dtype.kind not in "fiub":
        raise PolicyError(f"{argument}: expected real numbers, got dtype {matrix.dtype}")
    if len(matrix.shape) != 2 or matrix.shape[1] == 0:
        raise PolicyError(f"{argument}: expected shape (num_pairs, K) with K at least 1, got {matrix.shape}")
    rows = csr_array(matrix, dtype=np.float64)
    if not rows.has_canonical_format:
        rows = rows.copy()
        rows.sum_duplicates()
    as_finite(rows.data, argument)
    return PairMatrix(rows, rows.shape)


def check_rows(matrix: PairMatrix, mdp: MDP, argument: str) -> None:
    """Check that there is a row for each pair of the model."""
    flat = (mdp.num_pairs, matrix.num_columns)
    shaped = (*mdp.pair_shape, matrix.num_columns)
    if matrix.given_shape not in (flat, shaped):
        also = "" if flat == shaped else f" or {shaped}"
        raise PolicyError(f"{argument}: expected a row for each pair, in shape {flat}{also}, got {matrix.given_shape}")


def as_finite(array: ArrayLike, argument: str) -> FloatArray:
    """Return a read-only view of finite numbers."""
    found = as_floats(array, argument, PolicyError).view()
    if not np.isfinite(found).all():
        raise PolicyError(f"{argument}: expected finite numbers, got {found[~np.isfinite(found)].ravel()[0]}")
    found.flags.writeable = False
    return found


def first_beyond(matrix: Any, allowed: FloatArray) -> tuple[int, int] | None:
    """Return row and column of the first number of a matrix that is beyond what its column allows."""
    if scipy.sparse.issparse(matrix):
        entries = matrix.tocoo()
        beyond = np.flatnonzero(~(np.abs(entries.data) <= allowed[entries.col]))
        return (int(entries.row[beyond[0]]), int(entries.col[beyond[0]])) if beyond.size else None
    beyond = np.flatnonzero(~(np.abs(matrix) <= allowed))
    return divmod(int(beyond[0]), matrix.shape[1]) if beyond.size else None
