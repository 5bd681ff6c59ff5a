"""The plain path through a compiled network: every GEMM is handed out, everything else is done here.

Faster paths must give the same final accumulators.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray

from axft_host.nn.kernels import approximate_matmul
from axft_host.nn.lowering import assemble_conv, lower_conv
from axft_host.nn.network import AveragePool, Clip, Conv, Dense, Flatten, MaxPool, Network, Op, Requantise
from axft_host.nn.pooling import max_pool, sum_pool
from axft_spec.numeric import requantise

__all__ = ["Gemm", "add_bias", "apply_host_op", "layer_gemms", "plain_gemm", "run_layer", "run_network"]

Int64 = NDArray[np.int64]

#: ``gemm(layer, gemm, activations, weights)``: activations (images, m, k) int64, weights (k, n) int64;
#: returns psums (images, m, n) int64.
Gemm = Callable[[int, int, Int64, Int64], Int64]


def apply_host_op(op: Op, values: Int64) -> Int64:
    """Apply an operation that the host does.

    Parameters
    ----------
    op : MaxPool, AveragePool, Flatten, Requantise or Clip
    values : ndarray of int64, shape (images, channels, height, width) or (images, n)

    Returns
    -------
    ndarray of int64

    Raises
    ------
    TypeError
        If the operation is one of the array's.
    """
    if isinstance(op, Requantise):
        return requantise(values, op.multipliers, op.shift, op.low, op.high)
    if isinstance(op, MaxPool):
        return max_pool(values, op)
    if isinstance(op, AveragePool):
        return sum_pool(values, op)
    if isinstance(op, Flatten):
        return values.reshape(len(values), -1)
    if isinstance(op, Clip):
        return np.maximum(values, 0)
    raise TypeError(f"{type(op).__name__} is not an operation of the host")


def add_bias(op: Conv | Dense, sums: Int64) -> Int64:
    """Return a layer's sums, shape (images, outputs, ...), with their bias added in int64."""
    return sums + op.bias.reshape(-1, *(1,) * (sums.ndim - 2))


def layer_gemms(op: Conv | Dense, values: Int64, lowering: str) -> Iterator[tuple[int, Int64, Int64]]:
    """Yield a layer's GEMMs in order: number, activations (images, m, k), weights (k, n)."""
    if isinstance(op, Conv):
        yield from lower_conv(values, op.weights, op.shape, lowering)
    else:
        yield 0, values[:, None, :], op.weights.T


def run_layer(op: Conv | Dense, values: Int64, gemm: Callable[[int, Int64, Int64], Int64], lowering: str) -> Int64:
    """Return the accumulators of a layer, with their bias.

    Parameters
    ----------
    op : Conv or Dense
    values : ndarray of int64, shape (images, channels, height, width) or (images, n)
    gemm : callable
        ``gemm(number, activations, weights)`` returns psums; see `Gemm`.
    lowering : str
    """
    psums = (gemm(number, a, w) for number, a, w in layer_gemms(op, values, lowering))
    if isinstance(op, Conv):
        return add_bias(op, assemble_conv(psums, op.shape, lowering))
    return add_bias(op, next(psums)[:, 0, :])


def run_network(network: Network, images: Int64, gemm: Gemm, *, lowering: str = "im2col") -> Int64:
    """Run quantised images through a network.

    Parameters
    ----------
    network : Network
    images : ndarray of int64, shape (n, channels, height, width)
        Operands, from `Network.quantise_images`.
    gemm : callable
        Multiplies; see `Gemm`. Called for every GEMM of every layer, in order.
    lowering : str
        ``im2col`` or ``toeplitz``.

    Returns
    -------
    ndarray of int64, shape (n, classes)
        Final accumulators.
    """
    values = np.asarray(images, dtype=np.int64)
    layer = 0
    for op in network.ops:
        if isinstance(op, (Conv, Dense)):
            values = run_layer(op, values, partial(gemm, layer), lowering)
            layer += 1
        else:
            values = apply_host_op(op, values)
    return values


def plain_gemm(network: Network) -> Gemm:
    """Return the multiplication of an array without faults, for `run_network`."""
    config = network.config

    def gemm(layer: int, number: int, activations: Int64, weights: Int64) -> Int64:
        return approximate_matmul(activations, weights, config)

    return gemm
