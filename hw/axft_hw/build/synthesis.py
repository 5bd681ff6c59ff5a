"""A design for a Zynq-7000 as a netlist of 7-series cells, by yosys."""

from __future__ import annotations

import json
from typing import Any

from axft_hw.build.open_flow.carry import fit_carry_chains
from axft_hw.build.open_flow.sites import packed_sites
from axft_hw.build.verilog import to_rtlil
from axft_hw.build.yosys import run_yosys, synthesis_commands
from axft_hw.build.zynq import ZynqTop
from axft_hw.top import Top
from axft_spec.hardware import HardwareConfig

__all__ = ["ZYNQ_NAME", "module_cells", "synthesise", "zynq_rtlil"]

#: Name of the top module.
ZYNQ_NAME = "axft_zynq"

# As in `axft_hw.build.area`: processing elements, and the fault gates in them, by themselves and once. What many of
# them have in common, such as clock enables, is merged afterwards, which for cells of a library takes -share_all.
# nextpnr wants the library's modules as black boxes.
_SCRIPT = f"""
read_rtlil design.il
setattr -mod -set keep_hierarchy 1 processing_element* *_gate
{synthesis_commands(ZYNQ_NAME)}
setattr -mod -unset keep_hierarchy *
flatten
opt_merge -share_all
opt_clean -purge
hierarchy -check -top {ZYNQ_NAME}
delete t:$scopeinfo
setattr -unset src -unset hdlname */w:*
setattr -unset src -unset hdlname */c:*
blackbox =A:whitebox
write_json netlist.json
"""

# Every module by itself: about a minute, even for large arrays. Not the array, which without its elements is little but
# registers, and which abc9 of the WebAssembly build of yosys stops at. Gates are counted by themselves, but share sites
# with what is around them.
_COUNT = f"""
read_rtlil design.il
setattr -mod -set keep_hierarchy 1 A:top %n
setattr -mod -unset keep_hierarchy *.array
{synthesis_commands(ZYNQ_NAME)}
tee -q -o stat.json stat -json -top {ZYNQ_NAME}
setattr -mod -unset keep_hierarchy *_gate
flatten
delete t:$scopeinfo
blackbox =A:whitebox
write_json netlist.json
"""


def zynq_rtlil(hardware: HardwareConfig) -> str:
    """Return the whole design as RTLIL: the accelerator behind the processing system."""
    return to_rtlil(ZynqTop(Top(hardware)), ZYNQ_NAME, {})


def synthesise(rtlil: str) -> dict[str, Any]:
    """Return the flat netlist of a design, in yosys's JSON form; its module is `ZYNQ_NAME`.

    Raises
    ------
    BackendError
        If there is no yosys, or it fails.
    """
    _, files = run_yosys(_SCRIPT, {"design.il": rtlil}, ("netlist.json",))
    netlist: dict[str, Any] = json.loads(files["netlist.json"])
    return netlist


def module_cells(rtlil: str) -> tuple[dict[str, dict[str, int]], dict[str, int]]:
    """Count the cells of each module by itself, and estimate the sites that its look-up tables take.

    Returns
    -------
    cells : dict of str to dict of str to int
        The numbers of cells by type of each module, submodules among them; the top one is `ZYNQ_NAME`.
    sites : dict of str to int
        The sites of each module, without submodules, as `packed_sites` estimates them; gates are part of what they are
        in.

    Raises
    ------
    BackendError
        If there is no yosys, or it fails.
    """
    _, files = run_yosys(_COUNT, {"design.il": rtlil}, ("stat.json", "netlist.json"))
    cells = {
        name.lstrip("\\"): dict(module["num_cells_by_type"])
        for name, module in json.loads(files["stat.json"])["modules"].items()
    }
    sites = {}
    for name, module in json.loads(files["netlist.json"])["modules"].items():
        # The others are cells of the library.
        if name in cells:
            fit_carry_chains(module)
            sites[name] = packed_sites(module)
    return cells, sites
