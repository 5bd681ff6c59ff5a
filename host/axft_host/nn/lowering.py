"""The lowerings of `axft_spec.lowering`, vectorised over images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axft_spec.lowering import ConvShape, conv_gemms

__all__ = ["assemble_conv", "im2col_columns", "lower_conv", "pad", "toeplitz_weights", "windows"]

Array = NDArray[Any]
Int64 = NDArray[np.int64]


def pad(values: Array, pads: tuple[int, int, int, int], fill: float = 0) -> Array:
    """Return maps with a border; no copy if there is none.

    Parameters
    ----------
    values : ndarray, shape (..., height, width)
    pads : (int, int, int, int)
        Rows above, columns to the left, rows below, columns to the right.
    fill : number
        Value of the border.
    """
    if not any(pads):
        return values
    top, left, bottom, right = pads
    height, width = values.shape[-2:]
    size = (height + top + bottom, width + left + right)
    padded = np.full((*values.shape[:-2], *size), fill, dtype=values.dtype)
    padded[..., top : top + height, left : left + width] = values
    return padded


def windows(
    padded: Array,
    kernel: tuple[int, int],
    strides: tuple[int, int],
    dilations: tuple[int, int],
    out_size: tuple[int, int],
) -> Array:
    """Return a read-only view of shape (..., kernel rows, kernel columns, out rows, out columns).

    Parameters
    ----------
    padded : ndarray, shape (..., height, width)
    kernel, strides, dilations, out_size : (int, int)
        Along rows and columns.
    """
    row, col = padded.strides[-2:]
    return np.lib.stride_tricks.as_strided(
        padded,
        shape=(*padded.shape[:-2], *kernel, *out_size),
        strides=(
            *padded.strides[:-2],
            row * dilations[0],
            col * dilations[1],
            row * strides[0],
            col * strides[1],
        ),
        writeable=False,
    )


def im2col_columns(activations: Array, shape: ConvShape, group: int) -> Array:
    """Return one group's GEMM operand of `im2col`, transposed: sums along axis 1, output pixels along axis 2.

    Parameters
    ----------
    activations : ndarray, shape (images, in_channels, height, width)
    shape : ConvShape
    group : int

    Returns
    -------
    ndarray of the same type, shape (images, k, m)
        Multiplied from the left by weights of shape (n, k) it gives (images, n, m): maps, channel by channel.
    """
    first = group * shape.group_inputs
    padded = pad(activations[:, first : first + shape.group_inputs], shape.pads)
    view = windows(padded, shape.kernel, shape.strides, shape.dilations, (shape.out_height, shape.out_width))
    _, gemm = conv_gemms(shape, "im2col")
    return view.reshape(len(activations), gemm.k, gemm.m)


def toeplitz_weights(weights: Int64, shape: ConvShape) -> Int64:
    """Return the weight matrices with which `toeplitz` multiplies one input channel.

    Parameters
    ----------
    weights : ndarray of int64, shape (outputs, kernel rows, kernel columns)
        Of the output channels of the input channel's group.
    shape : ConvShape

    Returns
    -------
    ndarray of int64, shape (kernel rows x padded width, outputs, out width)
        (k, output, n): every kernel row shifted to its columns, and zeros.
    """
    rows, cols = shape.kernel
    matrix = np.zeros((rows, shape.padded_width, len(weights), shape.out_width), dtype=np.int64)
    positions = np.arange(shape.out_width)
    for x in range(cols):
        # (out position, kernel row, output): numpy puts the axis that two index arrays share first.
        matrix[:, positions * shape.strides[1] + x * shape.dilations[1], :, positions] = weights[:, :, x].T
    return matrix.reshape(rows * shape.padded_width, len(weights), shape.out_width)


def _toeplitz_rows(padded: Array, shape: ConvShape) -> Array:
    """Return activations of shape (images, m, k) from one padded channel, (images, height, width)."""
    kernel, size = (shape.kernel[0], shape.padded_width), (shape.out_height, 1)
    view = windows(padded, kernel, shape.strides, (shape.dilations[0], 1), size)
    _, gemm = conv_gemms(shape, "toeplitz")
    return view[..., 0].transpose(0, 3, 1, 2).reshape(len(padded), gemm.m, gemm.k)


def lower_conv(
    activations: Int64, weights: Int64, shape: ConvShape, lowering: str
) -> Iterator[tuple[int, Int64, Int64]]:
    """Yield the GEMMs of one convolution, in order, for many images at once.

    Parameters
    ----------
    activations : ndarray of int64, shape (images, in_channels, height, width)
    weights : ndarray of int64, shape (out_channels, group_inputs, kernel rows, kernel columns)
    shape : ConvShape
    lowering : str

    Yields
    ------
    index : int
        Number of the GEMM in its layer.
    a : ndarray of int64, shape (images, m, k)
    w : ndarray of int64, shape (k, n)
    """
    count, gemm = conv_gemms(shape, lowering)
    if lowering == "im2col":
        for group in range(count):
            own = weights[group * gemm.n : (group + 1) * gemm.n].reshape(gemm.n, gemm.k)
            yield group, im2col_columns(activations, shape, group).transpose(0, 2, 1), own.T
        return
    padded = pad(activations, shape.pads)
    # Every output channel of a group reads the same activations.
    for group in range(shape.groups):
        first = group * shape.group_inputs
        outputs = range(group * shape.group_outputs, (group + 1) * shape.group_outputs)
        own = weights[outputs.start : outputs.stop]
        rows = [_toeplitz_rows(padded[:, first + channel], shape) for channel in range(shape.group_inputs)]
        matrices = [toeplitz_weights(own[:, channel], shape) for channel in range(shape.group_inputs)]
        for index, out_channel in enumerate(outputs):
            for channel, (a, matrix) in enumerate(zip(rows, matrices, strict=True)):
                yield out_channel * shape.group_inputs + channel, a, matrix[:, index]


def assemble_conv(psums: Iterable[Int64], shape: ConvShape, lowering: str) -> Int64:
    """Assemble a layer's accumulators from the partial sums of its GEMMs, in order.

    Parameters
    ----------
    psums : iterable of ndarray of int64, each of shape (images, m, n)
    shape : ConvShape
    lowering : str

    Returns
    -------
    ndarray of int64, shape (images, out_channels, out_height, out_width)
        Without bias; the input channels of `toeplitz` are summed here, in int64.
    """
    size = (shape.out_height, shape.out_width)
    out: Int64 | None = None
    for index, psum in enumerate(psums):
        if out is None:
            out = np.zeros((len(psum), shape.out_channels, *size), dtype=np.int64)
        if lowering == "im2col":
            first = index * shape.group_outputs
            maps = psum.transpose(0, 2, 1).reshape(len(psum), shape.group_outputs, *size)
            out[:, first : first + shape.group_outputs] = maps
        else:
            out[:, index // shape.group_inputs] += psum
    assert out is not None, "a convolution has at least one GEMM"
    return out
