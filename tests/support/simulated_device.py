"""The bus side and the core in the Amaranth simulator, with a small driver on the local bus.

The driver packs and unpacks words from the texts of the register map alone; it shares no code with the gateware.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In
from amaranth.sim import Simulator, SimulatorContext
from numpy.typing import NDArray

from axft_hw.bus_side import BusSide
from axft_hw.core import Core
from axft_hw.interfaces import BUFFERS
from axft_hw.local_bus import READ_LATENCY, LocalBusSignature
from axft_spec.faults import Fault
from axft_spec.hardware import HardwareConfig
from axft_spec.regmap import ADDRESS_BITS, KIND_CODES, ScanCommand, register, window
from axft_spec.scanmap import ScanMap

Int64 = NDArray[np.int64]


class BusError(Exception):
    """An access was answered with an error."""


class BusTimeoutError(Exception):
    """What was waited for did not come."""


class Device(wiring.Component):
    """Everything but the AXI slave."""

    def __init__(self, hardware: HardwareConfig) -> None:
        self.bus_side = BusSide(hardware)
        self.core = Core(hardware)
        super().__init__({"bus": In(LocalBusSignature(ADDRESS_BITS))})

    def elaborate(self, platform: object) -> Module:
        """Build the logic."""
        m = Module()
        m.submodules.bus = self.bus_side
        m.submodules.core = self.core
        wiring.connect(m, wiring.flipped(self.bus), self.bus_side.bus)
        wiring.connect(m, self.bus_side.control, self.core.control)
        for name in BUFFERS.values():
            wiring.connect(m, getattr(self.bus_side, name), getattr(self.core, name))
        return m


@dataclass(frozen=True)
class Command:
    """The registers TILE_*."""

    activations: int
    weights: int
    steps: int
    rows: int
    cols: int
    result: int
    repeat: int = 0
    first: bool = True
    last: bool = True


class Driver:
    """Registers and windows of a simulated device."""

    def __init__(self, ctx: SimulatorContext, bus: Any, hardware: HardwareConfig) -> None:
        self.ctx = ctx
        self.bus = bus
        self.hardware = hardware
        self.cycle = 0

    async def tick(self, cycles: int = 1) -> None:
        """Let clock cycles pass."""
        for _ in range(cycles):
            await self.ctx.tick()
        self.cycle += cycles

    async def try_write(self, address: int, word: int, strobe: int = 0b1111) -> bool:
        """Write a word; return whether it was taken."""
        ctx, bus = self.ctx, self.bus
        ctx.set(bus.write_valid, 1)
        ctx.set(bus.write_address, address)
        ctx.set(bus.write_data, word)
        ctx.set(bus.write_strobe, strobe)
        error = ctx.get(bus.write_error)
        await self.tick()
        ctx.set(bus.write_valid, 0)
        return not error

    async def write(self, address: int, word: int) -> None:
        """Write a word."""
        if not await self.try_write(address, word):
            raise BusError(f"write to 0x{address:x}")

    async def write_words(self, address: int, words: Iterable[int]) -> None:
        """Write consecutive words, one a cycle."""
        for place, word in enumerate(words):
            await self.write(address + 4 * place, int(word))

    async def try_read(self, address: int) -> int | None:
        """Read a word; None if it was answered with an error."""
        ctx, bus = self.ctx, self.bus
        ctx.set(bus.read_valid, 1)
        ctx.set(bus.read_address, address)
        await self.tick()
        ctx.set(bus.read_valid, 0)
        await self.tick(READ_LATENCY - 1)
        return None if ctx.get(bus.read_error) else int(ctx.get(bus.read_data))

    async def read(self, address: int) -> int:
        """Read a word."""
        word = await self.try_read(address)
        if word is None:
            raise BusError(f"read of 0x{address:x}")
        return word

    async def read_words(self, address: int, count: int) -> list[int]:
        """Read consecutive words, one a cycle."""
        ctx, bus = self.ctx, self.bus
        words = []
        for place in range(count + READ_LATENCY):
            if place >= READ_LATENCY:
                if ctx.get(bus.read_error):
                    raise BusError(f"read of 0x{address + 4 * (place - READ_LATENCY):x}")
                words.append(int(ctx.get(bus.read_data)))
            ctx.set(bus.read_valid, int(place < count))
            ctx.set(bus.read_address, address + 4 * min(place, count - 1))
            await self.tick()
        return words

    async def set(self, name: str, **fields: int) -> None:
        """Write a register by its fields."""
        entry = register(name)
        await self.write(entry.offset, entry.pack(**fields))

    async def get(self, name: str) -> dict[str, int]:
        """Read a register into its fields."""
        entry = register(name)
        return entry.unpack(await self.read(entry.offset))

    async def value(self, name: str) -> int:
        """Read a register with one field."""
        (value,) = (await self.get(name)).values()
        return value

    async def load(self, window_name: str, first_step: int, steps: Int64) -> None:
        """Write operands: one row of `steps` for each step, one column for each lane."""
        hardware = self.hardware
        lanes = hardware.array.rows if window_name == "ACTIVATIONS" else hardware.array.cols
        width = hardware.array.width
        per_word = 32 // width
        stride = 1
        while stride * per_word < lanes:
            stride *= 2
        for number, lane_values in enumerate(steps):
            words = [0] * -(-len(lane_values) // per_word)
            for lane, value in enumerate(lane_values):
                words[lane // per_word] |= (int(value) & (1 << width) - 1) << width * (lane % per_word)
            step = (first_step + number) % hardware.operand_steps
            await self.write_words(window(window_name).offset + 4 * stride * step, words)

    async def start(self, command: Command) -> None:
        """Queue a command."""
        await self.set("TILE_ACTIVATIONS", step=command.activations)
        await self.set("TILE_WEIGHTS", step=command.weights)
        await self.set("TILE_STEPS", steps=command.steps)
        await self.set("TILE_SHAPE", rows=command.rows, cols=command.cols, repeat=command.repeat)
        await self.set("TILE_RESULT", word=command.result)
        await self.set("TILE_START", first=command.first, last=command.last)

    async def wait(self, *, cycles: int = 4000) -> None:
        """Wait until neither the array nor the chain is busy."""
        deadline = self.cycle + cycles
        while self.cycle < deadline:
            status = await self.get("STATUS")
            if not (status["busy"] or status["scan_busy"]):
                return
        raise BusTimeoutError(f"still busy after {cycles} cycles: {status}")

    async def wait_done(self, count: int, *, cycles: int = 4000) -> None:
        """Wait until so many commands are finished."""
        deadline = self.cycle + cycles
        while self.cycle < deadline:
            if await self.value("COMMANDS_DONE") >= count:
                return
        raise BusTimeoutError(f"not {count} commands after {cycles} cycles: {await self.get('STATUS')}")

    async def results(self, word: int, rows: int, cols: int) -> tuple[Int64, int]:
        """Read the partial sums and the activated count of a tile."""
        acc_bits = self.hardware.array.acc_bits
        parts = 2 if acc_bits > 32 else 1
        words = [
            await self.read(window("RESULTS").offset + 4 * ((word + place) % self.hardware.result_words))
            for place in range(rows * cols * parts + 1)
        ]
        bits = 32 * parts
        psums = []
        for place in range(rows * cols):
            value = sum(words[place * parts + part] << 32 * part for part in range(parts))
            psums.append(value - (1 << bits) if value >> bits - 1 else value)
        return np.array(psums, dtype=np.int64).reshape(rows, cols), words[-1]

    async def scan(self, command: ScanCommand) -> None:
        """Run a scan command."""
        await self.set("SCAN_COMMAND", scan_command=command.value)
        await self.wait(cycles=self.hardware.scan_bits + 100)

    async def arm(self, fault: Fault | None) -> None:
        """Arm a fault, or none, and prove that it is there."""
        positions = [] if fault is None else ScanMap(self.hardware).positions(fault.sites)
        await self.arm_positions(positions)
        if fault is None:
            await self.set("FAULT", kind=0)
            return
        await self.set("FAULT", kind=KIND_CODES[fault.kind], window=int(fault.window is not None))
        if fault.window is not None:
            await self.set("WINDOW_FIRST", window_first=fault.window.first_cycle)
            await self.set("WINDOW_CYCLES", window_cycles=fault.window.cycles)

    async def arm_positions(self, positions: Sequence[int]) -> None:
        """Load the chain; read it back."""
        words = scan_words(self.hardware, positions)
        await self.write_words(window("SCAN").offset, words)
        await self.scan(ScanCommand.LOAD)
        await self.write_words(window("SCAN").offset, [0xFFFFFFFF] * len(words))
        await self.scan(ScanCommand.READ)
        assert await self.value("SCAN_ONES") == len(positions)
        if positions:
            assert await self.value("SCAN_FIRST") == min(positions)
        used = -(-self.hardware.scan_bits // 32)
        assert (
            await self.read_words(window("SCAN").offset, len(words))
            == [*words[:used], *[0xFFFFFFFF] * 99][: len(words)]
        )


def scan_words(hardware: HardwareConfig, positions: Iterable[int]) -> list[int]:
    """Return the contents of the scan buffer for armed positions."""
    words = [0] * hardware.scan_words
    for position in positions:
        words[position // 32] |= 1 << position % 32
    return words


def simulate(hardware: HardwareConfig, body: Callable[[Driver], Awaitable[None]]) -> None:
    """Run a test on a fresh device."""
    device = Device(hardware)
    simulator = Simulator(device)
    simulator.add_clock(1e-6)

    async def testbench(ctx: SimulatorContext) -> None:
        await body(Driver(ctx, device.bus, hardware))

    simulator.add_testbench(testbench)
    simulator.run()
