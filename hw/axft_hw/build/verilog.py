"""Components as RTLIL and as Verilog."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from amaranth.lib import wiring

from axft_hw.build.yosys import run_yosys
from axft_hw.netlist import to_rtlil

__all__ = ["rtlil_to_verilog", "to_rtlil", "to_verilog"]

# As Amaranth's own back end does: only these forms of processes and memories come out as Verilog that means the same.
_SCRIPT = """
read_rtlil design.il
proc -nomux -norom
memory_collect
attrmap -remove generator -remove top -remove src -remove amaranth.hierarchy -remove amaranth.decoding
attrmap -modattr -remove generator -remove top -remove src -remove amaranth.hierarchy -remove amaranth.decoding
write_verilog -norename design.v
"""


def rtlil_to_verilog(text: str) -> str:
    """Return RTLIL as Verilog.

    Raises
    ------
    BackendError
        If there is no yosys, or it fails.
    """
    _, files = run_yosys(_SCRIPT, {"design.il": text}, ("design.v",))
    return files["design.v"]


def to_verilog(component: wiring.Component, name: str, ports: Mapping[str, Any] | None = None) -> str:
    """Return a component as Verilog; parameters as of `to_rtlil`.

    Raises
    ------
    BackendError
        If there is no yosys, or it fails.
    """
    return rtlil_to_verilog(to_rtlil(component, name, ports))
