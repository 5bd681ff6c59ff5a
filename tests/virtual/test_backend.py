"""The backend `pynq` on a virtual board: what every backend must do, and what only a board has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from weakref import WeakSet

import numpy as np
import pytest

from axft_host.backends import overlay
from axft_host.backends.base import RunEnd, Workload
from axft_host.backends.emulator import Emulator
from axft_host.backends.pynq import PynqBackend
from axft_host.backends.registry import Board, open_backend
from axft_host.campaign.options import CampaignOptions, FaultOptions
from axft_host.campaign.plan import plan_campaign
from axft_host.campaign.workload import WorkloadOptions, prepare
from axft_host.device.recovery import RecoveryError
from axft_host.testing.virtual_bitstream import write_virtual_overlay
from axft_host.testing.virtual_zynq import virtual_zynq
from axft_hw.build.hwh import hwh
from axft_spec.config import find_preset
from axft_spec.errors import BackendError, FaultError
from axft_spec.faults import Fault, Site, parse_fault
from axft_spec.hardware import HardwareConfig
from support.golden import Vector, vectors
from support.virtual_board import needs_pynq, rtl_port

needs_pynq()

CONFIG = find_preset("34P").config.resized(4, 4)
ONES = np.ones((1, 4, 4), dtype=np.int64), np.ones((4, 4), dtype=np.int64)


@pytest.fixture(scope="module")
def overlays(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with an overlay for every golden vector's device."""
    directory = tmp_path_factory.mktemp("overlays")
    hardware = {HardwareConfig(array=vector.config.resized(*_device_of(vector))) for vector in vectors()}
    for number, each in enumerate(sorted(hardware, key=str)):
        write_virtual_overlay(directory / str(number), each, hwh(each))
    return directory


def _device_of(vector: Vector) -> tuple[int, int]:
    return vector.physical or (vector.config.rows, vector.config.cols)


@pytest.fixture(scope="module")
def zynq(overlays: Path) -> Iterator[Any]:
    """Return one virtual device for all vectors: overlays are loaded one after another, as on a board."""
    pytest.importorskip("pynq")
    with virtual_zynq(rtl_port) as found:
        yield found


@pytest.mark.parametrize("vector", sorted(vectors(), key=lambda each: (str(each.config), str(each.physical))), ids=str)
def test_gemm_meets_golden_vector(vector: Vector, zynq: Any, overlays: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Psums and activations, for every image of a batch alike; the device may be smaller than the logical array."""
    monkeypatch.setenv("AXFT_BITSTREAMS", str(overlays))
    backend = open_backend(Board(name="pynq", physical=_device_of(vector)))
    batch = np.stack([vector.activations] * 2)
    result = backend.gemm(vector.config, batch, vector.weights, vector.fault, layer=vector.layer, gemm=vector.gemm)
    assert result.psums.tolist() == [vector.psums.tolist()] * 2
    assert result.activated.tolist() == [vector.activated] * 2


def test_fault_outside_the_array_is_refused(device: Any) -> None:
    """Before anything runs."""
    with pytest.raises(FaultError, match="row must be between 0 and 3"):
        open_backend("pynq").gemm(CONFIG, *ONES, parse_fault("weight:r4:c0:b0:sa1"))


def test_device_says_what_was_loaded(device: Any) -> None:
    """The bitstream by its digest, the clock as read back, and that the board is virtual."""
    backend = PynqBackend()
    assert backend.device() is None
    backend.gemm(CONFIG, *ONES)
    found = backend.device()
    assert found is not None
    assert (found["bitstream"], found["clock_mhz"], found["pynq_device"]) == ("axft_34P.bit", 100.0, "virtual Zynq")
    assert len(found["bitstream_sha256"]) == 64
    assert found["hardware"]["array"]["rows"] == 4
    assert backend.accelerator(CONFIG).port.simulated


def test_overlay_is_loaded_once_and_again_when_another_was(device: Any) -> None:
    """Two backends of a process share it; one for another configuration takes the fabric away from both."""
    first, second = PynqBackend(), PynqBackend()
    for backend in (first, second, first):
        backend.gemm(CONFIG, *ONES)
    assert device.downloads == 1
    exact = find_preset("8P").config.resized(4, 4)
    assert second.gemm(exact, *ONES).psums.tolist() == [[[4] * 4] * 4]
    assert device.downloads == 2
    assert first.gemm(CONFIG, *ONES).psums.tolist() == [[[0] * 4] * 4]
    assert device.downloads == 3


@pytest.fixture(scope="module")
def workload() -> Workload:
    """Return the shipped network on one image."""
    return prepare(WorkloadOptions(config="34P", images=1)).workload


FAULTS: list[Fault | None] = [None, parse_fault("weight:r1:c0:b6:flip"), parse_fault("psum:r9:c3:b20:sa1")]


def test_network_under_faults_is_the_same_as_on_the_emulator(device: Any, workload: Workload) -> None:
    """Folded from 28x28 to 4x4."""
    found = open_backend("pynq").evaluate(workload, FAULTS)
    for mine, theirs in zip(found, Emulator().evaluate(workload, FAULTS), strict=True):
        assert mine.accumulators.tolist() == theirs.accumulators.tolist()
        assert mine.activated.tolist() == theirs.activated.tolist()
        assert (mine.end, mine.recoveries) == (RunEnd.COMPLETE, ())


def test_device_that_hangs_for_good_comes_back_by_loading_again(device: Any, workload: Workload) -> None:
    """A soft reset does not help a sequencer that stands still; the fault is run again, and its result counts."""
    backend = PynqBackend()
    accesses = 0

    def hang(offset: int, words: int) -> None:
        nonlocal accesses
        accesses += 1
        if accesses == 3000:
            device.port.simulation.hold("core.sequencer.fsm_state", 0, "stuck_at_0", 0)
            device.port.simulation.hold("core.sequencer.fsm_state", 1, "stuck_at_0", 0)

    backend.gemm(CONFIG, *ONES)
    device.mishaps.before_access = hang
    (found,) = backend.evaluate(workload, FAULTS[1:2])
    (expected,) = Emulator().evaluate(workload, FAULTS[1:2])
    assert accesses > 3000
    assert found.accumulators.tolist() == expected.accumulators.tolist()
    assert [each.rung for each in found.recoveries] == ["reload"]
    assert device.downloads == 2


def test_board_that_does_not_come_back_is_no_outcome(device: Any, workload: Workload) -> None:
    """An address that nothing answers, even after loading again: the campaign ends, and says what was tried."""
    backend = PynqBackend()
    backend.gemm(CONFIG, *ONES)
    device.mishaps.unanswered = {0x58}
    with pytest.raises(RecoveryError, match=r"nothing answers at 0x00058.*tried: soft reset .*, reload"):
        backend.evaluate(workload, FAULTS[1:2])


def test_named_bitstream_of_another_configuration_is_never_loaded(device: Any, tmp_path: Path) -> None:
    """Its manifest is enough to know."""
    hardware = HardwareConfig(array=find_preset("8P").config.resized(2, 2))
    bit = write_virtual_overlay(tmp_path / "8P", hardware, hwh(hardware))
    backend = open_backend(Board(name="pynq", bitstream=bit))
    with pytest.raises(BackendError, match=r"is width 8, multiplier exact, .* not width 8, multiplier 34P"):
        backend.gemm(CONFIG, *ONES)
    assert device.downloads == 0
    (bit.parent / "manifest.json").unlink()
    backend = open_backend(Board(name="pynq", bitstream=bit))
    with pytest.raises(BackendError, match=r"multiplier \(omit_a, omit_b, vbreak\) of the device is \(0, 0, 0\)"):
        backend.gemm(CONFIG, *ONES)


def test_board_that_was_closed_is_loaded_again(device: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process may have had it since; the lock is let go with the last backend of this one."""
    released: list[int] = []
    monkeypatch.setattr("axft_host.backends.pynq.release", lambda: released.append(device.downloads))
    monkeypatch.setattr("axft_host.backends.pynq._users", WeakSet())
    first, second = PynqBackend(), PynqBackend()
    for backend in (first, second):
        backend.gemm(CONFIG, *ONES)
    first.close()
    second.gemm(CONFIG, *ONES)
    assert (released, device.downloads) == ([], 1)
    second.close()
    assert released == [1]
    assert second.device() is not None
    second.gemm(CONFIG, *ONES)
    assert device.downloads == 2
    second.close()
    assert released == [1, 2]


def test_board_is_free_when_its_campaign_is_over(device: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For another process of the same machine, while this one lives on."""
    held: list[Any] = []
    monkeypatch.setattr(overlay, "_lock_path", lambda: tmp_path / "lock")
    monkeypatch.setattr(overlay, "_claims", held)
    monkeypatch.setattr(type(device), "virtual", False)
    monkeypatch.setattr("axft_host.backends.pynq._users", WeakSet())
    backend = PynqBackend()
    backend.gemm(CONFIG, *ONES)
    assert len(held) == 1
    backend.close()
    assert not held


def test_registers_must_hold_their_reset_values_on_a_device_just_configured(device: Any) -> None:
    """And need not once anybody has used it."""
    seen: list[bool] = []

    def spy(accelerator: Any, *, fresh: bool) -> Iterator[Any]:
        seen.append(fresh)
        yield from ()

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("axft_host.backends.on_device.examine", spy)
        patched.setattr("axft_host.backends.pynq._users", WeakSet())
        first, second = PynqBackend(), PynqBackend()
        list(first.examine(CONFIG))
        list(first.examine(CONFIG))
        list(second.examine(CONFIG))
        list(second.examine(find_preset("8P").config.resized(4, 4)))
        first._reload(CONFIG)
        list(first.examine(CONFIG))
        first.close()
        second.close()
        list(first.examine(CONFIG))
    assert seen == [True, False, False, True, False, True]


def test_campaign_loads_the_bitstream_with_the_sites_of_its_faults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two of the same size; and who is given the wrong one is told what to do."""
    paths = {}
    for name, site in (("a", Site.WEIGHT), ("b", Site.PSUM)):
        hardware = HardwareConfig(array=CONFIG, sites=(site,))
        paths[site] = write_virtual_overlay(tmp_path / name, hardware, hwh(hardware), f"axft_{name}")
    monkeypatch.setenv("AXFT_BITSTREAMS", str(tmp_path))
    options = CampaignOptions(
        board="pynq",
        workload=WorkloadOptions(config="34P", images=1),
        faults=FaultOptions(site="psum", faults=2, seed=1),
    )
    with virtual_zynq(rtl_port):
        plan = plan_campaign(options)
        backend = open_backend(plan.board)
        assert isinstance(backend, PynqBackend)
        assert backend.files(plan.prepared.workload.config).path == paths[Site.PSUM]
        named = PynqBackend(bitstream=paths[Site.WEIGHT])
        with pytest.raises(
            FaultError,
            match=r"no site psum; allowed: weight; .* axft_a\.bit: name .* `axft-hw serve --board pynq --bitstream F`",
        ):
            named.evaluate(plan.prepared.workload, plan.faults.faults)
