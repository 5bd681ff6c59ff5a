"""The smallest design that shows a board's bus to work: an AXI3 slave with one block RAM behind it."""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In

from axft_hw.axi.signature import Axi3Signature
from axft_hw.axi.slave import Axi3Slave
from axft_hw.top import ID_BITS
from axft_spec.regmap import ADDRESS_BITS

__all__ = ["BringUp", "bring_up_contents"]

#: Words of 32 bits: one block RAM.
WORDS = 1024


def bring_up_contents() -> list[int]:
    """Return what the memory holds after power-up: words with all bytes different, and different in every word."""
    return [(0x9E37_79B9 * (word + 1)) & 0xFFFF_FFFF for word in range(WORDS)]


class BringUp(wiring.Component):
    """A memory of 4 KiB on an AXI3 port, with known contents; beyond it, reads and writes are answered with SLVERR.

    **Latency, throughput.** Those of `Axi3Slave`. **Reset.** The slave; what the memory holds stays.

    Members
    -------
    axi : In(Axi3Signature)
    """

    def __init__(self) -> None:
        super().__init__({"axi": In(Axi3Signature(address_bits=ADDRESS_BITS, id_bits=ID_BITS))})

    def elaborate(self, platform: object) -> Module:
        """Build the logic."""
        m = Module()
        m.submodules.slave = slave = Axi3Slave(address_bits=ADDRESS_BITS, id_bits=ID_BITS)
        m.submodules.memory = memory = Memory(shape=32, depth=WORDS, init=bring_up_contents())
        wiring.connect(m, wiring.flipped(self.axi), slave.axi)
        write, read = memory.write_port(granularity=8), memory.read_port()
        bus = slave.bus
        above = slice(2 + (WORDS - 1).bit_length(), None)
        outside = Signal()
        m.d.comb += [
            bus.write_error.eq(bus.write_address[above].any()),
            write.addr.eq(bus.write_address[2:]),
            write.data.eq(bus.write_data),
            write.en.eq(bus.write_strobe & (bus.write_valid & ~bus.write_error).replicate(4)),
            read.addr.eq(bus.read_address[2:]),
            read.en.eq(bus.read_valid),
        ]
        # The local bus wants its words two cycles after it asks.
        m.d.sync += [
            outside.eq(bus.read_address[above].any()),
            bus.read_error.eq(outside),
            bus.read_data.eq(read.data),
        ]
        return m
