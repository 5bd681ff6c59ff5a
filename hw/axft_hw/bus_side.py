"""The bus side: decoding, registers, watchdog. It answers every access, whatever the core does."""

from __future__ import annotations

from amaranth.hdl import Array, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from axft_hw.csr import CsrBank
from axft_hw.interfaces import BUFFERS, BufferPortSignature, ControlSignature, buffer_words, word_bits
from axft_hw.local_bus import READ_LATENCY, LocalBusSignature
from axft_hw.watchdog import Watchdog
from axft_spec.hardware import HardwareConfig
from axft_spec.regmap import ADDRESS_BITS, WINDOWS, Access

__all__ = ["BusSide"]

# One cycle for a register or a buffer, one for the word that is chosen from them.
assert READ_LATENCY == 2

#: Lowest bit of the part of an address that names a window; 0 there means the registers.
_REGION_LOW = (WINDOWS[0].offset).bit_length() - 1


class BusSide(wiring.Component):
    """Serve the register map on the local bus; give commands to the core and keep watch over it.

    All of it lies outside the fault domain and outside the soft reset, except that a soft reset, which lasts for the
    cycle after the write to CONTROL, also puts COMMANDS_DONE, ARRAY_CYCLES and the watchdog's count to 0. A command
    that came in this very cycle would be dropped, as if the queue were full.

    **Latency.** Of the local bus. **Throughput.** A write and a read in every cycle. **Reset.** The registers' reset
    values.

    Parameters
    ----------
    hardware : HardwareConfig

    Members
    -------
    bus : In(LocalBusSignature)
        The local bus.
    control : Out(ControlSignature(hardware))
        Commands and states of the core.
    activation_buffer, weight_buffer, result_buffer, scan_buffer : Out(BufferPortSignature)
        The buffers.
    """

    def __init__(self, hardware: HardwareConfig) -> None:
        self.hardware = hardware
        super().__init__(
            {"bus": In(LocalBusSignature(ADDRESS_BITS)), "control": Out(ControlSignature(hardware))}
            | {
                member: Out(BufferPortSignature(word_bits(buffer_words(hardware, window))))
                for window, member in BUFFERS.items()
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the logic."""
        m = Module()
        m.submodules.csr = csr = CsrBank(self.hardware)
        m.submodules.watchdog = watchdog = Watchdog()
        self._decode(m, csr)
        self._control(m, csr, watchdog)
        return m

    def _decode(self, m: Module, csr: CsrBank) -> None:
        bus = self.bus
        write_region, read_region = bus.write_address[_REGION_LOW:], bus.read_address[_REGION_LOW:]
        region = Signal.like(read_region)
        outside = Signal()

        m.d.comb += [
            csr.write_valid.eq(bus.write_valid & (write_region == 0)),
            csr.write_address.eq(bus.write_address),
            csr.write_data.eq(bus.write_data),
            csr.write_strobe.eq(bus.write_strobe),
            csr.read_address.eq(bus.read_address),
            bus.write_error.eq(Mux(write_region == 0, csr.write_error, 1)),
        ]
        # What the second cycle of a read chooses from, by region; a region without a window is an error.
        regions = 1 << len(region)
        words: list[Value] = [Const(0, 32)] * regions
        errors: list[Value] = [Const(1, 1)] * regions
        words[0], errors[0] = csr.read_data, csr.read_error
        m.d.sync += [region.eq(read_region), outside.eq(1)]
        for window in WINDOWS:
            number = window.offset >> _REGION_LOW
            port = getattr(self, BUFFERS[window.name])
            depth = buffer_words(self.hardware, window.name)
            write_here = (write_region == number) & self._is_inside(bus.write_address, depth)
            read_here = (read_region == number) & self._is_inside(bus.read_address, depth)
            writable = window.access is Access.RW
            m.d.comb += [
                port.write_valid.eq(bus.write_valid & write_here & writable),
                port.write_address.eq(bus.write_address[2:]),
                port.write_data.eq(bus.write_data),
                port.write_strobe.eq(bus.write_strobe),
                port.read_valid.eq(bus.read_valid & read_here),
                port.read_address.eq(bus.read_address[2:]),
            ]
            with m.If(write_here & writable):
                m.d.comb += bus.write_error.eq(0)
            with m.If(read_here):
                m.d.sync += outside.eq(0)
            words[number], errors[number] = port.read_data, outside
        # What is answered with an error shows nothing of what was read before.
        error = Array(errors)[region]
        m.d.sync += [bus.read_data.eq(Mux(error, 0, Array(words)[region])), bus.read_error.eq(error)]

    @staticmethod
    def _is_inside(address: Value, depth: int) -> Value:
        """Return whether an address of the right region lies inside a buffer of `depth` words, a power of two."""
        return address[2 + (depth - 1).bit_length() : _REGION_LOW] == 0

    def _control(self, m: Module, csr: CsrBank, watchdog: Watchdog) -> None:
        control = self.control
        soft_reset = Signal()
        m.d.sync += soft_reset.eq(csr.control_soft_reset)

        command_accepted = Signal()
        scan_wanted = Signal()
        scan_accepted = Signal()
        command, faults = control.command, control.faults
        m.d.comb += [
            control.soft_reset.eq(soft_reset),
            command.activations.eq(csr.tile_activations_step),
            command.weights.eq(csr.tile_weights_step),
            command.steps.eq(csr.tile_steps_steps),
            command.rows.eq(csr.tile_shape_rows),
            command.cols.eq(csr.tile_shape_cols),
            command.repeat.eq(csr.tile_shape_repeat),
            command.result.eq(csr.tile_result_word),
            command.first.eq(csr.tile_start_first),
            command.last.eq(csr.tile_start_last),
            command_accepted.eq(csr.tile_start_written & control.command_ready & ~soft_reset),
            control.command_valid.eq(command_accepted),
            csr.events_overrun_set.eq(csr.tile_start_written & ~command_accepted),
            scan_wanted.eq(csr.scan_command_written & (csr.scan_command != 0)),
            scan_accepted.eq(scan_wanted & control.scan_ready & ~soft_reset),
            control.scan_command.eq(Mux(scan_accepted, csr.scan_command, 0)),
            csr.events_scan_clash_set.eq(scan_wanted & ~scan_accepted),
            control.scan_position.eq(csr.scan_position),
            csr.scan_ones.eq(control.scan_ones),
            csr.scan_first.eq(control.scan_first),
            faults.kind.eq(csr.fault_kind),
            faults.window.eq(csr.fault_window),
            faults.window_first.eq(csr.window_first),
            faults.window_cycles.eq(csr.window_cycles),
            faults.observe_row.eq(csr.observe_row),
            faults.observe_col.eq(csr.observe_col),
            faults.observe_bit.eq(csr.observe_bit),
            faults.observe_only_bit.eq(csr.observe_only_bit),
            faults.observe_on.eq(csr.observe_on),
            watchdog.limit.eq(csr.watchdog_limit),
            watchdog.restart.eq(soft_reset),
            watchdog.command_accepted.eq(command_accepted),
            watchdog.scan_accepted.eq(scan_accepted),
            watchdog.command_done.eq(control.command_done),
            watchdog.tile_done.eq(control.tile_done),
            watchdog.scan_done.eq(control.scan_done),
            watchdog.core_busy.eq(control.busy | control.scan_busy),
            csr.watchdog_count.eq(watchdog.count),
            csr.events_hang_set.eq(watchdog.hang & ~soft_reset),
            # By either account: a command that the core has lost stays busy, until the watchdog says so.
            csr.status_busy.eq(control.busy | watchdog.commands_outstanding),
            csr.status_scan_busy.eq(control.scan_busy | watchdog.scan_outstanding),
            csr.status_frozen.eq(control.frozen),
            csr.status_waiting.eq(control.waiting),
        ]

        commands_done = Signal(32)
        array_cycles = Signal(32)
        m.d.comb += [csr.commands_done.eq(commands_done), csr.array_cycles.eq(array_cycles)]
        m.d.sync += [
            commands_done.eq(Mux(soft_reset, 0, commands_done + control.command_done)),
            array_cycles.eq(Mux(soft_reset, 0, array_cycles + control.array_enable)),
        ]
