"""What the device of a PYNQ-Z2 has, and how much of it a design takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from axft_hw.build.area import Area

__all__ = ["PART", "RESOURCES", "Usage", "whole_design"]

#: The device, its package and speed grade (PYNQ-Z2 reference manual, TUL).
PART = "xc7z020clg400-1"

#: What it has (Xilinx DS190, table 1; a slice has one CARRY4 for four look-up tables).
RESOURCES = {"LUT": 53_200, "FF": 106_400, "CARRY4": 13_300, "BRAM36": 140, "DSP": 220}


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a design takes of a resource.

    Members
    -------
    resource : str
        A key of `RESOURCES`.
    used : float
        Block RAMs count halves.
    available : int
    """

    resource: str
    used: float
    available: int

    @property
    def percent(self) -> float:
        """What is used, in percent."""
        return 100 * self.used / self.available

    @classmethod
    def of_area(cls, area: Area) -> tuple[Usage, ...]:
        """Return the usage of each resource."""
        used = (area.luts, area.flip_flops, area.carry4, area.bram36, area.dsps)
        return tuple(
            cls(resource=name, used=number, available=available)
            for (name, available), number in zip(RESOURCES.items(), used, strict=True)
        )


def whole_design(modules: Mapping[str, Mapping[str, int]], top: str) -> dict[str, int]:
    """Return the cells of a module with those of its submodules, from the cells of each module by itself."""
    total: Counter[str] = Counter()
    for cell, number in modules[top].items():
        inside = whole_design(modules, cell) if cell in modules else {cell: 1}
        for kind, count in inside.items():
            total[kind] += number * count
    return dict(total)
