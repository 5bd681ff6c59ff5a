"""The scan controller."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from axft_hw.interfaces import word_bits
from axft_spec.hardware import HardwareConfig
from axft_spec.regmap import ScanCommand, register

__all__ = ["ScanController"]


class ScanController(wiring.Component):
    """Arm one bit, shift the scan buffer into the chain, or shift the chain once around.

    The bit for the last position goes in first, and the one from the last position comes out first: `position` counts
    down from there to 0. After READ the chain holds what it held.

    **Latency.** A command takes one cycle for each position and 2 more, READ one more for its last word; without any
    position, 1.
    **Throughput.** One position per cycle. READ waits while the bus writes to the scan buffer in 32 cycles on end.
    **Reset.** Idle; what READ had found is forgotten.

    Parameters
    ----------
    hardware : HardwareConfig

    Members
    -------
    command : In(2)
        Code of the command that starts in this cycle, 0 for none; ignored while `busy`.
    arm_position : In
        For ARM_ONE; beyond the chain, nothing is armed.
    busy : Out(1)
        A command runs.
    done : Out(1)
        One cycle: it is finished.
    ones, first : Out
        Ones that the last READ has found, and the lowest position with one; 0 if there is none.
    scan_in, scan_shift : Out(1)
        To the chain.
    scan_out : In(1)
        From the chain.
    read_address : Out
        Word of the scan buffer that `read_word` is in the next cycle.
    read_word : In(32)
        The word.
    write : Out(1)
        Write `write_word` at `write_address` of the scan buffer.
    write_ready : In(1)
        It is written in this cycle.
    write_address, write_word : Out
        What to write, and where.
    """

    def __init__(self, hardware: HardwareConfig) -> None:
        self.hardware = hardware
        address_bits = word_bits(hardware.scan_words)
        super().__init__(
            {
                "command": In(register("SCAN_COMMAND").field("scan_command").bits),
                "arm_position": In(register("SCAN_POSITION").field("scan_position").bits),
                "busy": Out(1),
                "done": Out(1),
                "ones": Out(register("SCAN_ONES").field("scan_ones").bits),
                "first": Out(register("SCAN_FIRST").field("scan_first").bits),
                "scan_in": Out(1),
                "scan_shift": Out(1),
                "scan_out": In(1),
                "read_address": Out(address_bits),
                "read_word": In(32),
                "write": Out(1),
                "write_ready": In(1),
                "write_address": Out(address_bits),
                "write_word": Out(32),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the logic."""
        m = Module()
        length = self.hardware.scan_bits
        position = Signal(range(max(length, 2)))
        running = Signal.like(self.command)
        gathered = Signal(32)
        next_position = Signal.like(position)
        whole_word = (position & 31) == 0
        # A word is gathered while the one before waits for a cycle in which the bus does not write.
        wait = whole_word & self.write & ~self.write_ready

        m.d.comb += self.read_address.eq(next_position >> 5)
        with m.If(self.write & self.write_ready):
            m.d.sync += self.write.eq(0)

        with m.FSM() as fsm:
            with m.State("IDLE"):
                m.d.sync += [running.eq(self.command), position.eq(max(length - 1, 0)), gathered.eq(0)]
                with m.If(self.command == ScanCommand.READ.value):
                    m.d.sync += [self.ones.eq(0), self.first.eq(0)]
                with m.If(self.command != 0):
                    m.next = "FETCH" if length else "FINISH"
            if length:
                self._elaborate_shift(m, position, next_position, running, gathered, wait)
            with m.State("FINISH"), m.If(~self.write | self.write_ready):
                m.d.comb += self.done.eq(1)
                m.next = "IDLE"
        m.d.comb += self.busy.eq(~fsm.ongoing("IDLE"))
        return m

    def _elaborate_shift(
        self,
        m: Module,
        position: Signal,
        next_position: Signal,
        running: Signal,
        gathered: Signal,
        wait: Value,
    ) -> None:
        """Build the states that shift, which hardware without sites lacks."""
        with m.State("FETCH"):
            m.d.comb += next_position.eq(position)
            m.next = "SHIFT"
        with m.State("SHIFT"):
            m.d.comb += next_position.eq(Mux(wait, position, position - 1))
            with m.Switch(running):
                with m.Case(ScanCommand.ARM_ONE.value):
                    m.d.comb += self.scan_in.eq(position == self.arm_position)
                with m.Case(ScanCommand.LOAD.value):
                    m.d.comb += self.scan_in.eq(self.read_word.bit_select(position[:5], 1))
                with m.Case(ScanCommand.READ.value):
                    m.d.comb += self.scan_in.eq(self.scan_out)
            with m.If(~wait):
                m.d.comb += self.scan_shift.eq(1)
                m.d.sync += position.eq(next_position)
                with m.If(running == ScanCommand.READ.value):
                    self._gather(m, position, gathered)
                with m.If(position == 0):
                    m.next = "FINISH"

    def _gather(self, m: Module, position: Signal, gathered: Signal) -> None:
        """Take the bit that leaves the chain."""
        word = Cat(self.scan_out, gathered[:-1])
        m.d.sync += gathered.eq(word)
        with m.If((position & 31) == 0):
            m.d.sync += [
                gathered.eq(0),
                self.write.eq(1),
                self.write_word.eq(word),
                self.write_address.eq(position >> 5),
            ]
        with m.If(self.scan_out):
            m.d.sync += [self.ones.eq(self.ones + 1), self.first.eq(position)]
