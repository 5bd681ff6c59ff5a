"""How many faults of a fault space lie in a group, by counting instead of listing them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from axft_spec.bitsets import count_sets, count_sets_within
from axft_spec.faults import FaultKind, FaultSpace, Site, site_bits
from axft_spec.schedule import tile_count, tile_cycles

__all__ = ["CYCLE_PARTS", "SpaceCounts"]

#: Into how many parts the cycles of a tile are divided.
CYCLE_PARTS = 8


def _starts(length: int, cycles: int, part: int | None) -> int:
    """Return at how many cycles of a tile a fault of so many cycles can begin, in one of its parts or in all.

    Cycle t lies in part ``t * CYCLE_PARTS // length``.
    """
    last = max(0, length - cycles + 1)
    if part is None:
        return last
    first, end = (min(last, -(-edge * length // CYCLE_PARTS)) for edge in (part, part + 1))
    return end - first


@dataclass(frozen=True, slots=True)
class SpaceCounts:
    """Sizes of the groups of a fault space."""

    space: FaultSpace

    @classmethod
    def of(cls, value: dict[str, Any]) -> SpaceCounts:
        """Read the space that a store records."""
        return cls(FaultSpace.from_json(value))

    @property
    def tile_cycles(self) -> tuple[int, ...] | None:
        """Number of cycles of a tile of every layer; None if the faults are permanent."""
        schedule = self.space.schedule
        if schedule is None:
            return None
        return tuple(tile_cycles(layer.shape.k, schedule.rows, schedule.cols) for layer in schedule.layers)

    def values(self) -> dict[str, tuple[int, ...]]:
        """Return the values of every dimension that faults of the space have."""
        space = self.space
        values = {
            "site": tuple(sorted(list(Site).index(site) for site in space.sites)),
            "kind": tuple(sorted(list(FaultKind).index(kind) for kind in space.kinds)),
            "bit": tuple(sorted({bit for site in space.sites for bit in site_bits(space.config, site)})),
            "row": tuple(range(space.config.rows)),
            "col": tuple(range(space.config.cols)),
        }
        if space.schedule is not None:
            values["layer"] = tuple(range(len(space.schedule.layers)))
            values["cycle"] = tuple(range(CYCLE_PARTS))
        return values

    def count(
        self,
        *,
        site: int | None = None,
        kind: int | None = None,
        bit: int | None = None,
        row: int | None = None,
        col: int | None = None,
        layer: int | None = None,
        cycle: int | None = None,
    ) -> int:
        """Return the number of faults that have the values that are given, all of which exist in the space.

        A fault of several bits has the values of each; one of its bits must have both if a site and a bit are given.
        """
        space = self.space
        wanted = (None if site is None else list(Site)[site], bit)
        sets = sum(self._sets(group, *wanted) for group in space.groups())
        kinds = len(space.kinds) if kind is None else 1
        pes = (space.config.rows if row is None else 1) * (space.config.cols if col is None else 1)
        return sets * kinds * pes * self._windows(layer, cycle)

    def _sets(self, places: Sequence[tuple[Site, int]], site: Site | None, bit: int | None) -> int:
        """Return how many sets of bits have at least one at a site, with a number, or both."""
        bits, pattern = self.space.bits, self.space.pattern
        others = [not (site in (None, place[0]) and bit in (None, place[1])) for place in places]
        return count_sets(len(places), bits, pattern) - count_sets_within(others, bits, pattern)

    def _windows(self, layer: int | None, part: int | None) -> int:
        schedule = self.space.schedule
        if schedule is None:
            return 1
        total = 0
        for number, scheduled in enumerate(schedule.layers):
            if layer in (None, number):
                tiles = scheduled.gemms * tile_count(scheduled.shape, schedule.rows, schedule.cols)
                length = tile_cycles(scheduled.shape.k, schedule.rows, schedule.cols)
                total += tiles * _starts(length, self.space.cycles, part)
        return total
