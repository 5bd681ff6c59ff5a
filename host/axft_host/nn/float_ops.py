"""The operations of a float network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Union

import numpy as np
from numpy.typing import NDArray

from axft_host.nn.archive import FrozenArrays
from axft_host.nn.network import Flatten, MaxPool
from axft_host.nn.shapes import Shape, conv_output, dense_output, flat_output, max_pool_output, pool_output
from axft_spec.lowering import ConvShape

__all__ = [
    "FLOAT_CLASSES",
    "AveragePool",
    "Conv",
    "Dense",
    "FakeQuantise",
    "Flatten",
    "FloatOp",
    "MaxPool",
    "Relu",
    "float_shape",
]

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]


_FLOATS = {"weights": np.float64, "bias": np.float64, "weight_scales": np.float64}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Conv(FrozenArrays):
    """A two-dimensional convolution with a bias.

    Parameters
    ----------
    name : str
    shape : ConvShape
    weights : ndarray of float64, shape (out_channels, group_inputs, kernel rows, kernel columns)
    bias : ndarray of float64, shape (out_channels,)
    weight_scales : ndarray of float64, shape (out_channels,), or None
        If the file holds the weights as 8-bit integers with zero point 0: the factor of each output channel.
    """

    _arrays: ClassVar[Mapping[str, type[np.generic]]] = _FLOATS

    name: str
    shape: ConvShape
    weights: Float64
    bias: Float64
    weight_scales: Float64 | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dense(FrozenArrays):
    """A matrix times a vector, with a bias.

    Parameters
    ----------
    name : str
    weights : ndarray of float64, shape (outputs, inputs)
    bias : ndarray of float64, shape (outputs,)
    weight_scales : ndarray of float64, shape (outputs,), or None
        As in `Conv`.
    """

    _arrays: ClassVar[Mapping[str, type[np.generic]]] = _FLOATS

    name: str
    weights: Float64
    bias: Float64
    weight_scales: Float64 | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Relu:
    """Negative values become 0."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AveragePool(FrozenArrays):
    """The sum of each window over its divisor. Padding counts as 0.

    Parameters
    ----------
    name : str
    kernel, strides, out_size : (int, int)
        Along rows and columns.
    pads : (int, int, int, int)
        Top, left, bottom, right.
    divisors : ndarray of int64, shape `out_size`
    """

    _arrays: ClassVar[Mapping[str, type[np.generic]]] = {"divisors": np.int64}

    name: str
    kernel: tuple[int, int]
    strides: tuple[int, int]
    pads: tuple[int, int, int, int]
    out_size: tuple[int, int]
    divisors: Int64

    @property
    def dilations(self) -> tuple[int, int]:
        """Always 1, 1."""
        return 1, 1


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeQuantise:
    """Values rounded to ``scale * (q - zero_point)`` with an integer q between `low` and `high`.

    It stands for a QuantizeLinear and the DequantizeLinear after it.
    """

    name: str
    scale: float
    zero_point: int
    low: int
    high: int


FloatOp = Union[Conv, Dense, Relu, MaxPool, AveragePool, Flatten, FakeQuantise]  # noqa: UP007  # a value, on 3.10 too

#: The operations by name.
FLOAT_CLASSES: dict[str, type[Any]] = {
    cls.__name__: cls for cls in (Conv, Dense, Relu, MaxPool, AveragePool, Flatten, FakeQuantise)
}


def float_shape(op: FloatOp, shape: Shape) -> Shape:
    """Return the shape of an operation's output for one image; see `axft_host.nn.network.output_shape`."""
    if isinstance(op, Conv):
        return conv_output(op.name, op.shape, op.weights.shape, shape)
    if isinstance(op, Dense):
        return dense_output(op.name, op.weights.shape, shape)
    if isinstance(op, MaxPool):
        return max_pool_output(op.name, op, shape)
    if isinstance(op, AveragePool):
        return pool_output(op.name, op, shape)
    if isinstance(op, Flatten):
        return flat_output(shape)
    return shape
