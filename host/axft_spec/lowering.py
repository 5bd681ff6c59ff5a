"""How a convolution becomes matrix multiplications: the definitions, slow and by index.

Two lowerings exist. Images never share a GEMM, K is never split, and what a layer computes does not depend on
which lowering is used, except in how it wraps and in what a fault touches.

``im2col``
    One GEMM per group: ``m`` = output pixels row-major, ``n`` = output channels of the group,
    ``k`` = (input channel of the group, kernel row, kernel column).

``toeplitz``
    One GEMM per (output channel, input channel of its group), output channel outermost: ``m`` = output rows,
    ``n`` = output columns, ``k`` = (kernel row, padded input column). The weight matrix holds the kernel row
    shifted to its column, and zeros. The host sums the input channels in int64.

A dense layer is the same in both: one GEMM with ``m = 1``, ``n`` = outputs, ``k`` = inputs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from axft_spec.errors import ConfigError, unknown_name

__all__ = ["LOWERINGS", "ConvShape", "GemmShape", "conv_by_gemms", "conv_gemms", "dense_gemms", "lower_conv"]

Int64 = NDArray[np.int64]

#: The names of the lowerings; the first is the default.
LOWERINGS = ("im2col", "toeplitz")


@dataclass(frozen=True, slots=True, kw_only=True)
class GemmShape:
    """One matrix multiplication: activations (m, k) times weights (k, n)."""

    m: int
    k: int
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvShape:
    """Everything about a two-dimensional convolution but its numbers.

    Parameters
    ----------
    in_channels, height, width : int
        The input image, in elements.
    out_channels : int
    kernel : (int, int)
        Rows and columns.
    strides, dilations : (int, int)
        Along rows and columns.
    pads : (int, int, int, int)
        Rows above, columns to the left, rows below, columns to the right, as in ONNX.
    groups : int
        Divides both channel counts.
    """

    in_channels: int
    height: int
    width: int
    out_channels: int
    kernel: tuple[int, int]
    strides: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilations: tuple[int, int] = (1, 1)
    groups: int = 1

    def __post_init__(self) -> None:
        positive = (self.in_channels, self.height, self.width, self.out_channels, self.groups)
        if min(*positive, *self.kernel, *self.strides, *self.dilations) < 1 or min(self.pads) < 0:
            raise ConfigError(f"sizes of a convolution must be positive and its pads not negative, not {self!r}")
        if self.in_channels % self.groups or self.out_channels % self.groups:
            raise ConfigError(
                f"groups must divide the channels, not {self.groups} for {self.in_channels} in, {self.out_channels} out"
            )
        if self.out_height < 1 or self.out_width < 1:
            raise ConfigError(f"a kernel must fit into its padded input, not {self!r}")

    @property
    def padded_height(self) -> int:
        """Rows of the input with its padding."""
        return self.height + self.pads[0] + self.pads[2]

    @property
    def padded_width(self) -> int:
        """Columns of the input with its padding."""
        return self.width + self.pads[1] + self.pads[3]

    @property
    def out_height(self) -> int:
        """Rows of the output."""
        return (self.padded_height - self.dilations[0] * (self.kernel[0] - 1) - 1) // self.strides[0] + 1

    @property
    def out_width(self) -> int:
        """Columns of the output."""
        return (self.padded_width - self.dilations[1] * (self.kernel[1] - 1) - 1) // self.strides[1] + 1

    @property
    def group_inputs(self) -> int:
        """Input channels of one group."""
        return self.in_channels // self.groups

    @property
    def group_outputs(self) -> int:
        """Output channels of one group."""
        return self.out_channels // self.groups


def check_lowering(lowering: str) -> str:
    """Return `lowering` if it is the name of one."""
    if lowering not in LOWERINGS:
        raise ConfigError(unknown_name("lowering", lowering, LOWERINGS))
    return lowering


def conv_gemms(shape: ConvShape, lowering: str) -> tuple[int, GemmShape]:
    """Return how many GEMMs a convolution becomes, and the shape they all have."""
    if check_lowering(lowering) == "im2col":
        taps = shape.group_inputs * shape.kernel[0] * shape.kernel[1]
        gemm = GemmShape(m=shape.out_height * shape.out_width, k=taps, n=shape.group_outputs)
        return shape.groups, gemm
    gemm = GemmShape(m=shape.out_height, k=shape.kernel[0] * shape.padded_width, n=shape.out_width)
    return shape.out_channels * shape.group_inputs, gemm


def dense_gemms(inputs: int, outputs: int) -> tuple[int, GemmShape]:
    """Return how many GEMMs a dense layer becomes (one), and its shape."""
    return 1, GemmShape(m=1, k=inputs, n=outputs)


def lower_conv(
    activations: Int64, weights: Int64, shape: ConvShape, lowering: str
) -> Iterator[tuple[int, Int64, Int64]]:
    """Yield the GEMMs of one convolution of one image, in order.

    Parameters
    ----------
    activations : ndarray of int64, shape (in_channels, height, width)
    weights : ndarray of int64, shape (out_channels, group_inputs, kernel rows, kernel columns)
    shape : ConvShape
    lowering : str

    Yields
    ------
    index : int
        Number of the GEMM in its layer.
    a : ndarray of int64, shape (m, k)
    w : ndarray of int64, shape (k, n)
    """
    count, gemm = conv_gemms(shape, lowering)
    top, left, bottom, right = shape.pads
    padded = np.pad(activations, ((0, 0), (top, bottom), (left, right)))
    rows, cols = shape.kernel
    for index in range(count):
        a = np.zeros((gemm.m, gemm.k), dtype=np.int64)
        w = np.zeros((gemm.k, gemm.n), dtype=np.int64)
        if lowering == "im2col":
            first_in, first_out = index * shape.group_inputs, index * shape.group_outputs
            for k in range(gemm.k):
                channel, y, x = k // (rows * cols), k // cols % rows, k % cols
                w[k] = weights[first_out : first_out + gemm.n, channel, y, x]
                for m in range(gemm.m):
                    row = m // shape.out_width * shape.strides[0] + y * shape.dilations[0]
                    col = m % shape.out_width * shape.strides[1] + x * shape.dilations[1]
                    a[m, k] = padded[first_in + channel, row, col]
        else:
            out_channel, channel = divmod(index, shape.group_inputs)
            first_in = out_channel // shape.group_outputs * shape.group_inputs
            for k in range(gemm.k):
                y, col = divmod(k, shape.padded_width)
                for m in range(gemm.m):
                    a[m, k] = padded[first_in + channel, m * shape.strides[0] + y * shape.dilations[0], col]
                for n in range(gemm.n):
                    x, rest = divmod(col - n * shape.strides[1], shape.dilations[1])
                    if rest == 0 and 0 <= x < cols:
                        w[k, n] = weights[out_channel, channel, y, x]
        yield index, a, w


def conv_by_gemms(psums: list[Int64], shape: ConvShape, lowering: str) -> Int64:
    """Assemble a layer's accumulators from the partial sums of its GEMMs, in order.

    Parameters
    ----------
    psums : list of ndarray of int64, each of shape (m, n)
    shape : ConvShape
    lowering : str

    Returns
    -------
    ndarray of int64, shape (out_channels, out_height, out_width)
        Without bias.
    """
    out = np.zeros((shape.out_channels, shape.out_height, shape.out_width), dtype=np.int64)
    for index, psum in enumerate(psums):
        if lowering == "im2col":
            for n in range(shape.group_outputs):
                plane = psum[:, n].reshape(shape.out_height, shape.out_width)
                out[index * shape.group_outputs + n] = plane
        else:
            out[index // shape.group_inputs] += psum
    return out
