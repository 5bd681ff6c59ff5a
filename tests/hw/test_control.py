"""Queue, scan commands, events, soft reset: what goes wrong, and that all is well afterwards."""

import numpy as np
import pytest

from axft_spec.config import find_preset
from axft_spec.faults import Fault, FaultKind, FaultSite, Site
from axft_spec.hardware import HardwareConfig
from axft_spec.reference import run_tile
from axft_spec.regmap import QUEUE_DEPTH, ScanCommand, register, window
from support.simulated_device import Command, Driver, scan_words, simulate

HARDWARE = HardwareConfig(array=find_preset("34P").config.resized(2, 2), operand_steps=16)
WEIGHT_ONLY = HardwareConfig(array=find_preset("34P").config.resized(3, 3), sites=(Site.WEIGHT,), operand_steps=16)
NO_SITES = HardwareConfig(array=find_preset("34P").config.resized(2, 2), sites=(), operand_steps=16)
LONG = Command(0, 0, 200, 2, 2, result=0)


async def check_tile(device: Driver) -> None:
    """Run a tile with a fault and one without; both must be what the reference says."""
    rng = np.random.default_rng(12)
    activations, weights = rng.integers(-128, 128, (2, 5)), rng.integers(-128, 128, (5, 2))
    await device.load("ACTIVATIONS", 0, activations.T)
    await device.load("WEIGHTS", 0, weights)
    await device.set("OBSERVE", row=1, col=0, on=1)
    for fault in (Fault(FaultKind.FLIP, (FaultSite(Site.WEIGHT, 1, 0, 7),)), None):
        await device.arm(fault)
        await device.start(Command(0, 0, 5, 2, 2, result=0))
        await device.wait()
        expected = run_tile(device.hardware.array, activations, weights, fault)
        psums, activated = await device.results(0, 2, 2)
        np.testing.assert_array_equal(psums, expected.psums)
        assert activated == expected.activated == (0 if fault is None else 5)


async def events(device: Driver) -> set[str]:
    """Return the events that are set."""
    return {name for name, value in (await device.get("EVENTS")).items() if value}


def test_command_to_a_full_queue_is_dropped_and_reported():
    """One runs, as many wait as QUEUE_DEPTH says, the next is an overrun; those before it all run."""

    async def body(device: Driver) -> None:
        for number in range(QUEUE_DEPTH + 1):
            await device.start(LONG)
            assert await events(device) == set()
            assert (await device.get("STATUS"))["waiting"] == number
        await device.start(LONG)
        assert await events(device) == {"overrun"}
        assert (await device.get("STATUS"))["waiting"] == QUEUE_DEPTH
        await device.wait()
        assert await device.value("COMMANDS_DONE") == QUEUE_DEPTH + 1
        assert (await device.get("STATUS")) == {"busy": 0, "scan_busy": 0, "frozen": 0, "waiting": 0}

    simulate(HARDWARE, body)


@pytest.mark.parametrize("state", ["running", "frozen", "scanning"])
def test_scan_command_at_a_bad_time_is_dropped_and_reported(state):
    """While the array or the chain is busy, or a tile is not finished; the chain stays as it was."""

    async def body(device: Driver) -> None:
        await device.arm_positions([5, 17])
        if state == "scanning":
            await device.set("SCAN_COMMAND", scan_command=ScanCommand.READ.value)
        else:
            await device.start(Command(0, 0, 30, 2, 2, result=0, last=state == "running"))
            if state == "frozen":
                await device.wait()
        assert await events(device) == set()
        await device.set("SCAN_POSITION", scan_position=2)
        await device.set("SCAN_COMMAND", scan_command=ScanCommand.ARM_ONE.value)
        assert await events(device) == {"scan_clash"}
        if state == "frozen":
            await device.start(Command(0, 0, 0, 2, 2, result=0, first=False))
        await device.wait()
        await device.scan(ScanCommand.READ)
        assert (await device.value("SCAN_ONES"), await device.value("SCAN_FIRST")) == (2, 5)

    simulate(WEIGHT_ONLY, body)


def test_command_that_comes_while_the_chain_is_shifted_waits_for_it():
    """Nothing is dropped; the tile has the whole fault."""

    async def body(device: Driver) -> None:
        await device.load("ACTIVATIONS", 0, np.full((1, 1), 8))
        await device.load("WEIGHTS", 0, np.full((1, 1), 8))
        await device.set("FAULT", kind=1)
        await device.set("SCAN_POSITION", scan_position=0)  # the lowest bit that 34P keeps of the weight: 8
        await device.set("SCAN_COMMAND", scan_command=ScanCommand.ARM_ONE.value)
        await device.start(Command(0, 0, 1, 1, 1, result=0))
        assert (await device.get("STATUS")) == {"busy": 1, "scan_busy": 1, "frozen": 0, "waiting": 1}
        assert await device.value("ARRAY_CYCLES") == 0
        await device.wait()
        assert (await device.results(0, 1, 1))[0].tolist() == [[0]]
        assert await events(device) == set()

    simulate(WEIGHT_ONLY, body)


def test_arm_one_arms_every_position_alone_and_none_beyond_the_chain():
    """What was armed before is gone."""
    length = 9 * 5

    async def body(device: Driver) -> None:
        await device.write_words(window("SCAN").offset, [0xFFFFFFFF, 0xFFFFFFFF])
        await device.scan(ScanCommand.LOAD)
        for position in (0, 1, 31, 32, length - 1, length, 1 << 23):
            await device.set("SCAN_POSITION", scan_position=position)
            await device.scan(ScanCommand.ARM_ONE)
            await device.scan(ScanCommand.READ)
            armed = [position] if position < length else []
            assert await device.value("SCAN_ONES") == len(armed)
            assert await device.value("SCAN_FIRST") == sum(armed)
            assert await device.read_words(window("SCAN").offset, 2) == scan_words(WEIGHT_ONLY, armed)

    simulate(WEIGHT_ONLY, body)


def test_pattern_shifted_in_comes_out_twice():
    """Reading leaves the chain as it was; ones and the lowest of them are counted."""
    rng = np.random.default_rng(13)

    async def body(device: Driver) -> None:
        for _ in range(6):
            positions = sorted(int(position) for position in rng.choice(45, int(rng.integers(0, 46)), replace=False))
            await device.arm_positions(positions)
            await device.scan(ScanCommand.READ)
            assert await device.value("SCAN_ONES") == len(positions)
            assert await device.read_words(window("SCAN").offset, 2) == scan_words(WEIGHT_ONLY, positions)

    simulate(WEIGHT_ONLY, body)


def test_scan_takes_a_cycle_for_each_position_and_lets_the_bus_go_first():
    """A bus that writes to the scan buffer without a break holds a READ back, and loses nothing."""
    hardware = HardwareConfig(array=find_preset("34P").config.resized(3, 5), sites=(Site.WEIGHT,), operand_steps=16)
    length = 3 * 5 * 5
    spare = window("SCAN").offset + 12  # a word beyond the chain

    async def body(device: Driver) -> None:
        await device.arm_positions([0, 20, 33, 74])
        start = device.cycle
        await device.set("SCAN_COMMAND", scan_command=ScanCommand.READ.value)
        await device.wait()
        assert length < device.cycle - start < length + 10

        await device.write_words(window("SCAN").offset, [0, 0, 0])
        await device.set("SCAN_COMMAND", scan_command=ScanCommand.READ.value)
        for _ in range(3 * length):
            await device.write(spare, 0)
        assert (await device.get("STATUS"))["scan_busy"]
        await device.wait()
        assert await device.value("SCAN_ONES") == 4
        assert await device.read_words(window("SCAN").offset, 3) == [1 << 0 | 1 << 20, 1 << 1, 1 << 10]

    simulate(hardware, body)


def test_scan_commands_of_hardware_without_sites_end_at_once():
    """There is no chain."""

    async def body(device: Driver) -> None:
        for command in ScanCommand:
            await device.set("SCAN_COMMAND", scan_command=command.value)
            await device.wait(cycles=10)
            assert await device.value("SCAN_ONES") == await device.value("SCAN_FIRST") == 0
        assert await events(device) == set()

    simulate(NO_SITES, body)


def test_watchdog_reports_a_command_that_takes_longer_than_its_limit():
    """And not one that is shorter, nor many short ones, nor no command at all."""

    async def body(device: Driver) -> None:
        await device.set("WATCHDOG_LIMIT", watchdog_limit=60)
        await device.tick(100)
        for _ in range(3):
            await device.start(Command(0, 0, 8, 2, 2, result=0, repeat=8))
        await device.wait()
        assert await events(device) == set()
        await device.start(LONG)
        await device.wait()
        assert await events(device) == {"hang"}
        await device.set("EVENTS", hang=1)
        assert await events(device) == set()
        count = await device.value("WATCHDOG_COUNT")
        await device.tick(20)
        assert await device.value("WATCHDOG_COUNT") == count

    simulate(HARDWARE, body)


@pytest.mark.parametrize("after", [0, 3, 8, 13, 17, 20, 22, 24, 27])
def test_soft_reset_in_the_middle_of_a_tile_leaves_a_clean_device(after):
    """Feeding, finishing, draining: queue empty, counters 0, other registers as they were, the next tiles right."""

    async def body(device: Driver) -> None:
        await device.arm_positions(range(0, 90, 7))
        await device.set("FAULT", kind=1)
        await device.set("SCRATCH", scratch=77)
        for _ in range(3):
            await device.start(Command(0, 0, 9, 2, 2, result=0, repeat=2))
        await device.tick(after)
        await device.set("CONTROL", soft_reset=1)
        await device.tick()
        assert await device.read(register("STATUS").offset) == 0
        for name in ("COMMANDS_DONE", "ARRAY_CYCLES", "WATCHDOG_COUNT", "EVENTS"):
            assert await device.read(register(name).offset) == 0
        assert await device.value("SCRATCH") == 77
        assert await device.value("TILE_STEPS") == 9
        await device.tick(60)
        assert await device.read(register("STATUS").offset) == 0
        assert await device.value("ARRAY_CYCLES") == 0
        await check_tile(device)

    simulate(HARDWARE, body)


def test_soft_reset_of_a_frozen_tile_and_of_a_scan_leaves_a_clean_device():
    """The chain holds what got in, until it is loaded anew."""

    async def body(device: Driver) -> None:
        await device.start(Command(0, 0, 9, 2, 2, result=0, last=False))
        await device.wait()
        await device.set("CONTROL", soft_reset=1)
        await check_tile(device)
        await device.set("SCAN_COMMAND", scan_command=ScanCommand.LOAD.value)
        await device.tick(20)
        await device.set("CONTROL", soft_reset=1)
        await device.tick()
        assert await device.read(register("STATUS").offset) == 0
        await check_tile(device)

    simulate(HARDWARE, body)


def test_commands_in_the_very_cycle_of_a_soft_reset_are_reported_as_dropped():
    """They come one cycle after the write to CONTROL, as no AXI master can make them."""

    async def body(device: Driver) -> None:
        await device.set("CONTROL", soft_reset=1)
        await device.set("TILE_START", first=1, last=1)
        assert await device.read(register("STATUS").offset) == 0
        assert await events(device) == {"overrun"}
        await device.set("CONTROL", soft_reset=1)
        await device.set("SCAN_COMMAND", scan_command=1)
        assert await events(device) == {"overrun", "scan_clash"}
        await check_tile(device)

    simulate(HARDWARE, body)


def test_bus_answers_at_once_whatever_the_core_does():
    """Buffers, registers and windows while a tile runs: every access in its fixed time, with the right words."""
    rng = np.random.default_rng(14)
    words = [int(word) & 0xF8F8 for word in rng.integers(0, 1 << 16, 8)]

    async def body(device: Driver) -> None:
        base = window("ACTIVATIONS").offset
        await device.start(Command(0, 0, 60, 2, 2, result=0))
        start = device.cycle
        await device.write_words(base, words)
        assert await device.read_words(base, 8) == words
        assert device.cycle - start == 8 + 8 + 2
        assert (await device.get("STATUS"))["busy"]

    simulate(HARDWARE, body)
