"""The backend ``rtl``: the emitted netlist, compiled to native code, behind the driver that a board has too."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from axft_host.backends.base import Evaluation, RunEnd, Workload
from axft_host.backends.on_device import DeviceBackend, end_of
from axft_host.device.accelerator import Accelerator
from axft_host.device.port import (
    BusError,
    Operation,
    Port,
    PortDeadError,
    PortError,
    PortTimeoutError,
    Read,
    ReadBlock,
    Wait,
    Write,
    WriteBlock,
)
from axft_host.device.recovery import Recovery, Rung, first_line, recover
from axft_spec.config import ArrayConfig
from axft_spec.errors import BackendError, how_to_install
from axft_spec.faults import Site
from axft_spec.flipflops import AnyFault, FlipFlopFault, check_flip_flop
from axft_spec.hardware import HardwareConfig

if TYPE_CHECKING:
    from axft_hw.sim.simulation import Failure

__all__ = ["RtlBackend", "SimulatedPort", "open_accelerator"]

_log = logging.getLogger(__name__)

Int64 = NDArray[np.int64]
Words = NDArray[np.uint32]


class SimulatedPort(Port):
    """A port whose bus is the AXI slave of a compiled model. Clock cycles pass only while something is asked of it.

    Parameters
    ----------
    simulation : axft_hw.sim.simulation.Simulation
    """

    simulated = True

    def __init__(self, simulation: Any) -> None:
        self.simulation = simulation

    def read_block(self, offset: int, words: int) -> Words:
        """See `Port`."""
        return np.asarray(self.transact([ReadBlock(offset, words)])[0], dtype=np.uint32)

    def write_block(self, offset: int, data: Words) -> None:
        """See `Port`."""
        self.transact([WriteBlock(offset, data)])

    def wait32(self, offset: int, mask: int, value: int, deadline_cycles: int) -> None:
        """See `Port`."""
        self.transact([Wait(offset, mask, value, deadline_cycles)])

    def transact(self, operations: Sequence[Operation]) -> list[int | Words]:
        """See `Port`; all operations are one call into the compiled model."""
        batch = self.simulation.batch()
        reads: list[tuple[bool, Words]] = []
        for operation in operations:
            if isinstance(operation, WriteBlock):
                batch.write(operation.offset, operation.data)
            elif isinstance(operation, Write):
                batch.write(operation.offset, np.array([operation.value], dtype=np.uint32))
            elif isinstance(operation, Wait):
                batch.wait(operation.offset, operation.mask, operation.value, operation.deadline_cycles)
            else:
                words = operation.words if isinstance(operation, ReadBlock) else 1
                reads.append((isinstance(operation, Read), batch.read(operation.offset, words)))
        failure = batch.run()
        if failure is not None:
            error = _error(operations[failure.index], failure)
            error.index = failure.index
            raise error
        return [int(words[0]) if single else words for single, words in reads]


def _error(operation: Operation, failure: Failure) -> PortError:
    """Return what a failure of a batch means."""
    if failure.reason == "timeout" and isinstance(operation, Wait):
        return PortTimeoutError(
            operation.offset, operation.mask, operation.value, failure.word, operation.deadline_cycles
        )
    if failure.reason == "error":
        what = "write to" if isinstance(operation, Write | WriteBlock) else "read of"
        return BusError(f"the bus answered a {what} 0x{failure.address:05x} with an error response")
    if failure.reason == "protocol":
        return PortDeadError(f"the bus answered something else than what was asked at 0x{failure.address:05x}")
    return PortDeadError(f"the bus did not answer at 0x{failure.address:05x} within {failure.cycles:,} clock cycles")


def open_accelerator(hardware: HardwareConfig) -> Accelerator:
    """Compile the model of a device, or take it from the cache, and open its driver.

    Raises
    ------
    BackendError
        If Amaranth or a C compiler is missing.
    """
    try:
        from axft_hw.sim.simulation import Simulation
    except ModuleNotFoundError as error:
        raise BackendError(
            f"board 'rtl' needs {error.name}, which is not installed; on a PC {how_to_install()} brings it; allowed "
            f"here: board 'emu'"
        ) from None
    return Accelerator(SimulatedPort(Simulation(hardware)), hardware)


class RtlBackend(DeviceBackend):
    """The array in simulated hardware; bit for bit what the emulator computes, and much slower.

    Parameters
    ----------
    physical : (int, int) or None
        Rows and columns of the device's array; None if it is as large as the logical one.
    sites : tuple of Site
        Fault sites of the device.
    operand_steps : int
        Depth of its operand buffers.
    """

    name = "rtl"
    configures_when_opened = True
    # A simulation has no bad luck.
    proves = False

    def __init__(
        self,
        *,
        physical: tuple[int, int] | None = None,
        sites: tuple[Site, ...] = tuple(Site),
        operand_steps: int = 512,
    ) -> None:
        super().__init__()
        self._physical = physical
        self._sites = sites
        self._operand_steps = operand_steps
        self._accelerator: Accelerator | None = None
        self._powered: tuple[Workload, Evaluation, int] | None = None

    def accelerator(self, config: ArrayConfig) -> Accelerator:
        """Return the device for a logical array; it is made when first asked for, and kept for the next time."""
        array = config.resized(*(self._physical or (config.rows, config.cols)))
        hardware = HardwareConfig(array=array, sites=self._sites, operand_steps=self._operand_steps)
        if self._accelerator is None or self._accelerator.hardware != hardware:
            self._accelerator = open_accelerator(hardware)
        return self._accelerator

    def rungs(self, config: ArrayConfig) -> Sequence[Rung]:
        """See `DeviceBackend`; power is that of the simulated device."""
        return [*super().rungs(config), Rung("power", lambda: self._power_up(config))]

    def check_faults(self, workload: Workload, faults: Sequence[AnyFault | None]) -> None:
        """See `DeviceBackend`."""
        for fault in faults:
            if isinstance(fault, FlipFlopFault):
                check_flip_flop(fault, self.flip_flops(workload.config))
        super().check_faults(workload, [fault for fault in faults if not isinstance(fault, FlipFlopFault)])

    def settle(self, workload: Workload, fault: AnyFault | None) -> Evaluation:
        """See `DeviceBackend`; faults may also be in flip-flops.

        Every fault in a flip-flop meets a device as it is after power-up, so that what it does depends on nothing that
        ran before. This is a simulation: from the same state the same happens in every clock cycle, so that a failure
        would repeat if it were run again, and it is not. After it the device is reset, and a golden run must be clean.
        """
        if isinstance(fault, FlipFlopFault):
            return self._with_flip_flop(workload, fault)
        return super().settle(workload, fault)

    def flip_flops(self, config: ArrayConfig) -> dict[str, int]:
        """Return the width in bits of every flip-flop of the device for a logical array, by name."""
        model = _simulation(self.accelerator(config)).model
        return {name: entry.width for name, entry in sorted(model.flip_flops.items())}

    def golden_cycles(self, workload: Workload) -> int:
        """Return the clock cycles of a golden run after power-up: those in which a fault in a flip-flop can begin."""
        return self._golden_of(workload)[1]

    def _golden_of(self, workload: Workload) -> tuple[Evaluation, int]:
        """Return the golden run after power-up, and its clock cycles."""
        if self._powered is None or self._powered[0] is not workload:
            self._power_up(workload.config)
            simulation = _simulation(self.accelerator(workload.config))
            before = simulation.cycle
            (result,) = self._plain(workload, [None], None)
            self._powered = workload, result, int(simulation.cycle - before)
        return self._powered[1:]

    def _with_flip_flop(self, workload: Workload, fault: FlipFlopFault) -> Evaluation:
        """Run one fault; then bring the device back, and see that it is."""
        golden, _ = self._golden_of(workload)
        simulation = _simulation(self.accelerator(workload.config))
        self._power_up(workload.config)
        simulation.hold(fault.name, fault.bit, fault.kind.value, fault.first_cycle)
        # Nothing is armed, so nothing is activated, whatever the counter of a faulty device says.
        result = Evaluation(np.zeros_like(golden.accumulators), np.zeros_like(golden.activated))
        end, cause = RunEnd.COMPLETE, f"fault {fault} is over"
        try:
            result = replace(result, accumulators=next(self._plain(workload, [None], None)).accumulators)
        except BackendError as error:
            end, cause = RunEnd(end_of(error) or RunEnd.CRASH.value), first_line(error)
        simulation.release()
        recovery = self._clean_after(workload, golden, end, cause)
        _log.info("fault %s: %s; device back after %s", fault, end.value, recovery.rung)
        return replace(result, end=end, recoveries=() if end is RunEnd.COMPLETE else (recovery,))

    def _clean_after(self, workload: Workload, golden: Evaluation, end: RunEnd, cause: str) -> Recovery:
        """Bring the device back, and see that a golden run over all images is clean."""

        def is_clean() -> bool:
            (again,) = self._plain(workload, [None], None)
            return np.array_equal(again.accumulators, golden.accumulators)

        recovery = recover(self.rungs(workload.config), is_clean, cause, end=end.value)
        self.recoveries[recovery.rung] += 1
        return recovery

    def _power_up(self, config: ArrayConfig) -> None:
        accelerator = self.accelerator(config)
        _simulation(accelerator).state.reset()
        accelerator.reset()


def _simulation(accelerator: Accelerator) -> Any:
    assert isinstance(accelerator.port, SimulatedPort)
    return accelerator.port.simulation
