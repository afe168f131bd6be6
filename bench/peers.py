"""What people use otherwise, on P_pi that is assembled for them, at the same tolerance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse
import scipy.sparse.linalg
from numpy.typing import NDArray

Vector = NDArray[np.float64]


def span_sweeps(matrix: Any, gamma: float, right: Vector, tol: float) -> Vector:
    """Value iteration with the constant shift, in SciPy."""
    value = np.zeros_like(right)
    while True:
        following = right + gamma * (matrix @ value)
        change = following - value
        value = following
        shift = gamma / (1 - gamma) * (change.max() + change.min()) / 2
        if gamma / (1 - gamma) * (change.max() - change.min()) / 2 <= tol * np.abs(value + shift).max():
            return value + shift


def bicgstab(matrix: Any, gamma: float, right: Vector, tol: float) -> Vector:
    """SciPy's BiCGSTAB without a preconditioner, stopped by its own 2-norm."""
    system = scipy.sparse.eye_array(matrix.shape[0], format="csr") - gamma * matrix
    value, info = scipy.sparse.linalg.bicgstab(system, right, rtol=tol * (1 - gamma), maxiter=5000)
    if info != 0:
        raise ArithmeticError(f"bicgstab stopped with {info}")
    return value


def spsolve(matrix: Any, gamma: float, right: Vector, tol: float) -> Vector:
    """SciPy's sparse LU."""
    system = scipy.sparse.eye_array(matrix.shape[0], format="csc") - gamma * matrix.tocsc()
    solution: Vector = scipy.sparse.linalg.spsolve(system, right)
    return solution


PEERS: dict[str, Callable[[Any, float, Vector, float], Vector]] = {
    "scipy span sweeps": span_sweeps,
    "scipy bicgstab": bicgstab,
    "scipy spsolve": spsolve,
}

# Beyond these sizes a peer takes minutes or all of the memory.
MOST_STATES = {"scipy span sweeps": 10**7, "scipy bicgstab": 10**6, "scipy spsolve": 3000}
