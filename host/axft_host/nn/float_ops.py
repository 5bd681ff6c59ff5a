"""The operations of a float network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Union

import numpy as np
from numpy.typing import NDArray

from axft_host.nn.archive import frozen
from axft_host.nn.network import Flatten, MaxPool
from axft_host.nn.shapes import Shape, conv_output, dense_output, flat_output, pool_output
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


class _Floats:
    """Turns the listed members of an operation into read-only float64 arrays."""

    __slots__ = ()
    _arrays: ClassVar[tuple[str, ...]] = ("weights", "bias", "weight_scales")

    def __post_init__(self) -> None:
        for name in self._arrays:
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, frozen(value, np.float64))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Conv(_Floats):
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

    name: str
    shape: ConvShape
    weights: Float64
    bias: Float64
    weight_scales: Float64 | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dense(_Floats):
    """A matrix times a vector, with a bias.

    Parameters
    ----------
    name : str
    weights : ndarray of float64, shape (outputs, inputs)
    bias : ndarray of float64, shape (outputs,)
    weight_scales : ndarray of float64, shape (outputs,), or None
        As in `Conv`.
    """

    name: str
    weights: Float64
    bias: Float64
    weight_scales: Float64 | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Relu:
    """Negative values become 0."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AveragePool:
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

    name: str
    kernel: tuple[int, int]
    strides: tuple[int, int]
    pads: tuple[int, int, int, int]
    out_size: tuple[int, int]
    divisors: Int64

    def __post_init__(self) -> None:
        object.__setattr__(self, "divisors", frozen(self.divisors, np.int64))

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
    if isinstance(op, (MaxPool, AveragePool)):
        return pool_output(op.name, op, shape)
    if isinstance(op, Flatten):
        return flat_output(shape)
    return shape
