"""Tiles, chunks, faults and counts on whole devices, against the reference model."""

import numpy as np
import pytest

from axft_spec.config import ArrayConfig, find_preset
from axft_spec.faults import Fault, FaultKind, FaultSite, Site
from axft_spec.hardware import HardwareConfig
from axft_spec.multipliers import EXACT, PARTS
from axft_spec.numeric import signed_range
from axft_spec.reference import gemm, gemm_folded, run_tile
from axft_spec.regmap import KIND_CODES
from axft_spec.scanmap import ScanMap
from axft_spec.schedule import Window, tile_cycles
from support.simulated_device import Command, Driver, simulate

STEPS = 16
HALF = STEPS // 2


def random_hardware(rng: np.random.Generator) -> HardwareConfig:
    """Draw a small device: both widths, every part, both operand orders, any sites."""
    width = int(rng.choice([8, 8, 16]))
    part = EXACT if width == 16 else list(PARTS.values())[rng.integers(len(PARTS))].multiplier
    rows, cols = (int(side) for side in rng.integers(1, 4, 2))
    operand = str(rng.choice(["weight", "activation"]))
    array = ArrayConfig(rows=rows, cols=cols, width=width, multiplier=part, operand_a=operand)
    sites = tuple(site for site in Site if rng.random() < 0.6) or (Site.WEIGHT,)
    return HardwareConfig(array=array, sites=sites, operand_steps=STEPS)


def random_fault(rng: np.random.Generator, hardware: HardwareConfig, k: int) -> Fault | None:
    """Draw no fault, one bit, or several, permanent or in a window."""
    count = int(rng.choice([0, 1, 1, 1, 3]))
    if not count or not hardware.scan_bits:
        return None
    scan_map = ScanMap(hardware)
    positions = rng.choice(hardware.scan_bits, min(count, hardware.scan_bits), replace=False)
    window = None
    if rng.random() < 0.6:
        cycles = tile_cycles(k, hardware.array.rows, hardware.array.cols)
        first = int(rng.integers(cycles))
        window = Window(layer=0, gemm=0, tile=0, first_cycle=first, cycles=int(rng.integers(1, cycles - first + 1)))
    kind = list(FaultKind)[rng.integers(len(FaultKind))]
    return Fault(kind, tuple(scan_map.site_at(int(position)) for position in positions), window)


async def observe(device: Driver, fault: Fault | None) -> bool:
    """Count the activations of a fault of one bit; return whether they are counted."""
    if fault is None or len(fault.sites) > 1:
        await device.set("OBSERVE")
        return fault is None
    (armed,) = fault.sites
    offset = ScanMap(device.hardware).pe_offset(armed)
    assert offset is not None
    await device.set("OBSERVE", row=armed.row, col=armed.col, bit=offset, only_bit=1, on=1)
    return True


@pytest.mark.parametrize("seed", range(16))
def test_random_tiles_give_what_the_reference_gives(seed):
    """Chunks with stalls, bases that wrap, windows, every kind and site: partial sums and activations are equal."""
    rng = np.random.default_rng([31, seed])
    hardware = random_hardware(rng)
    array = hardware.array
    low, high = signed_range(array.width)

    async def body(device: Driver) -> None:
        done = 0
        for _ in range(3):
            rows, cols = int(rng.integers(1, array.rows + 1)), int(rng.integers(1, array.cols + 1))
            k = int(rng.integers(1, 20))
            activations = rng.integers(low, high + 1, (rows, k))
            weights = rng.integers(low, high + 1, (k, cols))
            fault = random_fault(rng, hardware, k)
            await device.arm(fault)
            counted = await observe(device, fault)
            base = rng.integers(0, STEPS, 2)
            word = int(rng.integers(0, 100))
            start, chunk = 0, 0
            while start < k:
                steps = min(int(rng.integers(1, HALF + 1)), k - start)
                # The half that the chunk before the last one has left.
                await device.wait_done(max(done - 1, 0))
                places = [int(place + HALF * chunk) % STEPS for place in base]
                span = slice(start, start + steps)
                await device.load("ACTIVATIONS", places[0], activations[:, span].T)
                await device.load("WEIGHTS", places[1], weights[span])
                last = start + steps == k
                await device.start(Command(*places, steps, rows, cols, word, first=start == 0, last=last))
                await device.tick(int(rng.choice([0, 0, 0, 3, 40])))
                start, chunk, done = start + steps, chunk + 1, done + 1
            await device.wait_done(done)
            expected = run_tile(array, activations, weights, fault)
            psums, activated = await device.results(word, rows, cols)
            np.testing.assert_array_equal(psums, expected.psums, str(fault))
            if counted:
                assert activated == expected.activated, str(fault)
        assert await device.value("COMMANDS_DONE") == done
        assert (await device.get("STATUS"))["busy"] == 0
        assert not any((await device.get("EVENTS")).values())

    simulate(hardware, body)


@pytest.mark.parametrize("preset", ["34P", "Baseline"])
def test_repeated_tiles_lie_one_behind_the_other(preset):
    """Same weights, activations going on: what keeps a board's weights loaded over all images."""
    hardware = HardwareConfig(array=find_preset(preset).config.resized(2, 3), operand_steps=STEPS)
    rng = np.random.default_rng(8)
    low, high = signed_range(hardware.array.width)
    activations = rng.integers(low, high + 1, (3, 2, 4))
    weights = rng.integers(low, high + 1, (4, 3))
    fault = Fault(FaultKind.STUCK_AT_1, (FaultSite(Site.WEIGHT, 0, 1, 6),))

    async def body(device: Driver) -> None:
        await device.arm(fault)
        await observe(device, fault)
        # The first step of the third tile is at the buffer's begin.
        for tile, operands in enumerate(activations):
            await device.load("ACTIVATIONS", 8 + 4 * tile, operands.T)
        await device.load("WEIGHTS", 2, weights)
        await device.start(Command(8, 2, 4, 2, 3, result=5, repeat=3))
        await device.wait()
        assert await device.value("COMMANDS_DONE") == 1
        for tile, operands in enumerate(activations):
            expected = run_tile(hardware.array, operands, weights, fault)
            psums, activated = await device.results(5 + tile * hardware.tile_words(2, 3), 2, 3)
            np.testing.assert_array_equal(psums, expected.psums)
            assert activated == expected.activated

    simulate(hardware, body)


def test_queued_commands_run_in_order_while_operands_load():
    """Tiles of different shapes, queued without waiting; the next operands are written while they run."""
    hardware = HardwareConfig(array=find_preset("2QH").config.resized(3, 2), operand_steps=STEPS)
    rng = np.random.default_rng(9)
    shapes = [(3, 2), (1, 1), (2, 2), (3, 1), (1, 2), (3, 2)]
    operands = [(rng.integers(-128, 128, (m, 4)), rng.integers(-128, 128, (4, n))) for m, n in shapes]

    async def body(device: Driver) -> None:
        for number, ((m, n), (activations, weights)) in enumerate(zip(shapes, operands, strict=True)):
            await device.wait_done(max(number - 3, 0))  # four tiles fit into the buffers
            await device.load("ACTIVATIONS", 4 * number, activations.T)
            await device.load("WEIGHTS", 4 * number, weights)
            await device.start(Command(4 * number % STEPS, 4 * number % STEPS, 4, m, n, result=100 * number))
        await device.wait()
        for number, ((m, n), (activations, weights)) in enumerate(zip(shapes, operands, strict=True)):
            psums, activated = await device.results(100 * number, m, n)
            np.testing.assert_array_equal(psums, run_tile(hardware.array, activations, weights, None).psums)
            assert activated == 0

    simulate(hardware, body)


def test_folded_gemm_is_that_of_the_logical_array():
    """A fault on a weight line above a sub-tile enters at its edge; the count is that of two runs."""
    logical = find_preset("34P").config.resized(4, 3)
    hardware = HardwareConfig(array=logical.resized(2, 2), operand_steps=STEPS)
    rng = np.random.default_rng(10)
    activations, weights = rng.integers(-128, 128, (4, 6)), rng.integers(-128, 128, (6, 3))
    fault = Fault(FaultKind.FLIP, (FaultSite(Site.WEIGHT, 1, 2, 7),))
    # Sub-tile rows 0-1, columns 2: at its own PE (1, 0); rows 2-3: entering at PE (0, 0). Others are clean.
    places = {(0, 0): None, (0, 2): (1, 0), (2, 0): None, (2, 2): (0, 0)}

    async def body(device: Driver) -> None:
        psums = np.zeros((4, 3), dtype=np.int64)
        count = 0
        for (row, col), place in places.items():
            armed = None if place is None else Fault(FaultKind.FLIP, (FaultSite(Site.WEIGHT, *place, 7),))
            await device.arm(armed)
            await observe(device, armed)
            part_a, part_w = activations[row : row + 2], weights[:, col : col + 2]
            await device.load("ACTIVATIONS", 0, part_a.T)
            await device.load("WEIGHTS", 0, part_w)
            await device.start(Command(0, 0, 6, 2, part_w.shape[1], result=0))
            await device.wait()
            psums[row : row + 2, col : col + 2], activated = await device.results(0, 2, part_w.shape[1])
            count += activated if (row, col) == (0, 2) else 0
        expected = gemm(logical, activations, weights, fault)
        np.testing.assert_array_equal(psums, expected.psums)
        assert count == expected.activated > 0
        np.testing.assert_array_equal(psums, gemm_folded(logical, (2, 2), activations, weights, fault).psums)

    simulate(hardware, body)


def test_window_edges_are_exact_in_every_cycle():
    """One-cycle windows from the first cycle to the last one count exactly the steps done in them."""
    hardware = HardwareConfig(array=find_preset("8P").config.resized(2, 2), sites=(Site.PSUM,), operand_steps=STEPS)
    activations, weights = np.full((2, 3), 1), np.full((3, 2), 1)
    armed = FaultSite(Site.PSUM, 1, 1, 20)

    async def body(device: Driver) -> None:
        await device.arm_positions([ScanMap(hardware).position(armed)])
        await device.load("ACTIVATIONS", 0, activations.T)
        await device.load("WEIGHTS", 0, weights)
        await device.set("OBSERVE", row=1, col=1, bit=armed.bit, only_bit=1, on=1)
        await device.set("FAULT", kind=KIND_CODES[FaultKind.FLIP], window=1)
        counts = []
        for first in range(tile_cycles(3, 2, 2)):
            fault = Fault(FaultKind.FLIP, (armed,), Window(layer=0, gemm=0, tile=0, first_cycle=first, cycles=1))
            await device.set("WINDOW_FIRST", window_first=first)
            await device.set("WINDOW_CYCLES", window_cycles=1)
            await device.start(Command(0, 0, 3, 2, 2, result=0))
            await device.wait()
            psums, activated = await device.results(0, 2, 2)
            np.testing.assert_array_equal(psums, run_tile(hardware.array, activations, weights, fault).psums)
            counts.append(activated)
        # PE(1, 1) does its three steps in cycles 2 to 4.
        assert counts == [0, 0, 1, 1, 1]

    simulate(hardware, body)


def test_count_of_a_whole_pe_takes_a_cycle_once():
    """Without only_bit, two bits that differ in the same step are one; only_bit tells them apart."""
    hardware = HardwareConfig(array=find_preset("8P").config.resized(1, 2), sites=(Site.WEIGHT,), operand_steps=STEPS)
    weights = np.array([[0b00, 0b00], [0b01, 0b00], [0b11, 0b00], [0b10, 0b00]])

    async def body(device: Driver) -> None:
        await device.arm_positions([0, 1])
        await device.set("FAULT", kind=KIND_CODES[FaultKind.STUCK_AT_1])
        await device.load("ACTIVATIONS", 0, np.ones((4, 1), dtype=np.int64))
        await device.load("WEIGHTS", 0, weights)
        counts = []
        for fields in (
            {},
            {"only_bit": 1},
            {"only_bit": 1, "bit": 1},
            {"only_bit": 1, "bit": 2},
            {"col": 1},
            {"on": 0},
        ):
            await device.set("OBSERVE", **{"on": 1, **fields})
            await device.start(Command(0, 0, 4, 1, 2, result=0))
            await device.wait()
            counts.append((await device.results(0, 1, 2))[1])
        assert counts == [3, 2, 2, 0, 0, 0]

    simulate(hardware, body)


@pytest.mark.parametrize("sites", [(), (Site.ACTIVATION,)])
def test_hardware_without_counter_or_sites_computes_the_same(sites):
    """The count is 0, the partial sums are right, armed bits act."""
    hardware = HardwareConfig(
        array=find_preset("2PT").config.resized(2, 2), sites=sites, operand_steps=STEPS, counter=False
    )
    rng = np.random.default_rng(11)
    activations, weights = rng.integers(-128, 128, (2, 5)), rng.integers(-128, 128, (5, 2))
    fault = Fault(FaultKind.FLIP, (FaultSite(Site.ACTIVATION, 1, 0, 5),)) if sites else None

    async def body(device: Driver) -> None:
        await device.arm(fault)
        await device.set("OBSERVE", row=1, on=1)
        await device.load("ACTIVATIONS", 0, activations.T)
        await device.load("WEIGHTS", 0, weights)
        await device.start(Command(0, 0, 5, 2, 2, result=0))
        await device.wait()
        psums, activated = await device.results(0, 2, 2)
        np.testing.assert_array_equal(psums, run_tile(hardware.array, activations, weights, fault).psums)
        assert activated == 0

    simulate(hardware, body)


def test_tile_of_k_steps_takes_the_cycles_that_are_documented():
    """K + rows + cols + 1 enabled cycles; a stall adds none of them."""
    hardware = HardwareConfig(array=find_preset("34P").config.resized(3, 3), operand_steps=STEPS)

    async def body(device: Driver) -> None:
        await device.start(Command(0, 0, 7, 2, 3, result=0))
        await device.wait()
        assert await device.value("ARRAY_CYCLES") == 7 + 2 + 3 + 1
        await device.start(Command(0, 0, 4, 2, 3, result=0, last=False))
        await device.wait()
        assert (await device.get("STATUS"))["frozen"]
        assert await device.value("ARRAY_CYCLES") == 13 + 4
        await device.start(Command(0, 0, 3, 2, 3, result=0, first=False))
        await device.wait()
        assert not (await device.get("STATUS"))["frozen"]
        assert await device.value("ARRAY_CYCLES") == 2 * 13

    simulate(hardware, body)


def test_commands_without_steps_or_outputs_end():
    """No steps: a last command drains what is there. No rows, no columns: only the count is written."""
    hardware = HardwareConfig(array=find_preset("34P").config.resized(2, 2), operand_steps=STEPS)

    async def body(device: Driver) -> None:
        await device.load("ACTIVATIONS", 0, np.full((2, 2), 8))
        await device.load("WEIGHTS", 0, np.full((2, 2), 16))
        await device.start(Command(0, 0, 2, 2, 2, result=0, last=False))
        await device.start(Command(0, 0, 0, 2, 2, result=0, first=False, last=False))
        await device.start(Command(0, 0, 0, 2, 2, result=0, first=False))
        await device.wait()
        assert (await device.results(0, 2, 2))[0].tolist() == [[256, 256], [256, 256]]
        for rows, cols in ((0, 2), (2, 0), (0, 0)):
            await device.start(Command(0, 0, 2, rows, cols, result=3))
            await device.wait()
            assert (await device.results(0, 2, 2))[0].tolist() == [[256, 256], [256, 0]]
        # Shapes beyond the array: no sense in them, but an end.
        await device.start(Command(0, 0, 1, 40, 9, result=0))
        await device.wait()
        assert await device.value("COMMANDS_DONE") == 7

    simulate(hardware, body)
