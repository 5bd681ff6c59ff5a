"""The command queue."""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from axft_hw.interfaces import command_layout
from axft_spec.hardware import HardwareConfig
from axft_spec.regmap import QUEUE_DEPTH

__all__ = ["CommandQueue"]


class CommandQueue(wiring.Component):
    """Hold commands until the sequencer takes them, in order.

    Made of flip-flops, so that faults can be injected into every bit by name; `entry_0` is the oldest.

    **Latency.** One cycle. **Throughput.** One command in and one out in every cycle.
    **Reset.** Empty.

    Parameters
    ----------
    hardware : HardwareConfig

    Members
    -------
    given : In(command_layout(hardware))
        The command that comes.
    given_valid : In(1)
        It comes in this cycle; ignored without `given_ready`.
    given_ready : Out(1)
        There is room.
    taken : Out(command_layout(hardware))
        The oldest command.
    taken_valid : Out(1)
        There is one.
    taken_ready : In(1)
        It is taken in this cycle.
    level : Out(range(QUEUE_DEPTH + 1))
        Commands that wait.
    """

    def __init__(self, hardware: HardwareConfig) -> None:
        self.layout = command_layout(hardware)
        super().__init__(
            {
                "given": In(self.layout),
                "given_valid": In(1),
                "given_ready": Out(1),
                "taken": Out(self.layout),
                "taken_valid": Out(1),
                "taken_ready": In(1),
                "level": Out(range(QUEUE_DEPTH + 1)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the logic."""
        m = Module()
        entries = [Signal(self.layout, name=f"entry_{place}") for place in range(QUEUE_DEPTH)]
        put = Signal()
        take = Signal()
        m.d.comb += [
            self.given_ready.eq(self.level != QUEUE_DEPTH),
            self.taken_valid.eq(self.level != 0),
            self.taken.eq(entries[0]),
            put.eq(self.given_valid & self.given_ready),
            take.eq(self.taken_valid & self.taken_ready),
        ]
        m.d.sync += self.level.eq(self.level + put - take)
        with m.If(take):
            for newer, older in zip(entries[1:], entries, strict=False):
                m.d.sync += older.eq(newer)
        for place, entry in enumerate(entries):
            with m.If(put & (self.level - take == place)):
                m.d.sync += entry.eq(self.given)
        return m
