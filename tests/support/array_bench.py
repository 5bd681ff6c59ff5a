"""Drives the array component in Amaranth's simulator, tile by tile, as the description of the array says."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from amaranth.hdl import Module, ResetInserter
from amaranth.sim import Simulator
from numpy.typing import NDArray

from axft_hw.array import HIT_LATENCY, SystolicArray
from axft_hw.pe import FORCE_CODES
from axft_spec.faults import Fault, FaultSite
from axft_spec.hardware import HardwareConfig
from axft_spec.scanmap import ScanMap

Int64 = NDArray[np.int64]


@dataclass(slots=True)
class TileRun:
    """What one tile did; `states` as in the golden vectors, but None nowhere: (valid, weight, activation, psum)."""

    psums: Int64
    hits: int
    states: list[list[list[tuple[int, int, int, int]]]] = field(default_factory=list)


class ArrayBench:
    """An array in a simulator, and what a controller would do to it.

    Parameters
    ----------
    hardware : HardwareConfig
    """

    def __init__(self, hardware: HardwareConfig) -> None:
        self.hardware = hardware
        self.dut = SystolicArray(hardware)
        self.map = ScanMap(hardware)
        array = hardware.array
        self._omits = array.omit_activation, array.omit_weight, array.multiplier.zero_bits
        self._rng = np.random.default_rng(0)

    def run(self, testbench: Any) -> None:
        """Run a testbench, an asynchronous function of (bench, context), to its end."""
        m = Module()
        # The array's `reset` is that of its PEs alone; who instantiates the array resets what lies around them.
        m.submodules.dut = ResetInserter(self.dut.reset)(self.dut)
        simulator = Simulator(m)
        simulator.add_clock(1e-6)

        async def process(ctx: Any) -> None:
            await testbench(self, ctx)

        simulator.add_testbench(process)
        simulator.run()

    async def shift(self, ctx: Any, bits: Iterable[int]) -> list[int]:
        """Shift bits into the scan chain; return what comes out."""
        out = []
        ctx.set(self.dut.scan_shift, 1)
        for bit in bits:
            ctx.set(self.dut.scan_in, bit)
            out.append(ctx.get(self.dut.scan_out))
            await ctx.tick()
        ctx.set(self.dut.scan_shift, 0)
        return out

    async def arm(self, ctx: Any, sites: Iterable[FaultSite]) -> list[int]:
        """Arm some bits and no others; return the pattern that was there, from position 0."""
        armed = set(self.map.positions(sites))
        out = await self.shift(ctx, [int(position in armed) for position in reversed(range(len(self.map)))])
        return out[::-1]

    def observe(self, ctx: Any, site: FaultSite | None) -> None:
        """Observe one bit, or none."""
        offset = None if site is None else self.map.pe_offset(site)
        seen = site is not None and offset is not None
        ctx.set(self.dut.observe_row, 1 << site.row if seen else 0)
        ctx.set(self.dut.observe_col, 1 << site.col if seen else 0)
        ctx.set(self.dut.observe, 1 << offset if seen else 0)

    async def tile(
        self,
        ctx: Any,
        activations: Int64,
        weights: Int64,
        fault: Fault | None,
        *,
        stalls: float = 0,
        trace: bool = False,
    ) -> TileRun:
        """Run one tile under the fault whose bits are armed; a cycle is not enabled with a probability of `stalls`."""
        dut, array = self.dut, self.hardware.array
        rows, steps = activations.shape
        cols = weights.shape[1]
        run = TileRun(psums=np.zeros((rows, cols), dtype=np.int64), hits=0)
        ctx.set(dut.column_valid, (1 << cols) - 1)
        ctx.set(dut.clear, 1)
        await self._tick(ctx, run)
        ctx.set(dut.clear, 0)
        previous = 0
        for number in range(steps + array.rows + array.cols):
            while self._rng.random() < stalls:
                self._noise(ctx)
                await self._tick(ctx, run)
            self._noise(ctx)
            ctx.set(dut.row_valid, (1 << rows) - 1 if number < steps else 0)
            if number < steps:
                self._present(ctx, activations[:, number], weights[number])
            # What is presented now is in the registers one enabled cycle later: that is cycle t.
            force = self._force(fault, number - 1)
            ctx.set(dut.force, force)
            ctx.set(dut.force_psum, previous)
            previous = force
            ctx.set(dut.enable, 1)
            if trace:
                self._look(ctx, run, number - 1)
            await self._tick(ctx, run)
            ctx.set(dut.enable, 0)
        if trace:
            self._look(ctx, run, number)
        for row in range(array.rows):
            for col in range(cols):
                value = ctx.get(dut.psums[col]) << self._omits[2]
                if row < rows:
                    run.psums[row, col] = value
                else:
                    assert value == 0, "a PE outside the tile has added"
            ctx.set(dut.drain, 1)
            await self._tick(ctx, run)
        ctx.set(dut.drain, 0)
        assert [ctx.get(psum) for psum in dut.psums] == [0] * array.cols, "zeros enter from the south"
        for _ in range(HIT_LATENCY):
            await self._tick(ctx, run)
        return run

    async def _tick(self, ctx: Any, run: TileRun) -> None:
        run.hits += ctx.get(self.dut.hit)
        await ctx.tick()

    def _noise(self, ctx: Any) -> None:
        """Put what nobody may use where nobody may look."""
        for lanes, bits in (
            (self.dut.activations, self.hardware.activation_bits),
            (self.dut.weights, self.hardware.weight_bits),
        ):
            for lane, value in zip(lanes, self._rng.integers(-(1 << bits - 1), 1 << bits - 1, len(lanes)), strict=True):
                ctx.set(lane, int(value))
        ctx.set(self.dut.row_valid, int(self._rng.integers(1 << self.hardware.array.rows)))
        ctx.set(self.dut.force, int(self._rng.integers(4)))
        ctx.set(self.dut.force_psum, int(self._rng.integers(4)))

    def _present(self, ctx: Any, activations: Int64, weights: Int64) -> None:
        for row, value in enumerate(activations):
            ctx.set(self.dut.activations[row], int(value) >> self._omits[0])
        for col, value in enumerate(weights):
            ctx.set(self.dut.weights[col], int(value) >> self._omits[1])

    @staticmethod
    def _force(fault: Fault | None, cycle: int) -> int:
        if fault is None:
            return 0
        window = fault.window
        inside = window is None or window.first_cycle <= cycle < window.first_cycle + window.cycles
        return FORCE_CODES[fault.kind.value] if inside else 0

    def _look(self, ctx: Any, run: TileRun, cycle: int) -> None:
        """Note the input registers of this cycle, and the partial sums that the cycle before last has left."""
        array = self.hardware.array
        if cycle >= 2:
            for row, line in enumerate(run.states[cycle - 2]):
                for col, state in enumerate(line):
                    line[col] = (*state[:3], ctx.get(self.dut.pes[row, col].psum) << self._omits[2])
        if cycle >= 0:
            run.states.append(
                [
                    [
                        (
                            ctx.get(pe.valid),
                            ctx.get(pe.weight) << self._omits[1],
                            ctx.get(pe.activation) << self._omits[0],
                            0,
                        )
                        for pe in (self.dut.pes[row, col] for col in range(array.cols))
                    ]
                    for row in range(array.rows)
                ]
            )
