"""The buffers: operands, results, scan patterns. All in block RAM; none ever makes the bus wait."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from axft_hw.interfaces import BufferPortSignature, word_bits
from axft_spec.hardware import HardwareConfig

__all__ = ["OperandBuffer", "ResultBuffer", "ScanBuffer"]


class OperandBuffer(wiring.Component):
    """The activations or the weights of all steps.

    The bus sees words, in which each operand has its full width; what is stored is what the multiplier needs of it.
    The array sees whole steps. Words of a step that hold no operand, and bits that are not stored, read as 0.

    **Latency.** One cycle for reads, on both ports; a write can be read from the next cycle on. A word and a step
    that are read in the cycle in which they are written are the old ones.
    **Throughput.** One word written, one word read and one step read in every cycle.
    **Reset.** None: contents stay, and are 0 after power-up.

    Parameters
    ----------
    hardware : HardwareConfig
    lanes : int
        Operands in a step.
    bits : int
        Bits that are stored of each, its high ones.

    Members
    -------
    port : In(BufferPortSignature)
        The bus side's port.
    step : In
        The step that the array reads.
    enable : In(1)
        Read it; else `operands` stays as it is.
    operands : Out(ArrayLayout(bits, lanes))
        The step, from the next cycle on.
    """

    def __init__(self, hardware: HardwareConfig, *, lanes: int, bits: int) -> None:
        self.hardware = hardware
        self.lanes = lanes
        self.bits = bits
        self.step_words = hardware.step_words(lanes)
        depth = hardware.operand_steps
        super().__init__(
            {
                "port": In(BufferPortSignature(word_bits(depth * self.step_words))),
                "step": In(word_bits(depth)),
                "enable": In(1),
                "operands": Out(data.ArrayLayout(bits, lanes)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the logic."""
        m = Module()
        # The smallest part that a strobe can write alone: an operand, or a byte of it.
        part_bits = min(self.bits, 8)
        m.submodules.memory = memory = Memory(shape=self.lanes * self.bits, depth=self.hardware.operand_steps, init=[])
        write = memory.write_port(granularity=part_bits)
        read = memory.read_port()
        feed = memory.read_port()
        select_bits = (self.step_words - 1).bit_length()
        parts = max(1, self.bits // 8)

        m.d.comb += [
            write.addr.eq(self.port.write_address[select_bits:]),
            write.data.eq(Cat(self._stored(self.port.write_data, lane) for lane in range(self.lanes))),
            read.addr.eq(self.port.read_address[select_bits:]),
            read.en.eq(self.port.read_valid),
            feed.addr.eq(self.step),
            feed.en.eq(self.enable),
            self.operands.as_value().eq(feed.data),
        ]
        for lane in range(self.lanes):
            word, place = divmod(lane, self.hardware.operands_per_word)
            here = self.port.write_valid & (self.port.write_address[:select_bits] == word)
            for part in range(parts):
                m.d.comb += write.en[lane * parts + part].eq(here & self.port.write_strobe[place * parts + part])

        select = Signal(select_bits)
        with m.If(self.port.read_valid):
            m.d.sync += select.eq(self.port.read_address[:select_bits])
        words = Cat(self._shown(read.data.word_select(lane, self.bits)) for lane in range(self.lanes))
        padded = Cat(words, Const(0, 32 * self.step_words - len(words)))
        m.d.comb += self.port.read_data.eq(padded.word_select(select, 32) if select_bits else padded)
        return m

    def _stored(self, word: Value, lane: int) -> Value:
        """Return what is stored of the operand that a word holds for a lane."""
        width = self.hardware.array.width
        return word.word_select(lane % self.hardware.operands_per_word, width)[width - self.bits :]

    def _shown(self, operand: Value) -> Value:
        """Return an operand in its full width."""
        return Cat(Const(0, self.hardware.array.width - self.bits), operand)


class ResultBuffer(wiring.Component):
    """Words that the drain has left.

    **Latency.** One cycle for reads. **Throughput.** One word written and one read in every cycle.
    **Reset.** None: contents stay, and are 0 after power-up.

    Parameters
    ----------
    hardware : HardwareConfig

    Members
    -------
    port : In(BufferPortSignature)
        The bus side's port, of which writes are ignored.
    write : In(1)
        Write `word` at `address`.
    address, word : In
        What the drain writes, and where.
    """

    def __init__(self, hardware: HardwareConfig) -> None:
        self.hardware = hardware
        bits = word_bits(hardware.result_words)
        super().__init__({"port": In(BufferPortSignature(bits)), "write": In(1), "address": In(bits), "word": In(32)})

    def elaborate(self, platform: object) -> Module:
        """Build the logic."""
        m = Module()
        m.submodules.memory = memory = Memory(shape=32, depth=self.hardware.result_words, init=[])
        write, read = memory.write_port(), memory.read_port()
        m.d.comb += [
            write.addr.eq(self.address),
            write.data.eq(self.word),
            write.en.eq(self.write),
            read.addr.eq(self.port.read_address),
            read.en.eq(self.port.read_valid),
            self.port.read_data.eq(read.data),
        ]
        return m


class ScanBuffer(wiring.Component):
    """The pattern to shift in, or the one that was shifted out.

    The bus has the one write port whenever it wants it: `write_ready` tells the scan controller when it has not.

    **Latency.** One cycle for reads. **Throughput.** One word written and two read in every cycle.
    **Reset.** None: contents stay, and are 0 after power-up.

    Parameters
    ----------
    hardware : HardwareConfig

    Members
    -------
    port : In(BufferPortSignature)
        The bus side's port.
    read_address : In
        Word that `read_word` shows in the next cycle.
    read_word : Out(32)
        The word.
    write : In(1)
        The scan controller wants to write `write_word` at `write_address`.
    write_ready : Out(1)
        In the same cycle: it is written.
    write_address, write_word : In
        What the scan controller writes, and where.
    """

    def __init__(self, hardware: HardwareConfig) -> None:
        self.hardware = hardware
        bits = word_bits(hardware.scan_words)
        super().__init__(
            {
                "port": In(BufferPortSignature(bits)),
                "read_address": In(bits),
                "read_word": Out(32),
                "write": In(1),
                "write_ready": Out(1),
                "write_address": In(bits),
                "write_word": In(32),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the logic."""
        m = Module()
        m.submodules.memory = memory = Memory(shape=32, depth=self.hardware.scan_words, init=[])
        write = memory.write_port(granularity=8)
        read = memory.read_port()
        shift = memory.read_port()
        from_bus = self.port.write_valid
        m.d.comb += [
            self.write_ready.eq(~from_bus),
            write.addr.eq(Mux(from_bus, self.port.write_address, self.write_address)),
            write.data.eq(Mux(from_bus, self.port.write_data, self.write_word)),
            write.en.eq(Mux(from_bus, self.port.write_strobe, self.write.replicate(4))),
            read.addr.eq(self.port.read_address),
            read.en.eq(self.port.read_valid),
            self.port.read_data.eq(read.data),
            shift.addr.eq(self.read_address),
            self.read_word.eq(shift.data),
        ]
        return m
