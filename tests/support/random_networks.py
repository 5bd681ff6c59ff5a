"""Small random networks of every kind of operation, and their execution by the specification alone."""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray

from axft_host.nn.network import AveragePool, Clip, Conv, Dense, Flatten, MaxPool, Network, Op, Requantise
from axft_spec import reference
from axft_spec.config import ArrayConfig
from axft_spec.faults import Fault
from axft_spec.lowering import ConvShape, conv_by_gemms, lower_conv
from axft_spec.numeric import signed_range

Int64 = NDArray[np.int64]
Rng = np.random.Generator
Map = tuple[int, int, int]


def random_operands(rng: Rng, shape: tuple[int, ...], low: int, high: int) -> Int64:
    """Draw operands: uniform, or only the corners, where products are largest and sums wrap."""
    if rng.random() < 0.1:
        return rng.choice(np.array([low, high]), shape)
    return rng.integers(low, high + 1, shape)


def _weights(rng: Rng, shape: tuple[int, ...], config: ArrayConfig) -> Int64:
    weights = random_operands(rng, shape, *signed_range(config.width))
    if rng.random() < 0.2:
        # Pruned outputs, down to none left.
        weights[rng.random(shape[0]) < rng.choice([0.5, 1.0])] = 0
    return weights


def _pair(rng: Rng, low: int, high: int) -> tuple[int, int]:
    return int(rng.integers(low, high)), int(rng.integers(low, high))


def _conv(rng: Rng, config: ArrayConfig, name: str, size: Map) -> tuple[Op, Map]:
    groups = int(rng.choice([count for count in (1, 1, 2, 3) if size[0] % count == 0]))
    while True:
        kernel, pads = _pair(rng, 1, 4), (*_pair(rng, 0, 2), *_pair(rng, 0, 2))
        dilations = _pair(rng, 1, 3)
        room = [size[1 + i] + pads[i] + pads[i + 2] - dilations[i] * (kernel[i] - 1) for i in range(2)]
        if min(room) >= 1:
            break
    shape = ConvShape(
        in_channels=size[0],
        height=size[1],
        width=size[2],
        out_channels=groups * int(rng.integers(1, 4)),
        kernel=kernel,
        strides=_pair(rng, 1, 3),
        pads=pads,
        dilations=dilations,
        groups=groups,
    )
    weights = _weights(rng, (shape.out_channels, shape.group_inputs, *kernel), config)
    bias = rng.integers(-(1 << 14), 1 << 14, shape.out_channels)
    size = (shape.out_channels, shape.out_height, shape.out_width)
    return Conv(name=name, shape=shape, weights=weights, bias=bias), size


def _requantise(rng: Rng, config: ArrayConfig, name: str, size: tuple[int, ...], value_bits: int) -> Op:
    low, high = signed_range(config.width)
    shapes = [(), (size[0], *(1,) * (len(size) - 1)), size]
    multipliers = rng.integers(1 << 17, 1 << 18, shapes[rng.integers(3)])
    shift = 18 + value_bits - config.width
    return Requantise(name=name, multipliers=multipliers, shift=shift, low=low if rng.random() < 0.3 else 0, high=high)


def _pool(rng: Rng, name: str, size: Map) -> tuple[Op, Map]:
    kernel = (min(2, size[1]), min(2, size[2]))
    pads = (*(int(rng.integers(kernel[i])) for i in range(2)), 0, 0)
    strides = _pair(rng, 1, 3)
    rows, cols = ((size[1 + i] + pads[i] - kernel[i]) // strides[i] + 1 for i in range(2))
    geometry = {"name": name, "kernel": kernel, "strides": strides, "pads": pads, "out_size": (rows, cols)}
    pool: Op = AveragePool(**geometry) if rng.random() < 0.4 else MaxPool(dilations=(1, 1), **geometry)
    return pool, (size[0], rows, cols)


def random_network(rng: Rng, config: ArrayConfig) -> Network:
    """Draw up to two convolutions and two dense layers, at least one of them, with what the host does between.

    Strides, pads, dilations and groups; several input channels in a group; pruned outputs; signed and unsigned
    activations; factors for all, by channel and by position; max and average pooling; a last layer of any kind.
    """
    low, high = signed_range(config.width)
    first = size = (int(rng.choice([1, 2, 3, 4, 6])), *_pair(rng, 1, 7))
    ops: list[Op] = []
    convs, denses = int(rng.integers(3)), int(rng.integers(3))
    if convs + denses == 0:
        convs = 1
    for number in range(convs):
        conv, size = _conv(rng, config, f"conv{number}", size)
        ops.append(conv)
        if number == convs - 1 and denses == 0:
            break
        if rng.random() < 0.2:
            ops.append(Clip(name=f"clip{number}"))
        ops.append(_requantise(rng, config, f"scale{number}", size, 2 * config.width + 1))
        if rng.random() < 0.6:
            pool, size = _pool(rng, f"pool{number}", size)
            ops.append(pool)
            if isinstance(pool, AveragePool):
                ops.append(_requantise(rng, config, f"mean{number}", size, config.width + 1))
    ops.append(Flatten(name="flat"))
    count = int(np.prod(size))
    for number in range(denses):
        outputs = int(rng.integers(2, 8))
        bias = rng.integers(-(1 << 14), 1 << 14, outputs)
        ops.append(Dense(name=f"dense{number}", weights=_weights(rng, (outputs, count), config), bias=bias))
        if number < denses - 1:
            ops.append(_requantise(rng, config, f"dense{number}_scale", (outputs,), 2 * config.width + 1))
        count = outputs
    return Network(
        name="random",
        ops=tuple(ops),
        width=config.width,
        multiplier=config.multiplier,
        operand_a=config.operand_a,
        rounding="paper",
        compensated=False,
        config_name=None,
        input_shape=first,
        input_table=rng.integers(low if rng.random() < 0.3 else 0, high + 1, (first[0], 256)),
        score_scale=1.0,
        source_digest="",
    )


def _requantised(op: Requantise, values: Int64) -> Int64:
    """``clip((acc M + 2^(s-1)) >> s, lo, hi)``, on Python's unbounded integers."""
    factors = np.broadcast_to(op.multipliers, values.shape).ravel().tolist()
    half = 1 << (op.shift - 1)
    scaled = [value * factor + half >> op.shift for value, factor in zip(values.ravel().tolist(), factors, strict=True)]
    return np.array([min(max(value, op.low), op.high) for value in scaled], dtype=np.int64).reshape(values.shape)


def _pooled(op: MaxPool | AveragePool, values: Int64) -> Int64:
    out = np.zeros((values.shape[0], *op.out_size), dtype=np.int64)
    for channel, row, col in product(*map(range, out.shape)):
        inside = [
            int(values[channel, y, x])
            for y in range(row * op.strides[0] - op.pads[0], row * op.strides[0] - op.pads[0] + op.kernel[0])
            for x in range(col * op.strides[1] - op.pads[1], col * op.strides[1] - op.pads[1] + op.kernel[1])
            if 0 <= y < values.shape[1] and 0 <= x < values.shape[2]
        ]
        out[channel, row, col] = max(inside) if isinstance(op, MaxPool) else sum(inside)
    return out


def reference_network(
    network: Network, config: ArrayConfig, lowering: str, image: Int64, fault: Fault, physical: tuple[int, int] | None
) -> tuple[Int64, int]:
    """Run one image by the specification alone; return final accumulators and activations."""
    values, activated, layer = image, 0, 0
    for op in network.ops:
        if isinstance(op, (Conv, Dense)):
            if isinstance(op, Conv):
                gemms = [(a, w) for _, a, w in lower_conv(values, op.weights, op.shape, lowering)]
            else:
                gemms = [(values[None, :], op.weights.T)]
            psums = []
            for index, (a, w) in enumerate(gemms):
                run = reference.gemm_folded(
                    config, physical or (config.rows, config.cols), a, w, fault, layer=layer, gemm_index=index
                )
                psums.append(run.psums)
                activated += run.activated
            if isinstance(op, Conv):
                values = conv_by_gemms(psums, op.shape, lowering) + op.bias[:, None, None]
            else:
                values = psums[0][0] + op.bias
            layer += 1
        elif isinstance(op, Requantise):
            values = _requantised(op, values)
        elif isinstance(op, (MaxPool, AveragePool)):
            values = _pooled(op, values)
        else:
            values = np.maximum(values, 0) if isinstance(op, Clip) else values.ravel()
    return values, activated
