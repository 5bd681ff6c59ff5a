"""The accelerator used through cocotbext-axi: registers and windows walked, and GEMMs with faults.

Run by `cosim.harness.run_cocotb`; the variable `HARDWARE_VARIABLE` says which device it is. What a register is comes
from the register map; how operands lie in the windows, and what a driver does, is written here once more.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Sequence
from typing import Any

import cocotb
import numpy as np
from cocotbext.axi import AxiMaster, AxiResp

from axft_spec import reference
from axft_spec.config import find_preset
from axft_spec.faults import Fault, FaultKind, FaultSite, Site
from axft_spec.hardware import HardwareConfig
from axft_spec.regmap import (
    KIND_CODES,
    REGISTERS,
    WINDOWS,
    Access,
    Register,
    ScanCommand,
    register,
    reset_values,
    window,
    window_bytes,
)
from axft_spec.scanmap import ScanMap
from axft_spec.schedule import Window
from cosim.bus_traffic import finish, pause_all_channels, start, within

HARDWARE_VARIABLE = "AXFT_COSIM_HARDWARE"
_GIVEN = os.environ.get(HARDWARE_VARIABLE)
HARDWARE = HardwareConfig.from_json(json.loads(_GIVEN)) if _GIVEN else HardwareConfig(array=find_preset("8P").config)

ACTIONS = ("CONTROL", "TILE_START", "SCAN_COMMAND")


class Bus:
    """Words through the master; every answer is looked at."""

    def __init__(self, master: AxiMaster) -> None:
        self.master = master

    async def read_bytes(self, address: int, count: int) -> bytes:
        """Read, without an error."""
        answer = await within(self.master.read(address, count))
        assert answer.resp == AxiResp.OKAY, f"read of {count} bytes at {address:#x}: {answer.resp}"
        return bytes(answer.data)

    async def write_bytes(self, address: int, data: bytes) -> None:
        """Write, without an error; what is no whole word is written with strobes."""
        answer = await within(self.master.write(address, data))
        assert answer.resp == AxiResp.OKAY, f"write of {len(data)} bytes at {address:#x}: {answer.resp}"

    async def read_words(self, address: int, count: int) -> list[int]:
        """Read words."""
        return [int(word) for word in np.frombuffer(await self.read_bytes(address, 4 * count), dtype="<u4")]

    async def write_words(self, address: int, words: Sequence[int]) -> None:
        """Write words."""
        await self.write_bytes(address, np.array(words, dtype="<u4").tobytes())

    async def read(self, name: str) -> int:
        """Read a register."""
        return (await self.read_words(register(name).offset, 1))[0]

    async def get(self, name: str) -> dict[str, int]:
        """Read a register into its fields."""
        return register(name).unpack(await self.read(name))

    async def set(self, name: str, **fields: int) -> None:
        """Write a register by its fields."""
        await self.write_words(register(name).offset, [register(name).pack(**fields)])

    async def refuses(self, address: int) -> None:
        """Check that a word is answered with an error, in both directions, and shows nothing."""
        answer = await within(self.master.read(address, 4))
        assert (answer.resp, bytes(answer.data)) == (AxiResp.SLVERR, bytes(4)), f"read at {address:#x}: {answer}"
        await self.refuses_write(address)

    async def refuses_write(self, address: int) -> None:
        """Check that a write is answered with an error."""
        answer = await within(self.master.write(address, b"\xff\xff\xff\xff"))
        assert answer.resp == AxiResp.SLVERR, f"write at {address:#x}: {answer.resp}"

    async def idle(self) -> None:
        """Wait until nothing runs."""
        for _ in range(2000):
            status = await self.get("STATUS")
            if not (status["busy"] or status["scan_busy"]):
                return
        raise AssertionError(f"still busy: {status}")

    async def kept(self) -> dict[str, int]:
        """Return what all registers hold that keep what is written."""
        return {entry.name: await self.read(entry.name) & kept_mask(entry) for entry in REGISTERS if kept_mask(entry)}


def kept_mask(entry: Register) -> int:
    """Return the bits of a register that keep what is written."""
    return sum(field.mask for field in entry.fields if field.access is Access.RW)


async def opened(dut: Any) -> tuple[Bus, random.Random]:
    """Reset the device; return a bus that pauses at random on all channels."""
    generator = random.Random(cocotb.RANDOM_SEED)
    master = await start(dut)
    pause_all_channels(master, generator)
    return Bus(master), generator


@cocotb.test()
async def registers_have_their_reset_values(dut: Any) -> None:
    """Every field of every register; what can only be written reads as 0, and so does what is no field."""
    bus, _ = await opened(dut)
    for name, fields in reset_values(HARDWARE).items():
        assert await bus.read(name) == register(name).pack(**fields), name
    finish(dut, "registers_have_their_reset_values")


@cocotb.test()
async def every_address_near_the_registers_is_a_register_or_a_hole(dut: Any) -> None:
    """Word by word until well behind the last one; and what can only be read refuses to be written."""
    bus, _ = await opened(dut)
    before = await bus.kept()
    by_offset = {entry.offset: entry for entry in REGISTERS}
    for address in range(0, 0x200, 4):
        entry = by_offset.get(address)
        if entry is None:
            await bus.refuses(address)
        elif not entry.writable:
            word = await bus.read_words(address, 1)
            await bus.refuses_write(address)
            assert await bus.read_words(address, 1) == word
    assert await bus.kept() == before
    assert await bus.read("STATUS") == await bus.read("EVENTS") == 0
    finish(dut, "every_address_near_the_registers_is_a_register_or_a_hole")


@cocotb.test()
async def fields_keep_what_their_strobes_write(dut: Any) -> None:
    """Bits that are fields keep it, and no other bit of any register changes; byte by byte, and as words."""
    bus, generator = await opened(dut)
    expected = await bus.kept()
    for entry in REGISTERS:
        mask = kept_mask(entry)
        if not mask or entry.name in ACTIONS:
            continue
        for pattern in (0xFFFFFFFF, 0x00000000, 0xA5A5A5A5, generator.getrandbits(32)):
            await bus.write_words(entry.offset, [pattern])
            expected[entry.name] = pattern & mask
            assert await bus.read(entry.name) == expected[entry.name], entry.name
        for first, count in ((0, 1), (1, 1), (2, 1), (3, 1), (0, 3), (1, 2), (2, 2)):
            data = generator.randbytes(count)
            await bus.write_bytes(entry.offset + first, data)
            word = bytearray(expected[entry.name].to_bytes(4, "little"))
            word[first : first + count] = data
            expected[entry.name] = int.from_bytes(word, "little") & mask
            assert await bus.read(entry.name) == expected[entry.name], entry.name
        assert await bus.kept() == expected, entry.name
    # An action of which nothing is asked does nothing; nor does one that resets what runs touch what is kept.
    await bus.set("CONTROL", soft_reset=0)
    await bus.set("SCAN_COMMAND", scan_command=0)
    await bus.set("CONTROL", soft_reset=1)
    assert await bus.kept() == expected
    assert await bus.read("STATUS") == await bus.read("COMMANDS_DONE") == await bus.read("EVENTS") == 0
    for name in ACTIONS:
        assert await bus.read(name) == 0
    finish(dut, "fields_keep_what_their_strobes_write")


@cocotb.test()
async def events_stay_until_a_one_clears_them(dut: Any) -> None:
    """Each event is made to happen; zeros, and ones for the others, leave it."""
    bus, _ = await opened(dut)
    await bus.set("WATCHDOG_LIMIT", watchdog_limit=20)
    # Not the last chunk of its tile: when it is through, the array is frozen and everything else waits for ever.
    await bus.set("TILE_STEPS", steps=2)
    await bus.set("TILE_SHAPE", rows=1, cols=1)
    await bus.set("SCAN_COMMAND", scan_command=ScanCommand.READ)
    await bus.set("SCAN_COMMAND", scan_command=ScanCommand.READ)
    assert (await bus.get("EVENTS"))["scan_clash"] == 1
    # Seven commands behind a long shift: the queue holds four.
    for _ in range(7):
        await bus.set("TILE_START", first=1, last=1)
    events = await bus.get("EVENTS")
    assert events == {"hang": 1, "overrun": 1, "scan_clash": 1}
    await bus.idle()
    await bus.write_words(register("EVENTS").offset, [0])
    assert await bus.get("EVENTS") == events
    for name in events:
        await bus.set("EVENTS", **{name: 1})
        events[name] = 0
        assert await bus.get("EVENTS") == events
    assert await bus.read("COMMANDS_DONE") in (4, 5)
    finish(dut, "events_stay_until_a_one_clears_them")


@cocotb.test()
async def windows_keep_what_the_hardware_stores(dut: Any) -> None:
    """Completely, in bursts of 16 beats; single bytes; nothing beside them changes, and behind the end is nothing."""
    bus, generator = await opened(dut)
    for entry in WINDOWS:
        size = window_bytes(HARDWARE, entry.name)
        await bus.refuses(entry.offset + size)
        if entry.access is Access.R:
            assert not any(await bus.read_bytes(entry.offset, size))
            await bus.refuses_write(entry.offset)
            continue
        mask = stored(entry.name)
        content = bytearray(generator.randbytes(size))
        await bus.write_bytes(entry.offset, bytes(content))
        for _ in range(30):
            count = generator.choice((1, 1, 2, 3, 5, 9))
            place = generator.randrange(size - count)
            content[place : place + count] = data = generator.randbytes(count)
            await bus.write_bytes(entry.offset + place, data)
            low, high = max(place - 8, 0), min(place + count + 8, size)
            found = await bus.read_bytes(entry.offset + low, high - low)
            assert found == masked(content, mask)[low:high], f"{entry.name} at {place}"
        assert await bus.read_bytes(entry.offset, size) == masked(content, mask), entry.name
        # A burst out of the window: what is inside is written, what is outside is an error.
        content[-8:] = data = generator.randbytes(8)
        answer = await within(bus.master.write(entry.offset + size - 8, data + b"\xff" * 8))
        assert answer.resp == AxiResp.SLVERR
        assert await bus.read_bytes(entry.offset, size) == masked(content, mask), entry.name
    finish(dut, "windows_keep_what_the_hardware_stores")


def stored(name: str) -> bytes:
    """Return, for each byte of a window, the bits that the hardware stores; the others read as 0."""
    array = HARDWARE.array
    size = window_bytes(HARDWARE, name)
    if name == "SCAN":
        return b"\xff" * size
    lanes, omitted = (array.rows, array.omit_activation) if name == "ACTIVATIONS" else (array.cols, array.omit_weight)
    kept = (((1 << array.width) - 1) >> omitted << omitted).to_bytes(array.width // 8, "little")
    step = kept * lanes
    return step.ljust(size // HARDWARE.operand_steps, b"\0") * HARDWARE.operand_steps


def masked(content: bytes | bytearray, mask: bytes) -> bytes:
    """Return what is stored of a window's content."""
    return bytes(byte & bits for byte, bits in zip(content, mask, strict=True))


# GEMMs


async def load(bus: Bus, name: str, lanes: np.ndarray, first_step: int) -> None:
    """Write operands, shape (steps, lanes), from a step of a buffer on."""
    step_bytes = window_bytes(HARDWARE, name) // HARDWARE.operand_steps
    kind = f"<i{HARDWARE.array.width // 8}"
    data = b"".join(step.astype(kind).tobytes().ljust(step_bytes, b"\0") for step in lanes)
    await bus.write_bytes(window(name).offset + step_bytes * first_step, data)


async def run_tile(bus: Bus, activations: np.ndarray, weights: np.ndarray, place: int, result: int) -> list[int]:
    """Run one tile from a step of both buffers on, in two chunks; return its words."""
    rows, steps = activations.shape
    cols = weights.shape[1]
    await load(bus, "ACTIVATIONS", activations.T, place)
    await load(bus, "WEIGHTS", weights, place)
    done = await bus.read("COMMANDS_DONE")
    cut = steps // 2
    shape, start_register = register("TILE_SHAPE"), register("TILE_START")
    for first, last, begin, count in ((1, 0, place, cut), (0, 1, place + cut, steps - cut)):
        command = [
            begin,
            begin,
            count,
            shape.pack(rows=rows, cols=cols),
            result,
            start_register.pack(first=first, last=last),
        ]
        await bus.write_words(register("TILE_ACTIVATIONS").offset, command)
    await bus.idle()
    assert await bus.read("COMMANDS_DONE") == done + 2
    return await bus.read_words(window("RESULTS").offset + 4 * result, HARDWARE.tile_words(rows, cols))


async def arm(bus: Bus, fault: Fault | None) -> None:
    """Load the chain, and prove by reading it that it is loaded."""
    await bus.set("FAULT", kind=0)
    if fault is None:
        return
    positions = ScanMap(HARDWARE).positions(fault.sites)
    bits = sum(1 << position for position in positions)
    if len(positions) == 1:
        await bus.set("SCAN_POSITION", scan_position=positions[0])
        await bus.set("SCAN_COMMAND", scan_command=ScanCommand.ARM_ONE)
    else:
        await bus.write_bytes(window("SCAN").offset, bits.to_bytes(4 * HARDWARE.scan_words, "little"))
        await bus.set("SCAN_COMMAND", scan_command=ScanCommand.LOAD)
    await bus.idle()
    await bus.set("SCAN_COMMAND", scan_command=ScanCommand.READ)
    await bus.idle()
    assert await bus.read("SCAN_ONES") == len(positions)
    assert await bus.read("SCAN_FIRST") == min(positions)
    used = -(-HARDWARE.scan_bits // 32)
    shown = await bus.read_bytes(window("SCAN").offset, 4 * used)
    assert int.from_bytes(shown, "little") == bits
    if fault.window is not None:
        await bus.set("WINDOW_FIRST", window_first=fault.window.first_cycle)
        await bus.set("WINDOW_CYCLES", window_cycles=fault.window.cycles)
    await bus.set("FAULT", kind=KIND_CODES[fault.kind], window=int(fault.window is not None))


async def observe(bus: Bus, armed: FaultSite) -> None:
    """Have the activations of one bit counted."""
    offset = ScanMap(HARDWARE).pe_offset(armed)
    assert offset is not None
    await bus.set("OBSERVE", row=armed.row, col=armed.col, bit=offset, only_bit=1, on=1)


@cocotb.test()
async def gemms_with_faults_equal_the_reference(dut: Any) -> None:
    """Compare sums and activations: golden runs, one bit of every site, a window, several bits."""
    bus, generator = await opened(dut)
    array = HARDWARE.array
    values = np.random.default_rng(generator.getrandbits(32))
    low, high = -(1 << array.width - 1), 1 << array.width - 1
    faults: list[Fault | None] = [None]
    for site in HARDWARE.sites:
        row, col = generator.randrange(array.rows), generator.randrange(array.cols)
        armed = FaultSite(site, row, col, generator.choice(HARDWARE.site_range(site)))
        faults.append(Fault(generator.choice(list(FaultKind)), (armed,)))
    top = HARDWARE.site_range(Site.WEIGHT)[-1]
    window_of_pe = Window(layer=0, gemm=0, tile=0, first_cycle=4, cycles=3)
    faults.append(Fault(FaultKind.FLIP, (FaultSite(Site.WEIGHT, 1, 2, top),), window_of_pe))
    several = (FaultSite(Site.WEIGHT, 0, 1, top), FaultSite(Site.WEIGHT, 0, 1, top - 1), FaultSite(Site.PSUM, 2, 0, 9))
    faults.append(Fault(FaultKind.FLIP, several))
    faults.append(None)
    activated = 0
    for number, fault in enumerate(faults):
        activations = values.integers(low, high, (array.rows, 6))
        weights = values.integers(low, high, (6, array.cols))
        await arm(bus, fault)
        expected = reference.gemm(array, activations, weights, fault)
        counted = 0
        # The counter counts for one bit at a time.
        observed: tuple[FaultSite | None, ...] = (None,) if fault is None else fault.sites
        for each in observed:
            if each is not None:
                await observe(bus, each)
            words = await run_tile(bus, activations, weights, 2 + number % 3, 100 * (number % 4))
            counted += words[-1] if each is not None else 0
            kind = "<i8" if HARDWARE.psum_words == 2 else "<i4"
            psums = np.array(words[:-1], dtype="<u4").view(kind).reshape(array.rows, array.cols)
            np.testing.assert_array_equal(psums, expected.psums, err_msg=str(fault))
        assert counted == expected.activated, fault
        activated += counted
    assert activated > 0
    assert await bus.read("EVENTS") == 0
    finish(dut, "gemms_with_faults_equal_the_reference")
