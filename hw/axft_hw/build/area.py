"""What a design takes on a 7-series device, counted by yosys."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from amaranth.lib import wiring

from axft_hw.build.open_flow.carry import fit_carry_chains
from axft_hw.build.open_flow.sites import packed_sites
from axft_hw.build.verilog import to_rtlil
from axft_hw.build.yosys import run_yosys, synthesis_commands

__all__ = ["Area", "area_and_sites", "area_of", "area_of_rtlil"]

# Processing elements, and the fault gates in them, are synthesised once and by themselves: an array then takes the time
# of one, and nothing is optimised across borders that are there on purpose. What the copies share is merged at the end.
_SCRIPT = """
read_rtlil design.il
hierarchy -check -top {top}
setattr -mod -set keep_hierarchy 1 processing_element* *_gate
{synthesis}
setattr -mod -unset keep_hierarchy *
flatten
opt_merge -share_all
opt_clean
tee -q -o stat.json stat -json -top {top}
"""

_NETLIST = """
delete t:$scopeinfo
blackbox =A:whitebox
write_json netlist.json
"""

#: Look-up tables that one cell takes as a memory, by cell: a quarter of a slice's four for each of its ports.
_MEMORY_LUTS = {
    "RAM32X1D": 2,
    "RAM64X1D": 2,
    "RAM128X1D": 4,
    "RAM32X1S": 1,
    "RAM64X1S": 1,
    "RAM32M": 4,
    "RAM64M": 4,
    "SRL16E": 1,
    "SRLC16E": 1,
    "SRLC32E": 1,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Area:
    """Cells of a design, before placement.

    Members
    -------
    luts_by_inputs : tuple of int
        Look-up tables with 1 to 6 inputs; inverters count as those of one. Two small ones may later share one site.
    memory_luts : int
        Look-up tables used as memories and shift registers.
    flip_flops : int
    carry4 : int
        Carry chains of four bits.
    bram36 : float
        Block RAMs of 36 kbit; those of 18 kbit count half.
    dsps : int
    """

    luts_by_inputs: tuple[int, ...]
    memory_luts: int
    flip_flops: int
    carry4: int
    bram36: float
    dsps: int

    @property
    def luts(self) -> int:
        """All look-up tables."""
        return sum(self.luts_by_inputs) + self.memory_luts

    @classmethod
    def of_cells(cls, cells: Mapping[str, int]) -> Area:
        """Return the area of some cells, given by type."""

        def count(pattern: str) -> int:
            return sum(number for cell, number in cells.items() if re.fullmatch(pattern, cell))

        by_inputs = [count(f"LUT{inputs}") for inputs in range(1, 7)]
        by_inputs[0] += count("INV")
        return cls(
            luts_by_inputs=tuple(by_inputs),
            memory_luts=sum(luts * cells.get(cell, 0) for cell, luts in _MEMORY_LUTS.items()),
            flip_flops=count("FD[RSCP]E(_1)?"),
            carry4=count("CARRY4"),
            bram36=count("RAMB36E1") + count("RAMB18E1") / 2,
            dsps=count("DSP48E1"),
        )


def area_of_rtlil(text: str, top: str) -> Area:
    """Synthesise RTLIL for 7-series devices and count its cells.

    Parameters
    ----------
    text : str
        The netlist, processing elements as a module ``processing_element``.
    top : str
        Name of the top module.

    Raises
    ------
    BackendError
        If there is no yosys, or it fails.
    """
    _, files = run_yosys(
        _SCRIPT.format(top=top, synthesis=synthesis_commands(top)), {"design.il": text}, ("stat.json",)
    )
    return Area.of_cells(json.loads(files["stat.json"])["design"]["num_cells_by_type"])


def area_of(component: wiring.Component, name: str = "design", ports: Mapping[str, Any] | None = None) -> Area:
    """Synthesise a component; parameters as of `to_rtlil`, errors as of `area_of_rtlil`."""
    return area_of_rtlil(to_rtlil(component, name, ports), name)


def area_and_sites(component: wiring.Component, ports: Mapping[str, Any] | None = None) -> tuple[Area, int]:
    """Synthesise a component; return its cells, and the sites of its look-up tables as `packed_sites` estimates them.

    Raises
    ------
    BackendError
        If there is no yosys, or it fails.
    """
    script = _SCRIPT.format(top="design", synthesis=synthesis_commands("design")) + _NETLIST
    _, files = run_yosys(script, {"design.il": to_rtlil(component, "design", ports)}, ("stat.json", "netlist.json"))
    module = json.loads(files["netlist.json"])["modules"]["design"]
    fit_carry_chains(module)
    return Area.of_cells(json.loads(files["stat.json"])["design"]["num_cells_by_type"]), packed_sites(module)
