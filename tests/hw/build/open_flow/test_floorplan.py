"""Places of processing elements: nextpnr's rules for a slice, written down here a second time, and every cell once."""

from __future__ import annotations

from collections import Counter, defaultdict

import pytest

from axft_hw.build.open_flow.floorplan import FloorplanSite, plan
from axft_hw.build.open_flow.packed import Cell

#: Three columns of two half clock regions each; the clock's row between them has no slices.
SLICES = [(x, y, side) for x in (3, 4, 9) for y in (*range(1, 26), *range(27, 52)) for side in (0, 1)]


def element(row: int, col: int) -> list[Cell]:
    """Return an element: a chain of 6 bits with a register behind it, gates of four and five inputs, a scan chain."""
    name = f"array.pe_{row}_{col}"
    north, south = f"array.pe_{row - 1}_{col}", f"array.pe_{row + 1}_{col}"
    cells = []
    for number in range(2):
        inputs = {"CYINIT": "gnd"} if not number else {"CIN": f"{name}.carry"}
        outputs = {"CO3": f"{name}.carry"} if not number else {}
        for bit in range(4 if not number else 2):
            place = 4 * number + bit
            inputs |= {f"S{bit}": f"{name}.s{place}", f"DI{bit}": f"{name}.di{place}"}
            outputs[f"O{bit}"] = f"{name}.o{place}"
            shared = {"A1": f"{name}.psum{place}", "A2": f"{south}.psum{place}", "A3": "drain"}
            cells.append(
                Cell(f"{name}.s{place}", "SLICE_LUTX", shared | {"A4": f"{name}.w0"}, {"O6": f"{name}.s{place}"})
            )
            cells.append(Cell(f"{name}.di{place}", "SLICE_LUTX", {"A1": f"{name}.w0"}, {"O6": f"{name}.di{place}"}))
            cells.append(
                Cell(
                    f"{name}.psum{place}",
                    "SLICE_FFX",
                    {"D": f"{name}.o{place}"},
                    {"Q": f"{name}.psum{place}"},
                    ("clk", "drain_enable", "clear"),
                )
            )
        cells.append(Cell(f"{name}.carry{number}", "CARRY4", inputs, outputs))
    for bit in range(3):
        gate = {"A1": f"{name}.w{bit}", "A2": f"{name}.armed{bit}", "A3": "force0", "A4": "force1"}
        cells.append(Cell(f"{name}.gate{bit}", "SLICE_LUTX", gate, {"O6": f"{name}.behind{bit}"}))
        cells.append(
            Cell(f"{name}.changed{bit}", "SLICE_LUTX", gate | {"A5": f"observe{bit}"}, {"O6": f"{name}.changed{bit}"})
        )
        weight = f"{north}.behind{bit}" if row else f"buffer{col}_{bit}"
        cells.append(
            Cell(f"{name}.w{bit}", "SLICE_FFX", {"D": weight}, {"Q": f"{name}.w{bit}"}, ("clk", "enable", "gnd"))
        )
        before = f"{name}.armed{bit - 1}" if bit else f"{north}.armed2"
        cells.append(
            Cell(f"{name}.armed{bit}", "SLICE_FFX", {"D": before}, {"Q": f"{name}.armed{bit}"}, ("clk", "shift", "gnd"))
        )
    hit = {f"A{bit + 1}": f"{name}.changed{bit}" for bit in range(3)} | {"A4": "x", "A5": "y", "A6": f"{name}.w0"}
    cells.append(Cell(f"{name}.hit", "SLICE_LUTX", hit, {"O6": f"{name}.hit"}))
    return cells


def design(rows: int, cols: int) -> dict[str, Cell]:
    """Return an array whose weights come from tables of a buffer."""
    cells = [cell for row in range(rows) for col in range(cols) for cell in element(row, col)]
    for col in range(cols):
        for bit in range(3):
            name = f"buffer{col}_{bit}"
            cells.append(Cell(name, "SLICE_LUTX", {"A1": f"memory{bit}"}, {"O6": name}))
    return {cell.name: cell for cell in cells}


@pytest.fixture(scope="module")
def cells() -> dict[str, Cell]:
    """Return an array of 7 x 3."""
    return design(7, 3)


@pytest.fixture(scope="module")
def places(cells: dict[str, Cell]) -> dict[str, tuple[FloorplanSite, str]]:
    """Return its places."""
    found = plan(cells, SLICES, 1)
    assert found is not None
    return found


def test_cells_have_places_of_their_own_kind(cells, places):
    """No place twice, all of them on the device."""
    assert len(set(places.values())) == len(places)
    kinds = {"LUT": "SLICE_LUTX", "FF": "SLICE_FFX", "Y4": "CARRY4"}
    for name, (site, position) in places.items():
        assert site in SLICES
        assert cells[name].kind == kinds[position[-3:] if position.endswith("LUT") else position[-2:]]


def test_only_cells_tied_to_others_are_left(cells, places):
    """A flip-flop goes with the table that drives it: those behind the tables of the buffer have no places."""
    left = {name for name, cell in cells.items() if cell.element is not None} - places.keys()
    assert left == {f"array.pe_0_{col}.w{bit}" for col in range(3) for bit in range(3)}


def test_chains_are_whole(cells, places):
    """A chain grows towards lower rows; tables and sums beside their bits."""
    for row in range(7):
        for col in range(3):
            name = f"array.pe_{row}_{col}"
            (x, y, side), _ = places[f"{name}.carry0"]
            assert places[f"{name}.carry1"] == ((x, y - 1, side), "CARRY4")
            for bit in range(6):
                site = (x, y - bit // 4, side)
                assert places[f"{name}.s{bit}"] == (site, "ABCD"[bit % 4] + "6LUT")
                assert places[f"{name}.di{bit}"] == (site, "ABCD"[bit % 4] + "5LUT")
                assert places[f"{name}.psum{bit}"] == (site, "ABCD"[bit % 4] + "FF")


def test_slices_keep_the_rules(cells, places):
    """Flip-flops of a slice share control signals, tables of a site five inputs; a carry has its way in."""
    controls = defaultdict(set)
    tables = defaultdict(list)
    for name, (site, position) in places.items():
        cell = cells[name]
        if position.endswith("FF"):
            controls[site].add(cell.control)
            chain = any(
                "CYINIT" in other.inputs for other in cells.values() if places.get(other.name) == (site, "CARRY4")
            )
            assert not (chain and position == "AFF") or cell.inputs["D"].endswith(".o0")
        elif position.endswith("LUT"):
            tables[site, position[0]].append(cell)
    assert all(len(found) == 1 for found in controls.values())
    for found in tables.values():
        if len(found) == 2:
            assert len({net for cell in found for net in cell.inputs.values()}) <= 5


def test_groups_are_copies(places):
    """An element's cells lie in one stretch, in the same places as those of an element as many groups further."""
    stretches: Counter[int] = Counter()
    for col in range(3):
        used = {(*site[:1], site[1] > 26) for name, (site, _) in places.items() if f"_{col}." in name}
        stretches[len(used)] += 1
    assert stretches == {1: 3}
    first = {name: (site[1] % 26, site[2], position) for name, (site, position) in places.items() if "_0." in name}
    for name, (height, side, position) in first.items():
        site, other = places[name.replace("_0.", "_2.")]
        assert (site[1] % 26, site[2], other) == (height, side, position)


def test_same_seed_gives_the_same_places(cells, places):
    """There is no other source of chance."""
    assert plan(cells, SLICES, 1) == places


def test_what_has_no_elements_or_too_many_has_no_floorplan(cells):
    """Then nextpnr places alone."""
    assert plan({name: cell for name, cell in cells.items() if cell.element is None}, SLICES, 1) is None
    assert plan(cells, [site for site in SLICES if site[0] == 3], 1) is None
