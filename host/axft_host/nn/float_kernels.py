"""The operations of a float network on batches of images, in float32 or float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axft_host.nn.float_ops import AveragePool, Conv, Dense, FakeQuantise, Flatten, FloatOp, MaxPool, Relu
from axft_host.nn.lowering import im2col_columns
from axft_host.nn.pooling import max_pool, sum_pool

__all__ = ["Apply", "float_kernel"]

Floats = NDArray[Any]

#: From values (images, ...) to values (images, ...), both of the type the function was made for.
Apply = Callable[[Floats], Floats]


def float_kernel(op: FloatOp, dtype: type[np.floating[Any]]) -> Apply:
    """Return an operation as a function, with what does not depend on the images prepared.

    Parameters
    ----------
    op : FloatOp
    dtype : type
        ``np.float32`` or ``np.float64``: of the values, and of the arithmetic.
    """
    if isinstance(op, Conv):
        return _conv(op, dtype)
    if isinstance(op, Dense):
        return _dense(op, dtype)
    if isinstance(op, AveragePool):
        return _average(op, dtype)
    if isinstance(op, FakeQuantise):
        return _fake_quantise(op, dtype)

    def apply(values: Floats) -> Floats:
        if isinstance(op, Relu):
            return np.maximum(values, dtype(0))
        if isinstance(op, MaxPool):
            return max_pool(values, op)
        assert isinstance(op, Flatten), op
        return values.reshape(len(values), -1)

    return apply


def _conv(op: Conv, dtype: type[np.floating[Any]]) -> Apply:
    shape = op.shape
    matrices = op.weights.astype(dtype).reshape(shape.groups, shape.group_outputs, -1)
    size = (shape.out_channels, shape.out_height, shape.out_width)
    bias = op.bias.astype(dtype)[:, None, None]

    def apply(values: Floats) -> Floats:
        parts = [matrix @ im2col_columns(values, shape, group) for group, matrix in enumerate(matrices)]
        maps = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
        return np.asarray(maps.reshape(len(values), *size) + bias, dtype=dtype)

    return apply


def _dense(op: Dense, dtype: type[np.floating[Any]]) -> Apply:
    matrix, bias = op.weights.T.astype(dtype), op.bias.astype(dtype)
    return lambda values: np.asarray(values @ matrix + bias, dtype=dtype)


def _average(op: AveragePool, dtype: type[np.floating[Any]]) -> Apply:
    divisors = op.divisors.astype(dtype)
    return lambda values: np.asarray(sum_pool(values, op) / divisors, dtype=dtype)


def _fake_quantise(op: FakeQuantise, dtype: type[np.floating[Any]]) -> Apply:
    scale, zero, low, high = (dtype(x) for x in (op.scale, op.zero_point, op.low, op.high))

    def apply(values: Floats) -> Floats:
        quantised = np.clip(np.rint(values / scale) + zero, low, high)
        return np.asarray((quantised - zero) * scale, dtype=dtype)

    return apply
