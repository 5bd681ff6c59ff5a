"""The fault controller."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from axft_hw.interfaces import fault_layout
from axft_hw.sequencer import OPERAND_LEAD
from axft_spec.hardware import HardwareConfig

__all__ = ["FaultController"]


class FaultController(wiring.Component):
    """Say in which cycles armed bits act, whose activations are counted, and count them.

    Cycle t of a tile is the enabled cycle in which PE(0, 0) holds the operands of step t. `force` is the kind of
    fault in the cycles of the window (in all, without a window), `force_psum` the same one enabled cycle later,
    where the product is added. Both are 0 from the end of a tile's steps to the begin of the next tile.

    **Latency.** The first cycle after `clear` is number -2. Settings take one cycle to reach the array.
    **Throughput.** One activation counted per cycle. **Reset.** Nothing is forced or counted; the count is 0.

    Parameters
    ----------
    hardware : HardwareConfig

    Members
    -------
    settings : In(fault_layout())
        The registers FAULT, WINDOW_FIRST, WINDOW_CYCLES and OBSERVE.
    clear : In(1)
        A tile begins: number cycles anew, count from 0.
    enable : In(1)
        The array advances.
    stop : In(1)
        The steps of the tile are through.
    hit : In(1)
        An activation.
    force, force_psum : Out(2)
        Codes of the kind; 0 is off.
    observe_row : Out(rows)
        One-hot row of the PE whose activations count, or 0.
    observe_col : Out(cols)
        One-hot column.
    observe : Out(pe_scan_bits)
        Which of its armed bits count.
    activated : Out(32)
        Activations since `clear`, modulo 2^32; always 0 in hardware that does not count.
    """

    def __init__(self, hardware: HardwareConfig) -> None:
        self.hardware = hardware
        super().__init__(
            {
                "settings": In(fault_layout()),
                "clear": In(1),
                "enable": In(1),
                "stop": In(1),
                "hit": In(1),
                "force": Out(2),
                "force_psum": Out(2),
                "observe_row": Out(hardware.array.rows),
                "observe_col": Out(hardware.array.cols),
                "observe": Out(hardware.pe_scan_bits),
                "activated": Out(32),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the logic."""
        m = Module()
        if self.hardware.sites:
            self._elaborate_window(m)
            if self.hardware.counter:
                self._elaborate_counter(m)
        return m

    def _elaborate_window(self, m: Module) -> None:
        settings = self.settings
        # `force` is registered, and so decided a cycle ahead.
        next_cycle = Signal(signed(len(settings.window_first) + 1))
        past_first = next_cycle - settings.window_first
        inside = (past_first >= 0) & (past_first < settings.window_cycles)
        with m.If(self.enable):
            m.d.sync += [
                next_cycle.eq(next_cycle + 1),
                self.force.eq(Mux(~settings.window | inside, settings.kind, 0)),
                self.force_psum.eq(self.force),
            ]
        with m.If(self.clear):
            m.d.sync += next_cycle.eq(1 - OPERAND_LEAD)
        with m.If(self.clear | self.stop):
            m.d.sync += [self.force.eq(0), self.force_psum.eq(0)]

    def _elaborate_counter(self, m: Module) -> None:
        settings = self.settings
        array = self.hardware.array
        m.d.sync += [
            self.observe_row.eq(Cat(settings.observe_on & (settings.observe_row == row) for row in range(array.rows))),
            self.observe_col.eq(Cat(settings.observe_on & (settings.observe_col == col) for col in range(array.cols))),
            self.observe.eq(
                Cat(
                    settings.observe_on & (~settings.observe_only_bit | (settings.observe_bit == bit))
                    for bit in range(self.hardware.pe_scan_bits)
                )
            ),
            self.activated.eq(Mux(self.clear, 0, self.activated + self.hit)),
        ]
