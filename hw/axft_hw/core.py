"""The core: everything behind the bus side."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, ResetInserter, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from axft_hw.array import HIT_LATENCY, SystolicArray
from axft_hw.buffers import OperandBuffer, ResultBuffer, ScanBuffer
from axft_hw.drain import Drain
from axft_hw.fault_controller import FaultController
from axft_hw.interfaces import BUFFERS, BufferPortSignature, ControlSignature, buffer_words, word_bits
from axft_hw.queue import CommandQueue
from axft_hw.scan import ScanController
from axft_hw.sequencer import Sequencer
from axft_spec.hardware import HardwareConfig

__all__ = ["Core"]


class Core(wiring.Component):
    """Command queue, sequencer, drain, fault and scan controllers, array, and the buffers.

    Nothing here can make the bus side wait. A soft reset puts the control logic and the pipeline of the array to their
    initial values; it leaves the scan chain, and the memories with their bus ports.

    Parameters
    ----------
    hardware : HardwareConfig

    Members
    -------
    control : In(ControlSignature(hardware))
        Commands and states.
    activation_buffer, weight_buffer, result_buffer, scan_buffer : In(BufferPortSignature)
        The bus side's ports of the buffers.
    """

    def __init__(self, hardware: HardwareConfig) -> None:
        self.hardware = hardware
        super().__init__(
            {"control": In(ControlSignature(hardware))}
            | {
                member: In(BufferPortSignature(word_bits(buffer_words(hardware, window))))
                for window, member in BUFFERS.items()
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the logic."""
        m = Module()
        hardware, control = self.hardware, self.control
        rows, cols = hardware.array.rows, hardware.array.cols
        queue = CommandQueue(hardware)
        sequencer = Sequencer(hardware, settle_cycles=HIT_LATENCY + 1)
        drain = Drain(hardware)
        faults = FaultController(hardware)
        scan = ScanController(hardware)
        array = SystolicArray(hardware)
        activation_buffer = OperandBuffer(hardware, lanes=rows, bits=hardware.activation_bits)
        weight_buffer = OperandBuffer(hardware, lanes=cols, bits=hardware.weight_bits)
        result_buffer = ResultBuffer(hardware)
        scan_buffer = ScanBuffer(hardware)
        reset = ResetInserter(control.soft_reset)
        for name, part in {
            "queue": queue,
            "sequencer": sequencer,
            "drain_unit": drain,
            "faults": faults,
            "scan": scan,
            "array": array,
        }.items():
            m.submodules[name] = reset(part)
        buffers: dict[str, Any] = {
            "activation_buffer": activation_buffer,
            "weight_buffer": weight_buffer,
            "result_buffer": result_buffer,
            "scan_buffer": scan_buffer,
        }
        for name, buffer in buffers.items():
            m.submodules[name] = buffer
            wiring.connect(m, wiring.flipped(getattr(self, name)), buffer.port)

        busy = Signal()
        m.d.comb += [
            # Commands.
            queue.given.eq(control.command),
            queue.given_valid.eq(control.command_valid),
            control.command_ready.eq(queue.given_ready),
            sequencer.command.eq(queue.taken),
            sequencer.command_valid.eq(queue.taken_valid),
            queue.taken_ready.eq(sequencer.command_ready),
            sequencer.hold.eq(scan.busy),
            # Operands.
            activation_buffer.step.eq(sequencer.activation_step),
            activation_buffer.enable.eq(sequencer.enable),
            weight_buffer.step.eq(sequencer.weight_step),
            weight_buffer.enable.eq(sequencer.enable),
            array.activations.eq(activation_buffer.operands),
            array.row_valid.eq(sequencer.row_valid),
            array.weights.eq(weight_buffer.operands),
            array.column_valid.eq(sequencer.column_valid),
            array.enable.eq(sequencer.enable),
            array.clear.eq(sequencer.clear),
            # Results.
            drain.load.eq(sequencer.load_result),
            drain.load_address.eq(sequencer.result),
            drain.start.eq(sequencer.settled),
            drain.rows.eq(sequencer.rows),
            drain.cols.eq(sequencer.cols),
            drain.psums.eq(array.psums),
            array.drain.eq(drain.shift),
            drain.activated.eq(faults.activated),
            sequencer.drain_done.eq(drain.done),
            result_buffer.write.eq(drain.write),
            result_buffer.address.eq(drain.address),
            result_buffer.word.eq(drain.word),
            # Faults.
            faults.settings.eq(control.faults),
            faults.clear.eq(sequencer.clear),
            faults.enable.eq(sequencer.enable),
            faults.stop.eq(sequencer.settled),
            faults.hit.eq(array.hit),
            array.force.eq(faults.force),
            array.force_psum.eq(faults.force_psum),
            array.observe_row.eq(faults.observe_row),
            array.observe_col.eq(faults.observe_col),
            array.observe.eq(faults.observe),
            # The scan chain.
            scan.command.eq(control.scan_command),
            scan.arm_position.eq(control.scan_position),
            array.reset.eq(control.soft_reset),
            array.scan_in.eq(scan.scan_in),
            array.scan_shift.eq(scan.scan_shift),
            scan.scan_out.eq(array.scan_out),
            scan_buffer.read_address.eq(scan.read_address),
            scan.read_word.eq(scan_buffer.read_word),
            scan_buffer.write.eq(scan.write),
            scan.write_ready.eq(scan_buffer.write_ready),
            scan_buffer.write_address.eq(scan.write_address),
            scan_buffer.write_word.eq(scan.write_word),
            # States.
            busy.eq(queue.taken_valid | sequencer.busy),
            control.busy.eq(busy),
            control.frozen.eq(sequencer.frozen),
            control.waiting.eq(queue.level),
            control.command_done.eq(sequencer.command_done),
            control.tile_done.eq(sequencer.tile_done),
            control.array_enable.eq(sequencer.enable),
            control.scan_ready.eq(~(busy | sequencer.frozen | scan.busy)),
            control.scan_busy.eq(scan.busy),
            control.scan_done.eq(scan.done),
            control.scan_ones.eq(scan.ones),
            control.scan_first.eq(scan.first),
        ]
        return m
