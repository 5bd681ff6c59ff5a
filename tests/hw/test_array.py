"""PE and array against the golden vectors, cycle by cycle, and against the reference."""

from __future__ import annotations

import os
from collections import defaultdict
from typing import Any

import numpy as np
import pytest

from axft_spec import reference
from axft_spec.config import ArrayConfig
from axft_spec.faults import Fault, FaultKind, FaultSite, Site, ignored_bits, site_bits
from axft_spec.hardware import HardwareConfig
from axft_spec.multipliers import EXACT, PARTS
from axft_spec.numeric import signed_range
from axft_spec.schedule import Window, tile_cycles
from support.array_bench import ArrayBench, Int64, TileRun
from support.golden import Vector, vectors

#: Every how many golden vectors the quick test takes one.
STRIDE = int(os.environ.get("AXFT_GOLDEN_STRIDE", "6"))

TRACED = [vector for vector in vectors() if vector.states is not None]


def groups(chosen: list[Vector]) -> dict[ArrayConfig, list[Vector]]:
    """Return vectors by array: one elaboration serves all that share it."""
    found: dict[ArrayConfig, list[Vector]] = defaultdict(list)
    for vector in chosen:
        found[vector.config].append(vector)
    return found


QUICK = groups(TRACED[::STRIDE])


async def counted(
    bench: ArrayBench, ctx: Any, activations: Int64, weights: Int64, fault: Fault | None, **options: Any
) -> TileRun:
    """Run a tile once for each armed bit, observing it; return the last run with all hits together."""
    runs = []
    for site in fault.sites if fault else [None]:
        bench.observe(ctx, site)
        runs.append(await bench.tile(ctx, activations, weights, fault, **options))
    runs[-1].hits = sum(run.hits for run in runs)
    return runs[-1]


def check_states(vector: Vector, run: TileRun) -> None:
    """Compare the registers of every cycle with a golden vector's, in the bits that the hardware has."""
    config = vector.config
    for cycle, expected in enumerate(vector.states or ()):
        for row, line in enumerate(expected):
            for col, (weight, activation, psum) in enumerate(line):
                valid, got_weight, got_activation, got_psum = run.states[cycle][row][col]
                where = f"{vector}, cycle {cycle}, PE({row}, {col})"
                assert valid == (weight is not None and activation is not None), where
                assert got_psum == psum, where
                if weight is not None:
                    assert got_weight == weight >> config.omit_weight << config.omit_weight, where
                if activation is not None:
                    assert got_activation == activation >> config.omit_activation << config.omit_activation, where


@pytest.mark.parametrize("config", QUICK, ids=lambda config: f"{config.rows}x{config.cols}-{config.multiplier.name}")
def test_golden_vectors_hold_in_every_cycle(config: ArrayConfig) -> None:
    """Registers of every PE in every cycle, partial sums and activations are those of the vectors."""

    async def testbench(bench: ArrayBench, ctx: Any) -> None:
        for vector in QUICK[config]:
            await bench.arm(ctx, vector.fault.sites if vector.fault else ())
            run = await counted(bench, ctx, vector.activations, vector.weights, vector.fault, trace=True)
            check_states(vector, run)
            assert np.array_equal(run.psums, vector.psums), vector
            assert run.hits == vector.activated, vector

    ArrayBench(HardwareConfig(array=config)).run(testbench)


def random_array(rng: np.random.Generator) -> ArrayConfig:
    """Return a small array of any width, part and operand order."""
    width = int(rng.choice([8, 8, 8, 16]))
    parts = [EXACT] if width == 16 else [part.multiplier for part in PARTS.values()]
    rows, cols = (int(side) for side in rng.integers(1, 4, 2))
    order = str(rng.choice(["weight", "activation"]))
    part = parts[int(rng.integers(len(parts)))]
    return ArrayConfig(rows=rows, cols=cols, width=width, multiplier=part, operand_a=order)


def random_fault(rng: np.random.Generator, config: ArrayConfig, sites: tuple[Site, ...], cycles: int) -> Fault:
    """Return one to three armed bits of the hardware's sites, permanent or in a window."""
    armed = set()
    for _ in range(int(rng.integers(1, 4))):
        site = sites[int(rng.integers(len(sites)))]
        bit = int(rng.choice(site_bits(config, site)))
        armed.add(FaultSite(site, int(rng.integers(config.rows)), int(rng.integers(config.cols)), bit))
    window = None
    if rng.random() < 0.5:
        first = int(rng.integers(cycles))
        window = Window(layer=0, gemm=0, tile=0, first_cycle=first, cycles=int(rng.integers(1, cycles - first + 1)))
    return Fault(list(FaultKind)[int(rng.integers(3))], tuple(sorted(armed)), window)


@pytest.mark.parametrize("seed", range(12))
def test_random_tiles_equal_reference(seed: int) -> None:
    """Partial sums and activations, with stalls, partial tiles, several faults one after another; and none between."""
    rng = np.random.default_rng([3, seed])
    config = random_array(rng)
    sites = tuple(Site) if seed % 2 else tuple(site for site in Site if rng.random() < 0.5) or (Site.WEIGHT,)
    low, high = signed_range(config.width)

    async def testbench(bench: ArrayBench, ctx: Any) -> None:
        for number in range(8):
            m, n = int(rng.integers(1, config.rows + 1)), int(rng.integers(1, config.cols + 1))
            k = int(rng.integers(1, 9))
            activations = rng.integers(low, high + 1, (m, k))
            weights = rng.integers(low, high + 1, (k, n))
            cycles = tile_cycles(k, config.rows, config.cols)
            fault = random_fault(rng, config, sites, cycles) if number % 4 else None
            await bench.arm(ctx, fault.sites if fault else ())
            run = await counted(bench, ctx, activations, weights, fault, stalls=float(rng.choice([0, 0.4])))
            expected = reference.run_tile(config, activations, weights, fault)
            assert np.array_equal(run.psums, expected.psums), (config, fault)
            assert run.hits == expected.activated, (config, fault)

    ArrayBench(HardwareConfig(array=config, sites=sites)).run(testbench)


def test_hit_of_several_observed_bits_is_one_per_cycle() -> None:
    """Two observed bits of one PE that are both forced to what they are not count once a step."""
    config = ArrayConfig(rows=2, cols=2)
    sites = tuple(FaultSite(Site.WEIGHT, 1, 1, bit) for bit in (0, 3))
    fault = Fault(FaultKind.FLIP, sites)

    async def testbench(bench: ArrayBench, ctx: Any) -> None:
        await bench.arm(ctx, sites)
        bench.observe(ctx, sites[0])
        ctx.set(bench.dut.observe, 0b1001)
        operands = np.arange(10).reshape(2, 5), np.arange(10).reshape(5, 2)
        assert (await bench.tile(ctx, *operands, fault)).hits == 5
        bench.observe(ctx, None)
        assert (await bench.tile(ctx, *operands, fault)).hits == 0
        # Not armed: observing it counts nothing.
        bench.observe(ctx, FaultSite(Site.WEIGHT, 0, 1, 3))
        assert (await bench.tile(ctx, *operands, fault)).hits == 0

    ArrayBench(HardwareConfig(array=config, sites=(Site.WEIGHT,))).run(testbench)


@pytest.mark.parametrize("sites", [tuple(Site), (Site.WEIGHT,), (Site.PRODUCT, Site.PSUM), ()], ids=str)
def test_scan_pattern_comes_out_as_it_went_in(sites: tuple[Site, ...]) -> None:
    """A random pattern is back after as many shifts as there are positions, and a run in between leaves it alone."""
    config = ArrayConfig(rows=2, cols=3, multiplier=PARTS["34P"].multiplier)
    hardware = HardwareConfig(array=config, sites=sites)
    rng = np.random.default_rng(5)
    pattern = [int(bit) for bit in rng.integers(0, 2, max(hardware.scan_bits, 8))]

    async def testbench(bench: ArrayBench, ctx: Any) -> None:
        await bench.shift(ctx, pattern)
        await bench.tile(ctx, np.ones((2, 3), dtype=np.int64), np.ones((3, 3), dtype=np.int64), None)
        assert len(bench.map) == hardware.scan_bits
        if hardware.scan_bits:
            assert await bench.shift(ctx, [0] * hardware.scan_bits) == pattern
        else:
            assert await bench.shift(ctx, pattern) == pattern  # a wire

    ArrayBench(hardware).run(testbench)


def test_scan_position_arms_the_bit_of_the_scan_map() -> None:
    """Every position of a small array forces exactly the bit that the map names, seen at its own gate."""
    config = ArrayConfig(rows=1, cols=2, multiplier=PARTS["2TE"].multiplier)
    hardware = HardwareConfig(array=config)
    operands = np.array([[-64, 64, 127]]), np.array([[64, -128], [127, 64], [-64, 1]])

    async def testbench(bench: ArrayBench, ctx: Any) -> None:
        for position in range(0, len(bench.map), 3):
            site = bench.map.site_at(position)
            fault = Fault(FaultKind.STUCK_AT_1, (site,))
            await bench.arm(ctx, (site,))
            run = await counted(bench, ctx, *operands, fault)
            expected = reference.run_tile(config, *operands, fault)
            assert np.array_equal(run.psums, expected.psums), site
            assert run.hits == expected.activated, site

    ArrayBench(hardware).run(testbench)


def test_ignored_bits_have_no_positions() -> None:
    """Of the 8 bits of each operand of 34P, five can be forced."""
    hardware = HardwareConfig(array=ArrayConfig(rows=1, cols=1, multiplier=PARTS["34P"].multiplier))
    for site in (Site.WEIGHT, Site.ACTIVATION, Site.WEIGHT_OPERAND, Site.ACTIVATION_OPERAND):
        assert ignored_bits(hardware.array, site) == 3
        assert len(hardware.site_range(site)) == 5
    assert hardware.pe_scan_bits == 4 * 5 + 10 + 18


def test_reset_in_mid_tile_leaves_no_step_behind() -> None:
    """After the reset of an array full of valid steps, the next tile's partial sums are those of an empty array."""
    config = ArrayConfig(rows=3, cols=3)
    operands = np.arange(-6, 6).reshape(3, 4), np.arange(-8, 4).reshape(4, 3)

    async def testbench(bench: ArrayBench, ctx: Any) -> None:
        dut = bench.dut
        ctx.set(dut.column_valid, 7)
        ctx.set(dut.row_valid, 7)
        ctx.set(dut.enable, 1)
        for lane in (*dut.activations, *dut.weights):
            ctx.set(lane, 99)
        for _ in range(5):
            await ctx.tick()
        ctx.set(dut.enable, 0)
        ctx.set(dut.reset, 1)
        await ctx.tick()
        ctx.set(dut.reset, 0)
        run = await bench.tile(ctx, *operands, None)
        assert np.array_equal(run.psums, operands[0] @ operands[1])

    ArrayBench(HardwareConfig(array=config)).run(testbench)


def test_chunks_without_clear_go_on_adding() -> None:
    """A long sum may come in two runs of the array, if nothing clears or drains between them."""
    config = ArrayConfig(rows=2, cols=2)

    async def testbench(bench: ArrayBench, ctx: Any) -> None:
        dut = bench.dut
        ctx.set(dut.column_valid, 3)
        for steps in (3, 2):
            ctx.set(dut.enable, 1)
            for number in range(steps + 4):
                ctx.set(dut.row_valid, 3 if number < steps else 0)
                for lane in (*dut.activations, *dut.weights):
                    ctx.set(lane, 10)
                await ctx.tick()
            ctx.set(dut.enable, 0)
        assert [ctx.get(psum) for psum in dut.psums] == [500, 500]
        ctx.set(dut.clear, 1)
        await ctx.tick()
        assert [ctx.get(psum) for psum in dut.psums] == [0, 0]

    ArrayBench(HardwareConfig(array=config)).run(testbench)
