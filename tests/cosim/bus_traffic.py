"""Traffic for any design with memory behind an AXI port: cocotb tests on the bus model of cocotbext-axi.

The model speaks AXI4; `axi4_shim.v` makes AXI3 of it and adds the WID. Run by `cosim.harness.run_cocotb` with a
`BusMap`. Every test keeps a copy of the memory of its own and compares what it reads with that.
"""

from __future__ import annotations

import itertools
import json
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import Combine, RisingEdge, with_timeout
from cocotbext.axi import AxiBurstType, AxiBus, AxiMaster, AxiResp

from cosim.harness import MAP_VARIABLE, REPORT_VARIABLE

MAP = json.loads(os.environ.get(MAP_VARIABLE) or '{"memory": [], "holes": [], "transactions": 0}')
COUNTERS = ("write_bursts", "read_bursts", "write_beats", "read_beats", "longest_bursts", "stalled_answers", "too_long")
LONGEST = 64
GUARD = 8


class Memory:
    """The expected content of one range, and transfers that are checked against it."""

    def __init__(self, master: AxiMaster, start: int, end: int) -> None:
        self.master = master
        self.start = start
        self.end = end
        self.content = bytearray(end - start)

    async def fill(self, generator: random.Random) -> None:
        """Write random bytes everywhere."""
        await self.write(self.start, generator.randbytes(self.end - self.start))

    async def write(self, address: int, data: bytes, **options: Any) -> None:
        """Write, and remember."""
        answer = await within(self.master.write(address, data, **options))
        assert answer.resp == AxiResp.OKAY, f"write of {len(data)} bytes at {address:#x}: {answer.resp}"
        if options.get("burst") == AxiBurstType.FIXED:
            # Beats of 4 bytes to one word: the last one stays.
            data = data[-4:]
        self.content[address - self.start : address - self.start + len(data)] = data

    async def check(self, address: int, count: int, **options: Any) -> None:
        """Read, and compare."""
        answer = await within(self.master.read(address, count, **options))
        assert answer.resp == AxiResp.OKAY, f"read of {count} bytes at {address:#x}: {answer.resp}"
        expected = bytes(self.content[address - self.start : address - self.start + count])
        if options.get("burst") == AxiBurstType.FIXED:
            expected = bytes(self.content[address - self.start :][:4]) * (count // 4)
        assert bytes(answer.data) == expected, f"read of {count} bytes at {address:#x}"

    async def check_all(self) -> None:
        """Compare the whole range."""
        await self.check(self.start, self.end - self.start)


async def within(transfer: Any) -> Any:
    """Fail, and do not wait for ever, if a transfer gets no answer."""
    return await with_timeout(cocotb.start_soon(transfer), 200, "us")


async def start(dut: Any) -> AxiMaster:
    """Reset the design; return a master that sends bursts of up to 16 beats."""
    cocotb.start_soon(Clock(dut.aclk, 10, "ns").start())
    master = AxiMaster(AxiBus.from_prefix(dut, "s_axi"), dut.aclk, dut.areset, max_burst_len=16)
    dut.areset.value = 1
    for _ in range(4):
        await RisingEdge(dut.aclk)
    dut.areset.value = 0
    for _ in range(3):
        await RisingEdge(dut.aclk)
    return master


def pauses(generator: random.Random) -> Iterator[bool]:
    """Alternate between runs of cycles with mostly idle, mostly busy and no pauses."""
    while True:
        share = generator.choice((0.0, 0.1, 0.5, 0.9))
        for _ in range(generator.randint(1, 40)):
            yield generator.random() < share


def pause_all_channels(master: AxiMaster, generator: random.Random) -> None:
    """Put random idle cycles into AW, W and AR, and random back-pressure on B and R."""
    for channel in (
        master.write_if.aw_channel,
        master.write_if.w_channel,
        master.write_if.b_channel,
        master.read_if.ar_channel,
        master.read_if.r_channel,
    ):
        channel.set_pause_generator(pauses(random.Random(generator.random())))


def finish(dut: Any, name: str) -> None:
    """Add what the shim counted to the report."""
    path = Path(os.environ[REPORT_VARIABLE])
    report = json.loads(path.read_text()) if path.is_file() else {}
    report[name] = {counter: int(getattr(dut, counter).value) for counter in COUNTERS}
    if len(report) > 1:
        # The simulation goes on from test to test, and so do its counters.
        before = [entry for key, entry in report.items() if key != name]
        for counter in COUNTERS:
            report[name][counter] -= sum(entry[counter] for entry in before)
    path.write_text(json.dumps(report))
    assert int(dut.too_long.value) == 0


@cocotb.test()
async def random_traffic(dut: Any) -> None:
    """Random reads and writes of any alignment and length, several at a time, with pauses on all channels."""
    generator = random.Random(cocotb.RANDOM_SEED)
    master = await start(dut)
    pause_all_channels(master, generator)
    memories = []
    # Four slices of each range, each with reads and writes of its own under way.
    for low, high in MAP["memory"]:
        step = (high - low) // 4 & ~3
        memories += [Memory(master, low + step * part, low + step * (part + 1)) for part in range(4)]

    async def work(memory: Memory, seed: float) -> None:
        own = random.Random(seed)
        await memory.fill(own)
        for _ in range(MAP["transactions"] // 4):
            count = min(own.choice((1, 4, own.randint(1, 16), own.randint(1, 80))), memory.end - memory.start)
            address = own.randint(memory.start, memory.end - count)
            identifier = own.choice((None, own.randrange(1 << len(dut.s_axi_awid))))
            size = own.choice((None, None, 0, 1, 2))
            if own.random() < 0.5:
                await memory.write(address, own.randbytes(count), awid=identifier, size=size)
                low = max(memory.start, address - GUARD)
                await memory.check(low, min(memory.end, address + count + GUARD) - low)
            else:
                await memory.check(address, count, arid=identifier, size=size)

    await Combine(*(cocotb.start_soon(work(memory, generator.random())) for memory in memories))
    for memory in memories:
        await memory.check_all()
    finish(dut, "random_traffic")


@cocotb.test()
async def every_length_and_alignment(dut: Any) -> None:
    """Bursts of 1 to 16 beats, every beat size, every alignment of start and end; a fixed burst of each length."""
    generator = random.Random(cocotb.RANDOM_SEED)
    master = await start(dut)
    low, high = MAP["memory"][0]
    memory = Memory(master, low, min(high, low + 256))
    await memory.fill(generator)
    for size, beats, offset in itertools.product((0, 1, 2), range(1, 17), range(4)):
        count = (beats << size) - generator.randrange(1 << size)
        address = low + 32 + offset
        await memory.write(address, generator.randbytes(count), size=size)
        await memory.check(address - GUARD, count + 2 * GUARD)
        await memory.check(address, count, size=size)
    for beats in range(1, 17):
        await memory.write(low + 32, generator.randbytes(4 * beats), burst=AxiBurstType.FIXED)
        await memory.check(low + 32, 4 * beats, burst=AxiBurstType.FIXED)
    await memory.check_all()
    finish(dut, "every_length_and_alignment")


@cocotb.test()
async def every_id(dut: Any) -> None:
    """Each ID once in each direction, several under way; the model takes an answer by its ID alone."""
    generator = random.Random(cocotb.RANDOM_SEED)
    master = await start(dut)
    low, high = MAP["memory"][0]
    words = min(high - low, 64) // 4
    memory = Memory(master, low, low + 4 * words)
    await memory.fill(generator)

    async def work(identifiers: range, word: int) -> None:
        address = low + 4 * word
        for identifier in identifiers:
            await memory.write(address, generator.randbytes(4), awid=identifier)
            await memory.check(address, 4, arid=identifier)

    ids = 1 << len(dut.s_axi_awid)
    await Combine(*(cocotb.start_soon(work(range(first, ids, words), first)) for first in range(words)))
    finish(dut, "every_id")


@cocotb.test()
async def holes_are_answered_with_an_error(dut: Any) -> None:
    """Unmapped reads and writes, also bursts that run out of the memory; what lies beside them stays."""
    generator = random.Random(cocotb.RANDOM_SEED)
    master = await start(dut)
    pause_all_channels(master, generator)
    memories = [Memory(master, low, high) for low, high in MAP["memory"]]
    for memory in memories:
        await memory.fill(generator)
    errors = (AxiResp.SLVERR, AxiResp.DECERR)
    for low, high in MAP["holes"]:
        edges = [low, high - 4, *(generator.randrange(low, high - LONGEST, 4) for _ in range(6))]
        for address in edges:
            count = min(generator.choice((4, 16, LONGEST)), high - address)
            answer = await within(master.write(address, generator.randbytes(count)))
            assert answer.resp in errors, f"write to the hole at {address:#x}: {answer.resp}"
            answer = await within(master.read(address, count))
            assert answer.resp in errors, f"read from the hole at {address:#x}: {answer.resp}"
    hole_starts = {low for low, _ in MAP["holes"]}
    for memory in memories:
        if memory.end in hole_starts and memory.end % 4096:
            answer = await within(master.read(memory.end - 16, 32))
            assert answer.resp in errors
            assert bytes(answer.data[:16]) == bytes(memory.content[-16:])
    for memory in memories:
        await memory.check_all()
    finish(dut, "holes_are_answered_with_an_error")
