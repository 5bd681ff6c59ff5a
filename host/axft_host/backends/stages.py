"""A network cut into stages: one multiplying layer each, with the host's operations up to the next one.

Values are kept as (features, images): a feature's values over the batch lie side by side in memory, features in
row-major order of (channel, row, column). Flattening is then nothing at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axft_host.backends.banks import Bank, conv_banks, dense_bank
from axft_host.backends.patches import LayerEffect, LayerInput
from axft_host.backends.planes import Floats, Planes
from axft_host.nn.inference import apply_host_op
from axft_host.nn.network import Conv, Dense, Flatten, MaxPool, Network, Op, Requantise
from axft_spec.config import ArrayConfig
from axft_spec.numeric import wrap

__all__ = ["Stage", "build_stages", "first_values", "pool_first"]

Int64 = NDArray[np.int64]

#: Images that run together in one matrix product: its operands then stay in the processor's cache.
_BLOCK = 32


@dataclass(frozen=True, slots=True)
class _Product:
    """One exact matrix product of a layer: rows of the input planes, weights, and where the sums go."""

    #: Rows of the input planes, shape (planes x k, m).
    gather: Int64
    #: Shape (columns, planes x k).
    weights: Floats
    #: Shape (columns, m).
    targets: Int64
    #: Whether the targets are all accumulators, in order, so that no scatter is needed.
    direct: bool
    wraps: bool


@dataclass(frozen=True, slots=True)
class Stage:
    """One multiplying layer and what the host does after it.

    Members
    -------
    number : int
        Number of the layer.
    banks : list of Bank
        The layer's GEMMs under the chosen lowering.
    shape : tuple of int
        Shape of the accumulators of one image: (channels, rows, columns), or (outputs,).
    ops : tuple of operations
        The host's, in order; the last stage has those behind the last layer.
    """

    number: int
    banks: list[Bank]
    shape: tuple[int, ...]
    bias: Int64
    ops: tuple[Op, ...]
    planes: Planes
    config: ArrayConfig
    products: list[_Product]
    #: Float type that holds the accumulators, faulty ones too.
    dtype: Any

    @property
    def channels(self) -> int:
        """Output channels (or outputs) of the layer."""
        return self.shape[0]

    @property
    def positions(self) -> int:
        """Accumulators of one channel."""
        return int(np.prod(self.shape[1:], dtype=np.int64))

    def accumulate(self, inputs: LayerInput) -> Floats:
        """Return fault-free accumulators without bias, shape (channels x positions, images)."""
        images = inputs.raw.shape[1]
        out = np.zeros((self.channels * self.positions, images), dtype=self.dtype)
        for first in range(0, images, _BLOCK):
            block = slice(first, first + _BLOCK)
            planes = np.ascontiguousarray(inputs.planes[:, block])
            for product in self.products:
                steps, m = product.gather.shape
                operands = planes.take(product.gather.ravel(), axis=0).reshape(steps, m * planes.shape[1])
                sums = product.weights @ operands.astype(product.weights.dtype, copy=False)
                if product.wraps:
                    sums = wrap(sums.astype(np.int64), self.config.acc_bits)
                sums = sums.reshape(product.targets.size, planes.shape[1])
                if product.direct:
                    out[:, block] = sums
                else:
                    out[product.targets.ravel(), block] += sums
        return out

    def finish(self, accumulators: Floats, channels: Int64 | None = None) -> Int64:
        """Apply bias and the host's operations.

        Parameters
        ----------
        accumulators : float array, shape (channels x positions, images)
            Of all channels, or of `channels` alone.
        channels : ndarray of int64, optional
            Which channels these are. Only where `by_channel`.

        Returns
        -------
        ndarray of int64, shape (features, images)
        """
        images = accumulators.shape[1]
        shape = (self.channels if channels is None else channels.size, *self.shape[1:])
        # Logically (images, channels, ...) as the host's operations take it; in memory images stay last.
        values: NDArray[Any] = np.moveaxis(accumulators.reshape(*shape, images), -1, 0)
        bias = (self.bias if channels is None else self.bias[channels]).reshape(-1, *(1,) * (len(shape) - 1))
        ops = self.ops if channels is None else tuple(_of_channels(op, channels) for op in self.ops)
        if ops and isinstance(ops[0], MaxPool):
            # Adding a bias commutes with a maximum over one channel; so the additions are fewer.
            values, ops = apply_host_op(ops[0], values), ops[1:]
        values = values.astype(np.int64) + bias
        for op in ops:
            values = apply_host_op(op, values)
        return np.moveaxis(values.reshape(images, -1), 0, -1)

    @property
    def by_channel(self) -> bool:
        """Whether an output channel depends on the accumulators of that channel alone."""
        flat = [isinstance(op, Flatten) for op in self.ops]
        after = self.ops[flat.index(True) :] if any(flat) and len(self.shape) > 1 else ()
        return not any(isinstance(op, Requantise) and op.multipliers.size > 1 for op in after)

    def features_of(self, channels: Int64, features: int) -> Int64:
        """Return which of the stage's `features` outputs belong to some channels."""
        each = features // self.channels
        return (channels[:, None] * each + np.arange(each)).ravel()


def _of_channels(op: Op, channels: Int64) -> Op:
    """Return an operation restricted to some channels."""
    if isinstance(op, Requantise) and op.multipliers.ndim and op.multipliers.shape[0] > 1:
        return replace(op, multipliers=op.multipliers[channels])
    return op


def pool_first(ops: Sequence[Op]) -> tuple[Op, ...]:
    """Move a max pooling before the requantisation it follows.

    Requantisation never decreases with the accumulator, so that the largest requantised value is the requantised
    largest value; pooled first, there are fewer values to requantise.
    """
    ordered = list(ops)
    for index in range(1, len(ordered)):
        before, op = ordered[index - 1], ordered[index]
        if isinstance(op, MaxPool) and isinstance(before, Requantise) and before.multipliers.shape[1:] in ((), (1, 1)):
            ordered[index - 1 : index + 1] = [op, before]
    return tuple(ordered)


def first_values(network: Network, images: Int64) -> Int64:
    """Apply what the host does before the first multiplying layer; return (features, images)."""
    values = images
    for op in network.ops:
        if isinstance(op, (Conv, Dense)):
            break
        values = apply_host_op(op, values)
    return values.reshape(len(values), -1).T


def build_stages(network: Network, config: ArrayConfig, lowering: str) -> list[Stage]:
    """Cut a network into stages for one array and one lowering."""
    starts = [index for index, op in enumerate(network.ops) if isinstance(op, (Conv, Dense))]
    planes = Planes(config)
    stages = []
    for number, (start, end) in enumerate(zip(starts, [*starts[1:], len(network.ops)], strict=True)):
        op = network.ops[start]
        assert isinstance(op, (Conv, Dense))
        if isinstance(op, Conv):
            banks = conv_banks(op.weights, op.shape, lowering)
            golden = conv_banks(op.weights, op.shape, "im2col")
            shape: tuple[int, ...] = (op.shape.out_channels, op.shape.out_height, op.shape.out_width)
        else:
            banks = golden = [dense_bank(op.weights)]
            shape = (op.weights.shape[0],)
        # Where no partial sum can wrap, all lowerings give the same accumulators, and im2col is the fastest.
        k = max(bank.shape.k for bank in banks)
        chosen = golden if planes.cannot_wrap(k) else banks
        # Whether partial sums wrap is a matter of the lowering asked for, not of the one that stands in for it.
        wraps = not planes.cannot_wrap(k)
        products = [_product(bank, planes, whole=len(chosen) == 1, wraps=wraps) for bank in chosen]
        # Each partial sum that is added up may be forced to the ends of its register.
        summed = op.shape.group_inputs if isinstance(op, Conv) and lowering == "toeplitz" else 1
        stages.append(
            Stage(
                number=number,
                banks=banks,
                shape=shape,
                bias=op.bias,
                ops=pool_first(network.ops[start + 1 : end]),
                planes=planes,
                config=config,
                products=products,
                dtype=np.float32 if summed << (config.acc_bits - 1) < 1 << 24 else np.float64,
            )
        )
    return stages


def _product(bank: Bank, planes: Planes, *, whole: bool, wraps: bool) -> _Product:
    """Prepare the fault-free product of one bank; `whole` if it is all of its layer, `wraps` if its sums may."""
    k = bank.shape.k
    weights = planes.of_weights(bank.weights).reshape(planes.count * k, -1).T
    used = np.flatnonzero(weights.any(axis=0))
    weights = weights[:, used]
    plane, step = np.divmod(used, k)
    targets = bank.targets.transpose(0, 2, 1).reshape(weights.shape[0], -1)
    return _Product(
        gather=bank.index.T[step] + (plane * bank.stride)[:, None],
        weights=weights.astype(planes.sum_dtype(weights)),
        targets=targets,
        direct=whole and bool(np.array_equal(targets.ravel(), np.arange(targets.size))),
        wraps=wraps,
    )


def apply_effect(accumulators: Floats, effect: LayerEffect, inputs: LayerInput, rows: Int64 | None = None) -> Int64:
    """Add what a fault changes, in place; return the activations of each image.

    Parameters
    ----------
    accumulators : float array, shape (rows, images)
    effect : LayerEffect
    inputs : LayerInput
        Of the same images.
    rows : ndarray of int64, optional
        Which accumulators these are, sorted; all of them if None.
    """
    activated = np.full(accumulators.shape[1], effect.activated, dtype=np.int64)
    for patch in effect.patches:
        difference, counted = patch.apply(inputs)
        targets = patch.targets if rows is None else np.searchsorted(rows, patch.targets)
        accumulators[targets] += difference
        activated += counted
    for counter in effect.counters:
        activated += counter.count(inputs)
    return activated
