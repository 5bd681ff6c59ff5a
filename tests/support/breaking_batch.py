"""A batch of faults that fails in the middle."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from axft_spec.errors import FaultError
from axft_spec.flipflops import AnyFault


class BreakingBatch:
    """Faults with their places; whoever goes through them a second time is stopped behind the second one.

    A backend gets all of them, and what makes rows of its results fails.
    """

    def __init__(self, entries: Sequence[tuple[int, AnyFault]]) -> None:
        self._entries = list(entries)
        self._looked = False

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[tuple[int, AnyFault]]:
        again, self._looked = self._looked, True
        for place, entry in enumerate(self._entries):
            if again and place == 2:
                raise FaultError("that is enough")
            yield entry
