"""Networks by name and by file, and the shipped one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from axft_host.nn.datasets import Dataset, load_dataset
from axft_host.nn.inference import plain_gemm, run_network
from axft_host.nn.library import SHIPPED, load_float_network, load_network_file, shipped_path
from axft_host.nn.network import Network
from axft_host.nn.quantise import ROUNDINGS
from axft_spec.config import OPERANDS, PRESETS, find_preset
from axft_spec.errors import ConfigError, DataError, ModelError
from support.networks import MODELS, random_images, varied_network

INT8, P34 = find_preset("8P").config, find_preset("34P").config


@pytest.fixture
def float_file(tmp_path: Path) -> Path:
    """Return the file of a calibrated float network."""
    source = varied_network(np.random.default_rng(0))
    source.calibrated(random_images(np.random.default_rng(1), (2, 12, 10), 20), "noise").save(tmp_path / "float.npz")
    return tmp_path / "float.npz"


@pytest.fixture
def compiled_file(tmp_path: Path, float_file: Path) -> Path:
    """Return the file of a network compiled for 34P."""
    load_network_file(float_file, P34)[0].save(tmp_path / "compiled.npz")
    return tmp_path / "compiled.npz"


def accuracy(network: Network, data: Dataset) -> float:
    """Return the part of the images that an array without faults classifies correctly."""
    scores = run_network(network, network.quantise_images(data.images), plain_gemm(network))
    return float(np.mean(scores.argmax(axis=1) == data.labels))


def test_shipped_network_is_the_trained_one() -> None:
    """The .npz has the weights, the ranges and the digest of the ONNX file beside it."""
    pytest.importorskip("onnx", reason="reading ONNX files needs onnx, which boards do not have")
    shipped, trained = load_float_network("lenet5"), load_float_network(shipped_path("lenet5").with_suffix(".onnx"))
    assert (shipped.name, shipped.source_digest) == ("lenet5", trained.source_digest)
    assert (shipped.input_mean, shipped.input_std, shipped.pixel_scale) == ((0.0,), (1.0,), 255.0)
    assert shipped.calibration == trained.calibration is not None
    assert [type(op) for op in shipped.ops] == [type(op) for op in trained.ops]
    for own, other in zip(shipped.multiplying_layers, trained.multiplying_layers, strict=True):
        assert np.array_equal(own.weights, other.weights)
        assert np.array_equal(own.bias, other.bias)


def test_shipped_network_has_the_shape_of_lenet5() -> None:
    """Two convolutions and three dense layers, 61,706 parameters."""
    layers = load_float_network("lenet5").multiplying_layers
    assert [layer.weights.shape for layer in layers] == [(6, 1, 5, 5), (16, 6, 5, 5), (120, 400), (84, 120), (10, 84)]
    assert sum(layer.weights.size + layer.bias.size for layer in layers) == 61_706


@pytest.mark.parametrize(("preset", "least"), [("Baseline", 0.985), ("8P", 0.985), ("2QH", 0.985), ("34P", 0.98)])
def test_shipped_network_classifies_the_embedded_images(preset: str, least: float) -> None:
    """None of them was trained on."""
    data = load_dataset(None).take(500)
    network, source = load_network_file("lenet5", find_preset(preset).config)
    assert source is not None
    assert accuracy(network, data) >= least
    assert np.mean(source.run(data.images).argmax(axis=1) == data.labels) >= 0.985
    assert network.config_name == preset
    assert network.notices == ()


def test_shipped_network_has_corrections_for_every_preset() -> None:
    """Both roundings, both orders of operands: no calibration data are needed."""
    for preset in PRESETS.values():
        for operand in OPERANDS:
            for rounding in ROUNDINGS:
                config = replace(preset.config, operand_a=operand)
                assert load_network_file("lenet5", config, rounding=rounding, compensate=True)[0].compensated


def test_collapse_under_the_papers_rounding_is_reproduced() -> None:
    """2TE, which ignores six bits of the weight, guesses unless weights are rounded to what it keeps."""
    data = load_dataset(None).take(300)
    accuracies = []
    for rounding in ("paper", "multiplier"):
        network, _ = load_network_file("lenet5", find_preset("2TE").config, rounding=rounding)
        accuracies.append(accuracy(network, data))
    assert accuracies[0] < 0.2
    assert accuracies[1] > 0.7


def test_name_wins_over_a_file_of_that_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stray file in the current directory does not replace the shipped network."""
    monkeypatch.chdir(tmp_path)
    Path("lenet5").write_text("no network")
    assert load_float_network("lenet5").name == "lenet5"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "lenet",
            r"unknown model 'lenet' \(did you mean lenet5\?\); allowed: lenet5; or give a file that ends",
        ),
        ("model.pt", r"must end in .onnx or .npz, not be called 'model.pt'"),
        ("none.npz", "none.npz does not exist"),
    ],
)
def test_unknown_model_lists_what_is_allowed(name: str, message: str) -> None:
    """A misspelt name, another kind of file, a missing file."""
    with pytest.raises(ModelError, match=message):
        load_network_file(name, INT8)
    with pytest.raises(ModelError, match="unknown model"):
        shipped_path("alexnet")
    assert list(SHIPPED) == ["lenet5"]


def test_float_file_is_compiled_with_the_options_given(float_file: Path) -> None:
    """Rounding, compensation and calibration reach the quantisation."""
    images = random_images(np.random.default_rng(2), (2, 12, 10), 10)
    network, source = load_network_file(float_file, P34, rounding="paper", compensate=True, calibration=images)
    assert source is not None
    assert (network.rounding, network.compensated, network.config_name) == ("paper", True, "34P")
    default, _ = load_network_file(float_file, P34)
    assert (default.rounding, default.compensated) == ("multiplier", False)


def test_onnx_file_is_compiled_with_its_normalisation() -> None:
    """From the metadata, or as given."""
    pytest.importorskip("onnx", reason="reading ONNX files needs onnx, which boards do not have")
    network, source = load_network_file(str(MODELS / "strided_cnn.onnx"), INT8)
    assert source is not None
    assert (source.input_mean, source.input_std) == ((0.1307,), (0.3081,))
    assert network.input_table.min() < 0
    with pytest.raises(ModelError, match="--calibration DATA"):
        load_network_file(MODELS / "strided_cnn.onnx", INT8, mean=[0.5])


def test_mean_and_std_apply_to_a_float_file(float_file: Path) -> None:
    """Its ranges no longer hold then."""
    images = random_images(np.random.default_rng(2), (2, 12, 10), 10)
    network, source = load_network_file(float_file, INT8, mean=[0.5], std=[0.5, 0.25], calibration=images)
    assert source is not None
    assert (source.input_mean, source.input_std) == ((0.5, 0.5), (0.5, 0.25))
    assert network.input_table.min() == -128


def test_compiled_file_is_taken_as_it_is(compiled_file: Path) -> None:
    """Options that are not given are those it was compiled with; the array's size does not matter."""
    network, source = load_network_file(compiled_file, P34.resized(3, 4))
    assert source is None
    assert network.digest == Network.load(compiled_file).digest
    load_network_file(compiled_file, P34, rounding="multiplier", compensate=False)


@pytest.mark.parametrize(
    ("config", "options", "message"),
    [
        (INT8, {}, "compiled for multiplier 34P, not exact; compile the network again"),
        (find_preset("Baseline").config, {}, "compiled for width 8, not 16"),
        (replace(P34, operand_a="activation"), {}, "compiled for operand A weight, not activation"),
        (P34, {"rounding": "paper"}, "compiled for rounding multiplier, not paper"),
        (P34, {"compensate": True}, "compiled for compensation off, not on"),
        (P34, {"mean": [0.5]}, "compiled already; mean and std would have no effect"),
        (P34, {"calibration": np.zeros((1, 2, 12, 10), np.uint8)}, "compiled already; calibration data would have no"),
    ],
)
def test_compiled_file_for_something_else_is_refused(
    compiled_file: Path, config: object, options: dict[str, object], message: str
) -> None:
    """The message says what it was compiled for and what is wanted."""
    with pytest.raises(ModelError, match=message):
        load_network_file(compiled_file, config, **options)  # type: ignore[arg-type]


def test_compiled_file_is_no_float_network(compiled_file: Path) -> None:
    """The message says what to give instead."""
    with pytest.raises(ModelError, match="give the network it was compiled from"):
        load_float_network(compiled_file)


def test_bad_options_are_refused_before_anything_is_read() -> None:
    """Unknown rounding; calibration images of another shape."""
    with pytest.raises(ConfigError, match="unknown rounding"):
        load_network_file("none.npz", INT8, rounding="up")
    with pytest.raises(DataError, match="must have the shape"):
        load_network_file("lenet5", INT8, calibration=np.zeros((1, 1, 8, 8), np.uint8))
