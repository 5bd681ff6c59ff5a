"""The plain path against the slow definitions, one image at a time."""

from __future__ import annotations

import numpy as np
import pytest

from axft_host.nn.inference import apply_host_op, layer_gemms, plain_gemm, run_network
from axft_host.nn.network import AveragePool, Clip, Conv, Dense, Flatten, MaxPool, Network, Requantise
from axft_host.nn.prepared import PreparedLayer
from axft_host.nn.quantise import quantise
from axft_spec.config import ArrayConfig, find_preset
from axft_spec.lowering import LOWERINGS, conv_by_gemms, lower_conv
from axft_spec.multipliers import PARTS
from axft_spec.numeric import requantise, wrap
from support.networks import random_conv_shape, random_images, varied_network


def multiply(activations: np.ndarray, weights: np.ndarray, config: ArrayConfig) -> np.ndarray:
    """Return psums product by product."""
    products = config.multiply(weights[None, :, :], activations[:, :, None])
    return np.asarray(wrap(products.sum(axis=1), config.acc_bits))


def pool(op: MaxPool | AveragePool, maps: np.ndarray) -> np.ndarray:
    """Return pooled maps of one image, window by window."""
    out = np.zeros((len(maps), *op.out_size), dtype=np.int64)
    for row, col in np.ndindex(*op.out_size):
        top, left = row * op.strides[0] - op.pads[0], col * op.strides[1] - op.pads[1]
        part = maps[:, max(top, 0) : max(top + op.kernel[0], 0), max(left, 0) : max(left + op.kernel[1], 0)]
        out[:, row, col] = part.max(axis=(1, 2)) if isinstance(op, MaxPool) else part.sum(axis=(1, 2))
    return out


def slow_network(network: Network, image: np.ndarray, lowering: str) -> np.ndarray:
    """Return the final accumulators of one quantised image from the definitions in the specification."""
    value = image
    for op in network.ops:
        if isinstance(op, Conv):
            gemms = lower_conv(value, op.weights, op.shape, lowering)
            value = conv_by_gemms([multiply(a, w, network.config) for _, a, w in gemms], op.shape, lowering)
            value = value + op.bias[:, None, None]
        elif isinstance(op, Dense):
            value = multiply(value[None], op.weights.T, network.config)[0] + op.bias
        elif isinstance(op, Requantise):
            value = requantise(value, op.multipliers, op.shift, op.low, op.high)
        elif isinstance(op, (MaxPool, AveragePool)):
            value = pool(op, value)
        elif isinstance(op, Flatten):
            value = value.ravel()
        else:
            assert isinstance(op, Clip)
            value = np.maximum(value, 0)
    return value


@pytest.mark.parametrize("lowering", LOWERINGS)
@pytest.mark.parametrize("preset", ["Baseline", "8P", "2PT", "2R5", "34P"])
def test_run_network_equals_the_definitions(preset: str, lowering: str) -> None:
    """A network with every operation, on noise."""
    source = varied_network(np.random.default_rng(4), input_mean=(0.2, 0.3), input_std=(0.5, 0.7))
    images = random_images(np.random.default_rng(5), (2, 12, 10), 3)
    network = quantise(source.calibrated(images, "noise"), find_preset(preset).config)
    quantised = network.quantise_images(images)
    result = run_network(network, quantised, plain_gemm(network), lowering=lowering)
    expected = np.stack([slow_network(network, image, lowering) for image in quantised])
    assert result.tolist() == expected.tolist()
    assert len(np.unique(expected)) > 5


def test_run_network_hands_out_every_gemm_in_order() -> None:
    """Numbers and shapes are those that the network states."""
    source = varied_network(np.random.default_rng(4))
    images = random_images(np.random.default_rng(5), (2, 12, 10), 2)
    network = quantise(source.calibrated(images, "noise"), ArrayConfig())
    for lowering in LOWERINGS:
        seen = []

        def gemm(layer: int, number: int, a: np.ndarray, w: np.ndarray, seen: list[object] = seen) -> np.ndarray:
            assert a.dtype == w.dtype == np.int64
            seen.append((layer, number, a.shape, w.shape))
            return a @ w

        run_network(network, network.quantise_images(images), gemm, lowering=lowering)
        expected = [
            (layer, number, (2, shape.m, shape.k), (shape.k, shape.n))
            for layer, (count, shape) in enumerate(network.gemms(lowering))
            for number in range(count)
        ]
        assert seen == expected


def test_apply_host_op_refuses_operations_of_the_array() -> None:
    """They need a backend."""
    with pytest.raises(TypeError, match="Dense is not an operation of the host"):
        apply_host_op(Dense(name="d", weights=np.zeros((1, 1)), bias=np.zeros(1)), np.zeros((1, 1), np.int64))


@pytest.mark.parametrize("seed", range(30))
def test_prepared_layer_equals_its_gemms(seed: int) -> None:
    """Any convolution and any part, biases included."""
    rng = np.random.default_rng(seed)
    shape = random_conv_shape(rng)
    part = list(PARTS.values())[seed % len(PARTS)].multiplier
    config = ArrayConfig(multiplier=part, operand_a=("weight", "activation")[seed % 2])
    weights = rng.integers(-128, 128, (shape.out_channels, shape.group_inputs, *shape.kernel))
    bias = rng.integers(-1000, 1000, shape.out_channels)
    op = Conv(name="conv", shape=shape, weights=weights, bias=bias)
    images = rng.integers(-128, 128, (2, shape.in_channels, shape.height, shape.width))
    result = PreparedLayer.prepare(op, config).accumulators(images)
    for number in range(len(images)):
        psums = [multiply(a[number], w, config) for _, a, w in layer_gemms(op, images, "im2col")]
        expected = conv_by_gemms(psums, shape, "im2col") + bias[:, None, None]
        assert result[number].tolist() == expected.tolist()
