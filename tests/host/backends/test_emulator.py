"""The emulator's fast path against the plain path: every GEMM of every layer, on the shipped network."""

from __future__ import annotations

import numpy as np
import pytest

from axft_host.backends.base import Backend, Workload
from axft_host.backends.emulator import Emulator
from axft_host.nn.datasets import load_dataset
from axft_host.nn.library import load_float_network
from axft_host.nn.network import Conv, Flatten, Network
from axft_host.nn.quantise import quantise
from axft_spec import reference
from axft_spec.config import ArrayConfig, find_preset
from axft_spec.errors import FaultError, ModelError
from axft_spec.faults import FaultKind, FaultSpace, Site, draw_faults, parse_fault
from axft_spec.lowering import LOWERINGS, ConvShape
from axft_spec.multipliers import EXACT


def shipped_workload(config: str, lowering: str, images: int) -> Workload:
    """Return the shipped LeNet-5 on the first images of the embedded set."""
    preset = find_preset(config)
    return Workload(
        network=quantise(load_float_network("lenet5"), preset.config),
        config=preset.config,
        lowering=lowering,
        images=load_dataset(None).take(images).images,
    )


@pytest.mark.parametrize("lowering", LOWERINGS)
@pytest.mark.parametrize("config", ["Baseline", "8P", "2QH", "34P"])
def test_evaluate_equals_plain_path(config: str, lowering: str) -> None:
    """Permanent and transient faults at all sites: final accumulators and activations of every image."""
    workload = shipped_workload(config, lowering, 2)
    spaces = [
        FaultSpace(config=workload.config, sites=(site,), kinds=tuple(FaultKind), schedule=schedule)
        for site in Site
        for schedule in (None, workload.schedule)
    ]
    faults = [None, *(fault for space in spaces for fault in draw_faults(space, 1, 11))]
    # PE(0, 0) makes an output in every tile of every layer.
    faults += [parse_fault(f"{site.value}:r0:c0:b7:flip") for site in Site]
    faults += [parse_fault(f"psum:r0:c0:b{workload.config.acc_bits - 1}:{kind}") for kind in ("flip", "sa0", "sa1")]
    fast = Emulator().evaluate(workload, faults)
    plain = Backend.evaluate(Emulator(), workload, faults)
    for fault, one, other in zip(faults, fast, plain, strict=True):
        assert one.accumulators.tolist() == other.accumulators.tolist(), str(fault)
        assert one.activated.tolist() == other.activated.tolist(), str(fault)
    shown = [
        fault
        for fault, one in zip(faults, fast, strict=True)
        if not np.array_equal(one.accumulators, fast[0].accumulators)
    ]
    assert len(shown) >= 6


@pytest.mark.parametrize("channels", [2, 4])
def test_evaluate_is_exact_where_forced_sums_of_channels_pass_24_bits(channels: int) -> None:
    """Under Toeplitz, every input channel may bring a partial sum at the end of its register."""
    rng = np.random.default_rng(channels)
    shape = ConvShape(in_channels=channels, height=4, width=4, out_channels=2, kernel=(1, 1))
    conv = Conv(
        name="c", shape=shape, weights=rng.integers(-128, 128, (2, channels, 1, 1)), bias=np.zeros(2, dtype=int)
    )
    network = Network(
        name="sums",
        ops=(conv, Flatten(name="f")),
        width=8,
        multiplier=EXACT,
        rounding="paper",
        compensated=False,
        config_name=None,
        input_shape=(channels, 4, 4),
        input_table=np.tile(np.arange(256) // 2, (channels, 1)),
        score_scale=1.0,
        source_digest="",
    )
    images = rng.integers(0, 256, (5, channels, 4, 4)).astype(np.uint8)
    workload = Workload(network=network, config=ArrayConfig(rows=4, cols=4), lowering="toeplitz", images=images)
    faults = [parse_fault(f"psum:r0:c0:b{bit}:{kind}") for bit in (22, 23) for kind in ("flip", "sa0", "sa1")]
    plain = Backend.evaluate(Emulator(), workload, faults)
    for fault, one, other in zip(faults, Emulator().evaluate(workload, faults), plain, strict=True):
        assert one.accumulators.tolist() == other.accumulators.tolist(), str(fault)


def test_gemm_refuses_window_of_a_tile_that_is_not_there() -> None:
    """As the reference does."""
    config = ArrayConfig(rows=2, cols=2)
    operands = np.ones((1, 2, 3), dtype=np.int64), np.ones((3, 2), dtype=np.int64)
    fault = parse_fault("weight:r0:c0:b6:sa1@l0:g0:t1:y0+1")
    with pytest.raises(FaultError, match="tile must be between 0 and 0, not 1"):
        Emulator().gemm(config, *operands, fault)
    with pytest.raises(FaultError, match="tile must be between 0 and 0, not 1"):
        reference.gemm(config, operands[0][0], operands[1], fault)


def test_evaluate_does_not_depend_on_blocks_of_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """Images never meet: 7 at a time give what 30 at a time give."""
    workload = shipped_workload("8P", "im2col", 30)
    faults = draw_faults(FaultSpace(config=workload.config), 20, 5)
    together = Emulator().evaluate(workload, faults)
    monkeypatch.setattr("axft_host.backends.emulator._BLOCK", 7)
    apart = Emulator().evaluate(workload, faults)
    for one, other in zip(together, apart, strict=True):
        assert np.array_equal(one.accumulators, other.accumulators)
        assert np.array_equal(one.activated, other.activated)


def test_evaluate_reports_every_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    """Progress adds up to faults x images."""
    workload = shipped_workload("8P", "im2col", 5)
    monkeypatch.setattr("axft_host.backends.emulator._BLOCK", 2)
    done: list[int] = []
    Emulator().evaluate(workload, [None, parse_fault("weight:r0:c0:b6:sa1")], done.append)
    assert sum(done) == 10


def test_evaluate_refuses_window_outside_the_schedule() -> None:
    """A window of a layer that the network does not have is an error before anything runs."""
    with pytest.raises(FaultError, match="layer must be between 0 and 4, not 9"):
        Emulator().evaluate(shipped_workload("8P", "im2col", 1), [parse_fault("weight:r0:c0:b6:sa1@l9:g0:t0:y0+1")])


def test_workload_refuses_network_of_another_configuration() -> None:
    """Integers of one multiplier mean nothing on another."""
    network = quantise(load_float_network("lenet5"), find_preset("8P").config)
    with pytest.raises(ModelError, match=r"is compiled for width 8, multiplier exact.*not for width 8, multiplier 34P"):
        Workload(
            network=network,
            config=find_preset("34P").config,
            lowering="im2col",
            images=np.zeros((1, 1, 28, 28), dtype=np.uint8),
        )


def test_workload_refuses_images_of_another_shape() -> None:
    """The message names both shapes."""
    network = quantise(load_float_network("lenet5"), find_preset("8P").config)
    with pytest.raises(ModelError, match=r"must have the shape \(1, 28, 28\).*not \(3, 32, 32\)"):
        Workload(
            network=network,
            config=find_preset("8P").config,
            lowering="im2col",
            images=np.zeros((1, 3, 32, 32), dtype=np.uint8),
        )
