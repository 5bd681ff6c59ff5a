"""The whole block through its AXI port."""

import numpy as np
from amaranth.sim import Simulator

from axft_hw.build.generate import Block
from axft_spec.config import find_preset
from axft_spec.faults import Fault, FaultKind, FaultSite, Site
from axft_spec.hardware import HardwareConfig
from axft_spec.reference import run_tile
from axft_spec.regmap import KIND_CODES, ScanCommand, register, window
from axft_spec.scanmap import ScanMap
from support.axi3_master import OKAY, SLVERR, Axi3Master


def test_tile_with_a_fault_runs_through_the_axi_port_alone():
    """Bursts into the windows, the command as one burst, the results as one; a hole is answered with an error."""
    hardware = HardwareConfig(array=find_preset("34P").config.resized(2, 3), operand_steps=16)
    rng = np.random.default_rng(15)
    activations, weights = rng.integers(-128, 128, (2, 6)), rng.integers(-128, 128, (6, 3))
    fault = Fault(FaultKind.STUCK_AT_1, (FaultSite(Site.ACTIVATION, 1, 0, 6),))
    expected = run_tile(hardware.array, activations, weights, fault)
    block = Block(hardware)
    simulator = Simulator(block)
    simulator.add_clock(1e-6)

    def packed(lanes):
        return [sum((int(value) & 0xFF) << 8 * lane for lane, value in enumerate(step)) for step in lanes]

    async def testbench(ctx):
        master = Axi3Master(ctx, block.axi)

        async def write(address, *words):
            assert (await master.write(address, words)).response == OKAY

        async def wait():
            for _ in range(200):
                if (await master.read(register("STATUS").offset)).words == [0]:
                    return
            raise AssertionError("still busy")

        ctx.set(block.aresetn, 0)
        await ctx.tick()
        ctx.set(block.aresetn, 1)
        # With two lanes, or three, a step is one word.
        await write(window("ACTIVATIONS").offset, *packed(activations.T))
        await write(window("WEIGHTS").offset, *packed(weights))
        await write(register("SCAN_POSITION").offset, ScanMap(hardware).position(fault.sites[0]))
        await write(register("SCAN_COMMAND").offset, ScanCommand.ARM_ONE.value)
        await wait()
        await write(register("FAULT").offset, KIND_CODES[fault.kind], 0, 0, register("OBSERVE").pack(row=1, on=1))
        shape = register("TILE_SHAPE").pack(rows=2, cols=3)
        start = register("TILE_START").pack(first=1, last=1)
        await write(register("TILE_ACTIVATIONS").offset, 0, 0, 6, shape, 0, start)
        await wait()
        read = await master.read(window("RESULTS").offset, 7)
        assert read.responses == [OKAY] * 7
        np.testing.assert_array_equal(
            np.array(read.words, dtype=np.uint32)[:6].view(np.int32).reshape(2, 3), expected.psums
        )
        assert read.words[6] == expected.activated > 0
        assert (await master.read(0x2C)).responses == [SLVERR]
        assert (await master.write(0x00, [0])).response == SLVERR
        # A burst that leaves the buffer: what lies inside is read.
        end = window("RESULTS").offset + 4 * hardware.result_words
        assert (await master.read(end - 4, 2)).responses == [OKAY, SLVERR]

    simulator.add_testbench(testbench)
    simulator.run()
