"""Places for a few processing elements, one below the other, on a stretch of tiles.

Carry chains are stacked; tables and flip-flops find places by simulated annealing, against the length of the wires and
the rules of `XilinxImpl::xc7_logic_tile_valid` in nextpnr's source. The rules kept are stricter than nextpnr's: second
flip-flops of a site stay empty, and no state on the way to the complete placement breaks a rule either, because nextpnr
checks after every single cell.

Used inside of nextpnr, by its Python: nothing but the standard library.
"""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from axft_hw.build.open_flow.packed import Cell, Netlist

__all__ = ["STRETCH", "Place", "find_template"]

#: Tiles of a stretch: those between two clock rows of the device, which carry chains must not cross.
STRETCH = 25

Place = tuple[int, int, str]
"""Which slice of a tile, which tile of the stretch, and the position in the slice, such as ``A6LUT``."""

_SITES = 4  # of a slice
_SLICES = 2 * STRETCH
_SHARED_INPUTS = 5
_POSITIONS = {"6": "6LUT", "5": "5LUT", "F": "FF"}

# Annealing: how often it is begun anew, moves for each cell, price of a broken rule in tiles of wire, and temperatures.
_TRIALS = 8
_MOVES = 2000
_BROKEN = 20.0
_HOT, _COLD = 6.0, 0.15
#: Nets with more users are the same for all elements, wherever these are.
_MOST_USERS = 40


def find_template(
    netlist: Netlist, group: Sequence[Mapping[str, Cell]], seed: int
) -> dict[tuple[int, str], Place] | None:
    """Find places for a group of elements.

    Parameters
    ----------
    netlist : Netlist
        The whole design.
    group : sequence of mapping of str to Cell
        For each element, from the first row: the cells to place, by role.
    seed : int
        The same seed gives the same places.

    Returns
    -------
    dict of (int, str) to Place, or None
        By number of the element and role. None if they do not fit, or no places were found that keep all rules.
    """
    generator = random.Random(seed)
    for _ in range(_TRIALS):
        stretch = _Stretch(netlist, group)
        if not stretch.stack_chains():
            return None
        if stretch.anneal(generator):
            return stretch.places()
    return None


class _Stretch:
    """Cells on a stretch. A site is (slice * 4 + position), a slice (tile * 2 + side)."""

    def __init__(self, netlist: Netlist, group: Sequence[Mapping[str, Cell]]) -> None:
        self._netlist = netlist
        self._count = len(group)
        self._key = {cell.name: (number, role) for number, cells in enumerate(group) for role, cell in cells.items()}
        self._cells = [cell for cells in group for cell in cells.values()]
        count = _SLICES * _SITES
        self._at: dict[str, tuple[int, str]] = {}
        self._there: dict[str, list[Cell | None]] = {kind: [None] * count for kind in _POSITIONS}
        self._carries: dict[str, int] = {}
        self._fixed: set[str] = set()
        # A carry that comes in from elsewhere takes the way of what flip-flops of the first site get from elsewhere;
        # what leaves a chain, that of the second table.
        self._no_flip_flop, self._no_second = [False] * count, [False] * count

    def _put(self, cell: Cell, site: int, kind: str) -> None:
        self._there[kind][site] = cell
        self._at[cell.name] = site, kind

    def stack_chains(self) -> bool:
        """Place carry chains, the tables that feed them and the flip-flops that take their sums; False: no room."""
        above: dict[str, Cell] = {}
        first = []
        for cell in self._cells:
            if cell.kind == "CARRY4":
                below = self._netlist.source(cell, "CIN")
                if below is not None and below.kind == "CARRY4":
                    above[below.name] = cell
                else:
                    first.append(cell)
        chains: dict[int, list[list[Cell]]] = defaultdict(list)
        for cell in first:
            chain = [cell]
            while chain[-1].name in above:
                chain.append(above[chain[-1].name])
            chains[self._key[cell.name][0]].append(chain)
        for number in range(self._count):
            # Each element has a window. A chain grows towards lower tiles.
            window = range(STRETCH * number // self._count, STRETCH * (number + 1) // self._count)
            lowest = [window.stop, window.stop]
            for chain in sorted(chains[number], key=lambda each: (-len(each), each[0].name)):
                side = 1 if lowest[1] > lowest[0] else 0
                lowest[side] -= len(chain)
                if lowest[side] < window.start:
                    return False
                for place, carry in enumerate(reversed(chain)):
                    self._place_carry(carry, 2 * (lowest[side] + place) + side)
        return True

    def _place_carry(self, carry: Cell, slice_: int) -> None:
        self._carries[carry.name] = slice_
        takers = [self._taker(carry, position) for position in range(_SITES)]
        # All flip-flops of a slice share their control signals: one alone would close it to others.
        alike = Counter(taker.control for taker in takers if taker is not None)
        control = max(alike, key=lambda each: alike[each], default=())
        for position, taker in enumerate(takers):
            site = slice_ * _SITES + position
            for port, kind in (("S", "6"), ("DI", "5")):
                table = self._netlist.source(carry, f"{port}{position}")
                if table is not None and table.name in self._key:
                    self._put(table, site, kind)
                    self._fixed.add(table.name)
                    self._no_second[site] = True
            self._no_flip_flop[site] = not position and "CYINIT" in carry.inputs
            if taker is not None and taker.control == control and alike[control] > 1:
                self._put(taker, site, "F")
                self._fixed.add(taker.name)

    def _taker(self, carry: Cell, position: int) -> Cell | None:
        """Return the flip-flop that takes a sum bit."""
        for user, port in self._netlist.users.get(carry.outputs.get(f"O{position}", ""), ()):
            if user.kind == "SLICE_FFX" and port == "D" and user.name in self._key:
                return user
        return None

    def anneal(self, generator: random.Random) -> bool:
        """Find places for everything else; return whether all rules are kept."""
        free = [cell for cell in self._cells if cell.name not in self._fixed and cell.name not in self._carries]
        free.sort(key=lambda cell: (-len(cell.inputs), cell.name))
        if not all(map(self._start, free)):
            return False
        self._note_wires(free)
        moves = _MOVES * len(free)
        for move in range(moves):
            left = 1 - move / moves
            self._try(free[int(generator.random() * len(free))], left, generator)
        return not any(map(self._broken, range(_SLICES)))

    def _start(self, cell: Cell) -> bool:
        """Put a cell where there is room, near its element; return whether there is."""
        middle = STRETCH * (2 * self._key[cell.name][0] + 1) / self._count
        for slice_ in sorted(range(_SLICES), key=lambda each: abs(each - middle)):
            for site in range(slice_ * _SITES, (slice_ + 1) * _SITES):
                for kind in self._kinds(cell, site):
                    if self._there[kind][site] is None:
                        self._put(cell, site, kind)
                        return True
        return False

    def _kinds(self, cell: Cell, site: int) -> str:
        """Return the places of a site that may take a cell."""
        if cell.kind == "SLICE_FFX":
            return "F"
        return "6" if len(cell.inputs) > _SHARED_INPUTS or self._no_second[site] else "65"

    def _try(self, cell: Cell, left: float, generator: random.Random) -> None:
        """Draw another place for a cell, and go there if it pays, or by chance."""
        old_site, old_kind = self._at[cell.name]
        reach = 3 + int(STRETCH * left)
        tile = old_site // (2 * _SITES) + int((2 * generator.random() - 1) * reach)
        site = tile * 2 * _SITES + int(generator.random() * 2 * _SITES)
        if not 0 <= tile < STRETCH:
            return
        kinds = self._kinds(cell, site)
        kind = kinds[int(generator.random() * len(kinds))]
        other = self._there[kind][site]
        if other is cell:
            return
        if other is not None and (other.name in self._fixed or old_kind not in self._kinds(other, old_site)):
            return
        slices = {old_site // _SITES, site // _SITES}
        nets = self._wires[cell.name] if other is None else self._wires[cell.name] | self._wires[other.name]
        before = self._price(slices, nets)
        self._there[old_kind][old_site] = None
        self._put(cell, site, kind)
        if other is not None:
            self._put(other, old_site, old_kind)
        more = self._price(slices, nets) - before
        if more > 0 and generator.random() >= math.exp(-more / (_COLD * (_HOT / _COLD) ** left)):
            self._there[kind][site] = None
            self._put(cell, old_site, old_kind)
            if other is not None:
                self._put(other, site, kind)

    def _price(self, slices: set[int], nets: set[str]) -> float:
        return _BROKEN * sum(map(self._broken, slices)) + sum(map(self._length, nets))

    def _broken(self, slice_: int) -> int:
        """Return how many rules a slice breaks."""
        broken = 0
        controls: Counter[tuple[Any, ...]] = Counter()
        for site in range(slice_ * _SITES, (slice_ + 1) * _SITES):
            table, second, flip_flop = (self._there[kind][site] for kind in "65F")
            if table is not None and second is not None and table.name not in self._fixed:
                broken += len({*table.inputs.values(), *second.inputs.values()}) > _SHARED_INPUTS
            if flip_flop is not None:
                controls[flip_flop.control] += 1
                broken += self._no_flip_flop[site] and flip_flop.name not in self._fixed
        return broken + controls.total() - max(controls.values(), default=0)

    def _note_wires(self, free: Sequence[Cell]) -> None:
        """Note the nets of each free cell; of each net its ends that have places, and tiles of those that are fixed."""
        rows = [element for element in (cell.element for cell in self._cells) if element is not None]
        (first, col), (last, _) = min(rows), max(rows)
        beyond = {(first - 1, col): -2, (last + 1, col): STRETCH + 1}
        self._wires: dict[str, set[str]] = {cell.name: set() for cell in free}
        self._ends: dict[str, list[str]] = {}
        self._fixed_ends: dict[str, list[int]] = {}
        for cell in free:
            for net in (*cell.inputs.values(), *cell.outputs.values()):
                driver, users = self._netlist.driver.get(net), self._netlist.users.get(net, ())
                if driver is None or len(users) > _MOST_USERS:
                    continue
                self._wires[cell.name].add(net)
                ends = [driver, *(user for user, _ in users)]
                self._ends[net] = [end.name for end in ends if end.name in self._at]
                self._fixed_ends[net] = [
                    *(self._carries[end.name] // 2 for end in ends if end.name in self._carries),
                    *(beyond[end.element] for end in ends if end.element in beyond),
                ]

    def _length(self, net: str) -> int:
        tiles = [self._at[name][0] // (2 * _SITES) for name in self._ends[net]]
        tiles += self._fixed_ends[net]
        return max(tiles) - min(tiles)

    def places(self) -> dict[tuple[int, str], Place]:
        """Return where everything is."""
        places: dict[tuple[int, str], Place] = {}
        for name, (site, kind) in self._at.items():
            slice_, position = divmod(site, _SITES)
            places[self._key[name]] = slice_ % 2, slice_ // 2, "ABCD"[position] + _POSITIONS[kind]
        for name, slice_ in self._carries.items():
            places[self._key[name]] = slice_ % 2, slice_ // 2, "CARRY4"
        return places
