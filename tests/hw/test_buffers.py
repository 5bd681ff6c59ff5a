import numpy as np
import pytest
from amaranth.sim import Simulator

from axft_hw.buffers import OperandBuffer, ScanBuffer
from axft_spec.config import find_preset
from axft_spec.hardware import HardwareConfig
from axft_spec.regmap import window
from support.simulated_device import Driver, simulate


@pytest.mark.parametrize(
    ("preset", "lanes", "kept"), [("34P", 5, 0xF8), ("2TE", 3, 0xC0), ("8P", 4, 0xFF), ("Baseline", 3, 0xFFFF)]
)
def test_operand_words_read_back_without_ignored_bits_and_padding(preset, lanes, kept):
    """Every word of a few steps, with every combination of strobes, against a model in bytes."""
    hardware = HardwareConfig(array=find_preset(preset).config.resized(1, lanes), operand_steps=16)
    width = hardware.array.width
    stride = {("34P", 5): 2, ("2TE", 3): 1, ("8P", 4): 1, ("Baseline", 3): 2}[preset, lanes]
    keep = np.zeros((16, stride, 4), dtype=np.uint8)
    flat = keep.reshape(16, -1)
    for lane in range(lanes):
        for byte in range(width // 8):
            flat[:, lane * width // 8 + byte] = kept >> 8 * byte & 0xFF
    expected = np.zeros_like(keep)
    rng = np.random.default_rng(2)
    base = window("WEIGHTS").offset

    async def body(device: Driver) -> None:
        for strobe in [15, *range(16)]:
            for step in (0, 3, 15):
                for word in range(stride):
                    given = rng.integers(0, 256, 4, dtype=np.uint8)
                    assert await device.try_write(
                        base + 4 * (step * stride + word), int.from_bytes(given.tobytes(), "little"), strobe
                    )
                    for byte in range(4):
                        if strobe >> byte & 1:
                            expected[step, word, byte] = given[byte] & keep[step, word, byte]
            words = await device.read_words(base, 16 * stride)
            np.testing.assert_array_equal(words, expected.reshape(-1, 4).copy().view("<u4").ravel(), str(strobe))

    simulate(hardware, body)


def test_step_shows_the_stored_bits_of_its_lanes_and_holds_without_enable():
    """What the array gets, one cycle after the address."""
    hardware = HardwareConfig(array=find_preset("34P").config.resized(5, 5), operand_steps=16)
    buffer = OperandBuffer(hardware, lanes=5, bits=5)
    simulator = Simulator(buffer)
    simulator.add_clock(1e-6)

    async def testbench(ctx):
        async def write(address, word):
            ctx.set(buffer.port.write_valid, 1)
            ctx.set(buffer.port.write_strobe, 15)
            ctx.set(buffer.port.write_address, address)
            ctx.set(buffer.port.write_data, word)
            await ctx.tick()
            ctx.set(buffer.port.write_valid, 0)

        await write(2 * 7, 0x98_80_0F_F8)
        await write(2 * 7 + 1, 0xFF_FF_FF_11)
        ctx.set(buffer.step, 7)
        await ctx.tick()
        assert [ctx.get(buffer.operands[lane]) for lane in range(5)] == [0] * 5
        ctx.set(buffer.enable, 1)
        await ctx.tick()
        ctx.set(buffer.enable, 0)
        shown = [0xF8 >> 3, 0x0F >> 3, 0x80 >> 3, 0x98 >> 3, 0x11 >> 3]
        assert [ctx.get(buffer.operands[lane]) for lane in range(5)] == shown
        await write(2 * 7, 0)
        await ctx.tick()
        assert [ctx.get(buffer.operands[lane]) for lane in range(5)] == shown

    simulator.add_testbench(testbench)
    simulator.run()


def test_bus_has_the_write_port_of_the_scan_buffer_before_the_scan_controller():
    """Who is told to wait is not the bus."""
    hardware = HardwareConfig(array=find_preset("34P").config.resized(2, 2), operand_steps=16)
    buffer = ScanBuffer(hardware)
    simulator = Simulator(buffer)
    simulator.add_clock(1e-6)

    async def testbench(ctx):
        async def read(address):
            ctx.set(buffer.port.read_valid, 1)
            ctx.set(buffer.port.read_address, address)
            await ctx.tick()
            return ctx.get(buffer.port.read_data)

        ctx.set(buffer.write, 1)
        ctx.set(buffer.write_address, 2)
        ctx.set(buffer.write_word, 0x11111111)
        ctx.set(buffer.port.write_valid, 1)
        ctx.set(buffer.port.write_address, 1)
        ctx.set(buffer.port.write_data, 0x22222222)
        ctx.set(buffer.port.write_strobe, 0b0110)
        assert not ctx.get(buffer.write_ready)
        await ctx.tick()
        ctx.set(buffer.port.write_valid, 0)
        # Granted now: the word is there after the cycle in which another one is read.
        assert ctx.get(buffer.write_ready)
        assert await read(1) == 0x00222200
        ctx.set(buffer.write, 0)
        assert await read(2) == 0x11111111

    simulator.add_testbench(testbench)
    simulator.run()
