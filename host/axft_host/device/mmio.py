"""The port of a board: 32-bit words of memory that the processor has mapped."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from axft_host.device.port import Port, PortTimeoutError, Words
from axft_spec.errors import BackendError
from axft_spec.regmap import WINDOWS

__all__ = ["GRACE_S", "MmioPort"]

#: Seconds that a wait takes longer than its clock cycles before it is given up: Linux may do something else meanwhile.
GRACE_S = 1.0

#: Below are registers, from here on buffers.
_FIRST_WINDOW = min(area.offset for area in WINDOWS)


class MmioPort(Port):
    """A port onto mapped words. Blocks are copied as a whole, without work for each word in Python.

    An error response of the bus cannot be caught here: Linux ends the process by SIGBUS. An access that is never
    answered stops the processor; so no address outside the mapping is ever touched.

    Parameters
    ----------
    words : array of uint32
        The mapping: `mmio.array` of pynq.
    clock_hz : float
        Of the fabric; what deadlines in clock cycles are converted with.
    grace_s : float
        Seconds that every wait gets in addition.
    simulated : bool
        Whether the words are those of a virtual board.
    """

    reports_errors = False
    clock_hz: float

    def __init__(self, words: Any, clock_hz: float, grace_s: float = GRACE_S, *, simulated: bool = False) -> None:
        if not clock_hz > 0:
            raise BackendError(f"the fabric clock must be above 0 Hz, not {clock_hz}")
        self._words = words
        self.clock_hz = clock_hz
        self.grace_s = grace_s
        self.simulated = simulated

    def _index(self, offset: int, words: int) -> int:
        """Return the number of the first word of an access that is inside the mapping."""
        index = offset >> 2
        if offset & 3 or offset < 0 or words < 0 or index + words > len(self._words):
            raise BackendError(
                f"an access must be to words inside the mapping of {4 * len(self._words):,} bytes, not to {words} "
                f"words at 0x{offset:x}"
            )
        return index

    def read_block(self, offset: int, words: int) -> Words:
        """See `Port`."""
        index = self._index(offset, words)
        return np.array(self._words[index : index + words], dtype=np.uint32)

    def write_block(self, offset: int, data: Words) -> None:
        """See `Port`."""
        index = self._index(offset, len(data))
        # Converted before it goes out: a copy with a conversion may be cut into other accesses than words.
        block = np.ascontiguousarray(data, dtype=np.uint32)
        end = index + len(block)
        if offset < _FIRST_WINDOW and len(block) > 1:
            # The last register of a command starts it. A copy of memory may take its words in any order.
            end -= 1
            self._words[index:end] = block[:-1]
            self._words[end] = block[-1]
            return
        self._words[index:end] = block

    def read32(self, offset: int) -> int:
        """See `Port`."""
        return int(self._words[self._index(offset, 1)])

    def write32(self, offset: int, value: int) -> None:
        """See `Port`."""
        self._words[self._index(offset, 1)] = np.uint32(value)

    def wait32(self, offset: int, mask: int, value: int, deadline_cycles: int) -> None:
        """See `Port`. The clock is the wall's; the last look begins after the deadline."""
        index, words = self._index(offset, 1), self._words
        deadline = time.monotonic() + deadline_cycles / self.clock_hz + self.grace_s
        while True:
            late = time.monotonic() >= deadline
            last = int(words[index])
            if last & mask == value:
                return
            if late:
                raise PortTimeoutError(offset, mask, value, last, deadline_cycles)
