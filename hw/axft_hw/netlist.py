"""Components as RTLIL, with modules that occur many times elaborated and written once.

Amaranth elaborates every submodule by itself: an array of 784 processing elements costs 784 times the work of one, and
as many modules in the text. Elaborated for `SharedModules`, a component may instantiate one by name instead.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from amaranth.back import rtlil
from amaranth.hdl import ClockSignal, Instance, ResetSignal, Value
from amaranth.lib import wiring

__all__ = ["SharedModules", "to_rtlil"]


class SharedModules:
    """The platform of a netlist: collects the modules that its instances need.

    It is no platform for Amaranth's own simulator, which knows no instances.
    """

    def __init__(self) -> None:
        self._components: dict[str, wiring.Component] = {}

    def instance(
        self, name: str, make: Callable[[], wiring.Component], reset: Value, *, path: str
    ) -> tuple[Instance, Any]:
        """Return an instance of a component, and an object that has its members, which are signals, as attributes.

        Parameters
        ----------
        name : str
            Of the module.
        make : callable
            Makes the component; not called again for a name that has one.
        reset : Value
            Puts its registers to their initial values, beside the reset of the clock domain.
        path : str
            Begins the names of its members' signals.
        """
        if name not in self._components:
            self._components[name] = make()
        signature = self._components[name].signature
        interface = signature.create(path=(path,))
        ports: dict[str, Any] = {"i_clk": ClockSignal(), "i_rst": ResetSignal() | reset}
        for member, shape in signature.members.items():
            ports[f"{'i' if shape.flow is wiring.In else 'o'}_{member}"] = getattr(interface, member)
        return Instance(name, **ports), interface

    def modules(self) -> str:
        """Return the modules as RTLIL."""
        return "".join(_module(name, component) for name, component in self._components.items())


def _module(name: str, component: wiring.Component) -> str:
    """Return one component as RTLIL that is nobody's top."""
    text = str(rtlil.convert(component, name=name, emit_src=False))
    return re.sub(r"^attribute \\(top|generator) .*\n", "", text, flags=re.MULTILINE)


def to_rtlil(
    component: wiring.Component, name: str, ports: Mapping[str, Any] | None = None, *, emit_src: bool = False
) -> str:
    """Return a component as RTLIL, the text form of yosys's netlist; needs no tool.

    Parameters
    ----------
    component : Component
        What to convert.
    name : str
        Name of the top module.
    ports : mapping of str to Value, optional
        The ports by name. By default the members of the component's signature, joined by two underscores. Ports of
        clock domains that the component does not define itself, ``clk`` and ``rst`` for ``sync``, are added.
    emit_src : bool
        Whether to note, everywhere, the line of Python that it comes from. That names files of this machine.

    Returns
    -------
    str
        The same text every time for the same component.
    """
    given = None if ports is None else {port: (Value.cast(value), None) for port, value in ports.items()}
    shared = SharedModules()
    text = str(rtlil.convert(component, name=name, platform=shared, ports=given, emit_src=emit_src))
    return text + shared.modules()
