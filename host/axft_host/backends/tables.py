"""A network, its lowering and its array as flat arrays, for compiled functions.

Layouts, for one image:

* *values*, the operands that enter each layer, int16: planes (channel, row, column) with their padding, layer after
  layer. Bits that the multiplier ignores are 0. A dense layer's inputs are channels of one element each.
* *sums*, the accumulators of each layer with their bias: (position, channel), the channels padded with zeros to 8 or a
  multiple of 16. Without their wrap, which commutes with additions.
* *outputs*, what a layer hands on, int16: (pooled position, channel), to compare with.
* the last two once more by channel, *line sums* (channel, row, column) with rows as wide as those of the values, and
  *line outputs* (channel, row, column) with rows of a multiple of 16: for faults that touch single channels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from axft_host.backends.base import Workload
from axft_host.backends.stages import first_values, pool_first
from axft_host.nn.network import AveragePool, Clip, Conv, Dense, Flatten, MaxPool, Op, Requantise
from axft_spec.config import ArrayConfig
from axft_spec.lowering import ConvShape
from axft_spec.numeric import signed_range

__all__ = ["Tables", "UnsupportedError", "build_tables", "input_values"]

Array = NDArray[Any]


class UnsupportedError(Exception):
    """A network, or an array, that the compiled engine does not know; the other one does."""


def _names(text: str) -> list[str]:
    return text.split()


#: Numbers of one layer; a row of `Tables.layers`.
_LAYER = _names(
    """
    values plane row inputs group_inputs group_outputs groups
    kernel_y kernel_x stride_y stride_x dilation_y dilation_x
    sums height width channels lanes weights tap bias
    before before_step before_shift before_low before_high after after_step after_shift after_low after_high
    pool plain_pool pool_y pool_x pool_stride_y pool_stride_x pool_top pool_left pool_dilation_y pool_dilation_x
    outputs out_height out_width next next_plane next_row next_y next_x next_flat
    toeplitz m k n wraps products_wrap
    quick pairs line line_size line_outputs line_row line_made
    """
)
# values, plane, row: where its operands begin, and the size of a plane and of a row of them
# sums, lanes: where its accumulators begin; channels with their padding
# weights, tap: where its weights begin; elements from one tap to the next
# before, after: where the factors of the requantisation before and after the pooling begin, or -1; _step: from those of
#     one position to the next, 0 if all share them
# pool: 0 none, 1 the largest, 2 the sum; plain_pool: the largest of 2 x 2 sums
# outputs: where they begin; next, next_plane, next_row: where they go among the operands of the next layer, next_y,
#     next_x: as row and column of its planes, or, if next_flat, all as channels of one element
# toeplitz, m, k, n: its GEMMs; wraps, products_wrap: whether sums may, with any operands and with any products
# quick: the host's part is the largest of one or of 2 x 2 sums, then a requantisation
# pairs: differences of two of its operands fit into 16 bits
# line, line_outputs: where its line sums and line outputs begin, or -1 if it has none; line_size, line_row: of the sums
#     of one channel, of one row of outputs; line_made: where the rows of PEs that make its positions begin in `made`

#: Numbers of the array; broken: how many times four bits of a weight there are, from `omit_weight` on, beside which a
#: vertical break takes some of an operand.
_SETUP = _names("rows cols width acc_bits product_bits omit_weight omit_activation vbreak broken")


class Tables(NamedTuple):
    """Everything that does not depend on images and faults.

    Members
    -------
    layers : structured ndarray, shape (layers,)
    setup : structured ndarray, shape (1,)
    weights : ndarray of int16
        For each input channel, kernel row and kernel column (the last one first): the outputs' weights.
    bits : ndarray of int32
        For each four bits that are `broken`, and for each of the weights: a bit in each byte.
    taken : ndarray of int64, shape (broken, 2**vbreak)
        For each four bits, and for each end of an operand: in each byte what the break takes of it beside that bit.
    bias : ndarray of int32 or int64
        The type of all sums.
    factors : ndarray of int32
        Of requantisations: (position or one for all, channel).
    made : ndarray of int32
        Of layers with line sums: the row of the PE that makes each position; -1 between and behind them.
    sizes : ndarray of int64, shape (5,)
        Elements of values, sums, outputs, line sums and line outputs of one image.
    """

    layers: Array
    setup: Array
    weights: Array
    bits: Array
    taken: Array
    bias: Array
    factors: Array
    made: Array
    sizes: Array


@dataclass(slots=True)
class _Builder:
    """Collects the layers."""

    workload: Workload
    rows: list[dict[str, int]]
    weights: list[Array]
    bias: list[Array]
    factors: list[Array]
    made: list[Array]
    sizes: list[int]

    def add(self, op: Conv | Dense, ops: tuple[Op, ...], following: Conv | Dense | None) -> None:
        shape = op.shape if isinstance(op, Conv) else _as_conv(op)
        row = dict.fromkeys(_LAYER, 0)
        self._multiply(row, op, shape)
        config, toeplitz = self.workload.config, isinstance(op, Conv) and self.workload.lowering == "toeplitz"
        _, gemm = op.gemms(self.workload.lowering)
        row.update({"toeplitz": toeplitz, "m": gemm.m, "k": gemm.k, "n": gemm.n})
        largest = config.multiplier.largest_product(config.width)
        room = 1 << (config.acc_bits - 1)
        row["wraps"] = gemm.k * largest >= room
        row["products_wrap"] = gemm.k * max(largest, 1 << (config.product_bits - 1)) >= room
        if toeplitz and row["wraps"]:
            raise UnsupportedError("partial sums of several input channels that wrap, each for itself")
        if gemm.m > 1 and gemm.k >= 1 << (32 - config.width):
            raise UnsupportedError("sums of operands that do not fit into 32 bits")
        self._host(row, shape, ops, last=following is None)
        if following is not None:
            self._next(row, following)
            self._line(row)
        row["pairs"] = config.width == 8 or (bool(self.rows) and _lowest(self.rows[-1]) >= 0)
        self.rows.append(row)

    def _multiply(self, row: dict[str, int], op: Conv | Dense, shape: ConvShape) -> None:
        outputs = shape.group_outputs
        tap = _padded(outputs)
        lanes = _padded((shape.groups - 1) * outputs + tap)
        omit = self.workload.config.omit_weight
        weights = (op.weights >> omit << omit).reshape(shape.groups, outputs, shape.group_inputs, *shape.kernel)
        placed = np.zeros((shape.groups, shape.group_inputs, *shape.kernel, tap), dtype=np.int16)
        placed[..., :outputs] = weights.transpose(0, 2, 3, 4, 1)[:, :, :, ::-1]
        bias = np.zeros(lanes, dtype=np.int64)
        bias[: shape.out_channels] = op.bias
        plane = shape.padded_height * shape.padded_width
        row.update(
            {
                "values": self.sizes[0],
                "plane": plane,
                "row": shape.padded_width,
                "inputs": shape.in_channels,
                "group_inputs": shape.group_inputs,
                "group_outputs": outputs,
                "groups": shape.groups,
                "kernel_y": shape.kernel[0],
                "kernel_x": shape.kernel[1],
                "stride_y": shape.strides[0],
                "stride_x": shape.strides[1],
                "dilation_y": shape.dilations[0],
                "dilation_x": shape.dilations[1],
                "sums": self.sizes[1],
                "height": shape.out_height,
                "width": shape.out_width,
                "channels": shape.out_channels,
                "lanes": lanes,
                "weights": sum(map(np.size, self.weights)),
                "tap": tap,
                "bias": sum(map(np.size, self.bias)),
            }
        )
        self.weights.append(placed.ravel())
        self.bias.append(bias)
        self.sizes[0] += shape.in_channels * plane
        self.sizes[1] += shape.out_height * shape.out_width * lanes

    def _host(self, row: dict[str, int], shape: ConvShape, ops: tuple[Op, ...], *, last: bool) -> None:
        """Read the host's operations as: one on each value, a pooling, one on each value; any of them may lack."""
        size = shape.out_height, shape.out_width
        row.update({"before": -1, "after": -1, "pool_y": 1, "pool_x": 1, "line": -1})
        row.update({"pool_stride_y": 1, "pool_stride_x": 1})
        narrow = False
        for op in pool_first(ops):
            if isinstance(op, Flatten):
                continue
            if last:
                raise UnsupportedError("operations behind the last layer")
            if isinstance(op, (Requantise, Clip)):
                narrow = narrow or isinstance(op, Requantise)
                name = "after" if row["pool"] else "before"
                if row[name] >= 0:
                    raise UnsupportedError("two operations on each value in a row")
                self._each(row, name, op, (shape.out_channels, *size))
            elif isinstance(op, (MaxPool, AveragePool)):
                if row["pool"]:
                    raise UnsupportedError("two poolings in a row")
                narrow = narrow and isinstance(op, MaxPool)
                row["pool"] = 1 if isinstance(op, MaxPool) else 2
                row["pool_y"], row["pool_x"] = op.kernel
                row["pool_stride_y"], row["pool_stride_x"] = op.strides
                row["pool_top"], row["pool_left"] = op.pads[:2]
                row["pool_dilation_y"], row["pool_dilation_x"] = op.dilations
                size = op.out_size
            else:
                raise UnsupportedError(f"operation {type(op).__name__}")
        if not narrow and not last:
            raise UnsupportedError("a layer without a requantisation")
        if not row["pool"]:
            each = _names("before before_step before_shift before_low before_high")
            row.update({name.replace("before", "after"): row[name] for name in each})
            row.update({"before": -1})
        names = _names("pool before pool_y pool_x pool_stride_y pool_stride_x pool_top pool_left")
        plain = [row[name] for name in names] == [1, -1, 2, 2, 2, 2, 0, 0]
        inside = 2 * size[0] <= shape.out_height and 2 * size[1] <= shape.out_width
        row["plain_pool"] = plain and inside and row["pool_dilation_y"] == row["pool_dilation_x"] == 1
        row["quick"] = (row["plain_pool"] or not row["pool"]) and row["after"] >= 0
        row.update({"outputs": self.sizes[2], "out_height": size[0], "out_width": size[1]})
        self.sizes[2] += size[0] * size[1] * row["lanes"]

    def _each(self, row: dict[str, int], name: str, op: Requantise | Clip, size: tuple[int, int, int]) -> None:
        if isinstance(op, Requantise):
            multipliers, limits = op.multipliers, (op.shift, op.low, op.high)
        else:
            multipliers, limits = np.ones(1, dtype=np.int64), (0, 0, 1 << 62)
        if multipliers.size == 1:
            multipliers = multipliers.reshape(1, 1, 1)
        elif multipliers.ndim == 1:
            multipliers = multipliers.reshape(size)  # of a vector, which a map may have become
        each = np.broadcast_to(multipliers, (size[0], *multipliers.shape[1:])).reshape(size[0], -1)
        factors = np.zeros((each.shape[1], row["lanes"]), dtype=np.int32)
        factors[:, : size[0]] = each.T
        row[name] = sum(map(np.size, self.factors))
        row[f"{name}_step"] = row["lanes"] if len(factors) > 1 else 0
        row[f"{name}_shift"], row[f"{name}_low"], row[f"{name}_high"] = limits
        self.factors.append(factors.ravel())

    def _line(self, row: dict[str, int]) -> None:
        """Lay out what weight lines need: im2col, windows side by side, a factor per channel, sums without wrap."""
        if row["toeplitz"] or row["m"] == 1 or not row["quick"] or row["after_step"] or row["wraps"]:
            return
        if row["stride_y"] != 1 or row["stride_x"] != 1:
            return
        size = row["height"] * row["row"]
        row.update({"line": self.sizes[3], "line_size": size, "line_outputs": self.sizes[4]})
        row["line_row"] = -(-row["out_width"] // 16) * 16
        row["line_made"] = sum(map(np.size, self.made))
        self.sizes[3] += row["channels"] * size
        self.sizes[4] += row["channels"] * row["out_height"] * row["line_row"]
        made = np.full((row["height"], row["row"]), -1, dtype=np.int32)
        places = np.arange(row["height"] * row["width"]) % self.workload.config.rows
        made[:, : row["width"]] = places.reshape(row["height"], row["width"])
        self.made.extend([made.ravel(), np.full(64, -1, dtype=np.int32)])

    def _next(self, row: dict[str, int], following: Conv | Dense) -> None:
        if isinstance(following, Conv):
            shape = following.shape
            row["next_row"] = shape.padded_width
            row["next_plane"] = shape.padded_height * shape.padded_width
            row["next"] = self.sizes[0] + shape.pads[0] * shape.padded_width + shape.pads[1]
            row["next_y"], row["next_x"] = shape.pads[:2]
        else:
            row["next_row"] = row["out_width"]
            row["next_plane"] = row["out_height"] * row["out_width"]
            row["next"] = self.sizes[0]
            row["next_flat"] = 1


def _padded(channels: int) -> int:
    """Return how many elements hold so many channels."""
    return 8 if channels <= 8 else -(-channels // 16) * 16


def _lowest(row: dict[str, int]) -> int:
    """Return a number that no output of a layer is below."""
    return row["after_low"] if row["after"] >= 0 else row["before_low"]


def _as_conv(op: Dense) -> ConvShape:
    """Return a dense layer as a convolution of maps of one element."""
    outputs, inputs = op.weights.shape
    return ConvShape(in_channels=inputs, height=1, width=1, out_channels=outputs, kernel=(1, 1))


def build_tables(workload: Workload) -> Tables:
    """Lay out a network.

    Raises
    ------
    UnsupportedError
        If the compiled engine cannot run it.
    """
    ops, config = workload.network.ops, workload.config
    starts = [index for index, op in enumerate(ops) if isinstance(op, (Conv, Dense))]
    builder = _Builder(workload, [], [], [], [], [], [0] * 5)
    for start, end in zip(starts, [*starts[1:], len(ops)], strict=True):
        op, following = ops[start], ops[end] if end < len(ops) else None
        assert isinstance(op, (Conv, Dense)) and (following is None or isinstance(following, (Conv, Dense)))
        builder.add(op, ops[start + 1 : end], following)
    bias = np.concatenate(builder.bias)
    # Several partial sums at the ends of their registers may be added up.
    summed = max(row["group_inputs"] if row["toeplitz"] else 1 for row in builder.rows)
    narrow = (summed << (config.acc_bits - 1)) + int(np.abs(bias).max(initial=0)) < 1 << 31
    weights = np.concatenate([*builder.weights, np.zeros(64, dtype=np.int16)])
    vbreak = config.multiplier.vbreak
    broken = range(config.omit_weight, vbreak - config.omit_activation, 4)
    assert vbreak < 8, "what it takes must fit into a signed byte"
    setup = {
        "rows": config.rows,
        "cols": config.cols,
        "width": config.width,
        "acc_bits": config.acc_bits,
        "product_bits": config.product_bits,
        "omit_weight": config.omit_weight,
        "omit_activation": config.omit_activation,
        "vbreak": vbreak,
        "broken": len(broken),
    }
    return Tables(
        layers=_structured(_LAYER, builder.rows),
        setup=_structured(_SETUP, [setup]),
        weights=weights,
        bits=np.concatenate([np.zeros(0, dtype=np.int32), *(_bits(weights, first) for first in broken)]),
        taken=np.array([_taken(config, first) for first in broken], dtype=np.int64).reshape(len(broken), 1 << vbreak),
        bias=bias.astype(np.int32 if narrow else np.int64),
        factors=np.concatenate([*builder.factors, np.zeros(16, dtype=np.int32)]),
        made=np.concatenate([*builder.made, np.full(64, -1, dtype=np.int32)]),
        sizes=np.array(builder.sizes, dtype=np.int64),
    )


def _bits(weights: Array, first: int) -> Array:
    """Return four bits of each weight, one in a byte."""
    bits = np.zeros(len(weights), dtype=np.int32)
    for i in range(4):
        bits |= (weights.astype(np.int32) >> (first + i) & 1) << 8 * i
    return bits


def _taken(config: ArrayConfig, first: int) -> Array:
    """Return what a vertical break takes of each end of an operand beside four bits of the weight, each in a byte."""
    ends = np.arange(1 << config.multiplier.vbreak)
    taken = np.zeros(len(ends), dtype=np.int64)
    for i in range(min(4, config.multiplier.vbreak - config.omit_activation - first)):
        taken |= (ends & (1 << (config.multiplier.vbreak - first - i)) - 1) << first + i << 8 * i
    return taken


def _structured(names: list[str], rows: list[dict[str, int]]) -> Array:
    return np.array(
        [tuple(int(row[name]) for name in names) for row in rows], dtype=[(name, np.int64) for name in names]
    )


def input_values(workload: Workload, block: slice) -> Array:
    """Return the operands that enter the first layer, int16, shape (images, elements with padding)."""
    network, omit = workload.network, workload.config.omit_activation
    values = first_values(network, network.quantise_images(workload.images[block])).T
    first = next(op for op in network.ops if isinstance(op, (Conv, Dense)))
    low, high = signed_range(16)
    assert values.min(initial=0) >= low and values.max(initial=0) <= high
    values = (values >> omit << omit).astype(np.int16)
    if isinstance(first, Dense):
        return values
    shape = first.shape
    top, left, bottom, right = shape.pads
    maps = values.reshape(-1, shape.in_channels, shape.height, shape.width)
    return np.pad(maps, ((0, 0), (0, 0), (top, bottom), (left, right))).reshape(len(values), -1)
