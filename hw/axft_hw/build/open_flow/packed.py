"""A design as nextpnr has packed it: cells, the nets between them, and which belong to which processing element.

Used inside of nextpnr, by its Python: nothing but the standard library.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

__all__ = ["Cell", "Element", "Netlist"]

_ELEMENT = re.compile(r"\bpe_(\d+)_(\d+)\b")
_ANY_ELEMENT = "pe_#"

Element = tuple[int, int]
"""Row and column of a processing element."""


class Cell:
    """A packed cell.

    Parameters
    ----------
    name, kind : str
        Its name and nextpnr's type: ``SLICE_LUTX``, ``SLICE_FFX`` and ``CARRY4`` are those of a slice.
    inputs, outputs : dict of str to str
        The net of each port; of a flip-flop without its control signals.
    control : tuple
        Of a flip-flop: what all flip-flops of a slice have in common.

    Attributes
    ----------
    name, kind, inputs, outputs, control
        As given.
    element : Element or None
        The processing element that it belongs to.
    role : str
        Its name, the same in every element.
    """

    __slots__ = ("control", "element", "inputs", "kind", "name", "outputs", "role")

    def __init__(
        self, name: str, kind: str, inputs: dict[str, str], outputs: dict[str, str], control: tuple[Any, ...] = ()
    ) -> None:
        self.name, self.kind, self.inputs, self.outputs, self.control = name, kind, inputs, outputs, control
        found = _ELEMENT.search(name)
        self.element: Element | None = (int(found[1]), int(found[2])) if found else None
        self.role = _ELEMENT.sub(_ANY_ELEMENT, name)


class Netlist:
    """Cells by name, and what drives and uses each net.

    Parameters
    ----------
    cells : mapping of str to Cell

    Attributes
    ----------
    cells : mapping of str to Cell
    driver : dict of str to Cell
        By net.
    users : dict of str to list of (Cell, str)
        By net: the cells, and their ports.
    """

    def __init__(self, cells: Mapping[str, Cell]) -> None:
        self.cells = cells
        self.driver: dict[str, Cell] = {}
        self.users: dict[str, list[tuple[Cell, str]]] = defaultdict(list)
        for cell in cells.values():
            for net in cell.outputs.values():
                self.driver[net] = cell
            for port, net in cell.inputs.items():
                self.users[net].append((cell, port))

    def source(self, cell: Cell, port: str) -> Cell | None:
        """Return the cell that drives an input."""
        return self.driver.get(cell.inputs.get(port, ""))
