"""What an examination finds on a device without a fault, and on devices with one planted in each part."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
import pytest

pytest.importorskip("amaranth", reason="Amaranth is not installed")

from axft_host.backends.rtl import open_accelerator
from axft_host.device.accelerator import Accelerator
from axft_host.device.examination import Finding, State, examine
from axft_host.device.examination.buffers import result_buffer, writable_buffers
from axft_host.device.examination.registers import error_answers, identity, register_bits, register_values
from axft_host.device.examination.speed import clock
from axft_host.device.examination.watchdog import watchdog
from axft_spec.config import find_preset
from axft_spec.errors import BackendError
from axft_spec.hardware import HardwareConfig
from axft_spec.regmap import REGISTERS, register, window
from support.broken_port import BrokenPort
from support.mutations import MUTATIONS, break_scan_chain, mutant, netlist_of

HARDWARE = HardwareConfig(array=find_preset("34P").config.resized(3, 2), operand_steps=16)

#: Rows of a whole examination of a device with all sites.
ROWS = [
    *("identity", "register values", "clock", "register bits", "error answers"),
    *("buffer activations", "buffer weights", "buffer scan", "buffer results", "scan chain", "GEMM"),
    *("fault weight", "fault activation", "fault weight_operand", "fault activation_operand", "fault product"),
    *("fault psum", "watchdog", "words single write", "words single read", "words block write", "words block read"),
]


@lru_cache(maxsize=1)
def netlist() -> str:
    """Return the netlist of the device."""
    return netlist_of(HARDWARE)


@pytest.fixture
def device() -> Accelerator:
    """Return a device as after power-up."""
    return open_accelerator(HARDWARE)


def broken(device: Accelerator, **how: Any) -> Accelerator:
    """Return the driver of the same device behind a broken port."""
    return Accelerator(BrokenPort(device.port, **how), HARDWARE)


def failures(findings: Iterator[Finding]) -> dict[str, str]:
    """Return the texts of what has failed, by name; each has a hint."""
    failed = {each.name: each for each in findings if each.state is State.FAIL}
    assert all(each.hint for each in failed.values())
    return {name: each.text for name, each in failed.items()}


def test_device_without_a_fault_passes_everything(device: Accelerator) -> None:
    """All rows, in order; a simulated clock is the only one that there is nothing to say about."""
    found = list(examine(device, fresh=True))
    assert [each.name for each in found] == ROWS
    assert {each.name for each in found if each.state is not State.PASS} == {"clock"}
    rates = {each.name: each.figures for each in found if each.name.startswith("words")}
    assert len(rates) == 4
    assert all(rate["words_per_second"] > 0 for rate in rates.values())


def test_device_can_be_examined_again(device: Accelerator) -> None:
    """The first examination leaves nothing behind that the second would take for a fault."""
    assert failures(examine(device, fresh=True)) == {}
    assert failures(examine(device)) == {}


def test_every_bit_of_every_register_is_walked(device: Accelerator) -> None:
    """A bit that is stuck is found whatever register it is in, and which way it is stuck."""
    declared = [
        (entry, bit)
        for entry in REGISTERS
        for field in entry.fields
        if field.access.value == "RW"
        for bit in range(field.low, field.low + field.bits)
    ]
    assert len(declared) == 265
    # The limit of the watchdog is used by what runs in between.
    for entry, bit in declared[::13]:
        for value in (0, 1):

            def stuck(offset: int, word: int, entry: Any = entry, bit: int = bit, value: int = value) -> int:
                return word & ~(1 << bit) | value << bit if offset == entry.offset else word

            text = failures(register_bits(broken(device, reading=stuck)))["register bits"]
            assert f"{entry.name} (0x{entry.offset:03x}) bit {bit} reads {value}" in text


@pytest.mark.parametrize("entry", [entry for entry in REGISTERS if entry.offset < 0x2C], ids=lambda each: each.name)
def test_wrong_identity_is_found(device: Accelerator, entry: Any) -> None:
    """Each register that says what the device is, changed after the driver has looked at it."""
    port = BrokenPort(device.port)
    accelerator = Accelerator(port, HARDWARE)
    port.reading = lambda offset, word: word ^ 0x100 if offset == entry.offset else word
    assert f"{entry.name} holds 0x" in failures(identity(accelerator))["identity"]


def test_register_that_another_one_shadows_is_found(device: Accelerator) -> None:
    """An address line that is stuck makes one register of two."""
    first, second = register("WINDOW_FIRST").offset, register("WINDOW_CYCLES").offset

    class OneRegister(BrokenPort):
        def read32(self, offset: int) -> int:
            return self.port.read32(first if offset == second else offset)

        def write32(self, offset: int, value: int) -> None:
            self.port.write32(first if offset == second else offset, value)

    text = failures(register_bits(Accelerator(OneRegister(device.port), HARDWARE)))["register bits"]
    assert "WINDOW_FIRST (0x0c4) holds" in text


@pytest.mark.parametrize("name", ["ACTIVATIONS", "WEIGHTS", "SCAN"])
@pytest.mark.parametrize("value", [0, 1])
def test_broken_buffer_bit_is_found_and_named(device: Accelerator, name: str, value: int) -> None:
    """One bit of one word, in the first lane of the buffer."""
    place, bit = 3, 7
    offset = window(name).offset + 4 * place

    def stuck(asked: int, word: int) -> int:
        return word & ~(1 << bit) | value << bit if asked == offset else word

    text = failures(writable_buffers(broken(device, reading=stuck)))[f"buffer {name.lower()}"]
    assert text.endswith(f"bit {bit} of word {place} (0x{offset:05x}) always reads {value}")
    assert text.startswith("1 of ")


@pytest.mark.parametrize("value", [0, 1])
@pytest.mark.parametrize("bit", [6, 9, 31])
def test_result_buffer_bit_that_is_stuck_is_found(device: Accelerator, bit: int, value: int) -> None:
    """The bus cannot write this buffer, so that the array has to."""
    offset = window("RESULTS").offset + 4 * 5

    def stuck(asked: int, word: int) -> int:
        return word & ~(1 << bit) | value << bit if asked == offset else word

    assert "buffer results" in failures(result_buffer(broken(device, reading=stuck)))


def test_buffer_that_is_too_small_is_found(device: Accelerator) -> None:
    """Its addresses wrap: two words are one."""
    base, words = window("SCAN").offset, HARDWARE.scan_words

    class Wrapped(BrokenPort):
        def write_block(self, offset: int, data: np.ndarray) -> None:
            if offset == base and len(data) == words:
                data = np.concatenate([data[words // 2 :]] * 2)
            self.port.write_block(offset, data)

    text = failures(writable_buffers(Accelerator(Wrapped(device.port), HARDWARE)))["buffer scan"]
    assert text.startswith(f"{words // 2} of {words} words differ; no bit is stuck, so that addresses are suspect")


@pytest.mark.parametrize("offset", [0x02C, 0x01000, register("SCRATCH").offset, window("SCAN").offset])
def test_unanswered_address_is_found_and_ends_the_check(device: Accelerator, offset: int) -> None:
    """Wherever it is: among the registers, in a hole, in a window. Everything else still has its row."""
    found = list(examine(broken(device, dead=[offset])))
    failed = {each.name: each.text for each in found if each.state is State.FAIL}
    assert any("did not answer at 0x" in text for text in failed.values())
    # Whatever one check was stopped by, the next one was made: the device itself is well.
    assert {"identity", "clock", "register bits", "buffer results", "watchdog"} <= {each.name for each in found}
    assert State.SKIPPED not in {each.state for each in found}


def test_device_that_stops_answering_is_skipped_from_there_on(device: Accelerator) -> None:
    """One row says that it has failed, those behind it that they were not looked at."""
    port = BrokenPort(device.port)
    found = []
    for each in examine(Accelerator(port, HARDWARE)):
        found.append(each)
        if each.name == "register bits":
            port.silent = True
    after = found[[each.name for each in found].index("register bits") + 1 :]
    assert [each.state for each in after] == [State.SKIPPED] * len(after)
    assert {each.text for each in after} == {"the device does not answer any more"}


def test_error_that_is_accepted_is_found(device: Accelerator) -> None:
    """A slave that takes writes to registers that can only be read."""

    class Polite(BrokenPort):
        def write32(self, offset: int, value: int) -> None:
            if offset != register("ID").offset:
                self.port.write32(offset, value)

    (finding,) = error_answers(Accelerator(Polite(device.port), HARDWARE))
    assert finding.state is State.FAIL
    assert finding.text == "write of ID (0x00000) is accepted"


def test_errors_are_not_asked_for_where_they_would_end_the_program(device: Accelerator) -> None:
    """Nothing but listed addresses is touched then."""
    asked: list[int] = []

    def note(offset: int, word: int) -> int:
        asked.append(offset)
        return word

    port = BrokenPort(device.port, reading=note, writing=note, reports_errors=False)
    found = {each.name: each for each in examine(Accelerator(port, HARDWARE))}
    assert found["error answers"].state is State.SKIPPED
    listed = {entry.offset for entry in REGISTERS}
    assert {offset for offset in asked if offset < 0x20000} <= listed
    sizes = {"ACTIVATIONS": 64, "WEIGHTS": 64, "RESULTS": 4096, "SCAN": 4 * HARDWARE.scan_words}
    for name, size in sizes.items():
        start = window(name).offset
        assert all(offset < start + size for offset in asked if start <= offset < start + 0x20000)


def test_values_behind_a_soft_reset_are_checked(device: Accelerator) -> None:
    """A counter that a soft reset does not clear."""
    done = register("COMMANDS_DONE").offset

    def counted(offset: int, word: int) -> int:
        return word + 3 if offset == done else word

    (finding,) = register_values(broken(device, reading=counted), fresh=False)
    assert finding.text == "COMMANDS_DONE reads 0x00000003 behind a soft reset"
    assert finding.state is State.FAIL


def test_used_registers_are_wrong_only_on_a_fresh_device(device: Accelerator) -> None:
    """Nobody can tell otherwise what somebody has written."""
    device.port.write32(register("SCRATCH").offset, 1)
    (used,) = register_values(device, fresh=False)
    assert used.state is State.PASS
    assert used.text.endswith("1 hold what was written earlier")
    (wrong,) = register_values(device, fresh=True)
    assert wrong.text == "SCRATCH reads 0x00000001 instead of its reset value"


@pytest.mark.parametrize("how", ["stuck at 0", "stuck at 1"])
def test_stuck_scan_cell_is_found_and_located(how: str) -> None:
    """By what faults do, since all bits leave the chain at one end."""
    position = HARDWARE.scan_bits // 2
    device = mutant(HARDWARE, netlist(), lambda each: break_scan_chain(each, HARDWARE, position, how))
    found = failures(examine(device, fresh=True))
    assert list(found) == ["scan chain"]
    place = device.scan_map.site_at(position)
    assert found["scan chain"].endswith(f"the first bit that cannot be armed is {place}, position {position}")


@pytest.mark.parametrize("name", ["skew of a row", "drain", "partial product", "stall"])
def test_wrong_arithmetic_is_found(name: str) -> None:
    """Bugs in the netlist that every GEMM can meet."""
    device = mutant(HARDWARE, netlist(), lambda each: MUTATIONS[name](each, HARDWARE))
    assert "GEMM" in failures(examine(device))


def test_watchdog_that_never_fires_is_found(device: Accelerator) -> None:
    """Its limit does not arrive."""
    limit = register("WATCHDOG_LIMIT").offset

    def lost(offset: int, word: int) -> int:
        return 0 if offset == limit and word == 4 else word

    assert failures(watchdog(broken(device, writing=lost)))["watchdog"].startswith("does not fire: a tile of 8 steps")


# The clock: a simulated one stands still while nobody asks, so that these count with the time that they are told


class Ticking(BrokenPort):
    """A device whose ARRAY_CYCLES counts the time."""

    def __init__(self, device: Accelerator, hz: float, **how: Any) -> None:
        super().__init__(device.port, **how)
        self.hz, self.time = hz, 0.0

    def now(self) -> float:
        """Return the time; asking takes some."""
        self.time += 15e-6
        return self.time

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.time += seconds

    def read32(self, offset: int) -> int:
        """See `Port`."""
        if offset == register("ARRAY_CYCLES").offset:
            # So that it passes 2**32 on the way.
            return (int(self.time * self.hz) + 0xFFFFFF00) & 0xFFFFFFFF
        return super().read32(offset)


@pytest.mark.parametrize("hz", [99e6, 100e6, 101.5e6])
def test_right_clock_passes(device: Accelerator, hz: float) -> None:
    """Within what can be measured."""
    port = Ticking(device, hz, clock_hz=100e6)
    (finding,) = clock(Accelerator(port, HARDWARE), now=port.now, sleep=port.sleep)
    assert finding.state is State.PASS
    assert finding.figures["clock_hz"] == pytest.approx(hz, rel=1e-3)


@pytest.mark.parametrize("hz", [0.0, 50e6, 95e6, 142e6])
def test_wrong_clock_is_found(device: Accelerator, hz: float) -> None:
    """Slow, fast, or standing still, whatever was read back."""
    port = Ticking(device, hz, clock_hz=100e6)
    (finding,) = clock(Accelerator(port, HARDWARE), now=port.now, sleep=port.sleep)
    assert finding.state is State.FAIL
    assert finding.text.startswith(f"{hz / 1e6:.2f} MHz by ARRAY_CYCLES")


def test_array_is_busy_while_its_clock_is_measured(device: Accelerator) -> None:
    """The command that is used runs for longer than anybody waits, and counts nearly every cycle."""
    simulated: Any = device.port
    counter = register("ARRAY_CYCLES").offset
    seen: list[tuple[int, int]] = []

    def let_run(seconds: float) -> None:
        for _ in range(40000):
            device.port.read32(counter)

    class Watched(BrokenPort):
        def read32(self, offset: int) -> int:
            word = super().read32(offset)
            if offset == counter:
                seen.append((simulated.simulation.cycle, word))
            return word

    list(clock(Accelerator(Watched(device.port, clock_hz=100e6), HARDWARE), sleep=let_run))
    (start, first), (end, last) = seen
    assert end - start > 2 * 0xFFFF
    assert (last - first) / (end - start) == pytest.approx(1, abs=1e-3)
    assert device.gemm(HARDWARE.array, np.ones((1, 1, 1), dtype=np.int64), np.ones((1, 1), dtype=np.int64))


def test_driver_that_breaks_is_a_finding_too(device: Accelerator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing ends in a traceback."""

    def break_down(*arguments: object) -> None:
        raise ZeroDivisionError("planted")

    monkeypatch.setattr(device, "gemm", break_down)
    text = failures(examine(device))["buffer results"]
    assert text == "unexpected ZeroDivisionError: planted"


def test_device_that_is_another_one_is_refused_before() -> None:
    """The driver says so; an examination needs a driver."""
    device = open_accelerator(HARDWARE)
    with pytest.raises(BackendError, match="register map of the device"):
        Accelerator(
            BrokenPort(
                device.port,
                reading=lambda offset, word: word ^ 1 if offset == register("REGMAP_HASH").offset else word,
            ),
            HARDWARE,
        )
