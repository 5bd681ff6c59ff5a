"""Float networks: checks, ranges, normalisation and files. Their arithmetic is tested against onnxruntime."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from axft_host.nn.graph import Calibration, Compensation, Dense, Flatten, FloatNetwork, Relu
from axft_host.nn.network import Network
from axft_host.nn.quantise import measure_corrections, quantise
from axft_spec.config import ArrayConfig, find_preset
from axft_spec.errors import DataError, ModelError
from axft_spec.multipliers import PARTS
from support.networks import dense, fake_quantise, float_network, random_images, varied_network


def adder(**fields: object) -> FloatNetwork:
    """Return a network of two pixels: their sum, and their difference less 1."""
    layer = Dense(name="dense", weights=np.array([[1.0, 1.0], [1.0, -1.0]]), bias=np.array([0.0, -1.0]))
    return float_network([Flatten(name="flatten"), layer, Relu(name="relu")], (1, 1, 2), **fields)


def test_run_computes_by_hand() -> None:
    """Pixels are divided by 255; negative outputs become 0."""
    images = np.array([[[[255, 0]]], [[[51, 102]]]], dtype=np.uint8)
    assert adder().run(images) == pytest.approx(np.array([[1.0, 0.0], [0.6, 0.0]]))
    assert adder(input_mean=(0.2,), input_std=(0.4,)).run(images[1:]) == pytest.approx(np.array([[0.5, 0.0]]))
    assert adder(pixel_scale=51.0).run(images[:1]) == pytest.approx(np.array([[5.0, 4.0]]))


def test_run_rounds_as_quantised_values_do() -> None:
    """A quantiser with step 0.25 and zero point 1, limits -3 and 3."""
    ops = (Flatten(name="f"), fake_quantise("q", 0.25, 1, -3, 3), *adder().ops[1:2])
    images = np.array([[[[255, 32]]]], dtype=np.uint8)  # 1.0 and 0.1255
    network = float_network(ops, (1, 1, 2))
    # 1.0 is 4 steps, 5 with the zero point, clipped to 3: 0.5; 0.1255 is 0.502 steps: 0.25.
    assert network.run(images) == pytest.approx(np.array([[0.75, -0.75]]))


def test_run_does_not_depend_on_the_batch() -> None:
    """70 images take two passes."""
    network = varied_network(np.random.default_rng(0))
    images = random_images(np.random.default_rng(1), (2, 12, 10), 70)
    single = np.concatenate([network.run(images[i : i + 1]) for i in range(70)])
    assert network.run(images) == pytest.approx(single, abs=1e-5)


def test_calibrated_records_the_largest_magnitude_of_every_output() -> None:
    """By hand; a ReLU's range is what it lets through."""
    images = np.array([[[[255, 0]]], [[[0, 255]]]], dtype=np.uint8)
    calibration = adder().calibrated(images, "two images").calibration
    assert calibration == Calibration(source="two images", maxima=(1.0, 2.0, 1.0))


def test_renormalised_drops_what_was_measured_with_the_old_normalisation() -> None:
    """The same normalisation keeps it; one value stands for all channels."""
    network = varied_network(np.random.default_rng(0))
    network = network.calibrated(random_images(np.random.default_rng(1), (2, 12, 10), 5), "noise")
    assert network.renormalised(None, None) is network
    assert network.renormalised([0.0], None) is network
    other = network.renormalised([0.5], [0.25, 0.5])
    assert (other.input_mean, other.input_std) == ((0.5, 0.5), (0.25, 0.5))
    assert other.calibration is None


def test_load_returns_what_save_wrote(tmp_path: Path) -> None:
    """Weights, ranges and corrections; the outputs are the same bits."""
    rng = np.random.default_rng(0)
    images = random_images(rng, (2, 12, 10), 9)
    network = varied_network(rng, source_digest="ab", notices=("n",)).calibrated(images, "noise")
    config = find_preset("34P").config
    network = replace(network, compensations=(measure_corrections(network, config, images=images),))
    network.save(tmp_path / "net.npz")
    loaded = FloatNetwork.load(tmp_path / "net.npz")
    assert loaded.run(images).tolist() == network.run(images).tolist()
    for name in ("name", "input_shape", "input_mean", "input_std", "calibration", "source_digest", "notices"):
        assert getattr(loaded, name) == getattr(network, name), name
    compiled = [quantise(one, config, compensate=True) for one in (network, loaded)]
    assert compiled[0].digest == compiled[1].digest


def test_load_keeps_scales_of_quantised_weights(tmp_path: Path) -> None:
    """They decide whether the file's integers are kept."""
    layer = Dense(name="d", weights=np.eye(2), bias=np.zeros(2), weight_scales=np.array([0.5, 0.25]))
    float_network([Flatten(name="f"), layer], (1, 1, 2)).save(tmp_path / "net.npz")
    loaded = FloatNetwork.load(tmp_path / "net.npz").multiplying_layers[0]
    assert loaded.weight_scales is not None
    assert loaded.weight_scales.tolist() == [0.5, 0.25]


def test_load_refuses_a_compiled_network(tmp_path: Path) -> None:
    """The message says which one it is."""
    network = adder().calibrated(np.zeros((1, 1, 1, 2), np.uint8), "none")
    quantise(network, ArrayConfig()).save(tmp_path / "net.npz")
    with pytest.raises(ModelError, match="holds a network, not a float network"):
        FloatNetwork.load(tmp_path / "net.npz")
    assert Network.load(tmp_path / "net.npz").name == "test"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"input_mean": (0.0, 0.0)}, r"one value per channel \(1\), not 2 and 1"),
        ({"input_std": (0.0,)}, "std and pixel scale must be positive"),
        ({"pixel_scale": float("nan")}, "mean must be finite"),
        ({"calibration": Calibration(source="", maxima=(1.0,))}, r"one maximum per operation \(3\), not 1"),
        (
            {
                "compensations": (
                    Compensation(
                        width=8,
                        multiplier=PARTS["34P"].multiplier,
                        operand_a="weight",
                        rounding="paper",
                        corrections=(np.zeros(3),),
                    ),
                )
            },
            r"shapes \[\(2,\)\]",
        ),
    ],
)
def test_float_network_refuses_fields_that_do_not_fit(fields: dict[str, object], message: str) -> None:
    """The message says what is needed."""
    with pytest.raises(ModelError, match=message):
        adder(**fields)


def test_float_network_refuses_operations_that_do_not_fit() -> None:
    """Wrong sizes, no layer, no vector at the end."""
    rng = np.random.default_rng(0)
    with pytest.raises(ModelError, match=r"d: weights of shape \(2, 5\) cannot take a value of shape \(4,\)"):
        float_network([Flatten(name="f"), dense(rng, "d", 5, 2)], (1, 2, 2))
    with pytest.raises(ModelError, match="at least one layer that multiplies"):
        float_network([Flatten(name="f")], (1, 2, 2))
    with pytest.raises(ModelError, match="one vector per image"):
        float_network([Relu(name="r")], (1, 2, 2))


def test_run_refuses_images_of_another_shape() -> None:
    """As a compiled network does."""
    with pytest.raises(DataError, match=r"\(2, 12, 10\)"):
        varied_network(np.random.default_rng(0)).run(np.zeros((1, 1, 28, 28), np.uint8))
