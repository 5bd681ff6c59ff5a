"""Layers prepared once and applied to many images, without faults, at matrix-multiplication speed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axft_host.nn.inference import add_bias, apply_host_op
from axft_host.nn.kernels import WeightPlanes
from axft_host.nn.lowering import im2col_columns
from axft_host.nn.network import Conv, Dense, Network
from axft_spec.config import ArrayConfig

__all__ = ["PreparedLayer", "evaluate"]

Int64 = NDArray[np.int64]

#: Images per pass of `evaluate`: their patches stay in a processor's cache.
_BATCH = 128


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PreparedLayer:
    """A Conv or Dense with its weights as planes; psums as the lowering ``im2col`` has them.

    Members
    -------
    op : Conv or Dense
    planes : tuple of WeightPlanes
        One per group of a convolution; one for a dense layer.
    """

    op: Conv | Dense
    planes: tuple[WeightPlanes, ...]

    @classmethod
    def prepare(cls, op: Conv | Dense, config: ArrayConfig) -> PreparedLayer:
        """Prepare a layer for a configuration."""
        groups = op.shape.groups if isinstance(op, Conv) else 1
        matrices = op.weights.reshape(groups, op.outputs // groups, -1)
        return cls(op=op, planes=tuple(WeightPlanes.prepare(matrix, config) for matrix in matrices))

    def accumulators(self, values: NDArray[Any]) -> Int64:
        """Return psums plus bias.

        Parameters
        ----------
        values : ndarray of integers, shape (images, channels, height, width) or (images, n)

        Returns
        -------
        ndarray of int64, shape (images, channels, height, width) or (images, n)
        """
        op = self.op
        if not isinstance(op, Conv):
            return add_bias(op, self.planes[0].psums(self.planes[0].rows(values)))
        parts = []
        for group, planes in enumerate(self.planes):
            # Planes are taken of the maps, before im2col repeats every element; k is (plane, channel, y, x).
            first = group * op.shape.group_inputs
            maps = planes.stack(values[:, first : first + op.shape.group_inputs], 1)
            stacked = replace(op.shape, in_channels=maps.shape[1], out_channels=op.shape.group_outputs, groups=1)
            parts.append(planes.psums(planes.matrix @ im2col_columns(maps, stacked, 0)))
        sums = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
        return add_bias(op, sums.reshape(len(values), op.outputs, op.shape.out_height, op.shape.out_width))


def evaluate(network: Network, images: NDArray[np.uint8]) -> Int64:
    """Run images through a network on an array without faults.

    Parameters
    ----------
    network : Network
    images : ndarray of uint8, shape (n, channels, height, width)

    Returns
    -------
    ndarray of int64, shape (n, classes)
        Final accumulators, those of `run_network` with the lowering ``im2col``.
    """
    config = network.config
    layers = [PreparedLayer.prepare(op, config) if isinstance(op, (Conv, Dense)) else None for op in network.ops]
    results = []
    for start in range(0, max(len(images), 1), _BATCH):
        values = network.quantise_images(images[start : start + _BATCH])
        for op, layer in zip(network.ops, layers, strict=True):
            values = apply_host_op(op, values) if layer is None else layer.accumulators(values)
        results.append(values)
    return np.concatenate(results)
