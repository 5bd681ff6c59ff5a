"""The AXI3 slave in the Amaranth simulator, in front of a memory with holes around it."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from amaranth.hdl import Cat, ResetInserter, Signal
from amaranth.sim import Simulator

from axft_hw.axi.slave import Axi3Slave
from support.axi3_master import FIXED, INCR, OKAY, SLVERR, WRAP, Axi3Master
from support.bus_target import REGIONS, SlaveWithRam
from support.planted_bugs import DEEP_BUGS, planted

RAM = REGIONS[1]
READ_ONLY = REGIONS[3]
HOLE = 0x8_0000

Process = Callable[[Axi3Master], Awaitable[None]]


def simulate(*processes: Process, pauses: int = 0, seed: int = 0, slave: Axi3Slave | None = None) -> None:
    """Run masters side by side, each a process of its own, that pause up to `pauses` cycles before each handshake."""
    dut = SlaveWithRam(slave=slave)
    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    for index, process in enumerate(processes):
        generator = random.Random(seed * 100 + index)

        async def testbench(ctx: Any, process: Process = process, generator: random.Random = generator) -> None:
            await process(Axi3Master(ctx, dut.axi, lambda: generator.choice((0, generator.randint(0, pauses)))))

        simulator.add_testbench(testbench)
    simulator.run()


def numbered(count: int, seed: int = 1) -> list[int]:
    """Return words of which no two are equal."""
    generator = random.Random(seed)
    return [generator.getrandbits(32) for _ in range(count)]


def test_burst_of_every_length_takes_one_cycle_per_beat() -> None:
    """The cycle of every handshake, as the docstring of the slave has it."""

    async def process(master: Axi3Master) -> None:
        await master.tick(2)
        for count in range(1, 17):
            words = numbered(count, count)
            written = await master.write(RAM.start + 64 * count, words)
            start = written.address_cycle
            assert written.beat_cycles == [start + 1 + beat for beat in range(count)]
            assert written.response_cycle == start + count + 2
            assert written.response == OKAY
            read = await master.read(RAM.start + 64 * count, count)
            assert read.address_cycle == written.response_cycle + 1
            assert read.beat_cycles == [read.address_cycle + 4 + beat for beat in range(count)]
            assert read.words == words
            assert read.responses == [OKAY] * count
            assert read.lasts == [0] * (count - 1) + [1]

    simulate(process)


def test_next_burst_is_taken_in_the_cycle_after_the_last_handshake() -> None:
    """Two bursts of 16 beats back to back: 19 cycles each to write, 20 each to read."""

    async def process(master: Axi3Master) -> None:
        await master.tick(2)
        first = await master.write(RAM.start, [0] * 16)
        second = await master.write(RAM.start, [0] * 16)
        assert second.address_cycle - first.address_cycle == 19
        third = await master.read(RAM.start, 16)
        fourth = await master.read(RAM.start, 16)
        assert fourth.address_cycle - third.address_cycle == 20

    simulate(process)


# Byte addresses of the beats, worked out by hand from the AXI specification (ARM IHI 0022E), section A3.4.1.
BURSTS = [
    (INCR, 2, 0x104, [0x104, 0x108, 0x10C]),
    (INCR, 2, 0x107, [0x107, 0x108, 0x10C]),
    (INCR, 1, 0x101, [0x101, 0x102, 0x104, 0x106]),
    (INCR, 0, 0x102, [0x102, 0x103, 0x104, 0x105, 0x106]),
    (INCR, 2, 0x1FC, [0x1FC, 0x200]),
    (FIXED, 2, 0x108, [0x108] * 16),
    (FIXED, 0, 0x10B, [0x10B] * 3),
    (WRAP, 2, 0x108, [0x108, 0x10C, 0x100, 0x104]),
    (WRAP, 2, 0x104, [0x104, 0x100]),
    (WRAP, 2, 0x13C, [0x13C, *range(0x100, 0x13C, 4)]),
    (WRAP, 1, 0x106, [0x106, 0x100, 0x102, 0x104]),
    (WRAP, 0, 0x10D, [0x10D, 0x10E, 0x10F, 0x108, 0x109, 0x10A, 0x10B, 0x10C]),
]


@pytest.mark.parametrize(("burst", "size", "start", "addresses"), BURSTS)
def test_burst_of_every_type_goes_to_its_addresses(burst: int, size: int, start: int, addresses: list[int]) -> None:
    """Each beat writes the word it should, and reads the word it should."""
    words = numbered(len(addresses))
    memory = dict.fromkeys(range(256, 528, 4), 0)
    for address, word in zip(addresses, words, strict=True):
        memory[address & ~3] = word

    async def process(master: Axi3Master) -> None:
        written = await master.write(RAM.start + start, words, size=size, burst=burst)
        assert written.response == OKAY
        for address, word in memory.items():
            assert (await master.read(RAM.start + address)).words == [word]
        read = await master.read(RAM.start + start, len(addresses), size=size, burst=burst)
        assert read.words == [memory[address & ~3] for address in addresses]

    simulate(process)


def test_ids_are_echoed() -> None:
    """Every bit of a 12-bit ID, in both directions."""

    async def process(master: Axi3Master) -> None:
        for identifier in (0, 0xFFF, 0xA5A, *(1 << bit for bit in range(12))):
            assert (await master.write(RAM.start, [1, 2], identifier=identifier)).identifier == identifier
            read = await master.read(RAM.start, 3, identifier=identifier ^ 0xFFF)
            assert read.identifiers == [identifier ^ 0xFFF] * 3

    simulate(process)


def test_strobes_choose_the_bytes() -> None:
    """All 16 patterns in one burst."""

    async def process(master: Axi3Master) -> None:
        await master.write(RAM.start, [0x1122_3344] * 16)
        written = await master.write(RAM.start, [0xAABB_CCDD] * 16, strobes=range(16))
        assert written.response == OKAY
        mixed = (await master.read(RAM.start, 16)).words
        assert mixed[0b0000] == 0x1122_3344
        assert mixed[0b0001] == 0x1122_33DD
        assert mixed[0b1010] == 0xAA22_CC44
        assert mixed[0b1111] == 0xAABB_CCDD
        for pattern, word in enumerate(mixed):
            given = word.to_bytes(4, "little")
            assert [byte in b"\xaa\xbb\xcc\xdd" for byte in given] == [bool(pattern >> lane & 1) for lane in range(4)]

    simulate(process)


def test_hole_is_answered_with_an_error() -> None:
    """No memory, no right to write, a region's end inside a burst: an error where it belongs, guard words intact."""

    async def process(master: Axi3Master) -> None:
        await master.write(RAM.end - 16, [1, 2, 3, 4])
        assert (await master.write(HOLE, [5])).response == SLVERR
        assert (await master.write(READ_ONLY.start, [5, 5])).response == SLVERR
        assert (await master.write(RAM.end - 4, [6, 7])).response == SLVERR
        read = await master.read(RAM.end - 16, 8)
        assert read.words[:4] == [1, 2, 3, 6]
        assert read.responses == [OKAY] * 4 + [SLVERR] * 4
        assert read.lasts == [0] * 7 + [1]
        assert (await master.read(HOLE, 16)).responses == [SLVERR] * 16
        assert (await master.read(READ_ONLY.start, 2)).responses == [OKAY] * 2
        assert (await master.write(RAM.start, [8])).response == OKAY
        assert (await master.read(RAM.start)).words == [8]

    simulate(process)


REFUSED = {
    "8 bytes per beat": (INCR, 3, 0x100, 4),
    "128 bytes per beat": (INCR, 7, 0x100, 16),
    "reserved type": (3, 2, 0x100, 1),
    "wrapping burst of 1": (WRAP, 2, 0x100, 1),
    "wrapping burst of 3": (WRAP, 2, 0x100, 3),
    "wrapping burst of 12": (WRAP, 2, 0x100, 12),
    "unaligned wrapping burst": (WRAP, 2, 0x102, 4),
    "unaligned wrapping burst of halves": (WRAP, 1, 0x101, 2),
}


@pytest.mark.parametrize("name", REFUSED)
def test_forbidden_burst_is_answered_and_changes_nothing(name: str) -> None:
    """What AXI3 forbids takes as many beats as it announces, all in vain."""
    burst, size, start, count = REFUSED[name]

    async def process(master: Axi3Master) -> None:
        await master.write(RAM.start + 0x100, [9] * 16)
        refused = await master.write(RAM.start + start, [0] * count, burst=burst, size=size, identifier=0x123)
        assert (refused.response, refused.identifier) == (SLVERR, 0x123)
        read = await master.read(RAM.start + start, count, burst=burst, size=size, identifier=0x321)
        assert read.responses == [SLVERR] * count
        assert read.words == [0] * count
        assert read.lasts == [0] * (count - 1) + [1]
        assert read.identifiers == [0x321] * count
        assert (await master.read(RAM.start + 0x100, 16)).words == [9] * 16

    simulate(process)


def test_beat_with_another_write_id_is_not_written() -> None:
    """The rest of its burst is, and the burst fails."""

    async def process(master: Axi3Master) -> None:
        await master.write(RAM.start, [9] * 4)
        written = await master.write(RAM.start, [1, 2, 3, 4], identifier=5, wids=[5, 5, 4, 5])
        assert (written.response, written.identifier) == (SLVERR, 5)
        assert (await master.read(RAM.start, 4)).words == [1, 2, 9, 4]
        assert (await master.write(RAM.start, [1])).response == OKAY

    simulate(process)


@pytest.mark.parametrize("lasts", [[0, 1, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1], [0, 0, 1, 1]])
def test_last_at_a_wrong_beat_does_not_change_the_length(lasts: list[int]) -> None:
    """LEN counts; the burst fails."""

    async def process(master: Axi3Master) -> None:
        assert (await master.write(RAM.start, [1, 2, 3, 4], lasts=lasts)).response == SLVERR
        assert (await master.write(RAM.start + 16, [5, 6])).response == OKAY
        assert (await master.read(RAM.start, 6)).words == [1, 2, 3, 4, 5, 6]

    simulate(process)


def wait_and_compare(seed: int, slave: Axi3Slave | None = None) -> None:
    """Pause at random on all five channels: one process writes, another reads behind it what it has written."""
    words = numbered(RAM.words, seed)
    written = 0
    read = 0

    async def writer(master: Axi3Master) -> None:
        nonlocal written
        generator = random.Random(seed)
        while written < RAM.words:
            count = min(generator.randint(1, 16), RAM.words - written)
            done = await master.write(RAM.start + 4 * written, words[written : written + count])
            assert done.response == OKAY
            written += count

    async def reader(master: Axi3Master) -> None:
        nonlocal read
        generator = random.Random(seed)
        while written < RAM.words:
            count = min(generator.randint(1, 16), written)
            if count == 0:
                await master.tick()
                continue
            start = generator.randint(0, written - count)
            done = await master.read(RAM.start + 4 * start, count)
            assert done.words == words[start : start + count]
            assert done.responses == [OKAY] * count
            read += count

    simulate(writer, reader, pauses=6, seed=seed, slave=slave)
    assert read > RAM.words // 2


@pytest.mark.parametrize("seed", range(4))
def test_waiting_master_loses_nothing(seed: int) -> None:
    """Every word arrives once, in order, whoever waits for whom."""
    wait_and_compare(seed)


@pytest.mark.parametrize("name", sorted(DEEP_BUGS))
def test_planted_bug_is_found(name: str) -> None:
    """The bugs too deep for the proofs."""
    with pytest.raises(AssertionError):
        wait_and_compare(0, planted(name))


def test_reads_and_writes_do_not_slow_each_other_down() -> None:
    """Both directions at full speed at the same time, in different memory."""

    async def writer(master: Axi3Master) -> None:
        await master.tick(2)
        cycles = [(await master.write(RAM.start, numbered(16))).address_cycle for _ in range(10)]
        assert cycles == list(range(2, 2 + 190, 19))

    async def reader(master: Axi3Master) -> None:
        await master.tick(2)
        reads = [await master.read(REGIONS[0].start, 16) for _ in range(10)]
        assert [read.address_cycle for read in reads] == list(range(2, 2 + 200, 20))
        assert all(read.words == [0] * 16 for read in reads)

    simulate(writer, reader)


def test_what_was_written_is_read_after_its_answer() -> None:
    """A read that starts in the cycle after B sees the write."""

    async def process(master: Axi3Master) -> None:
        for value in range(20):
            await master.write(RAM.start + 60, [value])
            assert (await master.read(RAM.start + 60)).words == [value]

    simulate(process)


def test_outputs_do_not_follow_inputs_inside_a_cycle() -> None:
    """In every cycle of some traffic, turning all inputs over changes no output of the slave."""
    slave = Axi3Slave()
    dut = SlaveWithRam(slave=slave)
    inputs, outputs = [], []
    for path, member, signal in dut.axi.signature.flatten(dut.axi):
        (inputs if member.flow.name == "In" else outputs).append(signal)
        assert path
    outputs += [slave.bus.write_valid, slave.bus.read_valid, slave.bus.read_address]
    generator = random.Random(0)
    seen = set()

    async def testbench(ctx: Any) -> None:
        for _ in range(1500):
            before = ctx.get(Cat(outputs))
            for _ in range(3):
                for signal in inputs:
                    ctx.set(signal, generator.getrandbits(len(signal)))
                assert ctx.get(Cat(outputs)) == before
            seen.add(before)
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    simulator.add_testbench(testbench)
    simulator.run()
    assert len(seen) > 100


def test_reset_in_the_middle_of_bursts_leaves_a_working_slave() -> None:
    """READY and VALID are low while the reset lasts, and bursts are served after it."""
    reset = Signal()
    dut = SlaveWithRam()

    async def testbench(ctx: Any) -> None:
        axi = dut.axi
        master = Axi3Master(ctx, axi)
        await master.write(RAM.start, [1, 2, 3])
        for cycles in range(8):
            await master.send("ar", id=7, addr=RAM.start, len=15, size=2, burst=INCR)
            await master.send("aw", id=7, addr=RAM.start + 64, len=15, size=2, burst=INCR)
            await master.send("w", id=7, data=4, strb=15, last=0)
            await master.tick(cycles)
            ctx.set(reset, 1)
            await master.tick()
            for _ in range(3):
                assert ctx.get(Cat(axi.awready, axi.wready, axi.bvalid, axi.arready, axi.rvalid)) == 0
                await master.tick()
            ctx.set(reset, 0)
            read = await master.read(RAM.start, 4)
            assert read.words == [1, 2, 3, 0]
            assert (await master.write(RAM.start + 64, [5], identifier=1)).response == OKAY

    simulator = Simulator(ResetInserter(reset)(dut))
    simulator.add_clock(1e-8)
    simulator.add_testbench(testbench)
    simulator.run()
