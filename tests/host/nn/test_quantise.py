"""Quantisation against worked examples, the float network, and onnxruntime's own integers."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from axft_host.nn.graph import Compensation, Conv, Dense, Flatten, FloatNetwork, FloatOp, MaxPool, Relu
from axft_host.nn.inference import layer_gemms, plain_gemm, run_network
from axft_host.nn.network import AveragePool, Clip, Network, Requantise
from axft_host.nn.quantise import measure_corrections, quantise
from axft_spec.config import ArrayConfig, find_preset
from axft_spec.errors import ConfigError, ModelError
from axft_spec.lowering import ConvShape
from axft_spec.multipliers import EXACT, PARTS
from support.networks import (
    average_pool,
    conv,
    dense,
    fake_quantise,
    float_network,
    max_pool,
    random_images,
    varied_network,
)

BASELINE, INT8, P34 = (find_preset(name).config for name in ("Baseline", "8P", "34P"))


def evaluate(network: Network, images: np.ndarray) -> np.ndarray:
    """Return the final accumulators of pixels on an array without faults."""
    return run_network(network, network.quantise_images(images), plain_gemm(network))


def vector_network(ops: list[FloatOp], size: int, **fields: object) -> FloatNetwork:
    """Return a network on rows of pixels, calibrated on noise."""
    network = float_network([Flatten(name="flatten"), *ops], (1, 1, size), **fields)
    return network.calibrated(random_images(np.random.default_rng(9), (1, 1, size), 50), "noise")


def two_layers(weights: np.ndarray, bias: np.ndarray, **fields: object) -> FloatNetwork:
    """Return a dense layer with ReLU, and another one behind it."""
    outputs, inputs = weights.shape
    rng = np.random.default_rng(8)
    first = Dense(name="first", weights=weights, bias=bias)
    return vector_network([first, Relu(name="relu"), dense(rng, "second", outputs, 3)], inputs, **fields)


def test_pixels_without_normalisation_are_unsigned() -> None:
    """255 is the largest operand, 0 is 0, halves round up: (2 p 127 + 255) // 510."""
    table = quantise(varied_network_calibrated(), INT8).input_table
    assert table.shape == (2, 256)
    # 254 / 255 * 127 is 126.5.
    assert table[0, [0, 1, 2, 3, 128, 253, 254, 255]].tolist() == [0, 0, 1, 1, 64, 126, 127, 127]
    wide = quantise(varied_network_calibrated(), BASELINE).input_table
    assert wide[1, [0, 1, 255]].tolist() == [0, 128, 32767]


def varied_network_calibrated(**fields: object) -> FloatNetwork:
    """Return the network with every operation and its ranges on noise."""
    network = varied_network(np.random.default_rng(4), **fields)
    return network.calibrated(random_images(np.random.default_rng(5), (2, 12, 10), 40), "noise")


def test_normalised_pixels_are_signed_with_one_range_for_all_channels() -> None:
    """The largest magnitude is (0 - 0.5) / 0.25 = -2 in channel 0; 0 stays 0."""
    network = varied_network_calibrated(input_mean=(0.5, 0.2), input_std=(0.25, 0.5))
    table = quantise(network, INT8).input_table
    assert table[0, 0] == -128
    assert table[0, 255] == 127  # 2.0 would be 128
    # (51 / 255 - 0.2) / 0.5 = 0
    assert table[1, 51] == 0
    # (255 / 255 - 0.2) / 0.5 = 1.6, of 2.0
    assert table[1, 255] == round(1.6 / 2 * 128)


def test_weights_and_biases_by_hand() -> None:
    """A weight of the largest magnitude is -128 or clipped to 127; halves round to even."""
    weights = np.array([[1.0, -1.0, 0.5, 0.00390625, 0.01171875]])  # the last are 0.5 and 1.5 of 1/128
    network = quantise(two_layers(weights, np.array([0.25])), INT8)
    layer = network.multiplying_layers[0]
    assert layer.weights.tolist() == [[127, -128, 64, 0, 2]]
    # An accumulator is in units of 1/128 * 1/127.
    assert layer.bias.tolist() == [round(0.25 * 128 * 127)]


def test_rounding_multiplier_gives_multiples_of_what_the_part_keeps() -> None:
    """34P keeps multiples of 8 of both operands, 2R5 multiples of 4 of operand A."""
    weights = np.array([[1.0, -1.0, 0.5, 0.03125, 0.09375]])
    source = two_layers(weights, np.zeros(1))
    assert quantise(source, P34).multiplying_layers[0].weights.tolist() == [[120, -128, 64, 0, 16]]
    assert quantise(source, P34, rounding="paper").multiplying_layers[0].weights.tolist() == [[127, -128, 64, 4, 12]]
    config = find_preset("2R5").config
    assert not np.any(quantise(source, config).multiplying_layers[1].weights % 4)
    assert np.any(quantise(source, replace(config, operand_a="activation")).multiplying_layers[1].weights % 4)


def test_requantisation_maps_the_range_to_the_largest_operand() -> None:
    """A range of 2 after the ReLU: an accumulator worth 2 is 127, one worth 1 is 63.5, which rounds up."""
    source = two_layers(np.array([[2.0]]), np.zeros(1))
    calibration = source.calibration
    assert calibration is not None
    source = replace(source, calibration=replace(calibration, maxima=(None, None, 2.0, None)))
    step = quantise(source, INT8).ops[2]
    assert isinstance(step, Requantise)
    assert (step.low, step.high) == (0, 127)
    unit = 128 * 127 // 2  # of the accumulator, for 1.0
    for value, expected in ((2 * unit, 127), (unit, 64), (-unit, 0), (4 * unit, 127)):
        scaled = (value * int(step.multipliers[0]) + (1 << (step.shift - 1))) >> step.shift
        assert max(step.low, min(step.high, scaled)) == expected


def test_without_relu_activations_are_signed() -> None:
    """The full signed range, and 128 stands for the largest magnitude."""
    rng = np.random.default_rng(8)
    source = vector_network([dense(rng, "first", 6, 4), dense(rng, "second", 4, 3)], 6)
    step = quantise(source, INT8).ops[2]
    assert isinstance(step, Requantise)
    assert (step.low, step.high) == (-128, 127)


def relative_error(source: FloatNetwork, network: Network, images: np.ndarray) -> float:
    """Return the largest error of a score, in units of the scores' spread."""
    floats = source.run(images)
    return float(np.abs(network.scores(evaluate(network, images)) - floats).max() / floats.std())


@pytest.mark.parametrize("normalised", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_sixteen_bits_meet_the_float_network(seed: int, normalised: bool) -> None:
    """Every operation, positions with divisors of their own: scores agree to a few parts in ten thousand."""
    fields = {"input_mean": (0.3, 0.5), "input_std": (0.2, 0.4)} if normalised else {}
    images = random_images(np.random.default_rng(seed), (2, 12, 10), 40)
    source = varied_network(np.random.default_rng(seed + 100), **fields).calibrated(images, "noise")
    assert relative_error(source, quantise(source, BASELINE), images) < 1e-3
    assert relative_error(source, quantise(source, INT8), images) < 0.25


def network_of(ops: list[FloatOp], images: np.ndarray) -> FloatNetwork:
    """Return a calibrated network on images of one channel."""
    shape = images.shape[1:]
    return float_network(ops, (shape[0], shape[1], shape[2])).calibrated(images, "noise")


def test_relu_behind_pooling_or_flattening_is_the_clip_of_the_requantisation() -> None:
    """Both orders of ReLU and max pooling give the same integers, and no Clip."""
    rng = np.random.default_rng(3)
    images = random_images(rng, (1, 8, 8), 20)
    first = conv(rng, "conv", ConvShape(in_channels=1, height=8, width=8, out_channels=3, kernel=(3, 3), pads=(1,) * 4))
    last = dense(rng, "dense", 48, 4)
    relu, pool, flatten = Relu(name="relu"), max_pool("pool", (8, 8)), Flatten(name="flatten")
    results = []
    for middle in ([relu, pool, flatten], [pool, relu, flatten], [pool, flatten, relu]):
        network = quantise(network_of([first, *middle, last], images), INT8)
        assert not any(isinstance(op, Clip) for op in network.ops)
        results.append(evaluate(network, images).tolist())
    assert results[0] == results[1] == results[2]


def test_relu_at_the_end_or_on_signed_pixels_is_a_clip() -> None:
    """Nowhere else to put it."""
    rng = np.random.default_rng(3)
    network = vector_network([Relu(name="first"), dense(rng, "dense", 5, 4), Relu(name="last")], 5)
    assert [op.name for op in quantise(network, INT8).ops if isinstance(op, Clip)] == ["last"]
    signed = vector_network(
        [Relu(name="first"), dense(rng, "dense", 5, 4), Relu(name="last")], 5, input_mean=(0.5,), input_std=(0.5,)
    )
    compiled = quantise(signed, INT8)
    assert [op.name for op in compiled.ops if isinstance(op, Clip)] == ["first", "last"]
    images = random_images(rng, (1, 1, 5), 30)
    assert evaluate(compiled, images).min() == 0
    assert relative_error(signed, quantise(signed, BASELINE), images) < 1e-3


def global_average(size: tuple[int, int]) -> FloatOp:
    """Return the mean over a whole map."""
    pool = average_pool("mean", (1, 1), np.array([[size[0] * size[1]]]))
    return replace(pool, kernel=size, strides=(1, 1), pads=(0, 0, 0, 0))


def test_average_at_the_end_gives_sums() -> None:
    """A convolution, requantised, whose maps are summed: no division, no further rounding."""
    rng = np.random.default_rng(3)
    images = random_images(rng, (1, 6, 6), 20)
    layer = conv(rng, "conv", ConvShape(in_channels=1, height=6, width=6, out_channels=4, kernel=(3, 3)))
    source = network_of([layer, Relu(name="relu"), global_average((4, 4)), Flatten(name="flatten")], images)
    network = quantise(source, INT8)
    assert [type(op) for op in network.ops[1:]] == [Requantise, AveragePool, Flatten]
    sums = evaluate(network, images)
    assert sums.max() > 127
    assert relative_error(source, quantise(source, BASELINE), images) < 1e-3


def test_max_pooling_at_the_end_follows_requantisation() -> None:
    """Its results are operands."""
    rng = np.random.default_rng(3)
    images = random_images(rng, (1, 6, 6), 20)
    layer = conv(rng, "conv", ConvShape(in_channels=1, height=6, width=6, out_channels=4, kernel=(5, 5)))
    source = network_of([layer, max_pool("pool", (2, 2)), Flatten(name="flatten")], images)
    network = quantise(source, INT8)
    assert [type(op) for op in network.ops[1:]] == [Requantise, MaxPool, Flatten]
    assert relative_error(source, quantise(source, BASELINE), images) < 1e-3


def test_average_at_the_end_with_varying_divisors_is_refused() -> None:
    """Its sums would not be comparable."""
    rng = np.random.default_rng(3)
    layer = conv(rng, "conv", ConvShape(in_channels=1, height=8, width=8, out_channels=4, kernel=(3, 3)))
    ops = [layer, average_pool("mean", (3, 3), np.outer([2, 3, 3], [2, 3, 3])), Flatten(name="f")]
    with pytest.raises(ModelError, match="mean: the last pooling must have the same divisor everywhere"):
        quantise(network_of(ops, random_images(rng, (1, 8, 8), 5)), INT8)


def test_layer_of_zeros_and_layer_that_is_never_active_stay_zero() -> None:
    """No division by a range of 0."""
    source = two_layers(np.zeros((2, 4)), np.array([-1.0, -2.0]))
    network = quantise(source, INT8)
    images = random_images(np.random.default_rng(0), (1, 1, 4), 10)
    assert evaluate(network, images).tolist() == [network.multiplying_layers[1].bias.tolist()] * 10


def test_bias_out_of_proportion_is_refused() -> None:
    """The message names the layer."""
    source = two_layers(np.full((1, 2), 1e-30), np.array([1.0]))
    with pytest.raises(ModelError, match=r"first: the bias is more than 2\*\*50 times"):
        quantise(source, INT8)


def test_missing_range_asks_for_calibration() -> None:
    """The message names the tensor's operation and the option."""
    source = replace(two_layers(np.ones((1, 2)), np.zeros(1)), calibration=None)
    with pytest.raises(ModelError, match=r"without the range of relu; give --calibration DATA \(training images"):
        quantise(source, INT8)


def test_calibration_images_replace_the_ranges_that_came_along() -> None:
    """Darker images, smaller ranges, larger factors."""
    source = varied_network_calibrated()
    dark = random_images(np.random.default_rng(5), (2, 12, 10), 40) // 2
    given, own = quantise(source, INT8, calibration=dark), quantise(source.calibrated(dark, "x"), INT8)
    assert given.digest == own.digest != quantise(source, INT8).digest


def test_unknown_rounding_lists_the_known_ones() -> None:
    """Before anything is computed."""
    with pytest.raises(ConfigError, match=r"unknown rounding 'papre' .did you mean paper.*multiplier, paper"):
        quantise(varied_network_calibrated(), INT8, rounding="papre")


def test_sums_that_may_wrap_are_a_notice() -> None:
    """600 weights of full size: 600 * 127 * 127 does not fit into 24 bits; 400 do."""
    rng = np.random.default_rng(0)
    wide = vector_network([Dense(name="wide", weights=np.ones((2, 600)), bias=np.zeros(2))], 600)
    assert quantise(wide, INT8).notices == ("wide: partial sums may wrap at 24 bits",)
    assert quantise(wide, BASELINE).notices == ("wide: partial sums may wrap at 40 bits",)
    narrow = vector_network([Dense(name="narrow", weights=np.ones((2, 400)), bias=np.zeros(2))], 400)
    assert quantise(narrow, INT8).notices == quantise(narrow, BASELINE).notices == ()
    assert quantise(vector_network([dense(rng, "d", 500, 2)], 500), INT8).notices == ()


def mean_errors(network: Network, images: np.ndarray) -> list[list[Fraction]]:
    """Return, per layer and channel, the mean of accumulator minus exact accumulator of the layer as first quantised.

    Biases as they are, products one by one: what compensation should have brought near zero.
    """
    errors: list[list[Fraction]] = []
    config = network.config

    def gemm(layer: int, number: int, a: np.ndarray, w: np.ndarray) -> np.ndarray:
        products = config.multiply(w[None, None], a[..., None]).sum(axis=2)
        difference = products - a @ w
        if len(errors) == layer:
            errors.append([])
        flat = difference.reshape(-1, w.shape[1])
        errors[layer] += [Fraction(int(total), len(flat)) for total in flat.sum(axis=0)]
        return products

    run_network(network, network.quantise_images(images), gemm)
    assert len(errors) == len(network.multiplying_layers)
    return errors


@pytest.mark.parametrize("preset", ["2PT", "2R5", "34P", "2TE"])
@pytest.mark.parametrize("rounding", ["multiplier", "paper"])
def test_compensation_cancels_the_mean_error_of_every_channel(preset: str, rounding: str) -> None:
    """Bias plus mean error is, within rounding, the bias without compensation; layers in order, on the way."""
    config = find_preset(preset).config
    images = random_images(np.random.default_rng(6), (2, 12, 10), 25)
    source = varied_network_calibrated()
    plain = quantise(source, config, rounding=rounding)
    table = measure_corrections(source, config, rounding=rounding, images=images)
    network = quantise(replace(source, compensations=(table,)), config, rounding=rounding, compensate=True)
    assert network.compensated
    assert not plain.compensated
    for before, after, errors in zip(
        plain.multiplying_layers, network.multiplying_layers, mean_errors(network, images), strict=True
    ):
        assert after.weights.tolist() == before.weights.tolist()
        left = [abs(error + int(b) - int(a)) for error, a, b in zip(errors, before.bias, after.bias, strict=True)]
        assert max(left) <= Fraction(1, 2)
    changed = any(
        not np.array_equal(a.bias, b.bias)
        for a, b in zip(plain.multiplying_layers, network.multiplying_layers, strict=True)
    )
    # 2TE ignores bits of the weight alone: weights rounded to what it keeps are multiplied exactly.
    assert changed == ((preset, rounding) != ("2TE", "multiplier"))


def test_compensation_measured_on_images_equals_the_table_from_them() -> None:
    """Whether measured at once or brought along."""
    images = random_images(np.random.default_rng(6), (2, 12, 10), 25)
    source = varied_network_calibrated().calibrated(images, "images")
    table = measure_corrections(source, P34, images=images)
    brought = quantise(replace(source, compensations=(table,)), P34, compensate=True)
    measured = quantise(source, P34, compensate=True, calibration=images)
    assert brought.digest == measured.digest


def test_compensation_of_an_exact_multiplier_changes_nothing_but_the_label() -> None:
    """And needs no table."""
    source = varied_network_calibrated()
    plain, network = quantise(source, INT8), quantise(source, INT8, compensate=True)
    assert replace(network, compensated=False).digest == plain.digest


def test_missing_corrections_ask_for_calibration() -> None:
    """A table for another order of operands does not fit."""
    images = random_images(np.random.default_rng(6), (2, 12, 10), 5)
    source = varied_network_calibrated()
    config = find_preset("2R5").config
    source = replace(source, compensations=(measure_corrections(source, config, images=images),))
    quantise(source, config, compensate=True)
    with pytest.raises(ModelError, match=r"multiplier 2R5 \(operand A: activation.*--calibration DATA"):
        quantise(source, replace(config, operand_a="activation"), compensate=True)


def test_corrections_fit_a_multiplier_by_its_parameters() -> None:
    """Not by its name; everything else must be the same."""
    table = Compensation(
        width=8, multiplier=PARTS["34P"].multiplier, operand_a="weight", rounding="paper", corrections=()
    )
    assert table.fits(replace(P34, multiplier=replace(P34.multiplier, name="mine")), "paper")
    assert not table.fits(P34, "multiplier")
    assert not table.fits(replace(P34, operand_a="activation"), "paper")
    assert not table.fits(ArrayConfig(multiplier=EXACT), "paper")


def quantised_source(scales: tuple[float, ...] = (0.02, 0.03), last: tuple[float, ...] = (0.05, 0.05)) -> FloatNetwork:
    """Return a network as an 8-bit symmetric QDQ file describes it; weights are integers times scales."""
    rng = np.random.default_rng(1)
    layers = []
    for name, inputs, own in (("first", 4, scales), ("second", 2, last)):
        factors = np.array(own)
        integers = rng.integers(-127, 128, (len(own), inputs))
        layers.append(
            Dense(
                name=name,
                weights=integers * factors[:, None],
                bias=np.array([0.3] * len(own)),
                weight_scales=factors,
            )
        )
    ops = (
        fake_quantise("q0", 1 / 127),
        Flatten(name="flatten"),
        layers[0],
        fake_quantise("q1", 0.04),
        Relu(name="relu"),
        fake_quantise("q2", 0.04),
        layers[1],
        fake_quantise("q3", 0.1),
    )
    return float_network(ops, (1, 1, 4))


def test_symmetric_integers_are_kept_at_width_8() -> None:
    """Weights, scales of every channel and of the activations; no ranges are needed, nothing is said."""
    source = quantised_source()
    network = quantise(source, INT8)
    first, second = network.multiplying_layers
    own = source.multiplying_layers
    assert first.weights.tolist() == np.rint(own[0].weights / np.array([[0.02], [0.03]])).tolist()
    assert second.weights.tolist() == np.rint(own[1].weights / 0.05).tolist()
    assert first.bias.tolist() == [round(0.3 * 127 / 0.02), round(0.3 * 127 / 0.03)]
    step = network.ops[2]
    assert isinstance(step, Requantise)
    factors = step.multipliers / 2.0**step.shift
    assert factors == pytest.approx([0.02 / 127 / 0.04, 0.03 / 127 / 0.04], rel=1e-8)
    assert (step.low, step.high) == (0, 127)
    assert network.score_scale == pytest.approx(0.04 * 0.05)
    assert network.notices == ()
    images = random_images(np.random.default_rng(0), (1, 1, 4), 200)
    # Without the rounding of the scores: the same, but where a tie of an activation falls the other way.
    scores = replace(source, ops=source.ops[:-1]).run(images)
    assert np.abs(network.scores(evaluate(network, images)) - scores).max() <= 0.04 * 0.05 * 128
    assert np.mean(np.abs(network.scores(evaluate(network, images)) - scores) < 1e-3) > 0.95


def test_symmetric_integers_are_rounded_for_a_multiplier_that_ignores_bits() -> None:
    """Unless the rounding is the paper's; a notice says so."""
    source = quantised_source()
    kept = np.rint(source.multiplying_layers[0].weights / np.array([[0.02], [0.03]]))
    network = quantise(source, P34)
    assert not np.any(network.multiplying_layers[0].weights % 8)
    assert np.abs(network.multiplying_layers[0].weights - kept).max() <= 7
    assert network.notices == ("the file's integer weights are rounded to multiples of 8: first, second",)
    assert quantise(source, P34, rounding="paper").multiplying_layers[0].weights.tolist() == kept.tolist()


def test_last_layer_with_a_scale_per_channel_is_quantised_anew() -> None:
    """Final accumulators must be comparable."""
    network = quantise(quantised_source(last=(0.05, 0.01)), INT8)
    assert network.notices == ("quantised anew, not as in the file: second",)
    assert np.abs(network.multiplying_layers[1].weights).max() >= 127


def test_other_quantisation_is_quantised_anew_with_a_notice() -> None:
    """Unsigned activations; 16 bits."""
    source = quantised_source()
    ops = [replace(op, zero_point=0, low=0, high=255) if op.name == "q2" else op for op in source.ops]
    network = quantise(replace(source, ops=tuple(ops)), INT8)
    assert network.notices == ("quantised anew, not as in the file: first",)
    step = network.ops[2]
    assert isinstance(step, Requantise)
    # 255 steps of 0.04 are 127 of ours.
    assert step.multipliers / 2.0**step.shift == pytest.approx(
        [scale / 127 / (255 * 0.04 / 127) for scale in (0.02, 0.03)], rel=1e-8
    )
    assert quantise(source, BASELINE).notices == ("quantised anew, not as in the file: input, first, second",)


def test_several_scales_in_a_row_are_a_notice() -> None:
    """Only the last one is applied."""
    source = quantised_source()
    ops = [replace(op, scale=0.08) if op.name == "q1" else op for op in source.ops]
    assert quantise(replace(source, ops=tuple(ops)), INT8).notices == (
        "first: of several roundings in a row the last one is kept",
    )


def test_quantised_network_runs_both_lowerings_to_the_same_scores() -> None:
    """Nothing wraps here, so that sums of channels are sums."""
    images = random_images(np.random.default_rng(5), (2, 12, 10), 6)
    network = quantise(varied_network_calibrated(), P34)
    quantised = network.quantise_images(images)
    results = [run_network(network, quantised, plain_gemm(network), lowering=name) for name in ("im2col", "toeplitz")]
    assert results[0].tolist() == results[1].tolist()
    assert len(list(layer_gemms(network.multiplying_layers[0], quantised, "toeplitz"))) == 12


def test_conv_scales_per_channel_broadcast_over_maps() -> None:
    """Multipliers of a convolution's channels have the shape (channels, 1, 1)."""
    rng = np.random.default_rng(2)
    shape = ConvShape(in_channels=1, height=4, width=4, out_channels=2, kernel=(3, 3))
    scales = np.array([0.01, 0.02])
    integers = rng.integers(-127, 128, (2, 1, 3, 3))
    layer = Conv(
        name="conv", shape=shape, weights=integers * scales.reshape(2, 1, 1, 1), bias=np.zeros(2), weight_scales=scales
    )
    ops = [fake_quantise("q", 1 / 127), layer, fake_quantise("r", 0.05), Flatten(name="f"), dense(rng, "d", 8, 3)]
    network = quantise(float_network(ops, (1, 4, 4)), INT8)
    step = network.ops[1]
    assert isinstance(step, Requantise)
    assert step.multipliers.shape == (2, 1, 1)
    assert step.low == -128
    assert network.multiplying_layers[0].weights.tolist() == integers.tolist()
