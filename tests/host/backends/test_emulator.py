"""The emulator's fast path against the plain path: every GEMM of every layer, on the shipped network."""

from __future__ import annotations

import numpy as np
import pytest

from axft_host.backends.base import Backend, Workload
from axft_host.backends.emulator import Emulator
from axft_host.nn.datasets import load_dataset
from axft_host.nn.library import load_float_network
from axft_host.nn.quantise import quantise
from axft_spec.config import find_preset
from axft_spec.errors import FaultError, ModelError
from axft_spec.faults import FaultKind, FaultSpace, Site, draw_faults, parse_fault
from axft_spec.lowering import LOWERINGS


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
