"""A simulated device: the whole design as native code, with an AXI master that takes batches of operations."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from axft_hw.netlist import to_rtlil
from axft_hw.sim.index import recall, remember
from axft_hw.sim.model import CompiledModel, Injection, ModelState, build_text
from axft_hw.top import Top
from axft_spec.errors import BackendError
from axft_spec.hardware import HardwareConfig

__all__ = ["Batch", "Failure", "Simulation", "compile_device", "harness"]

Words = NDArray[np.uint32]

#: The AXI port is the member `axi` of the top.
_PORTS = """
#define BUS_IN(signal) (m->in_axi__##signal)
#define BUS_OUT(signal) (m->out_axi__##signal)
"""

_WRITE, _READ, _WAIT = range(3)

_OPERATIONS: dict[str, Literal["flip", "clear", "set"]] = {
    "flip": "flip",
    "stuck_at_0": "clear",
    "stuck_at_1": "set",
}
_FOR_EVER = 1 << 62
_REASONS: tuple[Literal["timeout", "error", "silent", "protocol"], ...] = ("timeout", "error", "silent", "protocol")


class _Operation(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_uint64) for name in ("kind", "offset", "words", "data", "mask", "value", "deadline")
    )


class _Failure(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint64) for name in ("reason", "operation", "address", "word", "cycles"))


def harness() -> str:
    """Return the C text of the AXI master, for the ports of the top."""
    return _PORTS + resources.files("axft_hw.sim").joinpath("axi_master.c").read_text(encoding="utf-8")


@lru_cache(maxsize=8)
def compile_device(hardware: HardwareConfig) -> CompiledModel:
    """Return the compiled model of a device; one in use, or in the cache, is not built again.

    Raises
    ------
    BackendError
        If there is no working C compiler.
    """
    known = recall(hardware)
    if known is not None:
        return known
    model = build_text(to_rtlil(Top(hardware), "axft_top"), harness=harness())
    remember(hardware, model)
    return model


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a batch has stopped.

    Members
    -------
    reason : str
        ``timeout``: the deadline of a wait has passed. ``error``: the bus answered with an error. ``silent``: it did
        not answer. ``protocol``: it answered what was not asked.
    index : int
        The operation, counted from 0.
    address : int
        The burst's.
    word : int
        What a wait has read last.
    cycles : int
        Clock cycles since the operation began.
    """

    reason: Literal["timeout", "error", "silent", "protocol"]
    index: int
    address: int
    word: int
    cycles: int


class Batch:
    """Operations on the bus that run in one call. What `read` returns is filled by `run`."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._operations: list[tuple[int, ...]] = []
        self._written: list[tuple[int, Words]] = []
        self._read: list[tuple[int, Words]] = []
        self._size = 0

    def _room(self, words: int) -> int:
        start, self._size = self._size, self._size + words
        return start

    def write(self, offset: int, data: Words) -> None:
        """Write consecutive words."""
        start = self._room(len(data))
        self._written.append((start, data))
        self._operations.append((_WRITE, offset, len(data), start, 0, 0, 0))

    def read(self, offset: int, words: int) -> Words:
        """Read consecutive words into the array that is returned."""
        start, data = self._room(words), np.zeros(words, dtype=np.uint32)
        self._read.append((start, data))
        self._operations.append((_READ, offset, words, start, 0, 0, 0))
        return data

    def wait(self, offset: int, mask: int, value: int, deadline_cycles: int) -> None:
        """Read one word until ``word & mask == value``."""
        self._operations.append((_WAIT, offset, 0, 0, mask, value, deadline_cycles))

    def run(self) -> Failure | None:
        """Do the operations in order; return why not all were done, or None."""
        data = np.zeros(max(self._size, 1), dtype=np.uint32)
        for start, words in self._written:
            data[start : start + len(words)] = words
        operations = np.array(self._operations, dtype=np.uint64).reshape(-1, 7)
        failure = _Failure()
        done = self._simulation.model.library.axft_export_operate(
            self._simulation.state.address,
            operations.ctypes.data,
            len(operations),
            data.ctypes.data,
            ctypes.addressof(failure),
        )
        for start, words in self._read:
            words[:] = data[start : start + len(words)]
        if done == len(operations):
            return None
        return Failure(
            reason=_REASONS[failure.reason - 1],
            index=failure.operation,
            address=failure.address,
            word=failure.word,
            cycles=failure.cycles,
        )


class Simulation:
    """One simulated device, fresh from power-up.

    Parameters
    ----------
    hardware : HardwareConfig
    model : CompiledModel or None
        One that was made by other means, such as a netlist with a fault planted; None to compile the device.

    Attributes
    ----------
    model : CompiledModel
    state : ModelState
        Registers, memories and clock of this device.

    Raises
    ------
    BackendError
        If there is no working C compiler.
    """

    def __init__(self, hardware: HardwareConfig, model: CompiledModel | None = None) -> None:
        self.hardware = hardware
        self.model = model or compile_device(hardware)
        library = self.model.library
        if not hasattr(library, "axft_export_operate"):
            raise BackendError("the compiled model has no AXI master; build it with `axft_hw.sim.simulation.harness()`")
        library.axft_export_operate.restype = ctypes.c_uint64
        library.axft_export_operate.argtypes = [
            ctypes.c_void_p,
            ctypes.c_void_p,
            ctypes.c_uint64,
            ctypes.c_void_p,
            ctypes.c_void_p,
        ]
        library.axft_export_idle.restype = None
        library.axft_export_idle.argtypes = [ctypes.c_void_p, ctypes.c_uint64]
        self.state: ModelState = self.model.new()

    def batch(self) -> Batch:
        """Return an empty batch."""
        return Batch(self)

    def idle(self, cycles: int) -> None:
        """Let clock cycles pass with nothing on the bus."""
        self.model.library.axft_export_idle(self.state.address, cycles)

    def hold(self, name: str, bit: int, kind: str, first_cycle: int) -> None:
        """Flip one bit of a flip-flop once, or hold it, from a clock cycle on that is counted from now.

        Parameters
        ----------
        name : str
        bit : int
        kind : str
            ``flip``, ``stuck_at_0`` or ``stuck_at_1``.
        first_cycle : int

        Raises
        ------
        ConfigError
            If there is no such bit.
        """
        begin = self.cycle + first_cycle
        until = begin + 1 if kind == "flip" else _FOR_EVER
        self.state.inject([Injection(name=name, cycle=begin, until=until, mask=1 << bit, operation=_OPERATIONS[kind])])

    def release(self) -> None:
        """Hold nothing any more."""
        self.state.inject(())

    @property
    def cycle(self) -> int:
        """Clock cycles since power-up."""
        return self.state.cycle
