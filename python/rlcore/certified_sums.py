"""Sums of many numbers with bounds on what rounding does to them."""

from __future__ import annotations

from typing import Any

import numpy as np

from rlcore.enclosure import ULP
from rlcore.results import FloatArray


def total_of(x: FloatArray) -> tuple[Any, float]:
    """Return the sums over the last axis, and their error relative to the sums of |x|.

    Sums of n numbers, in whatever order, are off by no more than n - 1 roundings: sums of sums by far fewer.
    """
    size = x.shape[-1]
    length = max(int(size**0.5), 1)
    blocks = np.add.reduceat(x, np.arange(0, size, length), axis=-1)
    return blocks.sum(axis=-1), (length + blocks.shape[-1]) * ULP


def weighted_sum(d: FloatArray, d_error: Any, value: FloatArray, value_error: Any) -> tuple[Any, Any]:
    """Form sum_s d(s) V(s): |d V - d^ V^| <= |d - d^|_1 max|V^| + |d|_1 max|V - V^|, and rounding."""
    value = np.where(np.isnan(value), 0.0, value)  # no value where the process never is
    largest = np.abs(value).max(axis=-1)
    total, rounding = total_of(d * value)
    mass = (d.sum(axis=-1) + d_error) * (1.0 + d.shape[-1] * ULP)
    return total, d_error * largest + mass * (value_error + (rounding + 4 * ULP) * largest)
