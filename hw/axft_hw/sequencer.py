"""The tile sequencer."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from axft_hw.interfaces import command_layout, word_bits
from axft_spec.hardware import HardwareConfig

__all__ = ["OPERAND_LEAD", "PSUM_LAG", "Sequencer"]

OPERAND_LEAD = 2
"""Enabled cycles from the one in which a step's address is at the buffers to the one in which PE(0, 0) holds it: one
for the buffer, one for the input register of the array."""

PSUM_LAG = 1
"""Enabled cycles after the one in which a PE holds a step to the one that adds its product."""


class Sequencer(wiring.Component):
    """Run commands: feed the steps of each tile to the array, let it finish, have it drained.

    A tile of K steps takes K + rows + cols + 1 enabled cycles, one in every clock cycle, then `settle_cycles`, and the
    drain's time. Between a command and the next lie 2 cycles. A command that is not `last` is finished when its last
    step is read from the buffers; then `enable` falls and everything that counts enabled cycles stands still, until
    the next command goes on as if there had been no gap.

    With `steps` 0 nothing is fed: a command that is `last` finishes and drains the tile as it stands. `repeat` counts
    in commands that are both `first` and `last`.

    **Latency.** `clear` comes 1 cycle after a command is taken, its first step's address 2.
    **Throughput.** One step per cycle. **Reset.** Idle, with no tile begun.

    Parameters
    ----------
    hardware : HardwareConfig
    settle_cycles : int
        Cycles after the last enabled one until the array has counted all activations, at least 1.

    Attributes
    ----------
    weight_first, steps, first, last : Signal
        From the command that runs.
    steps_left, tiles_left : Signal
        Steps of the tile that are to be fed, and tiles of the command that are not finished.
    row_mask : Signal
        Rows of the tile.
    flush_left, settle_left : Signal
        Cycles after this one.

    Members
    -------
    command : In(command_layout(hardware))
        The command to take.
    command_valid : In(1)
        There is one.
    command_ready : Out(1)
        It is taken in this cycle.
    hold : In(1)
        Take no command now: the scan chain is being shifted.
    activation_step, weight_step : Out
        Steps to read from the buffers, in cycles with `enable`.
    enable : Out(1)
        Array and buffers advance.
    clear : Out(1)
        A tile begins, in the next cycle.
    row_valid : Out(rows)
        Rows for which the buffers show operands.
    column_valid : Out(cols)
        Columns of the tile.
    settled : Out(1)
        One cycle: the steps of a tile are through. The drain starts.
    rows, cols : Out
        Size of the tile.
    load_result : Out(1)
        The drain is to go on from `result`.
    result : Out
        First word in the result buffer.
    drain_done : In(1)
        The drain is through.
    busy : Out(1)
        A command runs.
    frozen : Out(1)
        A tile waits for its next chunk.
    command_done, tile_done : Out(1)
        One cycle for each that is finished.
    """

    def __init__(self, hardware: HardwareConfig, *, settle_cycles: int) -> None:
        self.hardware = hardware
        self.settle_cycles = settle_cycles
        self.layout = command_layout(hardware)
        step_bits = word_bits(hardware.operand_steps)
        super().__init__(
            {
                "command": In(self.layout),
                "command_valid": In(1),
                "command_ready": Out(1),
                "hold": In(1),
                "activation_step": Out(step_bits),
                "weight_step": Out(step_bits),
                "enable": Out(1),
                "clear": Out(1),
                "row_valid": Out(hardware.array.rows),
                "column_valid": Out(hardware.array.cols),
                "settled": Out(1),
                "rows": Out(self.layout["rows"].width),
                "cols": Out(self.layout["cols"].width),
                "load_result": Out(1),
                "result": Out(word_bits(hardware.result_words)),
                "drain_done": In(1),
                "busy": Out(1),
                "frozen": Out(1),
                "command_done": Out(1),
                "tile_done": Out(1),
            }
        )
        self.weight_first = Signal(step_bits)
        self.steps = Signal(self.layout["steps"].width)
        self.steps_left = Signal.like(self.steps)
        self.tiles_left = Signal(self.layout["repeat"].width)
        self.first = Signal()
        self.last = Signal()
        self.row_mask = Signal(hardware.array.rows)
        self.flush_left = Signal(range(2 << len(self.rows)))
        self.settle_left = Signal(range(settle_cycles))

    def elaborate(self, platform: object) -> Module:
        """Build the logic."""
        m = Module()
        operands_present = Signal()
        feeding = Signal()
        m.d.comb += self.row_valid.eq(self.row_mask & operands_present.replicate(len(self.row_mask)))
        with m.If(self.enable):
            m.d.sync += operands_present.eq(feeding)
        with m.If(self.clear):
            m.d.sync += operands_present.eq(0)

        with m.FSM() as fsm:
            with m.State("IDLE"):
                self._take(m)
            with m.State("BEGIN"):
                self._begin(m)
            with m.State("FEED"):
                m.d.comb += feeding.eq(1)
                self._feed(m)
            with m.State("FLUSH"):
                m.d.sync += self.flush_left.eq(self.flush_left - 1)
                with m.If(self.flush_left == 0):
                    m.d.sync += [self.enable.eq(0), self.settle_left.eq(self.settle_cycles - 1)]
                    m.next = "SETTLE"
            with m.State("SETTLE"):
                m.d.sync += self.settle_left.eq(self.settle_left - 1)
                with m.If(self.settle_left == 0):
                    m.d.comb += self.settled.eq(1)
                    m.next = "DRAIN"
            with m.State("DRAIN"), m.If(self.drain_done):
                m.d.comb += self.tile_done.eq(1)
                m.d.sync += self.tiles_left.eq(self.tiles_left - 1)
                # A repeat of 0 means one.
                with m.If(self.tiles_left > 1):
                    m.next = "BEGIN"
                with m.Else():
                    m.d.comb += self.command_done.eq(1)
                    m.next = "IDLE"
        m.d.comb += self.busy.eq(~fsm.ongoing("IDLE"))
        return m

    def _take(self, m: Module) -> None:
        """Take a command, if there is one."""
        command = self.command
        taken = self.command_valid & ~self.hold
        m.d.comb += [self.command_ready.eq(~self.hold), self.result.eq(command.result), self.load_result.eq(taken)]
        with m.If(taken):
            m.d.sync += [
                self.activation_step.eq(command.activations),
                self.weight_first.eq(command.weights),
                self.steps.eq(command.steps),
                self.tiles_left.eq(Mux(command.first & command.last, command.repeat, 1)),
                self.first.eq(command.first),
                self.last.eq(command.last),
                self.rows.eq(command.rows),
                self.cols.eq(command.cols),
                self.row_mask.eq(Cat(command.rows > row for row in range(len(self.row_mask)))),
                self.column_valid.eq(Cat(command.cols > col for col in range(len(self.column_valid)))),
            ]
            m.next = "BEGIN"

    def _begin(self, m: Module) -> None:
        """Begin a tile, or go on with the one that is frozen."""
        m.d.comb += self.clear.eq(self.first)
        m.d.sync += [self.weight_step.eq(self.weight_first), self.steps_left.eq(self.steps), self.frozen.eq(0)]
        with m.If(self.steps != 0):
            m.d.sync += self.enable.eq(1)
            m.next = "FEED"
        with m.Elif(self.last):
            m.d.sync += self.enable.eq(1)
            self._flush(m)
        with m.Else():
            self._freeze(m)

    def _feed(self, m: Module) -> None:
        """Feed a step."""
        m.d.sync += [
            self.activation_step.eq(self.activation_step + 1),
            self.weight_step.eq(self.weight_step + 1),
            self.steps_left.eq(self.steps_left - 1),
        ]
        with m.If(self.steps_left == 1):
            with m.If(self.last):
                self._flush(m)
            with m.Else():
                self._freeze(m)

    def _flush(self, m: Module) -> None:
        """Let the PE furthest away do its steps."""
        # It has the last step rows + cols - 2 cycles after PE(0, 0). One cycle of the lead was that of the address.
        m.d.sync += self.flush_left.eq(self.rows + self.cols - 2 + (OPERAND_LEAD - 1) + PSUM_LAG)
        m.next = "FLUSH"

    def _freeze(self, m: Module) -> None:
        """Stand still until the next chunk."""
        m.d.comb += self.command_done.eq(1)
        m.d.sync += [self.enable.eq(0), self.frozen.eq(1)]
        m.next = "IDLE"
