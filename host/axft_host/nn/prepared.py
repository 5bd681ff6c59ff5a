"""Layers prepared once and applied to many images, without faults, at matrix-multiplication speed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axft_host.nn.inference import add_bias
from axft_host.nn.kernels import WeightPlanes
from axft_host.nn.lowering import im2col_columns
from axft_host.nn.network import Conv, Dense
from axft_spec.config import ArrayConfig

__all__ = ["PreparedLayer"]

Int64 = NDArray[np.int64]


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
