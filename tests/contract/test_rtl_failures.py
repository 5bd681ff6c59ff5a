"""What is said when simulated hardware, or what simulates it, fails."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from axft_host.backends.rtl import SimulatedPort, open_accelerator
from axft_host.device.accelerator import Accelerator, DeviceHangError, DeviceTimeoutError
from axft_host.device.port import BusError, PortTimeoutError, Read, Wait, Write, WriteBlock
from axft_spec import reference
from axft_spec.config import find_preset
from axft_spec.errors import BackendError
from axft_spec.faults import parse_fault
from axft_spec.hardware import HardwareConfig
from axft_spec.regmap import register

pytest.importorskip("amaranth", reason="Amaranth is not installed")
from axft_hw.sim.model import Injection
from axft_hw.sim.simulation import Simulation

HARDWARE = HardwareConfig(array=find_preset("34P").config.resized(2, 3), operand_steps=16)
FOR_EVER = 1 << 40


@pytest.fixture
def device() -> Accelerator:
    """Return a device that nothing is wrong with."""
    return open_accelerator(HARDWARE)


def simulation(device: Accelerator) -> Simulation:
    """Return what simulates a device."""
    assert isinstance(device.port, SimulatedPort)
    assert isinstance(device.port.simulation, Simulation)
    return device.port.simulation


def hold(device: Accelerator, flip_flop: str, mask: int) -> None:
    """Hold bits of a flip-flop at 0 from now on."""
    now = simulation(device).cycle
    simulation(device).state.inject(
        [Injection(name=flip_flop, cycle=now, until=FOR_EVER, mask=mask, operation="clear")]
    )


def check_golden_run(device: Accelerator) -> None:
    """Compare a GEMM of several tiles and chunks with the reference."""
    rng = np.random.default_rng(3)
    activations, weights = rng.integers(-128, 128, (1, 3, 20)), rng.integers(-128, 128, (20, 4))
    psums, _ = device.gemm(HARDWARE.array, activations, weights)
    expected = reference.gemm(HARDWARE.array, activations[0], weights).psums
    np.testing.assert_array_equal(psums[0], expected)


@pytest.mark.parametrize(
    ("flip_flop", "mask"),
    [("core.drain_unit.fsm_state", 0b11), ("core.sequencer.fsm_state", 0b111), ("core.queue.level", 0b111)],
)
def test_hang_is_found_by_the_watchdog_and_reset_heals_it(device: Accelerator, flip_flop: str, mask: int) -> None:
    """Control logic that stands still; the golden run is clean before, and after the reset."""
    check_golden_run(device)
    device.reset()
    hold(device, flip_flop, mask)
    ones = np.ones((1, 2, 4), dtype=np.int64), np.ones((4, 3), dtype=np.int64)
    with pytest.raises(DeviceHangError) as caught:
        device.gemm(HARDWARE.array, *ones)
    first, *dump = str(caught.value).splitlines()
    assert first == (
        f"the word at 0x00058 was 0x00000000, and not 0x1 in its bits 0xffffffff, after {3 * device.watchdog_limit:,} "
        f"clock cycles; registers of the device:"
    )
    shown = [line.split()[1][:-1] for line in dump]
    assert shown[:4] == ["ID", "VERSION", "REGMAP_HASH", "CONFIG_HASH"]
    assert len(shown) == 30
    assert "0x04c EVENTS: hang=0x1, overrun=0x0, scan_clash=0x0" in dump
    assert "0x048 STATUS: busy=0x1, scan_busy=0x0, frozen=0x0, waiting=0x0" in dump
    simulation(device).state.inject(())
    device.reset()
    check_golden_run(device)


def test_scan_controller_that_does_not_end_is_told_and_reset_heals_it(device: Accelerator) -> None:
    """Arming has a deadline as well."""
    check_golden_run(device)
    hold(device, "core.scan.fsm_state", 0b10)
    fault = parse_fault("weight:r0:c0:b7:sa1")
    ones = np.ones((1, 2, 4), dtype=np.int64), np.ones((4, 3), dtype=np.int64)
    with pytest.raises((DeviceHangError, DeviceTimeoutError)):
        device.gemm(HARDWARE.array, *ones, fault)
    simulation(device).state.inject(())
    device.reset()
    check_golden_run(device)
    psums, activated = device.gemm(HARDWARE.array, *ones, fault)
    expected = reference.gemm(HARDWARE.array, ones[0][0], ones[1], fault)
    np.testing.assert_array_equal(psums[0], expected.psums)
    assert int(activated[0]) == expected.activated > 0


def test_error_responses_name_the_address(device: Accelerator) -> None:
    """A hole, a register that cannot be written, the first word beyond a buffer: what was done, and where."""
    port = device.port
    for operation, text in (
        (lambda: port.read32(0x2C), "a read of 0x0002c"),
        (lambda: port.write32(0x2C, 1), "a write to 0x0002c"),
        (lambda: port.write32(register("ID").offset, 1), "a write to 0x00000"),
        (lambda: port.transact([Read(0), Write(register("STATUS").offset, 0)]), "a write to 0x00048"),
        (lambda: port.transact([WriteBlock(0x60000, np.zeros(3, dtype=np.uint32))]), "a write to 0x60000"),
        (lambda: port.transact([Wait(0x2C, 1, 1, 100)]), "a read of 0x0002c"),
        # Of a block, the burst in which it happened: the buffer has 16 words.
        (lambda: port.read_block(0x20000, 40), "a read of 0x20040"),
        (lambda: port.read_block(0x20000 + 4 * 10, 40), "a read of 0x20028"),
    ):
        with pytest.raises(BusError) as caught:
            operation()
        assert str(caught.value) == f"the bus answered {text} with an error response"
    check_golden_run(device)


def test_bus_that_does_not_answer_is_told(device: Accelerator) -> None:
    """A slave that never takes an address: on a board, that freezes the processor."""
    hold(device, "axi.axi__arready", 1)
    with pytest.raises(BackendError) as caught:
        device.port.read32(register("SCRATCH").offset)
    assert str(caught.value) == "the bus did not answer at 0x00040 within 4,097 clock cycles"
    simulation(device).state.inject(())
    assert device.port.read32(register("SCRATCH").offset) == 0


def test_wait_that_takes_too_long_says_what_it_read_last(device: Accelerator) -> None:
    """In hexadecimal, as the register map has it."""
    device.port.write32(register("SCRATCH").offset, 0xABC)
    with pytest.raises(PortTimeoutError) as caught:
        device.port.wait32(register("SCRATCH").offset, 0xFF, 0xBD, 50)
    assert str(caught.value) == (
        "the word at 0x00040 was 0x00000abc, and not 0xbd in its bits 0xff, after 50 clock cycles"
    )
    error = caught.value
    assert (error.offset, error.mask, error.value, error.last) == (0x40, 0xFF, 0xBD, 0xABC)


# What simulates it is missing


def other_hardware(rows: int) -> HardwareConfig:
    """Return a device that nothing else has compiled in this process."""
    return HardwareConfig(array=find_preset("2TE").config.resized(rows, 1), sites=(), operand_steps=16, counter=False)


def test_missing_compiler_is_told_with_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No compiler on the PATH, none in $CC, none from PyPI."""
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "ziglang" else found(name))
    with pytest.raises(BackendError) as caught:
        open_accelerator(other_hardware(1))
    assert str(caught.value) == (
        "no C compiler to compile the RTL model with: looked for $CC, cc, gcc, clang and the Python package ziglang; "
        "`pip install ziglang`, or install your distribution's compiler (Debian: apt install gcc)"
    )


def test_compiler_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the user asks for by name is not replaced by another."""
    monkeypatch.setenv("CC", "no-such-cc -m32")
    with pytest.raises(BackendError) as caught:
        open_accelerator(other_hardware(2))
    assert str(caught.value) == "$CC names the C compiler 'no-such-cc -m32', which is not there; correct or unset it"


class NoAmaranth:
    """Finds that it is not installed."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        """Stand in front of the finders that would find it."""
        if name == "amaranth":
            raise ModuleNotFoundError("No module named 'amaranth'", name=name)


@pytest.fixture
def without_amaranth(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make this a machine without Amaranth."""
    for name in [name for name in sys.modules if name.partition(".")[0] in ("amaranth", "axft_hw")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [NoAmaranth(), *sys.meta_path])
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "axft_hw"]:
        monkeypatch.delitem(sys.modules, name)


@pytest.mark.usefixtures("without_amaranth")
def test_missing_gateware_language_is_told_with_what_to_install() -> None:
    """As on a board, which has no use for it."""
    with pytest.raises(BackendError) as caught:
        open_accelerator(other_hardware(3))
    assert str(caught.value) == (
        "board 'rtl' needs amaranth, which is not installed; on a PC `pip install .` in the directory of axft-hw's "
        "source brings it; allowed here: board 'emu'"
    )
