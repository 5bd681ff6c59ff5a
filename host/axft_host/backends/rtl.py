"""The backend ``rtl``: the emitted netlist, compiled to native code, behind the driver that a board has too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axft_host.backends.base import Backend, GemmResult
from axft_host.device.accelerator import Accelerator
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
from axft_spec.faults import Fault, Site
from axft_spec.hardware import HardwareConfig
from axft_spec.regmap import REGMAP_HASH

__all__ = ["RtlBackend", "SimulatedPort", "open_accelerator"]

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
    except ImportError as error:
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
