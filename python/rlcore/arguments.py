"""Arguments that many functions share, brought to the one form that the core takes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rlcore.errors import ArgumentError, InputError
from rlcore.results import FloatArray, Progress

MOST_THREADS = 256


def as_floats(array: ArrayLike, argument: str, error: type[InputError]) -> FloatArray:
    """Return a C-contiguous float64 array, the same object if it is one already."""
    if type(array) is np.ndarray and array.dtype == np.float64 and array.flags.c_contiguous:
        return array
    if array is None:
        raise error(f"{argument}: expected an array of numbers, got None")
    if isinstance(array, np.ma.MaskedArray) and np.ma.is_masked(array):
        missing = int(np.ma.getmaskarray(array).sum())
        raise error(
            f"{argument}: expected a number everywhere, got a masked array without {missing} of them; "
            "fill it, as with .filled(0)"
        )
    try:
        found = np.asarray(array)
    except (TypeError, ValueError) as cause:
        raise error(f"{argument}: expected an array of numbers, got {type(array).__name__}: {cause}") from None
    if found.dtype.kind not in "fiub":
        raise error(f"{argument}: expected real numbers, got dtype {found.dtype}")
    return np.asarray(found, dtype=np.float64, order="C")


def as_pair_array(array: ArrayLike, shape: tuple[int, ...], argument: str, error: type[InputError]) -> FloatArray:
    """Return one number for each pair as a vector; they come in the shape of pairs, or flat."""
    found = as_floats(array, argument, error)
    size = _size(shape)
    if found.shape not in (shape, (size,)):
        flat = "" if len(shape) == 1 else f" or ({size},)"
        raise error(
            f"{argument}: expected {size} numbers, one for each pair, in shape {shape}{flat}, got shape {found.shape}"
        )
    return found.reshape(size)


def as_batch(
    array: ArrayLike, shape: tuple[int, ...], argument: str, error: type[InputError]
) -> tuple[FloatArray, tuple[int, ...]]:
    """Return the numbers and the leading shape: () for one item, (B,) for a batch of them."""
    found = as_floats(array, argument, error)
    if found.shape == shape:
        return found, ()
    if found.ndim == 1 and found.size == _size(shape):
        return found, ()
    if found.ndim == len(shape) + 1 and found.shape[1:] == shape:
        if found.shape[0] == 0:
            raise error(f"{argument}: expected at least one item in the batch, got shape {found.shape}")
        return found, (found.shape[0],)
    flat = "" if len(shape) == 1 else f", flat ({_size(shape)},)"
    batch = ", ".join(["B", *map(str, shape)])
    raise error(f"{argument}: expected shape {shape}{flat} or a batch ({batch}), got {found.shape}")


def as_single(array: ArrayLike, shape: tuple[int, ...], argument: str, error: type[InputError]) -> FloatArray:
    """Check an array that cannot be a batch."""
    found, lead = as_batch(array, shape, argument, error)
    if lead:
        raise error(f"{argument}: expected one of shape {shape}, got a batch of shape {found.shape}")
    return found


def as_states(states: ArrayLike, num_states: int, argument: str = "states") -> NDArray[np.int64]:
    """Check a vector of state numbers."""
    try:
        found = np.atleast_1d(np.asarray(states))
    except ValueError:
        raise ArgumentError(
            f"{argument}: expected a vector of state numbers, got rows of different lengths; "
            "mdp.state_index(label) gives the number of a label"
        ) from None
    if found.ndim != 1 or found.size == 0 or found.dtype.kind not in "iu":
        raise ArgumentError(
            f"{argument}: expected a vector of state numbers, got dtype {found.dtype}, shape {found.shape}; "
            "mdp.state_index(label) gives the number of a label"
        )
    outside = found[(found < 0) | (found >= num_states)]
    if outside.size:
        raise ArgumentError(f"{argument}: expected numbers in 0 .. {num_states - 1}, got {outside[0]}")
    return np.ascontiguousarray(found, dtype=np.int64)


def as_tolerance(tol: float) -> float:
    """Check a relative tolerance; 0 asks for the best attainable."""
    if not (isinstance(tol, (float, int, np.floating, np.integer)) and 0.0 <= tol < 1.0):
        raise ArgumentError(f"tol: expected a relative error in [0, 1), got {tol!r}; 0 asks for the best attainable")
    return float(tol)


def as_positive(x: float, argument: str) -> float:
    """Check a finite number above 0."""
    is_number = isinstance(x, float | int | np.floating | np.integer) and not isinstance(x, bool)
    if not (is_number and 0.0 < x < np.inf):
        raise ArgumentError(f"{argument}: expected a finite number above 0, got {x!r}")
    return float(x)


def as_num_threads(num_threads: int | None) -> int:
    """Check a number of threads; None means one per core, which the core calls 0."""
    if num_threads is None:
        return 0
    if isinstance(num_threads, bool) or not isinstance(num_threads, int | np.integer):
        raise ArgumentError(f"num_threads: expected a whole number or None, got {num_threads!r}")
    if not 1 <= num_threads <= MOST_THREADS:
        raise ArgumentError(f"num_threads: expected 1 to {MOST_THREADS}, or None for one per core, got {num_threads}")
    return int(num_threads)


def as_callback(progress: Callable[[Progress], object] | None) -> Callable[..., object] | None:
    """Return what the core calls: it hands over the parts of a `Progress`."""
    if progress is None:
        return None
    if not callable(progress):
        raise ArgumentError(f"progress: expected a callable that takes a rlcore.Progress, got {progress!r}")
    report = progress
    return lambda *parts: report(Progress(*parts))


def _size(shape: tuple[int, ...]) -> int:
    size = 1
    for length in shape:
        size *= length
    return size
