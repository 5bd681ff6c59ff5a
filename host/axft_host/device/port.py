"""A port: what carries reads and writes of 32-bit words to one accelerator.

Simulated RTL and a board's memory-mapped bus implement it; the driver cannot tell them apart.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from axft_spec.errors import BackendError

__all__ = [
    "BusError",
    "Operation",
    "Port",
    "PortDeadError",
    "PortError",
    "PortTimeoutError",
    "Read",
    "ReadBlock",
    "Wait",
    "Write",
    "WriteBlock",
]

Words = NDArray[np.uint32]


class PortError(BackendError):
    """Base of what a port raises.

    Attributes
    ----------
    index : int or None
        Which of the operations of a transaction has failed, from 0; None if it was none, or is not known.
    """

    index: int | None = None


class BusError(PortError):
    """The bus answered an access with an error response."""


class PortDeadError(PortError):
    """The bus does not answer, or not what was asked."""


class PortTimeoutError(PortError):
    """The deadline of a wait has passed.

    Attributes
    ----------
    offset, mask, value : int
        What was waited for.
    last : int
        What was read last.
    """

    def __init__(self, offset: int, mask: int, value: int, last: int, deadline_cycles: int) -> None:
        super().__init__(
            f"the word at 0x{offset:05x} was 0x{last:08x}, and not 0x{value:x} in its bits 0x{mask:x}, "
            f"after {deadline_cycles:,} clock cycles"
        )
        self.offset, self.mask, self.value, self.last = offset, mask, value, last


@dataclass(frozen=True, slots=True)
class Read:
    """Read one word; its result is an int."""

    offset: int


@dataclass(frozen=True, slots=True)
class Write:
    """Write one word; no result."""

    offset: int
    value: int


@dataclass(frozen=True, slots=True)
class ReadBlock:
    """Read consecutive words; the result is an ndarray of uint32, shape (words,)."""

    offset: int
    words: int


@dataclass(frozen=True, slots=True, eq=False)
class WriteBlock:
    """Write consecutive words from an ndarray of uint32; no result."""

    offset: int
    data: Words


@dataclass(frozen=True, slots=True)
class Wait:
    """Wait until a word, masked, has a value; no result."""

    offset: int
    mask: int
    value: int
    deadline_cycles: int


Operation = Read | Write | ReadBlock | WriteBlock | Wait


class Port(ABC):
    """Reads and writes 32-bit words at byte offsets that are multiples of 4.

    A port may be used by one thread at a time. Every method raises `BusError` if the bus answers with an error,
    and `PortDeadError` if it does not answer.

    Attributes
    ----------
    reports_errors : bool
        Whether an error answer of the bus comes back as `BusError`. On a processor's own bus it does not: it ends the
        program, so that nothing may be asked for that is answered so.
    clock_hz : float or None
        The clock of the fabric as it was read back; None if there is nothing to read.
    simulated : bool
        Whether clock cycles pass only while something is asked, and not by the wall.
    """

    reports_errors: bool = True
    clock_hz: float | None = None
    simulated: bool = False

    @abstractmethod
    def read_block(self, offset: int, words: int) -> Words:
        """Return consecutive words: ndarray of uint32, shape (words,), the caller's own."""

    @abstractmethod
    def write_block(self, offset: int, data: Words) -> None:
        """Write consecutive words from an ndarray of uint32, shape (words,)."""

    @abstractmethod
    def wait32(self, offset: int, mask: int, value: int, deadline_cycles: int) -> None:
        """Wait until ``word & mask == value``.

        Parameters
        ----------
        offset, mask, value : int
        deadline_cycles : int
            Clock cycles of the fabric after which the wait is given up. A port whose clock runs on a wall waits
            at least so long.

        Raises
        ------
        PortTimeoutError
            If the deadline has passed.
        """

    def read32(self, offset: int) -> int:
        """Return one word."""
        return int(self.read_block(offset, 1)[0])

    def write32(self, offset: int, value: int) -> None:
        """Write one word."""
        self.write_block(offset, np.array([value], dtype=np.uint32))

    def transact(self, operations: Sequence[Operation]) -> list[int | Words]:
        """Do operations in order; return the results of those that read.

        An operation that fails raises, and those behind it are not done; the error knows which one it was.
        """
        results: list[int | Words] = []
        for index, operation in enumerate(operations):
            try:
                if isinstance(operation, WriteBlock):
                    self.write_block(operation.offset, operation.data)
                elif isinstance(operation, ReadBlock):
                    results.append(self.read_block(operation.offset, operation.words))
                elif isinstance(operation, Write):
                    self.write32(operation.offset, operation.value)
                elif isinstance(operation, Read):
                    results.append(self.read32(operation.offset))
                else:
                    self.wait32(operation.offset, operation.mask, operation.value, operation.deadline_cycles)
            except PortError as error:
                error.index = index
                raise
        return results
