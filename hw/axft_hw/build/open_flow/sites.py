"""How many sites of a 7-series device the look-up tables of a netlist take.

A site holds one table of six inputs, or two that have five inputs in common; with carry chains, the two that feed one
position of a chain. A count of tables is up to twice the count of sites, and sites are what a device has.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

__all__ = ["packed_sites"]

_SHARED_INPUTS = 5
_KINDS = {f"LUT{inputs}" for inputs in range(1, 7)} | {"INV"}
#: Sites of a memory or shift register made of look-up tables.
_MEMORY_SITES = {"RAM32M": 4, "RAM64M": 4, "RAM32X1D": 2, "RAM64X1D": 2, "SRL16E": 1, "SRLC32E": 1}
#: Most tables looked at as partners of one: those that share an input with it may be thousands.
_MOST_PARTNERS = 60


def packed_sites(module: dict[str, Any]) -> int:
    """Return the sites that a netlist takes if small tables share them as far as they can.

    Parameters
    ----------
    module : dict
        A module of yosys's JSON form after `axft_hw.build.open_flow.carry.fit_carry_chains`.

    Returns
    -------
    int
        An estimate: partners are chosen one after the other, not by an optimum. A placer that has room leaves tables
        alone.
    """
    cells = module["cells"]
    driver = {cell["connections"]["O"][0]: name for name, cell in cells.items() if cell["type"] in _KINDS}
    in_chain: set[str] = set()
    positions: dict[str, bool] = {}
    for name, cell in cells.items():
        if cell["type"] not in ("MUXCY", "XORCY"):
            continue
        positions.setdefault(name.rpartition("$")[0], True)
        for port in ("S", "LI", "DI"):
            for bit in cell["connections"].get(port, ()):
                table = driver.get(bit)
                # A table of six inputs has a site of its own, and the chain gets one that passes its output on.
                if table is not None and cells[table]["type"] != "LUT6":
                    in_chain.add(table)
    free = [_inputs(cell) for name, cell in cells.items() if cell["type"] in _KINDS and name not in in_chain]
    memories = sum(_MEMORY_SITES.get(cell["type"], 0) for cell in cells.values())
    return len(positions) + memories + _paired(free)


def _inputs(cell: dict[str, Any]) -> frozenset[int]:
    bits = (bit for port, bits in cell["connections"].items() if port != "O" for bit in bits)
    return frozenset(bit for bit in bits if not isinstance(bit, str))


def _paired(tables: list[frozenset[int]]) -> int:
    """Return the sites of tables, given by their inputs: first those with inputs in common find partners."""
    small = sorted(
        (table for table in tables if len(table) <= _SHARED_INPUTS), key=lambda table: (-len(table), *sorted(table))
    )
    sites = len(tables) - len(small)
    users: dict[int, list[int]] = defaultdict(list)
    for number, table in enumerate(small):
        for bit in table:
            users[bit].append(number)
    taken: set[int] = set()
    left: Counter[int] = Counter()
    for number, table in enumerate(small):
        if number in taken:
            continue
        taken.add(number)
        shared = Counter(
            other for bit in table if len(users[bit]) < 200 for other in users[bit] if other not in taken
        ).most_common(_MOST_PARTNERS)
        fitting = [other for other, _ in shared if len(table | small[other]) <= _SHARED_INPUTS]
        if fitting:
            taken.add(max(fitting, key=lambda other: (len(small[other]), -other)))
            sites += 1
        else:
            left[len(table)] += 1
    # The rest have nothing in common: two fit if they have five inputs together.
    while left.total():
        size = max(left)
        left -= Counter([size])
        partner = max((other for other in left if other + size <= _SHARED_INPUTS), default=None)
        if partner is not None:
            left -= Counter([partner])
        sites += 1
    return sites
