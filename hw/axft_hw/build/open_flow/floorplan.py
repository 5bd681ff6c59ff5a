"""Places for the array's processing elements, found before nextpnr's placer runs.

The elements are copies of one module, and the fabric is columns of equal tiles. So the places of a few elements are
found once, a *template* (`axft_hw.build.open_flow.template`), and every group of elements in the array gets it, each
group a stretch of tiles of its own: half a clock region high, one tile wide. Groups find their stretches by simulated
annealing, against the lengths of the wires between them. nextpnr then places what is left. By itself it places cell by
cell, knows of no copies, takes the longer the fuller the device is, and a full one it does not place at all.

A group is a few elements below one another in a column of the array: most wires lead from one to the next.

Used inside of nextpnr, by its Python: nothing but the standard library.
"""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from axft_hw.build.open_flow.packed import Cell, Element, Netlist
from axft_hw.build.open_flow.template import STRETCH, find_template

__all__ = ["FloorplanSite", "place_array", "plan"]

FloorplanSite = tuple[int, int, int]
"""Column and row of a tile, and which of its slices."""

_KINDS = ("SLICE_LUTX", "SLICE_FFX", "CARRY4")

# Wires between groups: those to the next row (weight, sum, scan chain) and those to the next column of each element
# (activation, valid) are about 4 to 1. A tile is about twice as far in a column as in a row, by nextpnr's delays.
_WIRES_DOWN, _WIRES_ACROSS = 4.0, 1.0
_TILES_DOWN = 2.0
_MOVES = 600
_HOT, _COLD = 400.0, 4.0


def plan(
    cells: Mapping[str, Cell], slices: Iterable[FloorplanSite], seed: int
) -> dict[str, tuple[FloorplanSite, str]] | None:
    """Find places for the processing elements of a design.

    Parameters
    ----------
    cells : mapping of str to Cell
        The packed design.
    slices : iterable of FloorplanSite
        The slices of the device.
    seed : int
        The same seed gives the same places.

    Returns
    -------
    dict of str to (FloorplanSite, str), or None
        For each cell that has a place: the slice, and the position in it, such as ``A6LUT``. None if there are no
        elements, or no places for them were found.
    """
    netlist = Netlist(cells)
    elements: dict[Element, dict[str, Cell]] = defaultdict(dict)
    for cell in cells.values():
        if cell.element is not None:
            elements[cell.element][cell.role] = cell
    if not elements:
        return None
    kept = _kept(netlist, elements)
    chosen = {
        element: {role: cell for role, cell in members.items() if cell.name in kept}
        for element, members in elements.items()
    }
    stretches = _stretches(slices)
    rows, cols = (1 + max(each) for each in zip(*elements, strict=True))
    for together in range(min(rows, STRETCH), 0, -1):
        groups = [(row, col) for col in range(cols) for row in range(0, rows, together)]
        if len(groups) > len(stretches):
            return None
        fullest = max(
            (
                [chosen[row + number, col] for number in range(together)]
                for row, col in groups
                if row + together <= rows
            ),
            key=lambda group: sum(map(len, group)),
        )
        template = find_template(netlist, fullest, seed)
        if template is None:
            continue
        places = {}
        for (row, col), (x, low) in _arrange(groups, stretches, together, seed).items():
            for (number, role), (side, tile, position) in template.items():
                member = chosen.get((row + number, col), {}).get(role)
                if member is not None:
                    places[member.name] = (x, low + tile, side), position
        return places
    return None


def _kept(netlist: Netlist, elements: Mapping[Element, Mapping[str, Cell]]) -> set[str]:
    """Return the cells to place: those that most elements have, without what nextpnr ties to others.

    nextpnr puts a flip-flop beside the table, or into the chain, that drives it. What it places itself must not be tied
    to a cell that has a place.
    """
    roles = Counter(role for members in elements.values() for role in members)
    kept = {
        cell.name
        for members in elements.values()
        for role, cell in members.items()
        if 2 * roles[role] >= len(elements) and cell.kind in _KINDS
    }
    tied: dict[str, set[str]] = defaultdict(set)
    for cell in netlist.cells.values():
        if cell.kind in ("SLICE_FFX", "CARRY4"):
            for port in cell.inputs:
                source = netlist.source(cell, port) if port != "CYINIT" else None
                if source is not None and source.kind in ("SLICE_LUTX", "CARRY4"):
                    tied[cell.name].add(source.name)
                    tied[source.name].add(cell.name)
    dropped = [name for name in tied if name not in kept]
    while dropped:
        for other in tied[dropped.pop()] & kept:
            kept.remove(other)
            dropped.append(other)
    return kept


def _stretches(slices: Iterable[FloorplanSite]) -> list[tuple[int, int]]:
    """Return column and lowest row of each run of `STRETCH` tiles, from the right."""
    columns: dict[int, set[int]] = defaultdict(set)
    for x, y, _ in slices:
        columns[x].add(y)
    found = []
    for x, tiles in sorted(columns.items(), reverse=True):
        run: list[int] = []
        for y in sorted(tiles):
            run = [*run, y] if run and run[-1] == y - 1 else [y]
            if len(run) == STRETCH:
                found.append((x, run[0]))
                run = []
    return found


def _arrange(
    groups: Sequence[Element], stretches: Sequence[tuple[int, int]], together: int, seed: int
) -> dict[Element, tuple[int, int]]:
    """Return a stretch for each group, near its neighbours."""
    generator = random.Random(seed)
    where = {group: number for number, group in enumerate(groups)}
    there: list[Element | None] = [*groups, *[None] * (len(stretches) - len(groups))]

    def price(group: Element | None) -> float:
        """Return the length of a group's wires."""
        if group is None:
            return 0.0
        row, col = group
        x, y = stretches[where[group]]
        total = 0.0
        for neighbour, wires in (
            ((row - together, col), _WIRES_DOWN),
            ((row + together, col), _WIRES_DOWN),
            ((row, col - 1), _WIRES_ACROSS * together),
            ((row, col + 1), _WIRES_ACROSS * together),
        ):
            number = where.get(neighbour)
            if number is not None:
                other_x, other_y = stretches[number]
                total += wires * (abs(x - other_x) + _TILES_DOWN * abs(y - other_y))
        return total

    def swap(one: int, other: int) -> None:
        there[one], there[other] = there[other], there[one]
        for number in (one, other):
            group = there[number]
            if group is not None:
                where[group] = number

    moves = _MOVES * len(groups)
    for move in range(moves):
        one, other = (int(generator.random() * len(stretches)) for _ in range(2))
        both = there[one], there[other]
        before = sum(map(price, both))
        swap(one, other)
        more = sum(map(price, both)) - before
        if more > 0 and generator.random() >= math.exp(-more / (_HOT * (_COLD / _HOT) ** (move / moves))):
            swap(one, other)
    return {group: stretches[number] for group, number in where.items()}


def place_array(ctx: Any, seed: int) -> None:
    """Find places in a design that nextpnr has packed, and tell it: for its option ``--pre-place``.

    Parameters
    ----------
    ctx : Any
        nextpnr's context.
    seed : int
        As of `plan`.
    """
    cells = {name: _cell(name, packed) for name, packed in ctx.cells}
    names = {}
    for bel in ctx.getBels():
        if ctx.getBelType(bel) == "CARRY4":
            location = ctx.getBelLocation(bel)
            names[location.x, location.y, location.z // 64] = bel.rpartition(".")[0]
    places = plan(cells, names, seed)
    for name, (site, position) in (places or {}).items():
        ctx.cells[name].setAttr("BEL", f"{names[site]}.{position}")
    print(f"Info: Floorplan: {len(places or ())} cells of {len(cells)}")


def _cell(name: str, packed: Any) -> Cell:
    """Return one of nextpnr's cells as one of ours."""
    inputs: dict[str, str] = {}
    outputs: dict[str, str] = {}
    for port, info in packed.ports:
        if info.net is not None:
            (outputs if int(info.type) else inputs)[port] = info.net.name
    control: tuple[Any, ...] = ()
    if packed.type == "SLICE_FFX":
        flags = [(key, value) for key, value in packed.params if key.endswith("_INVERTED")]
        kinds = [key for key, _ in packed.attrs if key in ("X_FFSYNC", "X_FF_AS_LATCH")]
        control = (*(inputs.pop(port, None) for port in ("CK", "CE", "SR")), *sorted(flags), *sorted(kinds))
    return Cell(name, packed.type, inputs, outputs, control)
