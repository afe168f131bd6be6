"""Matrices with a row for each pair, dense or sparse: features and scores (theory 4.1)."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import ArrayLike
from scipy.sparse import csr_array

from rlcore.arguments import as_floats
from rlcore.enclosure import ULP
from rlcore.errors import PolicyError
from rlcore.io.sparse import damage_of
from rlcore.mdp import MDP
from rlcore.results import FloatArray

# Products are summed in blocks of so many pairs: sums of sums are rounded less than long sums.
BLOCK = 2**16


def as_finite(array: ArrayLike, argument: str) -> FloatArray:
    """Return a read-only view of finite numbers."""
    found = as_floats(array, argument, PolicyError).view()
    if not np.isfinite(found).all():
        raise PolicyError(f"{argument}: expected finite numbers, got {found[~np.isfinite(found)].ravel()[0]}")
    found.flags.writeable = False
    return found


def as_pair_rows(matrix: Any, argument: str) -> Any:
    """Return a matrix of finite numbers with a row for each pair: CSR, or dense with its leading axes as given."""
    if not scipy.sparse.issparse(matrix):
        found = as_finite(matrix, argument)
        if found.ndim not in (2, 3) or found.shape[-1] == 0:
            raise PolicyError(
                f"{argument}: expected shape (num_pairs, K), or (*pair_shape, K), with K at least 1, got {found.shape}"
            )
        return found
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
    return rows


def over_pairs(matrix: Any, mdp: MDP, argument: str) -> Any:
    """Return the matrix with one row for each pair of the model."""
    num_parameters = matrix.shape[-1]
    flat = (mdp.num_pairs, num_parameters)
    shaped = (*mdp.pair_shape, num_parameters)
    if matrix.shape not in (flat, shaped):
        also = "" if flat == shaped else f" or {shaped}"
        raise PolicyError(f"{argument}: expected a row for each pair, in shape {flat}{also}, got {matrix.shape}")
    return matrix if matrix.shape == flat else matrix.reshape(flat)


def transposed_product(matrix: Any, w: FloatArray) -> FloatArray:
    """Return matrix^T w, summed in blocks of pairs."""
    total = np.zeros(matrix.shape[1])
    for first in range(0, len(w), BLOCK):
        rows = slice(first, min(first + BLOCK, len(w)))
        total += _rows(matrix, rows).T @ w[rows]
    return total


def _rows(matrix: Any, rows: slice) -> Any:
    """Return some rows of a matrix; they are not copied."""
    if not scipy.sparse.issparse(matrix) or rows == slice(0, matrix.shape[0]):
        return matrix[rows]
    offsets = matrix.indptr[rows.start : rows.stop + 1]
    entries = slice(offsets[0], offsets[-1])
    shape = (rows.stop - rows.start, matrix.shape[1])
    return csr_array((matrix.data[entries], matrix.indices[entries], offsets - offsets[0]), shape=shape)


def roundings(matrix: Any) -> FloatArray:
    """Return how often an entry of a column is rounded in `transposed_product`: in its block, and in their sum."""
    blocks = len(range(0, matrix.shape[0], BLOCK))
    if scipy.sparse.issparse(matrix):
        terms = np.bincount(matrix.indices, minlength=matrix.shape[1]).astype(np.float64)
    else:
        terms = np.full(matrix.shape[1], float(matrix.shape[0]))
    return np.minimum(terms, BLOCK) + blocks + 2.0


def extremes(matrix: Any) -> tuple[FloatArray, FloatArray]:
    """Return the least and the largest number of each column, zeros that are not stored included."""
    if not scipy.sparse.issparse(matrix):
        return matrix.min(axis=0), matrix.max(axis=0)
    return matrix.min(axis=0).toarray().ravel(), matrix.max(axis=0).toarray().ravel()


def largest(matrix: Any) -> FloatArray:
    """Return the largest magnitude of each column."""
    lowest, highest = extremes(matrix)
    return np.maximum(-lowest, highest)


def largest_row(matrix: Any, v: FloatArray) -> tuple[int, float]:
    """Return the largest number of entries in a row, and a bound on the sum of the magnitudes of entries times v."""
    terms = np.sort(largest(matrix) * np.abs(v.ravel()))[::-1]
    sparse = scipy.sparse.issparse(matrix)
    width = int(np.diff(matrix.indptr).max()) if sparse else int(matrix.shape[1])
    return width, float(terms[:width].sum()) * (1.0 + width * ULP)


def first_beyond(matrix: Any, allowed: FloatArray) -> tuple[int | None, int]:
    """Return where an entry of a matrix is first beyond what its column allows."""
    if scipy.sparse.issparse(matrix):
        entries = matrix.tocoo()
        beyond = np.flatnonzero(~(np.abs(entries.data) <= allowed[entries.col]))
        found = [(int(entries.row[i]), int(entries.col[i])) for i in beyond[:1]]
    else:
        beyond = np.flatnonzero(~(np.abs(matrix) <= allowed))
        found = [divmod(int(i), matrix.shape[1]) for i in beyond[:1]]
    return found[0] if found else (None, 0)
