"""When a campaign has seen enough: stopping rules are asked after every fault, in the order of the list."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from axft_host.campaign.records import FaultRow
from axft_host.campaign.statistics import Interval

__all__ = ["AllFaults", "StoppingRule", "fractions_of"]


class StoppingRule(Protocol):
    """Decides after every fault whether more are needed.

    It is told of all faults in the order of the list, certainly masked ones among them, whatever finished first; a
    campaign that goes on is told again of those that are done. So it stops after the same fault, with any number of
    workers and interruptions. Rates are valid then only with intervals that hold at every time.
    """

    @property
    def should_stop(self) -> bool:
        """Whether the faults so far are enough."""

    def feed(self, index: int, fractions: Mapping[str, float], *, certain: bool) -> None:
        """Take in the next fault.

        Parameters
        ----------
        index : int
            Its place in the list, from 0.
        fractions : mapping of str to float
            Share of the images that were ``masked``, ``tolerable``, ``critical``.
        certain : bool
            Whether it is masked with certainty.
        """

    def intervals(self) -> dict[str, Interval]:
        """Return the intervals that it has looked at last, by class; none if it does not look."""


class AllFaults:
    """The rule of a campaign with a fixed number of faults: it never stops before the last one."""

    should_stop = False

    def feed(self, index: int, fractions: Mapping[str, float], *, certain: bool) -> None:
        """See `StoppingRule`."""

    def intervals(self) -> dict[str, Interval]:
        """See `StoppingRule`."""
        return {}


def fractions_of(row: FaultRow, images: int) -> dict[str, float]:
    """Return what a rule is told of a fault."""
    return {name: getattr(row, name) / images for name in ("masked", "tolerable", "critical")}
