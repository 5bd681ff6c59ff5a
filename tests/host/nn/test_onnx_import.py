"""Import of ONNX files against onnxruntime, which reads the same files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.networks import MODELS, random_images

onnx = pytest.importorskip("onnx", reason="reading ONNX files needs onnx, which boards do not have")
pytest.importorskip("onnxruntime", reason="onnxruntime is the independent opinion; it is in the extra 'test'")

from onnx import helper, numpy_helper  # noqa: E402

from axft_host.nn.float_ops import AveragePool, Conv, Dense, FakeQuantise, Flatten, Relu  # noqa: E402
from axft_host.nn.onnx_import import import_onnx  # noqa: E402
from axft_host.nn.quantise import measure_corrections, quantise  # noqa: E402
from axft_spec.config import find_preset  # noqa: E402
from axft_spec.errors import ModelError  # noqa: E402
from support.onnx_files import model, node, onnxruntime_output, write  # noqa: E402

Nodes = Sequence[Any]
Constants = Mapping[str, Any]


def compare(path: Path, rng: np.random.Generator, count: int = 3) -> list[str]:
    """Check that a file means the same to onnxruntime and here; return the kinds of operations."""
    network = import_onnx(path)
    images = random_images(rng, network.input_shape, count)
    values = images / np.float32(255)
    shape = onnx.load(path).graph.input[0].type.tensor_type.shape.dim
    values = values.reshape(count, *(dim.dim_value for dim in shape[1:]))
    expected = onnxruntime_output(path, values)
    assert network.run(images) == pytest.approx(expected, rel=1e-4, abs=1e-4)
    return [type(op).__name__ for op in network.ops]


def made(tmp_path: Path, nodes: Nodes, constants: Constants, shape: Sequence[int], **options: Any) -> Path:
    """Write a model."""
    return write(model(nodes, constants, shape, **options), tmp_path / "made.onnx")


def floats(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Return weights."""
    return rng.normal(size=shape).astype(np.float32)


def head(rng: np.random.Generator, value: str, size: int, *, reshape: bool = False) -> tuple[list[Any], dict[str, Any]]:
    """Return a Flatten (or a Reshape) and a Gemm that end a network on a value of `size` elements."""
    flat = node("Reshape", f"{value} target", "flat") if reshape else node("Flatten", value, "flat")
    nodes = [flat, node("Gemm", "flat wo bo", "out", transB=1)]
    return nodes, {
        "target": np.array([-1, size]),
        "wo": floats(rng, 4, size) / np.float32(size**0.5),
        "bo": floats(rng, 4),
    }


def size_of(tmp_path: Path, nodes: Nodes, constants: Constants, shape: Sequence[int]) -> int:
    """Return the elements of the last node's output for one image, or 0 if onnxruntime does not run it."""
    path = write(model(nodes, constants, shape), tmp_path / "part.onnx")
    try:
        return onnxruntime_output(path, np.zeros((1, *shape))).size
    except Exception:  # onnxruntime's have no common base
        return 0


def window_attributes(rng: np.random.Generator, *, dilated: bool = True) -> dict[str, Any]:
    """Draw kernel, strides, pads or auto_pad, and dilations; padding is smaller than the kernel."""
    kernel = [int(x) for x in rng.integers(1, 4, 2)]
    attributes: dict[str, Any] = {"kernel_shape": kernel, "strides": [int(x) for x in rng.integers(1, 4, 2)]}
    if dilated and rng.random() < 0.5:
        attributes["dilations"] = [int(x) for x in rng.integers(1, 3, 2)]
    if rng.random() < 0.4:
        attributes["auto_pad"] = str(rng.choice(["SAME_UPPER", "SAME_LOWER", "VALID"]))
    else:
        attributes["pads"] = [int(rng.integers(0, k)) for k in (*kernel, *kernel)]
    return attributes


@pytest.mark.parametrize("seed", range(60))
def test_conv_with_any_attributes_equals_onnxruntime(tmp_path: Path, seed: int) -> None:
    """Strides, pads, auto_pad, dilations, groups, with and without a bias."""
    rng = np.random.default_rng(seed)
    while True:
        groups = int(rng.integers(1, 4))
        channels, outputs = groups * int(rng.integers(1, 3)), groups * int(rng.integers(1, 3))
        attributes = window_attributes(rng)
        if attributes.get("auto_pad", "").startswith("SAME"):
            attributes.pop("dilations", None)  # onnxruntime has its own idea of these together
        shape = (channels, *(int(x) for x in rng.integers(3, 10, 2)))
        constants = {"w": floats(rng, outputs, channels // groups, *attributes["kernel_shape"])}
        inputs = "x w"
        if rng.random() < 0.5:
            constants["b"] = floats(rng, outputs)
            inputs = "x w b"
        nodes = [node("Conv", inputs, "c", group=groups, **attributes)]
        size = size_of(tmp_path, nodes, constants, shape)
        if size:
            break
    more, last = head(rng, "c", size)
    assert compare(made(tmp_path, [*nodes, *more], {**constants, **last}, shape), rng) == ["Conv", "Flatten", "Dense"]


@pytest.mark.parametrize("seed", range(120))
def test_pooling_with_any_attributes_equals_onnxruntime(tmp_path: Path, seed: int) -> None:
    """Max and average, ceil_mode, count_include_pad, dilations of max pooling."""
    rng = np.random.default_rng(seed)
    largest = seed % 2 == 0
    while True:
        attributes = window_attributes(rng, dilated=largest)
        if "auto_pad" in attributes:
            # Refused, or onnxruntime does not run them; see test_same_padding_that_programs_disagree_about_is_refused.
            attributes.pop("dilations", None)
            attributes["strides"] = [
                min(pair) for pair in zip(attributes["strides"], attributes["kernel_shape"], strict=True)
            ]
        else:
            attributes["ceil_mode"] = int(rng.integers(0, 2))
        if not largest:
            attributes["count_include_pad"] = int(rng.integers(0, 2))
            if attributes["count_include_pad"] and not any(attributes.get("pads", [])[:2]):
                # onnxruntime 1.23 forgets padding that is on one side alone; see test_onnx_geometry.
                attributes.pop("pads", None)
        shape = (2, *(int(x) for x in rng.integers(3, 10, 2)))
        nodes = [node("MaxPool" if largest else "AveragePool", "x", "p", **attributes)]
        size = size_of(tmp_path, nodes, {}, shape)
        if size:
            break
    # A Reshape keeps onnxruntime from inferring sizes, which with ceil_mode are not those it then computes.
    more, last = head(rng, "p", size, reshape=True)
    path = made(tmp_path, [*nodes, *more], last, shape)
    assert compare(path, rng) == ["MaxPool" if largest else "AveragePool", "Flatten", "Dense"]


@pytest.mark.parametrize("seed", range(12))
def test_gemm_with_any_attributes_equals_onnxruntime(tmp_path: Path, seed: int) -> None:
    """Factors, either orientation of the weights, every shape of the bias."""
    rng = np.random.default_rng(seed)
    transposed = seed % 2
    weights = floats(rng, 5, 6) if transposed else floats(rng, 6, 5)
    bias = floats(rng, *[(5,), (1, 5), (), (1,)][seed % 4])
    attributes = {"transB": transposed, "alpha": float(rng.normal()), "beta": float(rng.normal())}
    nodes = [node("Flatten", "x", "f"), node("Gemm", "f w b" if seed % 3 else "f w", "y", **attributes)]
    assert compare(made(tmp_path, nodes, {"w": weights, "b": bias}, (1, 2, 3)), rng) == ["Flatten", "Dense"]


@pytest.mark.parametrize("order", ["first", "last"])
def test_add_of_a_bias_and_batch_normalization_are_folded(tmp_path: Path, order: str) -> None:
    """Behind Conv, MatMul and Gemm, either order of the addition's inputs."""
    rng = np.random.default_rng(1)
    normal = {"s": floats(rng, 3), "t": floats(rng, 3), "m": floats(rng, 3), "v": rng.random(3).astype(np.float32)}
    nodes = [
        node("Conv", "x w", "c"),
        node("Add", "c cb" if order == "first" else "cb c", "d"),
        node("BatchNormalization", "d s t m v", "e", epsilon=0.01),
        node("Relu", "e", "r"),
        node("Flatten", "r", "f"),
        node("MatMul", "f mw", "g"),
        node("Add", "mb g" if order == "first" else "g mb", "h"),
        node("BatchNormalization", "h s t m v", "i"),
    ]
    constants = {
        "w": floats(rng, 3, 1, 2, 2),
        "cb": floats(rng, 1, 3, 1, 1) if order == "first" else floats(rng, 3, 1, 1),
        "mw": floats(rng, 27, 3),
        "mb": floats(rng, 3),
        **normal,
    }
    path = made(tmp_path, nodes, constants, (1, 4, 4))
    assert compare(path, rng) == ["Conv", "Relu", "Flatten", "Dense"]


def test_means_identities_and_reshapes_equal_onnxruntime(tmp_path: Path) -> None:
    """GlobalAveragePool, ReduceMean, Squeeze, Identity, Dropout, Reshape, Constant, Transpose of weights."""
    rng = np.random.default_rng(2)
    weights = floats(rng, 4, 3)
    last = [node("Transpose", "w", "wt"), node("MatMul", "v wt", "out")]
    shape_of = [
        node("Shape", "p", "s"),
        node("Constant", "", "zero", value_int=0),
        node("Gather", "s zero", "n"),
        node("Unsqueeze", "n axis", "n1"),
        node("Concat", "n1 minus", "target", axis=0),
        node("Reshape", "p target", "v"),
    ]
    mean = node("GlobalAveragePool", "x", "p")
    variants = [
        [mean, node("Flatten", "p", "v", axis=1)],
        [mean, node("Reshape", "p keep", "v")],
        [mean, *shape_of],
        [mean, node("Squeeze", "p", "v")],
        [mean, node("Squeeze", "p three", "q"), node("Squeeze", "q two", "v")],
        [node("ReduceMean", "x axes", "v", keepdims=0)],
        [node("Identity", "x", "i"), node("ReduceMean", "i axes", "p"), node("Flatten", "p", "v")],
        [node("Dropout", "x", "i"), mean, node("Flatten", "p", "f"), node("Dropout", "f", "v")],
    ]
    constants = {
        "w": weights,
        "keep": np.array([0, -1]),
        "axis": np.array([0]),
        "minus": np.array([-1]),
        "two": np.array([2]),
        "three": np.array([-1]),
        "axes": np.array([-1, 2]),
    }
    for nodes in variants:
        path = made(tmp_path, [*nodes, *last], constants, (3, 4, 5))
        assert compare(path, rng) == ["AveragePool", "Flatten", "Dense"]


def test_network_of_vectors_equals_onnxruntime(tmp_path: Path) -> None:
    """Exported for rows of 12 pixels; images of as many pixels fit."""
    rng = np.random.default_rng(3)
    path = made(tmp_path, [node("Gemm", "x w b", "y")], {"w": floats(rng, 12, 3), "b": floats(rng, 3)}, (12,))
    assert compare(path, rng) == ["Flatten", "Dense"]
    images = random_images(rng, (1, 3, 4), 2)
    expected = onnxruntime_output(path, (images / np.float32(255)).reshape(2, 12))
    assert import_onnx(path).run(images) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("kind", ["Softmax", "LogSoftmax"])
def test_softmax_at_the_end_is_dropped(tmp_path: Path, kind: str) -> None:
    """What is left are logits: their softmax is onnxruntime's output."""
    rng = np.random.default_rng(4)
    nodes, constants = head(rng, "x", 9)
    path = made(tmp_path, [*nodes, node(kind, "out", "p", axis=-1)], constants, (1, 3, 3))
    images = random_images(rng, (1, 3, 3), 5)
    network = import_onnx(path)
    assert [type(op) for op in network.ops] == [Flatten, Dense]
    exponentials = np.exp(network.run(images).astype(float))
    expected = onnxruntime_output(path, images / np.float32(255))
    probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
    assert (probabilities if kind == "Softmax" else np.log(probabilities)) == pytest.approx(expected, abs=1e-5)


def quantised_nodes(rng: np.random.Generator, activation: Any, weight: Any) -> tuple[list[Any], dict[str, Any]]:
    """Return a QDQ network by hand: weights per channel, zero points of the given types."""
    low, high = np.iinfo(weight).min, np.iinfo(weight).max
    nodes = [
        node("QuantizeLinear", "x sx zx", "xq"),
        node("DequantizeLinear", "xq sx zx", "xd"),
        node("DequantizeLinear", "wq sw zw", "wd", axis=0),
        node("Conv", "xd wd b", "c"),
        node("Relu", "c", "r"),
        node("QuantizeLinear", "r sr zr", "rq"),
        node("DequantizeLinear", "rq sr zr", "rd"),
        node("Flatten", "rd", "f"),
        node("DequantizeLinear", "vq sv zv", "vd"),
        node("MatMul", "f vd", "y"),
    ]
    constants = {
        "sx": np.float32(1 / 127),
        "zx": np.array(0, activation),
        "wq": rng.integers(low, high, (3, 1, 2, 2)).astype(weight),
        "sw": np.array([0.01, 0.02, 0.03], np.float32) * 127 / high,
        "zw": np.zeros(3, weight),
        "b": floats(rng, 3),
        "sr": np.float32(0.05),
        "zr": np.array(0, activation),
        "vq": rng.integers(low, high, (12, 4)).astype(weight),
        "sv": np.float32(0.01),
        "zv": np.array(0, weight),
    }
    return nodes, constants


@pytest.mark.parametrize("activation", [np.int8, np.uint8, np.int16])
def test_qdq_network_equals_onnxruntime(tmp_path: Path, activation: Any) -> None:
    """Roundings of activations included; 8-bit symmetric weights keep their scales."""
    rng = np.random.default_rng(5)
    nodes, constants = quantised_nodes(rng, activation, np.int8)
    path = made(tmp_path, nodes, constants, (1, 3, 3), opset=21)
    assert compare(path, rng, 20) == ["FakeQuantise", "Conv", "Relu", "FakeQuantise", "Flatten", "Dense"]
    layers = import_onnx(path).multiplying_layers
    scales = [layer.weight_scales for layer in layers]
    assert scales[0] == pytest.approx(np.array([0.01, 0.02, 0.03]))
    assert scales[1] == pytest.approx(np.full(4, 0.01))
    assert np.rint(layers[0].weights / constants["sw"].reshape(3, 1, 1, 1)).tolist() == constants["wq"].tolist()


def test_qdq_weights_of_another_kind_are_a_notice(tmp_path: Path) -> None:
    """Unsigned with a zero point, or 16 bits wide: dequantised, and the notice names the node."""
    rng = np.random.default_rng(5)
    nodes, constants = quantised_nodes(rng, np.int8, np.int16)
    path = made(tmp_path, nodes, constants, (1, 3, 3), opset=21)
    compare(path, rng)
    network = import_onnx(path)
    assert [layer.weight_scales for layer in network.multiplying_layers] == [None, None]
    assert [notice.split(":")[0] for notice in network.notices] == ["n_c", "n_y"]
    nodes, constants = quantised_nodes(rng, np.int8, np.uint8)
    constants["zw"], constants["zv"] = np.full(3, 100, np.uint8), np.array(128, np.uint8)
    path = made(tmp_path, nodes, constants, (1, 3, 3), opset=21)
    compare(path, rng)
    assert len(import_onnx(path).notices) == 2


def test_weights_quantised_in_the_graph_are_folded(tmp_path: Path) -> None:
    """As quantisation-aware training exports them: float weights, QuantizeLinear, DequantizeLinear."""
    rng = np.random.default_rng(6)
    nodes = [
        node("QuantizeLinear", "w s z", "wq", axis=0),
        node("DequantizeLinear", "wq s z", "wd", axis=0),
        node("Flatten", "x", "f"),
        node("Gemm", "f wd", "y", transB=1),
    ]
    constants = {
        "w": floats(rng, 3, 9),
        "s": np.array([0.01, 0.02, 0.03], np.float32),
        "z": np.zeros(3, np.int8),
    }
    path = made(tmp_path, nodes, constants, (1, 3, 3))
    assert compare(path, rng) == ["Flatten", "Dense"]
    scales = import_onnx(path).multiplying_layers[0].weight_scales
    assert scales is not None
    assert scales == pytest.approx([0.01, 0.02, 0.03])


@pytest.mark.parametrize("name", ["strided_cnn", "mlp", "pooled_cnn_symmetric", "pooled_cnn_default"])
def test_exported_network_equals_onnxruntime(name: str) -> None:
    """Both exporters of PyTorch and both styles of onnxruntime's quantisation; scores, not classes alone."""
    path = MODELS / f"{name}.onnx"
    network = import_onnx(path)
    images = random_images(np.random.default_rng(7), (1, 28, 28), 100)
    values = (images / np.float32(255) - network.input_mean[0]) / network.input_std[0]
    expected = onnxruntime_output(path, values)
    scores = network.run(images)
    if name in ("strided_cnn", "mlp"):  # these end in a (log-)softmax
        scores = scores - np.log(np.exp(scores.astype(float)).sum(axis=1, keepdims=True))
        expected = np.log(expected) if name == "mlp" else expected
        assert scores == pytest.approx(expected, abs=2e-3)
    else:
        # A tie in float32 may fall the other way, and then moves a score by a step or two.
        assert np.mean(np.abs(scores - expected) < 1e-3) > 0.95
    assert np.mean(scores.argmax(axis=1) == expected.argmax(axis=1)) > 0.98


def test_exported_networks_have_the_forms_they_stand_for() -> None:
    """BatchNormalization and a Shape in the graph, a Gemm from a newer exporter, quantisers."""
    kinds = {
        path.stem: {entry.op_type for entry in onnx.load(path).graph.node} for path in sorted(MODELS.glob("*.onnx"))
    }
    assert {"BatchNormalization", "Shape", "GlobalAveragePool", "LogSoftmax"} <= kinds["strided_cnn"]
    assert {"Reshape", "Gemm", "Softmax"} <= kinds["mlp"]
    assert {"QuantizeLinear", "Relu", "AveragePool"} <= kinds["pooled_cnn_symmetric"]
    assert "Relu" not in kinds["pooled_cnn_default"]
    types = [type(op) for op in import_onnx(MODELS / "strided_cnn.onnx").ops]
    assert types.count(Conv) == 3
    assert AveragePool in types
    assert FakeQuantise in [type(op) for op in import_onnx(MODELS / "pooled_cnn_symmetric.onnx").ops]


def plain(tmp_path: Path, metadata: Mapping[str, str] | None = None) -> Path:
    """Write Conv, Relu, Flatten, Gemm on three channels."""
    rng = np.random.default_rng(8)
    nodes = [node("Conv", "x w", "c"), node("Relu", "c", "r"), node("Flatten", "r", "f"), node("Gemm", "f v", "y")]
    constants = {"w": floats(rng, 2, 3, 2, 2), "v": floats(rng, 8, 4)}
    return made(tmp_path, nodes, constants, (3, 3, 3), metadata=metadata)


def test_metadata_give_normalisation_and_ranges(tmp_path: Path) -> None:
    """One mean for all channels, one deviation for each; ranges by the names of tensors."""
    metadata = {
        "axft.input": json.dumps({"mean": [0.5], "std": [0.1, 0.2, 0.3], "pixel_scale": 128}),
        "axft.calibration": json.dumps({"source": "some", "maxima": {"r": 2.5, "unknown": 1.0}}),
    }
    network = import_onnx(plain(tmp_path, metadata))
    assert network.input_mean == (0.5, 0.5, 0.5)
    assert network.input_std == (0.1, 0.2, 0.3)
    assert network.pixel_scale == 128
    assert network.calibration is not None
    assert network.calibration.maxima == (None, 2.5, None, None)
    assert [type(op) for op in network.ops][1] is Relu


def test_metadata_give_corrections(tmp_path: Path) -> None:
    """A table written as JSON serves as the one it was made from."""
    images = random_images(np.random.default_rng(0), (3, 3, 3), 9)
    config = find_preset("34P").config
    source = import_onnx(plain(tmp_path)).calibrated(images, "noise")
    table = measure_corrections(source, config, images=images)
    value = {
        "width": 8,
        "multiplier": config.multiplier.to_json(),
        "operand_a": "weight",
        "rounding": "multiplier",
        "corrections": [part.tolist() for part in table.corrections],
    }
    network = import_onnx(plain(tmp_path, {"axft.compensation": json.dumps([value])}))
    compiled = quantise(network.calibrated(images, "noise"), config, compensate=True)
    expected = quantise(source, config, compensate=True, calibration=images)
    for own, other in zip(compiled.multiplying_layers, expected.multiplying_layers, strict=True):
        assert own.bias.tolist() == other.bias.tolist()


def test_mean_and_std_override_metadata(tmp_path: Path) -> None:
    """Ranges measured with another normalisation are dropped."""
    metadata = {"axft.calibration": json.dumps({"source": "some", "maxima": {"r": 2.5}})}
    network = import_onnx(plain(tmp_path, metadata), mean=[0.5], std=[0.1, 0.2, 0.3])
    assert network.input_mean == (0.5, 0.5, 0.5)
    assert network.calibration is None
    with pytest.raises(ModelError, match=r"one value per channel \(3\), not 2 and 3"):
        import_onnx(plain(tmp_path), mean=[0.5, 0.5])


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("axft.input", "{", "metadata axft.input must be JSON"),
        ("axft.input", '{"mean": ["a"]}', "metadata axft.input must hold numbers"),
        ("axft.input", "[1]", "metadata axft.input must hold numbers"),
        ("axft.input", '{"std": [0]}', "std and pixel scale must be positive"),
        ("axft.calibration", "[]", "axft.calibration must have source and maxima"),
        ("axft.calibration", '{"source": "s", "maxima": {"r": -1}}', "must be finite and not negative"),
        ("axft.compensation", '[{"width": 8}]', "axft.compensation is not what it should be"),
    ],
)
def test_bad_metadata_are_refused(tmp_path: Path, key: str, value: str, message: str) -> None:
    """The message names the file and the key."""
    with pytest.raises(ModelError, match=rf"made\.onnx: .*{message}"):
        import_onnx(plain(tmp_path, {key: value}))


def refused(
    tmp_path: Path, nodes: Nodes, constants: Constants, shape: Sequence[Any] = (1, 4, 4), **options: Any
) -> str:
    """Return the message with which a model is refused."""
    path = write(model(nodes, constants, shape, **options), tmp_path / "bad.onnx")
    with pytest.raises(ModelError) as caught:
        import_onnx(path)
    assert "bad.onnx" in str(caught.value)
    return str(caught.value)


def test_unknown_operator_is_named_with_its_node(tmp_path: Path) -> None:
    """And the message lists what is supported."""
    message = refused(tmp_path, [node("Sigmoid", "x", "s"), node("Flatten", "s", "f")], {})
    assert "node 'n_s' has the operator Sigmoid, which is not supported; supported: Add, AveragePool," in message
    custom = helper.make_node("Relu", ["x"], ["r"], name="mine", domain="my.domain")
    assert "node 'mine' has the operator my.domain.Relu" in refused(tmp_path, [custom], {})


def test_branches_are_refused(tmp_path: Path) -> None:
    """A residual connection; the message names the node where the chain is left."""
    rng = np.random.default_rng(0)
    conv = {"w": floats(rng, 1, 1, 3, 3)}
    nodes = [node("Conv", "x w", "c", pads=[1, 1, 1, 1]), node("Relu", "c", "r"), node("Add", "r c", "a")]
    message = refused(tmp_path, [*nodes, *head(rng, "a", 16)[0]], {**conv, **head(rng, "a", 16)[1]})
    assert "node 'n_a' (Add): its input 'c' is not the output of the node before it" in message
    nodes = [node("Flatten", "x", "f"), node("Gemm", "f v", "g"), node("Gemm", "f v", "h"), node("Add", "g h", "a")]
    message = refused(tmp_path, nodes, {"v": floats(rng, 16, 3)})
    assert "node 'n_h' (Gemm): its input 'f'" in message
    nodes = [node("Conv", "x w", "c", pads=[1, 1, 1, 1]), node("Add", "c c", "a"), *head(rng, "a", 16)[0]]
    message = refused(tmp_path, nodes, {**conv, **head(rng, "a", 16)[1]})
    assert "node 'n_a' (Add): only the addition of a constant bias" in message


def test_nodes_that_nothing_depends_on_are_ignored(tmp_path: Path) -> None:
    """Leftovers of an export are no branches."""
    rng = np.random.default_rng(0)
    nodes, constants = head(rng, "x", 16)
    leftover = node("Relu", "x", "unused")
    path = write(model([leftover, *nodes], constants, (1, 4, 4), output="out"), tmp_path / "made.onnx")
    assert compare(path, rng) == ["Flatten", "Dense"]


@pytest.mark.parametrize(
    ("shape", "given"),
    [(("c", 4, 4), r"\(n, c, 4, 4\)"), ((1, "h", "w"), r"\(n, 1, h, w\)"), ((4, 4), r"\(n, 4, 4\)"), ((), r"\(n\)")],
)
def test_input_without_fixed_size_is_refused(tmp_path: Path, shape: tuple[Any, ...], given: str) -> None:
    """Only the number of images may vary."""
    path = write(model([node("Relu", "x", "r")], {}, shape), tmp_path / "bad.onnx")
    with pytest.raises(ModelError, match=rf"the input 'x' must have the shape .* not {given}"):
        import_onnx(path)


@pytest.mark.parametrize(
    ("nodes", "constants", "message"),
    [
        ([("Conv", "x w", "c", {})], {"w": np.zeros((1, 1, 3), np.float32)}, None),
        ([("Flatten", "x", "f", {}), ("Conv", "f w", "c", {})], {"w": np.zeros((1, 1, 1, 1))}, None),
        ([("Flatten", "x", "f", {}), ("MatMul", "w f", "m", {})], {"w": np.zeros((16, 2))}, "'n_m'"),
        ([("Flatten", "x", "f", {}), ("Gemm", "f w", "g", {"transA": 1})], {"w": np.zeros((16, 2))}, "transA"),
        ([("Flatten", "x", "f", {"axis": 2}), ("MatMul", "f w", "m", {})], {"w": np.zeros((4, 2))}, "axis must be 1"),
        ([("MatMul", "x w", "m", {})], {"w": np.zeros((4, 2))}, "'n_m'"),
        ([("Reshape", "x s", "r", {}), ("MatMul", "r w", "m", {})], {"s": [2, 8], "w": np.zeros((8, 2))}, "reshape"),
        ([("Softmax", "x", "s", {}), ("Flatten", "s", "f", {})], {}, "needs one vector per image"),
        (
            [("Flatten", "x", "f", {}), ("MatMul", "f w", "m", {}), ("Softmax", "m", "s", {}), ("Relu", "s", "r", {})],
            {"w": np.zeros((16, 2))},
            "nothing may follow 'n_s'",
        ),
        ([("BatchNormalization", "x s s s s", "b", {}), ("Flatten", "b", "f", {})], {"s": np.ones(1)}, "must directly"),
        ([("Add", "x s", "a", {}), ("Flatten", "a", "f", {})], {"s": np.ones(1)}, "must directly follow Conv"),
        ([("MaxPool", "x", "p", {"kernel_shape": [5, 5]}), ("Flatten", "p", "f", {})], {}, "'n_p'"),
        ([("ReduceMean", "x s", "p", {}), ("Flatten", "p", "f", {})], {"s": [1]}, "only the mean over height"),
        ([("QuantizeLinear", "x s", "q", {}), ("Flatten", "q", "f", {})], {"s": np.float32(1)}, "QDQ form"),
        ([("Flatten", "x", "f", {}), ("MatMul", "f w", "m", {})], {"w": np.full((16, 2), np.nan)}, "finite"),
        ([("Relu", "x", "r", {}), ("Flatten", "r", "f", {})], {}, "at least one layer that multiplies"),
        ([("Transpose", "x", "t", {}), ("Flatten", "t", "f", {})], {}, "supported for constants alone"),
        (
            [("Flatten", "x", "f", {}), ("MatMul", "f w", "m", {}), ("Add", "m b", "a", {})],
            {"w": np.zeros((16, 2)), "b": np.zeros((3, 2))},
            "one value per output",
        ),
    ],
)
def test_forms_that_are_not_supported_are_refused(
    tmp_path: Path, nodes: list[Any], constants: dict[str, Any], message: str | None
) -> None:
    """With the node's name and what is wrong."""
    typed = {
        name: np.asarray(value, np.int64 if isinstance(value, list) else np.float32)
        for name, value in constants.items()
    }
    said = refused(tmp_path, [node(kind, inputs, output, **rest) for kind, inputs, output, rest in nodes], typed)
    assert message is None or message in said


@pytest.mark.parametrize("auto_pad", ["SAME_UPPER", "SAME_LOWER"])
@pytest.mark.parametrize(
    ("kind", "attributes", "message"),
    [
        ("AveragePool", {"kernel_shape": [2, 1], "strides": [2, 2]}, r"strides (2, 2) larger than the kernel (2, 1)"),
        ("MaxPool", {"kernel_shape": [2, 2], "dilations": [1, 2]}, "dilations (1, 2)"),
    ],
)
def test_same_padding_that_programs_disagree_about_is_refused(
    tmp_path: Path, auto_pad: str, kind: str, attributes: dict[str, Any], message: str
) -> None:
    """Where onnxruntime lays other windows than ONNX defines; strides up to the kernel are fine."""
    rng = np.random.default_rng(0)
    pool = node(kind, "x", "p", auto_pad=auto_pad, **attributes)
    size = size_of(tmp_path, [pool], {}, (1, 5, 5))
    nodes, constants = head(rng, "p", size)
    said = refused(tmp_path, [pool, *nodes], constants, (1, 5, 5))
    assert f"node 'n_p' ({kind}): auto_pad={auto_pad} with {message}" in said
    assert "give pads instead" in said


@pytest.mark.parametrize("kind", ["Softmax", "LogSoftmax"])
@pytest.mark.parametrize("opset", [12, 13, 20])
def test_softmax_over_images_is_refused(tmp_path: Path, kind: str, opset: int) -> None:
    """It changes which class is largest; over the classes, by default or stated, it is dropped."""
    weights = {"w": np.eye(16, 4, dtype=np.float32)}
    layer = [node("Flatten", "x", "f"), node("MatMul", "f w", "m")]
    for attributes in ({}, {"axis": 1}, {"axis": -1}):
        path = made(tmp_path, [*layer, node(kind, "m", "s", **attributes)], weights, (1, 4, 4), opset=opset)
        assert [type(op).__name__ for op in import_onnx(path).ops] == ["Flatten", "Dense"]
    for axis in (0, -2):
        message = refused(tmp_path, [*layer, node(kind, "m", "s", axis=axis)], weights, opset=opset)
        assert f"node 'n_s' ({kind}): axis must be that of the classes, 1 or -1, not {axis}" in message


def test_damaged_file_is_refused_wherever_it_is_cut(tmp_path: Path) -> None:
    """No truncated file is mistaken for a network."""
    content = (MODELS / "strided_cnn.onnx").read_bytes()
    path = tmp_path / "cut.onnx"
    lengths = [*range(0, 400, 7), *range(400, len(content), 1_999), *range(len(content) - 900, len(content), 13)]
    for length in lengths:
        path.write_bytes(content[:length])
        try:
            # Cut behind the graph, where only metadata were, it is the same network without them.
            network = import_onnx(path)
        except ModelError as error:
            assert "cut.onnx" in str(error)
        else:
            assert len(network.ops) == len(import_onnx(MODELS / "strided_cnn.onnx").ops)
            assert length > len(content) - 900


def test_changed_bytes_are_refused_or_survived(tmp_path: Path) -> None:
    """No change of a file ends in anything but a network or a message; most bytes here are structure."""
    content = (MODELS / "pooled_cnn_symmetric.onnx").read_bytes()
    path = tmp_path / "changed.onnx"
    rng = np.random.default_rng(1)
    refused = 0
    for _ in range(400):
        changed = bytearray(content)
        for place in rng.integers(0, len(content), 3):
            changed[place] = int(rng.integers(0, 256))
        path.write_bytes(bytes(changed))
        try:
            import_onnx(path)
        except ModelError as error:
            assert "changed.onnx" in str(error)
            refused += 1
    assert refused > 50


def test_other_files_are_refused(tmp_path: Path) -> None:
    """Text, nothing at all, a directory, a missing file."""
    for name, content in (("text.onnx", b"hello, this is no network\n" * 9), ("empty.onnx", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ModelError, match=rf"{name} is not an ONNX file, or is damaged"):
            import_onnx(tmp_path / name)
    (tmp_path / "dir.onnx").mkdir()
    with pytest.raises(ModelError, match=r"cannot read .*dir\.onnx"):
        import_onnx(tmp_path / "dir.onnx")
    with pytest.raises(ModelError, match=r"none\.onnx does not exist"):
        import_onnx(tmp_path / "none.onnx")


def test_external_data_are_read_or_reported_missing(tmp_path: Path) -> None:
    """Large models keep their weights in a file of their own; the digest covers it."""
    path = tmp_path / "outside.onnx"
    inside = onnx.load(MODELS / "mlp.onnx")
    onnx.save_model(inside, path, save_as_external_data=True, location="weights.bin", size_threshold=100)
    images = random_images(np.random.default_rng(0), (1, 28, 28), 2)
    network = import_onnx(path)
    assert network.run(images).tolist() == import_onnx(MODELS / "mlp.onnx").run(images).tolist()
    weights = bytearray((tmp_path / "weights.bin").read_bytes())
    weights[5] ^= 1
    (tmp_path / "weights.bin").write_bytes(bytes(weights))
    assert import_onnx(path).source_digest != network.source_digest
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(ModelError, match=r"outside\.onnx: its external data cannot be used"):
        import_onnx(path)


def test_old_opset_and_several_inputs_are_refused(tmp_path: Path) -> None:
    """Each with its own message."""
    rng = np.random.default_rng(0)
    nodes, constants = head(rng, "x", 16)
    assert "opset must be at least 7, not 6" in refused(tmp_path, nodes, constants, opset=6)
    two = model(nodes, constants, (1, 4, 4))
    two.graph.input.append(helper.make_tensor_value_info("x2", onnx.TensorProto.FLOAT, [1]))
    with pytest.raises(ModelError, match="one input and one output, not 2 and 1"):
        import_onnx(write(two, tmp_path / "two.onnx"))


def test_source_digest_is_that_of_the_file() -> None:
    """As sha256sum prints it; the model card of the shipped network states the same."""
    root = MODELS.parents[2]
    shipped = root / "host" / "axft_host" / "nn" / "data" / "lenet5.onnx"
    assert import_onnx(shipped).source_digest in (root / "models" / "lenet5" / "README.md").read_text()


def test_initializers_among_the_inputs_are_constants(tmp_path: Path) -> None:
    """Old exporters list them there."""
    rng = np.random.default_rng(0)
    nodes, constants = head(rng, "x", 16)
    old = model(nodes, constants, (1, 4, 4))
    for tensor in old.graph.initializer:
        shape = numpy_helper.to_array(tensor).shape
        old.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, shape))
    assert compare(write(old, tmp_path / "old.onnx"), rng) == ["Flatten", "Dense"]
