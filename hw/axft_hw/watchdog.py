"""The watchdog."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from axft_spec.regmap import QUEUE_DEPTH

__all__ = ["Watchdog"]

#: Commands that can be outstanding: those that wait, the one that runs, and one being accepted as another finishes.
_MOST_COMMANDS = QUEUE_DEPTH + 2


class Watchdog(wiring.Component):
    """Count cycles while work is outstanding, and say when they pass a limit.

    What is outstanding is counted here, from what was accepted and what was reported as finished, so that a core
    that forgets its work, or falsely calls itself idle, is found as surely as one that is stuck.

    **Latency.** `hang` rises in the cycle in which `count` is at the limit.
    **Reset.** Nothing is outstanding.

    Members
    -------
    limit : In(32)
        Cycles; 0 is off.
    restart : In(1)
        Forget all outstanding work: the core is being reset.
    command_accepted, scan_accepted : In(1)
        Work was given to the core.
    command_done, tile_done, scan_done : In(1)
        The core reports an end.
    core_busy : In(1)
        The core says that it works.
    working : Out(1)
        Work is outstanding, by either account.
    commands_outstanding, scan_outstanding : Out(1)
        Commands are, or a scan command is, by this account.
    count : Out(32)
        Cycles since work began or something was finished; stands still while there is no work.
    hang : Out(1)
        `count` has reached the limit, and work is outstanding.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "limit": In(32),
                "restart": In(1),
                "command_accepted": In(1),
                "scan_accepted": In(1),
                "command_done": In(1),
                "tile_done": In(1),
                "scan_done": In(1),
                "core_busy": In(1),
                "working": Out(1),
                "commands_outstanding": Out(1),
                "scan_outstanding": Out(1),
                "count": Out(32),
                "hang": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the logic."""
        m = Module()
        commands = Signal(range(_MOST_COMMANDS + 1))
        m.d.comb += [
            self.commands_outstanding.eq(commands != 0),
            self.working.eq(self.commands_outstanding | self.scan_outstanding | self.core_busy),
            self.hang.eq(self.working & (self.limit != 0) & (self.count >= self.limit)),
        ]

        # A core gone wrong may report more ends than there were begins, or take more commands than it has room for.
        with m.If(self.command_accepted & ~self.command_done & (commands != _MOST_COMMANDS)):
            m.d.sync += commands.eq(commands + 1)
        with m.If(~self.command_accepted & self.command_done & (commands != 0)):
            m.d.sync += commands.eq(commands - 1)
        with m.If(self.scan_done):
            m.d.sync += self.scan_outstanding.eq(0)
        with m.If(self.scan_accepted):
            m.d.sync += self.scan_outstanding.eq(1)

        ended = self.command_done | self.tile_done | self.scan_done
        begun = (self.command_accepted | self.scan_accepted) & ~self.working
        with m.If(ended | begun):
            m.d.sync += self.count.eq(0)
        with m.Elif(self.working):
            m.d.sync += self.count.eq(Mux(self.count.all(), self.count, self.count + 1))
        with m.If(self.restart):
            m.d.sync += [commands.eq(0), self.scan_outstanding.eq(0), self.count.eq(0)]
        return m
