"""The memory map of a virtual Zynq: the fabric behind a port, and the registers of the processing system's clocks."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axft_host.device.port import BusError, Port, PortDeadError, PortTimeoutError
from axft_spec.overlay import ADDRESS_RANGE, IO_PLL_MHZ, clock_divisors

__all__ = ["POLL_CYCLES", "ClockRegisters", "FabricWords", "Mishaps"]

Words = NDArray[np.uint32]

#: Clock cycles of the fabric that pass between two looks of a Python loop at the same word: a microsecond at 100 MHz.
POLL_CYCLES = 100

# Registers of the clocks, in words from the SLCR's base (Zynq-7000 TRM, UG585, B.28).
_ARM_PLL, _DDR_PLL, _IO_PLL, _ARM_CLOCK, _FPGA0_CLOCK = 0x100 // 4, 0x104 // 4, 0x108 // 4, 0x120 // 4, 0x170 // 4
_CRYSTAL_MHZ = 50


@dataclass(slots=True, kw_only=True)
class Mishaps:
    """What goes wrong on a virtual board. Everything may be changed while it runs.

    Parameters
    ----------
    unanswered : set of int
        Byte offsets in the fabric where nothing answers. A processor stands still there.
    words : dict of int to int
        Byte offsets whose words read as something else.
    clock_stuck : bool
        Whether writes to the fabric clock's divisors have no effect.
    root : bool
        Whether the process may map memory and write to the FPGA manager.
    for_real : bool
        False: what would end or stop the process is raised as an error. True: an error response of the bus kills it by
        SIGBUS, as Linux does, and an unanswered address stops it for ever.
    before_access : callable or None
        Called with the byte offset and the words before each access to the fabric; it may raise, or change this.
    """

    unanswered: set[int] = field(default_factory=set)
    words: dict[int, int] = field(default_factory=dict)
    clock_stuck: bool = False
    root: bool = True
    for_real: bool = False
    before_access: Callable[[int, int], None] | None = None

    def stop(self, offset: int) -> None:
        """Play an access that nothing answers."""
        while self.for_real:
            time.sleep(3600)
        raise PortDeadError(f"nothing answers at 0x{offset:05x}: the processor of a Zynq-7000 would stand still now")

    def bus_error(self, error: BusError) -> None:
        """Play an error response."""
        if self.for_real:
            os.kill(os.getpid(), signal.SIGBUS)
        raise error


class FabricWords:
    """What a mapping of the fabric's addresses looks like: 32-bit words by number or slice, as an ndarray of /dev/mem.

    A slice is a view, as an array's is: nothing is read before its words are asked for.

    Parameters
    ----------
    port : callable
        Returns the port of what the fabric is configured as, or None.
    mishaps : Mishaps
    first, count : int
        The words mapped, counted from the port's beginning.
    """

    dtype = np.dtype(np.uint32)

    def __init__(self, port: Callable[[], Port | None], mishaps: Mishaps, first: int, count: int) -> None:
        self._port = port
        self._mishaps = mishaps
        self._first, self._count = first, count
        # The word that the last access has read, if it was one word: reading it again is polling.
        self._polled: list[int | None] = [None, None]

    def __len__(self) -> int:
        return self._count

    @property
    def shape(self) -> tuple[int]:
        """As an array's."""
        return (self._count,)

    def view(self, dtype: object = np.uint32) -> FabricWords:
        """Return this, which has words of 32 bits only."""
        if np.dtype(dtype) != self.dtype:  # type: ignore[call-overload]
            raise TypeError(f"words of the fabric have 32 bits: {dtype}")
        return self

    def _span(self, index: Any) -> tuple[int, int, bool]:
        """Return the byte offset, the words, and whether it is a single one."""
        if isinstance(index, slice):
            start, stop, step = index.indices(self._count)
            if step != 1:
                raise IndexError("the fabric is accessed in blocks of consecutive words")
            return 4 * (self._first + start), max(0, stop - start), False
        number = int(index)
        if not 0 <= number < self._count:
            raise IndexError(f"word {number} of a mapping of {self._count}")
        return 4 * (self._first + number), 1, True

    def __getitem__(self, index: Any) -> Any:
        offset, words, single = self._span(index)
        if single:
            return np.uint32(self._read_one(offset))
        part = FabricWords(self._port, self._mishaps, offset // 4, words)
        part._polled = self._polled
        return part

    def __setitem__(self, index: Any, value: Any) -> None:
        offset, words, _ = self._span(index)
        data = np.broadcast_to(np.asarray(value, dtype=np.uint32), (words,))
        self._polled[:] = [None, None]
        self._access(offset, words, lambda port: port.write_block(offset, np.ascontiguousarray(data)))

    def __array__(self, dtype: object = None, copy: bool | None = None) -> NDArray[Any]:
        self._polled[:] = [None, None]
        offset = 4 * self._first
        data: Words = self._access(offset, self._count, lambda port: port.read_block(offset, self._count))
        for wrong, word in self._mishaps.words.items():
            if offset <= wrong < offset + 4 * self._count:
                data[(wrong - offset) // 4] = word
        return data if dtype is None else data.astype(np.dtype(dtype))  # type: ignore[call-overload]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.__array__())

    def _read_one(self, offset: int) -> int:
        word = int(self._access(offset, 1, lambda port: self._look(port, offset)))
        self._polled[:] = [offset, word]
        return self._mishaps.words.get(offset, word)

    def _look(self, port: Port, offset: int) -> int:
        last = self._polled[1]
        if self._polled[0] != offset or last is None:
            return port.read32(offset)
        # Time passes between two looks; a port has a way to say so.
        try:
            port.wait32(offset, 0xFFFFFFFF, last ^ 0xFFFFFFFF, POLL_CYCLES)
        except PortTimeoutError as error:
            return error.last
        return last ^ 0xFFFFFFFF

    def _access(self, offset: int, words: int, act: Callable[[Port], Any]) -> Any:
        mishaps = self._mishaps
        if mishaps.before_access is not None:
            mishaps.before_access(offset, words)
        port = self._port()
        if port is None or any(offset <= place < offset + 4 * words for place in mishaps.unanswered):
            mishaps.stop(offset)
            raise AssertionError("unreachable")
        try:
            return act(port)
        except BusError as error:
            return mishaps.bus_error(error)


class ClockRegisters(np.ndarray):
    """The system level control registers of the clocks, as the boot loader of a PYNQ-Z2 leaves them.

    An ndarray of uint32. Its fabric clock can be stuck.
    """

    mishaps: Mishaps | None = None

    @classmethod
    def make(cls, mishaps: Mishaps, words: int = 0x400) -> ClockRegisters:
        """Return new registers: processor 650 MHz, memory 525 MHz, fabric clocks 100 MHz."""
        registers = np.zeros(words, dtype=np.uint32).view(cls)
        divisors = clock_divisors(100.0)
        registers[_ARM_PLL] = 26 << 12
        registers[_DDR_PLL] = 21 << 12
        registers[_IO_PLL] = round(IO_PLL_MHZ / _CRYSTAL_MHZ) << 12
        registers[_ARM_CLOCK] = 2 << 8
        for clock in range(4):
            registers[_FPGA0_CLOCK + 4 * clock] = divisors[0] << 8 | divisors[1] << 20
        registers.mishaps = mishaps
        return registers

    def __array_finalize__(self, source: object) -> None:
        self.mishaps = getattr(source, "mishaps", None)

    def __setitem__(self, index: Any, value: Any) -> None:
        # pynq writes to single registers, through views of one word each: only those are looked at.
        if self.mishaps is not None and self.mishaps.clock_stuck:
            return
        super().__setitem__(index, value)


def fabric_offset_words(address: int, base: int) -> int:
    """Return the word of the block that an address of the port shows: the block is seen all over it."""
    return (address - base) % ADDRESS_RANGE // 4
