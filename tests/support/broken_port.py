"""A port with something wrong between the driver and the device: one stuck bit, one lost address, one slow path."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from axft_host.device.port import Operation, Port, PortDeadError, Words

#: What changes a word on its way, given its offset.
Change = Callable[[int, int], int]


class BrokenPort(Port):
    """Everything goes to another port, changed on the way.

    Parameters
    ----------
    port : Port
    reading, writing : callable or None
        Given the offset and the word; return the word that arrives.
    dead : set of int
        Offsets that nobody answers.
    clock_hz : float or None
    reports_errors : bool
    """

    def __init__(
        self,
        port: Port,
        *,
        reading: Change | None = None,
        writing: Change | None = None,
        dead: Sequence[int] = (),
        clock_hz: float | None = None,
        reports_errors: bool = True,
    ) -> None:
        self.port = port
        self.reading, self.writing, self.dead = reading, writing, frozenset(dead)
        self.clock_hz, self.reports_errors = clock_hz, reports_errors
        self.silent = False

    def read_block(self, offset: int, words: int) -> Words:
        """See `Port`."""
        self._ask(offset, words)
        found = self.port.read_block(offset, words)
        if self.reading is None:
            return found
        changed = [self.reading(offset + 4 * number, int(word)) for number, word in enumerate(found)]
        return np.array(changed, dtype=np.uint32)

    def write_block(self, offset: int, data: Words) -> None:
        """See `Port`."""
        self._ask(offset, len(data))
        if self.writing is not None:
            changed = [self.writing(offset + 4 * number, int(word)) for number, word in enumerate(data)]
            data = np.array(changed, dtype=np.uint32)
        self.port.write_block(offset, data)

    def wait32(self, offset: int, mask: int, value: int, deadline_cycles: int) -> None:
        """See `Port`."""
        self._ask(offset, 1)
        self.port.wait32(offset, mask, value, deadline_cycles)

    def transact(self, operations: Sequence[Operation]) -> list[int | Words]:
        """See `Port`; one by one, so that each passes here."""
        return Port.transact(self, operations)

    def _ask(self, offset: int, words: int) -> None:
        asked = range(offset, offset + 4 * words, 4)
        if self.silent or not self.dead.isdisjoint(asked):
            raise PortDeadError(f"the bus did not answer at 0x{offset:05x} within 1,000 clock cycles")
