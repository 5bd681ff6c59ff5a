"""A target of the local bus: memory with holes around it."""

from __future__ import annotations

from dataclasses import dataclass

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, connect, flipped

from axft_hw.axi.slave import Axi3Slave
from axft_hw.local_bus import LocalBusSignature

ADDRESS_BITS = 20
ID_BITS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """A power of two of words at a multiple of its own size."""

    start: int
    words: int
    writable: bool = True

    @property
    def end(self) -> int:
        """Byte address after the last word."""
        return self.start + 4 * self.words


REGIONS = (
    Region(start=0x0_0000, words=512),
    Region(start=0x1_0000, words=1024),
    Region(start=0xF_F000, words=1024),
    Region(start=0x2_0000, words=64, writable=False),  # reads 0
)


class LocalBusRam(wiring.Component):
    """Memory at `regions`, errors everywhere else."""

    def __init__(self, regions: tuple[Region, ...] = REGIONS, address_bits: int = ADDRESS_BITS) -> None:
        self.regions = regions
        super().__init__({"bus": In(LocalBusSignature(address_bits))})

    def elaborate(self, platform: object) -> Module:
        """Build the logic."""
        m = Module()
        bus = self.bus
        write_hits = []
        read_words = []
        read_hits = []
        for index, region in enumerate(self.regions):
            memory = Memory(shape=32, depth=region.words, init=[])
            m.submodules[f"memory_{index}"] = memory
            low = 2 + (region.words - 1).bit_length()
            write_hit = bus.write_address[low:] == region.start >> low
            write = memory.write_port(granularity=8)
            read = memory.read_port()
            hit = Signal(name=f"read_hit_{index}")
            m.d.comb += [
                write.addr.eq(bus.write_address[2:low]),
                write.data.eq(bus.write_data),
                write.en.eq(Mux(bus.write_valid & write_hit & region.writable, bus.write_strobe, 0)),
                read.addr.eq(bus.read_address[2:low]),
                read.en.eq(bus.read_valid),
            ]
            m.d.sync += hit.eq(bus.read_valid & (bus.read_address[low:] == region.start >> low))
            write_hits.append(write_hit & region.writable)
            read_words.append(Mux(hit, read.data, 0))
            read_hits.append(hit)
        word = read_words[0]
        for other in read_words[1:]:
            word = word | other
        # A pattern where nothing was asked for: whoever samples in another cycle than the second must notice.
        asked = Signal()
        m.d.sync += [
            asked.eq(bus.read_valid),
            bus.read_data.eq(Mux(asked, word, 0xBAD0_BAD0)),
            bus.read_error.eq(asked & ~Cat(read_hits).any()),
        ]
        m.d.comb += bus.write_error.eq(~Cat(write_hits).any())
        return m


class SlaveWithRam(wiring.Component):
    """The slave and a memory behind it: a complete design with nothing but an AXI3 port."""

    def __init__(self, regions: tuple[Region, ...] = REGIONS, slave: Axi3Slave | None = None) -> None:
        self.regions = regions
        self.slave = slave if slave is not None else Axi3Slave(address_bits=ADDRESS_BITS, id_bits=ID_BITS)
        super().__init__({"axi": In(self.slave.axi.signature.flip())})

    def elaborate(self, platform: object) -> Module:
        """Build the logic."""
        m = Module()
        m.submodules.slave = self.slave
        m.submodules.ram = ram = LocalBusRam(self.regions)
        connect(m, flipped(self.axi), self.slave.axi)
        connect(m, self.slave.bus, ram.bus)
        return m
