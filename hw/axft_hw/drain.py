"""The drain: partial sums out of the array, into the result buffer."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from axft_hw.interfaces import command_layout, word_bits
from axft_spec.hardware import HardwareConfig

__all__ = ["Drain"]


class Drain(wiring.Component):
    """Write the partial sums of a tile, row by row without gaps, then its activated count.

    A sum takes one word, or two with the low one first; it is sign-extended, and has its always-zero low bits.

    **Latency.** rows x cols x words + 2 cycles from `start` to `done`; the last word is in the buffer in the cycle
    after `done`.
    **Throughput.** One word per cycle. **Reset.** Stops.

    Parameters
    ----------
    hardware : HardwareConfig

    Members
    -------
    load : In(1)
        Go on from `load_address` from now on: the begin of a command.
    load_address : In
        Word of the result buffer; wraps at the buffer's depth.
    start : In(1)
        Drain a tile; its sums stand at their places in the array. With no rows or no columns, only its count.
    rows, cols : In(8)
        Its size, steady until `done`.
    psums : In(ArrayLayout(psum_bits, cols))
        Row 0 of the array.
    shift : Out(1)
        Move all partial sums one row north at the end of this cycle.
    activated : In(32)
        The count, final when the sums are all read.
    done : Out(1)
        One cycle: the tile is through.
    write : Out(1)
        Write `word` at `address` of the result buffer.
    address, word : Out
        What to write, and where.
    """

    def __init__(self, hardware: HardwareConfig) -> None:
        self.hardware = hardware
        side_bits = command_layout(hardware)["rows"].width
        address_bits = word_bits(hardware.result_words)
        super().__init__(
            {
                "load": In(1),
                "load_address": In(address_bits),
                "start": In(1),
                "rows": In(side_bits),
                "cols": In(side_bits),
                "psums": In(data.ArrayLayout(hardware.psum_bits, hardware.array.cols)),
                "shift": Out(1),
                "activated": In(32),
                "done": Out(1),
                "write": Out(1),
                "address": Out(address_bits),
                "word": Out(32),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the logic."""
        m = Module()
        column = Signal(range(self.hardware.array.cols))
        columns_left = Signal.like(self.cols)
        rows_left = Signal.like(self.rows)
        part = Signal(range(self.hardware.psum_words))
        last_part = part == self.hardware.psum_words - 1

        m.d.sync += self.write.eq(0)
        with m.If(self.write):
            m.d.sync += self.address.eq(self.address + 1)
        with m.If(self.load):
            m.d.sync += self.address.eq(self.load_address)

        with m.FSM():
            with m.State("IDLE"), m.If(self.start):
                m.d.sync += [column.eq(0), part.eq(0), columns_left.eq(self.cols), rows_left.eq(self.rows)]
                with m.If((self.rows == 0) | (self.cols == 0)):
                    m.next = "COUNT"
                with m.Else():
                    m.next = "SUMS"
            with m.State("SUMS"):
                m.d.sync += [self.word.eq(self._word(column, part)), self.write.eq(1), part.eq(part + 1)]
                with m.If(last_part):
                    m.d.sync += [part.eq(0), column.eq(column + 1), columns_left.eq(columns_left - 1)]
                    with m.If(columns_left == 1):
                        m.d.comb += self.shift.eq(1)
                        m.d.sync += [column.eq(0), columns_left.eq(self.cols), rows_left.eq(rows_left - 1)]
                        with m.If(rows_left == 1):
                            m.next = "COUNT"
            with m.State("COUNT"):
                m.d.comb += self.done.eq(1)
                m.d.sync += [self.word.eq(self.activated), self.write.eq(1)]
                m.next = "IDLE"
        return m

    def _word(self, column: Value, part: Value) -> Value:
        """Return a word of the sum in a column of row 0."""
        bits = self.hardware.psum_bits
        total = 32 * self.hardware.psum_words
        stored = Value.cast(self.psums).word_select(column, bits)
        low = Const(0, self.hardware.array.multiplier.zero_bits)
        sign = stored[-1].replicate(total - bits - len(low))
        return Cat(low, stored, sign).word_select(part, 32) if total > 32 else Cat(low, stored, sign)
