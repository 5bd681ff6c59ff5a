"""Networks larger than LeNet-5: sums long enough to wrap, and a VGG from ONNX, on both engines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest

pytest.importorskip("numba", reason="the compiled engine needs numba")

from axft_host.backends.base import Evaluation, Workload
from axft_host.backends.emulator import Emulator
from axft_host.nn.inference import plain_gemm, run_network
from axft_host.nn.network import Conv, Dense, Flatten, MaxPool, Network, Requantise
from axft_host.nn.onnx_import import import_onnx
from axft_host.nn.quantise import quantise
from axft_spec.config import find_preset
from axft_spec.faults import Fault, FaultKind, FaultSpace, Site, draw_faults
from axft_spec.lowering import LOWERINGS, ConvShape
from support import onnx_files
from support.random_networks import reference_network


def evaluate(engine: str, workload: Workload, faults: Sequence[Fault | None]) -> list[Evaluation]:
    """Run faults on one of the engines."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AXFT_ENGINE", engine)
        return Emulator().evaluate(workload, faults)


def wrapping_network(config: str, rng: np.random.Generator, *, plain: bool) -> Network:
    """Return a convolution of 720 steps, most of whose operands are at the upper end, and a dense layer.

    Between them a pooling, of whole windows of 2 x 2 side by side if `plain`, otherwise of any others.
    """
    preset = find_preset(config).config
    top = (1 << (preset.width - 1)) - 1
    shape = ConvShape(in_channels=80, height=4, width=4, out_channels=3, kernel=(3, 3), pads=(1, 1, 1, 1))
    ends = np.array([-top - 1, top - 1, top])
    return Network(
        name="wrapping",
        ops=(
            Conv(
                name="conv",
                shape=shape,
                weights=np.where(rng.random((3, 80, 3, 3)) < 0.98, top, rng.choice(ends, (3, 80, 3, 3))),
                bias=rng.integers(-(1 << 14), 1 << 14, 3),
            ),
            MaxPool(
                name="pool",
                kernel=(2, 2),
                strides=(2, 2) if plain else (1, 1),
                pads=(0, 0, 0, 0) if plain else (1, 1, 0, 0),
                dilations=(1, 1),
                out_size=(2, 2) if plain else (4, 4),
            ),
            Requantise(
                name="scale",
                multipliers=rng.integers(1 << 14, 1 << 15, (3, 1, 1)),
                shift=preset.acc_bits - preset.width + 14,
                low=0,
                high=top,
            ),
            Flatten(name="flat"),
            Dense(name="dense", weights=rng.choice(ends, (5, 12 if plain else 48)), bias=rng.integers(-100, 100, 5)),
        ),
        width=preset.width,
        multiplier=preset.multiplier,
        rounding="paper",
        compensated=False,
        config_name=None,
        input_shape=(80, 4, 4),
        input_table=np.tile(np.where(np.arange(256) < 32, 0, top), (80, 1)),
        score_scale=1.0,
        source_digest="",
    )


@pytest.mark.parametrize("lowering", LOWERINGS)
@pytest.mark.parametrize(("config", "plain"), [("2R5", False), ("Baseline", True), ("8P", True)])
def test_sums_that_wrap_are_alike_on_both_engines(config: str, plain: bool, lowering: str) -> None:
    """Every site and kind, for good and for a cycle, where sums wrap without a fault under im2col."""
    rng = np.random.default_rng(7)
    network = wrapping_network(config, rng, plain=plain)
    array = network.config.resized(3, 4)
    images = rng.integers(0, 256, (2, 80, 4, 4), dtype=np.uint8)
    workload = Workload(network=network, config=array, lowering=lowering, images=images)
    operands = network.quantise_images(images)
    conv = network.ops[0]
    assert isinstance(conv, Conv)
    sums = (conv.weights[:, None] * operands[None, :, :, :3, :3]).sum(axis=(2, 3, 4))
    assert (sums >> (array.acc_bits - 1) > 0).any(), "no sum wraps, and nothing is tested"
    spaces = [
        FaultSpace(config=array, sites=(site,), kinds=tuple(FaultKind), schedule=schedule)
        for site in Site
        for schedule in (None, workload.schedule)
    ]
    faults = [fault for space in spaces for fault in draw_faults(space, 4 if lowering == "im2col" else 2, 3)]
    results = [evaluate(engine, workload, faults) for engine in ("numpy", "compiled")]
    for fault, slow, fast in zip(faults, *results, strict=True):
        assert slow.accumulators.tolist() == fast.accumulators.tolist(), str(fault)
        assert slow.activated.tolist() == fast.activated.tolist(), str(fault)
    golden = evaluate("numpy", workload, [None])[0].accumulators
    assert np.array_equal(golden, run_network(network, operands, plain_gemm(network), lowering=lowering))
    # Of the 240 GEMMs of a Toeplitz run the reference would make a test of minutes.
    for number in (0, 28) if lowering == "im2col" else ():
        fault, fast = faults[number], results[1][number]
        accumulators, activated = reference_network(network, array, lowering, operands[0], fault, None)
        assert (fast.accumulators[0].tolist(), fast.activated[0]) == (accumulators.tolist(), activated), str(fault)


@pytest.mark.parametrize("lowering", LOWERINGS)
@pytest.mark.parametrize(("groups", "inputs", "outputs"), [(4, 1, 1), (3, 2, 5)])
def test_groups_of_single_values_are_alike_on_both_engines(
    groups: int, inputs: int, outputs: int, lowering: str
) -> None:
    """A convolution in groups behind a pooling of whole maps: of maps of one element, and no dense layer."""
    rng = np.random.default_rng(11)
    array = find_preset("34P").config.resized(3, 4)
    shape = ConvShape(
        in_channels=groups * inputs, height=1, width=1, out_channels=groups * outputs, kernel=(1, 1), groups=groups
    )
    network = Network(
        name="groups",
        ops=(
            Conv(
                name="conv",
                shape=shape,
                weights=rng.integers(-128, 128, (shape.out_channels, inputs, 1, 1)),
                bias=rng.integers(-100, 100, shape.out_channels),
            ),
            Requantise(name="scale", multipliers=np.array(1 << 14), shift=21, low=0, high=127),
            Flatten(name="flat"),
            Dense(name="dense", weights=rng.integers(-128, 128, (5, shape.out_channels)), bias=np.zeros(5, np.int64)),
        ),
        width=8,
        multiplier=array.multiplier,
        rounding="paper",
        compensated=False,
        config_name=None,
        input_shape=(shape.in_channels, 1, 1),
        input_table=np.tile(np.arange(256) >> 1, (shape.in_channels, 1)),
        score_scale=1.0,
        source_digest="",
    )
    images = rng.integers(0, 256, (3, shape.in_channels, 1, 1), dtype=np.uint8)
    workload = Workload(network=network, config=array, lowering=lowering, images=images)
    space = FaultSpace(config=array, sites=tuple(Site), kinds=tuple(FaultKind))
    faults = [None, *draw_faults(space, 24, 3)]
    slow, fast = (evaluate(engine, workload, faults) for engine in ("numpy", "compiled"))
    for fault, one, other in zip(faults, slow, fast, strict=True):
        assert one.accumulators.tolist() == other.accumulators.tolist(), str(fault)
        assert one.activated.tolist() == other.activated.tolist(), str(fault)
    assert any(not np.array_equal(one.accumulators, slow[0].accumulators) for one in slow)
    golden = run_network(network, network.quantise_images(images), plain_gemm(network), lowering=lowering)
    assert np.array_equal(golden, fast[0].accumulators)


def vgg(path: Path, rng: np.random.Generator) -> Path:
    """Write a narrow VGG as exporters leave it: batch normalisation, pooling down to one element, flattening."""
    nodes: list[onnx.NodeProto] = []
    constants: dict[str, np.ndarray] = {}
    tensor, inputs = "x", 3
    for number, outputs in enumerate((4, 0, 8, 0, 8, 8, 0, 16, 16, 0, 16, 16, 0)):
        if not outputs:
            nodes.append(onnx_files.node("MaxPool", tensor, f"p{number}", kernel_shape=[2, 2], strides=[2, 2]))
            tensor = f"p{number}"
            continue
        weights = rng.normal(0, np.sqrt(2 / 9 / inputs), (outputs, inputs, 3, 3))
        statistics = (rng.uniform(0.7, 1.3, outputs), *rng.normal(0, 0.1, (2, outputs)), rng.uniform(0.7, 1.3, outputs))
        names = [f"{name}{number}" for name in ("w", "scale", "bias", "mean", "variance")]
        constants |= dict(zip(names, (weights, *statistics), strict=True))
        nodes += [
            onnx_files.node("Conv", f"{tensor} {names[0]}", f"c{number}", pads=[1, 1, 1, 1]),
            onnx_files.node("BatchNormalization", f"c{number} {' '.join(names[1:])}", f"n{number}"),
            onnx_files.node("Relu", f"n{number}", f"r{number}"),
        ]
        tensor, inputs = f"r{number}", outputs
    constants |= {"w": rng.normal(0, 0.3, (10, inputs)), "b": rng.normal(0, 0.1, 10)}
    nodes += [
        onnx_files.node("Flatten", tensor, "flat"),
        onnx_files.node("Gemm", "flat w b", "logits", transB=1),
    ]
    made = onnx_files.model(nodes, {name: value.astype(np.float32) for name, value in constants.items()}, (3, 32, 32))
    return onnx_files.write(made, path)


@pytest.mark.parametrize("lowering", LOWERINGS)
def test_vgg_from_onnx_runs_on_both_engines(tmp_path: Path, lowering: str) -> None:
    """Imported as onnxruntime runs it; quantised; golden run as the plain path has it, faults alike on both engines."""
    rng = np.random.default_rng(11)
    path = vgg(tmp_path / "vgg.onnx", rng)
    source = import_onnx(path, mean=[0.5, 0.4, 0.5], std=[0.25, 0.25, 0.3])
    images = rng.integers(0, 256, (6, 3, 32, 32), dtype=np.uint8)
    expected = onnx_files.onnxruntime_output(path, source.normalise(images, np.float32))
    assert np.abs(source.run(images) - expected).max() < 1e-4 * np.abs(expected).max()
    config = find_preset("8P").config
    network = quantise(source, config, calibration=images)
    workload = Workload(network=network, config=config, lowering=lowering, images=images)
    faults = [None, *draw_faults(FaultSpace(config=config), 5, 1)]
    faults += draw_faults(FaultSpace(config=config, schedule=workload.schedule), 20, 1)
    plain, fast = (evaluate(engine, workload, faults) for engine in ("numpy", "compiled"))
    operands = network.quantise_images(images)
    assert np.array_equal(plain[0].accumulators, run_network(network, operands, plain_gemm(network), lowering=lowering))
    for fault, one, other in zip(faults, plain, fast, strict=True):
        assert one.accumulators.tolist() == other.accumulators.tolist(), str(fault)
        assert one.activated.tolist() == other.activated.tolist(), str(fault)
