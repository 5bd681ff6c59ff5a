"""GEMMs in the form in which the emulator computes them.

A *bank* is a set of GEMMs of one layer that share their activation matrix. The matrix is not stored: entry (m, k)
is a row of the layer's input, which is kept as (features, images). One gather of rows, each as long as the batch,
serves every layer and both lowerings.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from axft_host.nn.lowering import toeplitz_weights
from axft_spec.lowering import ConvShape, GemmShape, conv_gemms

__all__ = ["Bank", "conv_banks", "dense_bank"]

Int64 = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bank:
    """GEMMs of one layer that share their activations.

    Members
    -------
    index : ndarray of int64, shape (m, k)
        Row of the layer's input that is the activation; the row after the last input feature holds zeros.
    weights : ndarray of int64, shape (k, gemms, n)
    gemms : tuple of int
        Numbers of the GEMMs in their layer.
    targets : ndarray of int64, shape (gemms, m, n)
        Row of the layer's accumulators, (channels x positions, images), that the partial sum is added to.
    features : int
        Rows of the layer's input.
    """

    index: Int64
    weights: Int64
    gemms: tuple[int, ...]
    targets: Int64
    features: int

    @property
    def stride(self) -> int:
        """Rows from one plane of the input to the next: the features, and the row of zeros."""
        return self.features + 1

    @property
    def shape(self) -> GemmShape:
        """Shape of each GEMM."""
        return GemmShape(m=self.index.shape[0], k=self.index.shape[1], n=self.weights.shape[2])


def conv_banks(weights: Int64, shape: ConvShape, lowering: str) -> list[Bank]:
    """Return the banks of a convolution.

    Parameters
    ----------
    weights : ndarray of int64, shape (out_channels, group_inputs, kernel rows, kernel columns)
    shape : ConvShape
    lowering : str
    """
    _, gemm = conv_gemms(shape, lowering)
    top, left, bottom, right = shape.pads
    features = np.arange(shape.in_channels * shape.height * shape.width)
    padded = np.pad(
        features.reshape(shape.in_channels, shape.height, shape.width),
        ((0, 0), (top, bottom), (left, right)),
        constant_values=features.size,
    )
    rows, cols = shape.kernel
    positions = shape.out_height * shape.out_width
    row_of = np.arange(shape.out_height)[:, None] * shape.strides[0] + np.arange(rows) * shape.dilations[0]
    banks = []
    if lowering == "im2col":
        col_of = np.arange(shape.out_width)[:, None] * shape.strides[1] + np.arange(cols) * shape.dilations[1]
        for group in range(shape.groups):
            inputs = padded[group * shape.group_inputs : (group + 1) * shape.group_inputs]
            # (channel, out row, out column, kernel row, kernel column)
            taps = inputs[:, row_of[:, None, :, None], col_of[None, :, None, :]]
            first = group * shape.group_outputs
            channels = np.arange(first, first + shape.group_outputs)
            banks.append(
                Bank(
                    index=taps.transpose(1, 2, 0, 3, 4).reshape(gemm.m, gemm.k),
                    weights=weights[channels].reshape(gemm.n, gemm.k).T[:, None, :],
                    gemms=(group,),
                    targets=(channels * positions + np.arange(positions)[:, None])[None],
                    features=features.size,
                )
            )
        return banks
    for channel in range(shape.in_channels):
        group, inner = divmod(channel, shape.group_inputs)
        outputs = np.arange(group * shape.group_outputs, (group + 1) * shape.group_outputs)
        banks.append(
            Bank(
                index=padded[channel][row_of].reshape(gemm.m, gemm.k),
                weights=toeplitz_weights(weights[outputs, inner], shape),
                gemms=tuple(int(output) * shape.group_inputs + inner for output in outputs),
                targets=outputs[:, None, None] * positions + np.arange(positions).reshape(1, gemm.m, gemm.n),
                features=features.size,
            )
        )
    return banks


def dense_bank(weights: Int64) -> Bank:
    """Return the bank of a dense layer or a plain GEMM row: weights of shape (outputs, inputs)."""
    outputs, inputs = weights.shape
    return Bank(
        index=np.arange(inputs)[None],
        weights=weights.T[:, None, :],
        gemms=(0,),
        targets=np.arange(outputs)[None, None, :],
        features=inputs,
    )
