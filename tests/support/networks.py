"""Networks and images for tests of the networks' side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axft_host.nn.float_ops import AveragePool, Conv, Dense, FakeQuantise, Flatten, FloatOp, MaxPool, Relu
from axft_host.nn.graph import FloatNetwork
from axft_spec.errors import ConfigError
from axft_spec.lowering import ConvShape

Rng = np.random.Generator

#: ONNX files that other tools wrote; ``export.py`` beside them says how.
MODELS = Path(__file__).parents[1] / "data" / "models"


def random_images(rng: Rng, shape: tuple[int, ...], count: int) -> NDArray[np.uint8]:
    """Return images of noise, shape (count, *shape)."""
    return rng.integers(0, 256, (count, *shape), dtype=np.uint8)


def random_conv_shape(rng: Rng) -> ConvShape:
    """Draw any small convolution: strides, pads, dilations, groups."""
    while True:
        groups = int(rng.integers(1, 4))
        pair = [tuple(int(x) for x in rng.integers(1, 4, 2)) for _ in range(3)]
        try:
            return ConvShape(
                in_channels=groups * int(rng.integers(1, 3)),
                height=int(rng.integers(1, 9)),
                width=int(rng.integers(1, 9)),
                out_channels=groups * int(rng.integers(1, 3)),
                kernel=pair[0],
                strides=pair[1],
                pads=tuple(int(x) for x in rng.integers(0, 3, 4)),
                dilations=pair[2],
                groups=groups,
            )
        except ConfigError:
            continue  # the kernel does not fit


def conv(rng: Rng, name: str, shape: ConvShape) -> Conv:
    """Return a convolution whose outputs have a spread near 1."""
    taps = shape.group_inputs * shape.kernel[0] * shape.kernel[1]
    weights = rng.normal(size=(shape.out_channels, shape.group_inputs, *shape.kernel)) / np.sqrt(taps)
    return Conv(name=name, shape=shape, weights=weights, bias=rng.normal(0, 0.2, shape.out_channels))


def dense(rng: Rng, name: str, inputs: int, outputs: int) -> Dense:
    """Return a dense layer whose outputs have a spread near 1."""
    weights = rng.normal(size=(outputs, inputs)) / np.sqrt(inputs)
    return Dense(name=name, weights=weights, bias=rng.normal(0, 0.2, outputs))


def max_pool(name: str, size: tuple[int, int]) -> MaxPool:
    """Return max pooling of 2 x 2 with a stride of 2 on maps of an even `size`."""
    out_size = (size[0] // 2, size[1] // 2)
    return MaxPool(name=name, kernel=(2, 2), strides=(2, 2), pads=(0, 0, 0, 0), dilations=(1, 1), out_size=out_size)


def average_pool(name: str, out_size: tuple[int, int], divisors: Any) -> AveragePool:
    """Return average pooling of 3 x 3, padded by 1, with a stride of 2."""
    return AveragePool(
        name=name, kernel=(3, 3), strides=(2, 2), pads=(1, 1, 1, 1), out_size=out_size, divisors=divisors
    )


def float_network(ops: Sequence[FloatOp], input_shape: tuple[int, int, int], **fields: Any) -> FloatNetwork:
    """Return a network without normalisation, unless `fields` say otherwise."""
    channels = input_shape[0]
    fields = {"name": "test", "input_mean": (0.0,) * channels, "input_std": (1.0,) * channels, **fields}
    return FloatNetwork(ops=tuple(ops), input_shape=input_shape, **fields)


def varied_network(rng: Rng, **fields: Any) -> FloatNetwork:
    """Return a network with every operation: two channels of 12 x 10, five classes.

    Its average pooling has divisors that vary with the position, as padding that is not counted has them.
    """
    first = ConvShape(in_channels=2, height=12, width=10, out_channels=6, kernel=(3, 3), pads=(1, 1, 1, 1))
    second = ConvShape(
        in_channels=6, height=6, width=5, out_channels=8, kernel=(3, 2), pads=(2, 0, 1, 1), dilations=(2, 1), groups=2
    )
    third = ConvShape(in_channels=8, height=3, width=3, out_channels=4, kernel=(2, 2), strides=(1, 1))
    counts = np.outer([2, 3, 3], [2, 3, 2])
    ops = (
        conv(rng, "conv1", first),
        max_pool("pool1", (12, 10)),
        Relu(name="relu1"),
        conv(rng, "conv2", second),
        Relu(name="relu2"),
        average_pool("pool2", (3, 3), counts),
        conv(rng, "conv3", third),
        Flatten(name="flatten"),
        dense(rng, "dense1", 16, 12),
        Relu(name="relu3"),
        dense(rng, "dense2", 12, 5),
    )
    return float_network(ops, (2, 12, 10), **fields)


def fake_quantise(name: str, scale: float, zero_point: int = 0, low: int = -128, high: int = 127) -> FakeQuantise:
    """Return the QuantizeLinear and DequantizeLinear of a symmetric 8-bit value, unless told otherwise."""
    return FakeQuantise(name=name, scale=scale, zero_point=zero_point, low=low, high=high)
