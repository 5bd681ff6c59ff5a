"""What nextpnr's log tells of how far it is, in words."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["Stage"]

#: How the stages begin in nextpnr's log (0.11: its ``placer_heap.cc``, ``placer1.cc``, ``router2.cc``, ``router1.cc``).
_BEGINNINGS = {
    "Packing carries": "packing",
    "Running main analytical placer": "placing",
    "Running simulated annealing": "refining the placement",
    "Running router2": "routing",
    "Running router1": "checking the routes",
}
_BEGINNING = re.compile(rf"Info: ({'|'.join(_BEGINNINGS)})")
_FLOORPLAN = re.compile(r"Info: Floorplan: (\d+) cells of (\d+)")
_ROUND = re.compile(r"Info:\s+at iteration #(\d+)(, type|: temp)")
_ROUTING_ROUND = re.compile(r"Info:\s+iter=(\d+) wires=\d+ overused=(\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """How far nextpnr is.

    Members
    -------
    text : str
        For the user.
    begins : bool
        Whether something new begins, rather than one more round of the same.
    """

    text: str
    begins: bool

    @classmethod
    def of_line(cls, line: str) -> Stage | None:
        """Return what a line of the log tells; None if nothing."""
        if match := _BEGINNING.match(line):
            return cls(text=_BEGINNINGS[match[1]], begins=True)
        if match := _FLOORPLAN.match(line):
            placed, all_cells = map(int, match.groups())
            return cls(text=f"floorplan: {placed:,} of {all_cells:,} cells have their places", begins=True)
        if match := _ROUND.match(line):
            what = "placing" if match[2] == ", type" else "refining the placement"
            return cls(text=f"{what}, round {match[1]}", begins=False)
        if match := _ROUTING_ROUND.match(line):
            return cls(text=f"routing, round {match[1]}: {int(match[2]):,} wires overused", begins=False)
        return None
