"""The backend ``rtl``: the emitted netlist, compiled to native code, behind the driver that a board has too."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axft_host.backends.base import Backend, Evaluation, GemmResult, RunEnd, Workload
from axft_host.device.accelerator import Accelerator, DeviceEventError, DeviceHangError, DeviceTimeoutError
from axft_host.device.port import (
    BusError,
    Operation,
    Port,
    PortTimeoutError,
    Read,
    ReadBlock,
    Wait,
    Write,
    WriteBlock,
)
from axft_spec.config import ArrayConfig
from axft_spec.errors import BackendError
from axft_spec.faults import Fault, Site, check_fault
from axft_spec.flipflops import AnyFault, FlipFlopFault, check_flip_flop
from axft_spec.hardware import HardwareConfig
from axft_spec.regmap import REGMAP_HASH

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
            operation = operations[failure.index]
            if failure.reason == "timeout" and isinstance(operation, Wait):
                raise PortTimeoutError(
                    operation.offset, operation.mask, operation.value, failure.word, operation.deadline_cycles
                )
            if failure.reason == "error":
                what = "write to" if isinstance(operation, Write | WriteBlock) else "read of"
                raise BusError(f"the bus answered a {what} 0x{failure.address:05x} with an error response")
            if failure.reason == "protocol":
                raise BackendError(f"the bus answered something else than what was asked at 0x{failure.address:05x}")
            raise BackendError(
                f"the bus did not answer at 0x{failure.address:05x} within {failure.cycles:,} clock cycles"
            )
        return [int(words[0]) if single else words for single, words in reads]


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
            f"board 'rtl' needs {error.name}, which is not installed; on a PC `pip install axft-hw` brings it; allowed "
            f"here: board 'emu'"
        ) from None
    return Accelerator(SimulatedPort(Simulation(hardware)), hardware)


class RtlBackend(Backend):
    """The array in simulated hardware; bit for bit what the emulator computes, and much slower.

    Parameters
    ----------
    physical : (int, int) or None
        Rows and columns of the device's array; None if it is as large as the logical one.
    sites : tuple of Site
        Fault sites of the device.
    operand_steps : int
        Depth of its operand buffers.

    Attributes
    ----------
    recoveries : Counter of str
        How often which means brought the device back after a fault in a flip-flop: ``soft reset`` or ``power``.
    """

    name = "rtl"

    def __init__(
        self,
        *,
        physical: tuple[int, int] | None = None,
        sites: tuple[Site, ...] = tuple(Site),
        operand_steps: int = 512,
    ) -> None:
        self._physical = physical
        self._sites = sites
        self._operand_steps = operand_steps
        self._accelerator: Accelerator | None = None
        self._golden: tuple[Workload, Evaluation, int] | None = None
        self.recoveries: Counter[str] = Counter()

    def accelerator(self, config: ArrayConfig) -> Accelerator:
        """Return the device for a logical array; it is made when first asked for, and kept for the next time."""
        array = config.resized(*(self._physical or (config.rows, config.cols)))
        hardware = HardwareConfig(array=array, sites=self._sites, operand_steps=self._operand_steps)
        if self._accelerator is None or self._accelerator.hardware != hardware:
            self._accelerator = open_accelerator(hardware)
        return self._accelerator

    def device(self) -> dict[str, Any] | None:
        """See :meth:`Backend.device`."""
        if self._accelerator is None:
            return None
        hardware = self._accelerator.hardware
        return {
            "hardware": hardware.to_json(),
            "config_hash": f"{hardware.config_hash:08x}",
            "regmap_hash": f"{REGMAP_HASH:08x}",
        }

    def gemm(
        self,
        config: ArrayConfig,
        activations: Int64,
        weights: Int64,
        fault: Fault | None = None,
        *,
        layer: int = 0,
        gemm: int = 0,
    ) -> GemmResult:
        """See :meth:`Backend.gemm`."""
        accelerator = self.accelerator(config)
        return GemmResult(*accelerator.gemm(config, activations, weights, fault, layer=layer, gemm=gemm))

    def evaluate(
        self, workload: Workload, faults: Sequence[AnyFault | None], progress: Callable[[int], None] | None = None
    ) -> list[Evaluation]:
        """See :meth:`Backend.evaluate`; faults may also be in flip-flops.

        Every fault in a flip-flop meets a device as it is after power-up, so that what it does depends on nothing that
        ran before. After it the device is reset, and a golden run must be clean.
        """
        for fault in faults:
            if isinstance(fault, FlipFlopFault):
                check_flip_flop(fault, self.flip_flops(workload.config))
            elif fault is not None:
                check_fault(fault, workload.config, workload.schedule)
                self.accelerator(workload.config).hardware.check_sites([fault])
        results = []
        for fault in faults:
            if isinstance(fault, FlipFlopFault):
                results.append(self._with_flip_flop(workload, fault))
                if progress is not None:
                    progress(len(workload.images))
            else:
                results += super().evaluate(workload, [fault], progress)
        return results

    def flip_flops(self, config: ArrayConfig) -> dict[str, int]:
        """Return the width in bits of every flip-flop of the device for a logical array, by name."""
        model = _simulation(self.accelerator(config)).model
        return {name: entry.width for name, entry in sorted(model.flip_flops.items())}

    def golden_cycles(self, workload: Workload) -> int:
        """Return the clock cycles of a golden run after power-up: those in which a fault in a flip-flop can begin."""
        return self._golden_of(workload)[1]

    def _golden_of(self, workload: Workload) -> tuple[Evaluation, int]:
        """Return the golden run after power-up, and its clock cycles."""
        if self._golden is None or self._golden[0] is not workload:
            simulation = _simulation(self.accelerator(workload.config))
            self._power_up(workload)
            before = simulation.cycle
            (result,) = super().evaluate(workload, [None])
            self._golden = workload, result, int(simulation.cycle - before)
        return self._golden[1:]

    def _with_flip_flop(self, workload: Workload, fault: FlipFlopFault) -> Evaluation:
        """Run one fault; then bring the device back, and see that it is."""
        golden, _ = self._golden_of(workload)
        simulation = _simulation(self.accelerator(workload.config))
        self._power_up(workload)
        simulation.hold(fault.name, fault.bit, fault.kind.value, fault.first_cycle)
        end, accumulators = RunEnd.COMPLETE, np.zeros_like(golden.accumulators)
        try:
            accumulators = super().evaluate(workload, [None])[0].accumulators
        except (DeviceHangError, DeviceTimeoutError, DeviceEventError):
            end = RunEnd.HANG
        except BackendError:
            end = RunEnd.CRASH
        simulation.release()
        rung = self._recover(workload, fault)
        self.recoveries[rung] += 1
        _log.info("fault %s: %s; device back after %s", fault, end.value, rung)
        # Nothing is armed, so nothing is activated, whatever the counter of a faulty device says.
        return Evaluation(accumulators, np.zeros_like(golden.activated), end)

    def _recover(self, workload: Workload, fault: FlipFlopFault) -> str:
        """Reset the device, and if that does not help switch it off and on, until a golden run is clean; return how."""
        golden, _ = self._golden_of(workload)
        accelerator = self.accelerator(workload.config)
        for rung in ("soft reset", "power"):
            try:
                if rung == "power":
                    self._power_up(workload)
                else:
                    accelerator.reset()
                clean = super().evaluate(workload, [None])[0]
            except BackendError:
                continue
            if np.array_equal(clean.accumulators, golden.accumulators):
                return rung
        raise BackendError(
            f"fault {fault}: no golden run is clean any more, even after the device was powered up again"
        )

    def _power_up(self, workload: Workload) -> None:
        accelerator = self.accelerator(workload.config)
        _simulation(accelerator).state.reset()
        accelerator.reset()


def _simulation(accelerator: Accelerator) -> Any:
    assert isinstance(accelerator.port, SimulatedPort)
    return accelerator.port.simulation
