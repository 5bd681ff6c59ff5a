"""How often a device had to be brought back in a campaign, and by what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from axft_host.campaign.outcome import Status
from axft_host.campaign.records import FaultRow, RecoveryRow

__all__ = ["Recovered"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """The recoveries of a campaign, counted.

    Members
    -------
    count : int
    retries : int
        Faults that came to their end when they were run again: infrastructure, and no outcome.
    rungs : dict of str to dict of str to int
        By what had failed (``hang``, ``crash``, ``arming``, ``golden``), how often which rung helped.
    seconds : float
        What they took together.
    """

    count: int
    retries: int
    rungs: dict[str, dict[str, int]]
    seconds: float

    @classmethod
    def of(cls, recoveries: Sequence[RecoveryRow], rows: Iterable[FaultRow]) -> Recovered:
        """Count the recoveries of a campaign with these faults."""
        concerned = {each.index for each in recoveries}
        rungs: dict[str, Counter[str]] = {}
        for each in recoveries:
            rungs.setdefault(each.recovery.end, Counter())[each.recovery.rung] += 1
        return cls(
            count=len(recoveries),
            retries=sum(row.index in concerned and row.status in (Status.OK, Status.SDC) for row in rows),
            rungs={end: dict(counts.most_common()) for end, counts in sorted(rungs.items())},
            seconds=sum(each.recovery.seconds for each in recoveries),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the members as plain JSON values."""
        return {"count": self.count, "retries": self.retries, "rungs": self.rungs, "seconds": self.seconds}

    def __str__(self) -> str:
        causes = "; ".join(
            f"{sum(helped.values())} {end} ({', '.join(f'{rung} {times}' for rung, times in helped.items())})"
            for end, helped in self.rungs.items()
        )
        faults = "1 fault" if self.retries == 1 else f"{self.retries:,} faults"
        return f"{self.count:,} in {self.seconds:.1f} s: {causes}; {faults} had a result when run again"
