"""Pooling of maps of any number type."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from axft_host.nn.lowering import pad

__all__ = ["PoolGeometry", "max_pool", "sum_pool"]

Array = NDArray[Any]


class PoolGeometry(Protocol):
    """Where the windows lie: sizes along rows and columns; pads top, left, bottom, right."""

    @property
    def kernel(self) -> tuple[int, int]:
        """Elements of a window."""

    @property
    def strides(self) -> tuple[int, int]:
        """From one window to the next."""

    @property
    def pads(self) -> tuple[int, int, int, int]:
        """Border."""

    @property
    def dilations(self) -> tuple[int, int]:
        """From one element of a window to the next."""

    @property
    def out_size(self) -> tuple[int, int]:
        """Number of windows."""


def max_pool(values: Array, pool: PoolGeometry) -> Array:
    """Return the largest value of each window, shape (..., out rows, out columns); padding never wins."""
    lowest = np.iinfo(values.dtype).min if values.dtype.kind == "i" else -np.inf
    return _pool(values, pool, lowest, np.maximum)


def sum_pool(values: Array, pool: PoolGeometry) -> Array:
    """Return the sum of each window, shape (..., out rows, out columns); padding counts as 0."""
    return _pool(values, pool, 0, np.add)


def _pool(values: Array, pool: PoolGeometry, fill: float, combine: Callable[..., Any]) -> Array:
    padded = pad(values, pool.pads, fill)
    out: Array | None = None
    # One pass per element of the window, over all windows at once.
    for y in range(pool.kernel[0]):
        for x in range(pool.kernel[1]):
            top, left = y * pool.dilations[0], x * pool.dilations[1]
            bottom = top + (pool.out_size[0] - 1) * pool.strides[0] + 1
            right = left + (pool.out_size[1] - 1) * pool.strides[1] + 1
            element = padded[..., top : bottom : pool.strides[0], left : right : pool.strides[1]]
            if out is None:
                out = element.copy(order="K")
            else:
                combine(out, element, out=out)
    assert out is not None, "a window has at least one element"
    return out
