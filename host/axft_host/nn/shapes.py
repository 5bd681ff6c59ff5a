"""Shapes of values for one image: (channels, height, width) of a map, or (n,) of a vector."""

from __future__ import annotations

import math

import numpy as np

from axft_host.nn.pooling import PoolGeometry
from axft_spec.errors import ModelError
from axft_spec.lowering import ConvShape

__all__ = ["Shape", "conv_output", "dense_output", "flat_output", "max_pool_output", "pool_output"]

Shape = tuple[int, ...]


def conv_output(name: str, conv: ConvShape, weights: Shape, value: Shape) -> Shape:
    """Return the shape of a convolution's output.

    Raises
    ------
    ModelError
        If the weights or the value have another shape than the convolution needs; so in all functions here.
    """
    if value != (conv.in_channels, conv.height, conv.width):
        needed: Shape = (conv.in_channels, conv.height, conv.width)
        raise ModelError(f"{name}: the convolution needs a value of shape {needed}, not {value}")
    if weights != (conv.out_channels, conv.group_inputs, *conv.kernel):
        needed = (conv.out_channels, conv.group_inputs, *conv.kernel)
        raise ModelError(f"{name}: weights must have the shape {needed}, not {weights}")
    return (conv.out_channels, conv.out_height, conv.out_width)


def dense_output(name: str, weights: Shape, value: Shape) -> Shape:
    """Return the shape of a dense layer's output; weights are (outputs, inputs)."""
    if len(weights) != 2 or value != weights[1:]:
        raise ModelError(f"{name}: weights of shape {weights} cannot take a value of shape {value}")
    return weights[:1]


def pool_output(name: str, pool: PoolGeometry, value: Shape) -> Shape:
    """Return the shape of a pooled map."""
    if len(value) != 3:
        raise ModelError(f"{name}: pooling needs a value (channels, height, width), not one of shape {value}")
    top, left, bottom, right = pool.pads
    padded = (value[1] + top + bottom, value[2] + left + right)
    for axis in (0, 1):
        window = pool.dilations[axis] * (pool.kernel[axis] - 1) + 1
        reach = (pool.out_size[axis] - 1) * pool.strides[axis] + window
        positive = (pool.out_size[axis], pool.kernel[axis], pool.strides[axis], pool.dilations[axis])
        if min(positive) < 1 or min(pool.pads) < 0 or reach > padded[axis]:
            given = f"{pool.out_size} windows of {pool.kernel}"
            raise ModelError(f"{name}: {given} do not fit into a value of shape {value}")
    return (value[0], *pool.out_size)


def max_pool_output(name: str, pool: PoolGeometry, value: Shape) -> Shape:
    """Return the shape of a map pooled to its largest values: every window must reach one."""
    result = pool_output(name, pool, value)
    for axis in (0, 1):
        first = np.arange(pool.out_size[axis])[:, None] * pool.strides[axis] - pool.pads[axis]
        places = first + np.arange(pool.kernel[axis]) * pool.dilations[axis]
        if not ((places >= 0) & (places < value[1 + axis])).any(axis=1).all():
            raise ModelError(
                f"{name}: a window of {pool.kernel} with pads {pool.pads} lies on padding alone; each must have an "
                f"element of the value of shape {value}"
            )
    return result


def flat_output(value: Shape) -> Shape:
    """Return the shape of a flattened value."""
    return (math.prod(value),)
