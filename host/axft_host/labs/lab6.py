"""Tasks of lab 6: hardware that injects faults."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from axft_host.device.accelerator import Accelerator
from axft_host.device.self_test import locate_break
from axft_host.labs.answers import array, function, number, require_result, statements
from axft_host.labs.session import Lab
from axft_host.labs.tasks import Tasks
from axft_spec.config import find_preset
from axft_spec.faults import FaultSite, Site, parse_fault
from axft_spec.hardware import HardwareConfig, parse_sites
from axft_spec.scanmap import ScanMap

__all__ = ["FAULT", "LUTS", "differs"]

task = Tasks("6")

#: The fault whose waveforms are looked at.
FAULT = "weight:r1:c2:b6:sa1"

#: Look-up tables of an XC7Z020 (Zynq-7000 SoC Data Sheet: Overview, DS190, table 1).
LUTS = 53_200

#: Of these, what a tool can still place and route is taken to be that much.
_USABLE = 0.85


def differs(wave: Any, golden: Any, name: str) -> Any:
    """Return in which clock periods a register of a PE differs from the golden run, and matters.

    What an input register holds while its PE is not valid is no operand: it does not count.

    Parameters
    ----------
    wave, golden : axft_hw.sim.waveform.Waveform
    name : str

    Returns
    -------
    ndarray of bool, shape (cycles,)
    """
    other = wave.values[name] != golden.values[name]
    place, _, register = name.rpartition(".")
    if register in ("weight", "activation_east"):
        other = other & (wave.values[f"{place}.valid_east"] == 1)
    return other


def _hardware(rows: int, sites: str) -> HardwareConfig:
    return HardwareConfig(array=find_preset("34P").config.resized(rows, rows), sites=parse_sites(sites))


@task("6.1", "a function of row, column and bit")
def _(answer: Any, lab: Lab, device: Accelerator | None = None) -> str | None:
    sites = ScanMap(_hardware(4, "weight")) if device is None else device.scan_map
    shape, bits = sites.hardware.array, sites.hardware.site_range(Site.WEIGHT)
    places = [(0, 0, bits[0]), (0, 1, bits[0]), (1, 0, bits[-1]), (shape.rows - 1, shape.cols - 1, bits[-1])]
    cases = [(place, sites.position(FaultSite(Site.WEIGHT, *place))) for place in places]
    return function(
        answer, cases, otherwise="How many positions has a PE, which bit is at its first, and what is north?"
    )


@task("6.2", "a whole number of clock cycles")
def _(answer: Any, lab: Lab) -> str | None:
    positions = _hardware(28, "weight").scan_bits
    every = 8 * 28 * 28
    hints = [
        (positions, "that is the number of positions; what does a command take beside its shifts?"),
        (every, "three bits of every weight have no position: the multiplier ignores them"),
        (every + 2, "three bits of every weight have no position: the multiplier ignores them"),
        (2 * (positions + 2), "that is arming and reading back; only arming is asked for"),
    ]
    return number(answer, positions + 2, hints=hints)


@task("6.3", "a function of works and length")
def _(answer: Any, lab: Lab) -> str | None:
    if not callable(answer):
        return function(answer, [])
    for length in (80, 1, 3920):
        allowed = math.ceil(math.log2(length + 1))
        for first in sorted({0, length // 3, length - 1, length}):
            looks: list[int] = []

            def works(position: int, first: int = first, length: int = length, looks: list[int] = looks) -> bool:
                if isinstance(position, bool) or int(position) != position or not 0 <= position < length:
                    raise ValueError(f"the chain has no position {position}: they run from 0 to {length - 1}")
                looks.append(int(position))
                if len(looks) > 2 * length + 2:
                    raise RuntimeError("the search does not end")
                return position < first

            what = f"a chain of {length} positions whose first {first} work"
            try:
                found = answer(works, length)
            except Exception as error:
                return f"{what}: {type(error).__name__}: {error}"
            if (nothing := require_result(f"{what}: the function", found)) is not None:
                return nothing
            wrong = number(found, first)
            if wrong is not None:
                whole = " (None of them is broken: then the length is asked for.)" if first == length else ""
                return f"{what}: {wrong}{whole}"
            if len(looks) > allowed:
                return f"{what}: right, but after {len(looks)} looks; {allowed} are enough"
    return None


@task("6.4", "row, column and bit")
def _(answer: Any, lab: Lab, device: Accelerator) -> str | None:
    site = locate_break(device)
    if site is None:
        return "the chain of this device is whole: take the device that `broken_chain` has returned"
    low = device.hardware.site_range(Site.WEIGHT)[0]
    said = "row and column are right; which bit of a weight is at the first position of a PE (task 6.1)?"
    return array(answer, [site.row, site.col, site.bit], hints=[([site.row, site.col, site.bit - low], said)])


@task("6.5", "the letters of the statements that hold")
def _(answer: Any, lab: Lab) -> str | None:
    return statements(
        answer,
        {"a": False, "b": True, "c": False, "d": True, "e": False},
        (
            "which steps use the chain, what lies on either side of a break, and what else can lead to the same "
            "observation"
        ),
    )


@task("6.6", "two numbers of clock periods")
def _(answer: Any, lab: Lab) -> str | None:
    place = parse_fault(FAULT).sites[0]
    first = place.row + place.col
    said = "the first is right; one clock period after its operands a product is in its register, and not yet added"
    otherwise = "Find the first operands and the first sum of PE(1, 2) in the figure"
    return array(answer, [first, first + 2], hints=[([first, first + 1], said)], otherwise=otherwise)


@task("6.7", "a set of names of registers")
def _(answer: Any, lab: Lab, wave: Any, golden: Any) -> str | None:
    if isinstance(answer, str) or not isinstance(answer, set | frozenset | list | tuple):
        return f"a set of names is asked for, such as {{'core.array.pe_0_0.psum'}}, not {type(answer).__name__}"
    given = {str(name).strip() for name in answer}
    if unknown := sorted(given - set(wave.values)):
        return f"{unknown[0][:60]!r} is not a signal of this recording"
    first = {
        name: int(np.flatnonzero(other)[0]) for name in wave.values if (other := differs(wave, golden, name)).any()
    }
    begin = min(first.values())
    expected = {name for name, when in first.items() if when == begin}
    if given == expected:
        return None
    if never := sorted(given - set(first)):
        return f"{never[0]} never differs in a clock period that counts"
    if late := sorted(given - expected):
        return f"{late[0]} does differ, but others do in an earlier clock period"
    more = len(expected) - len(given)
    return f"those are right; in the same clock period, {more} more can be found: look in other PEs too"


@task("6.8", "a whole number")
def _(answer: Any, lab: Lab, golden: Any) -> str | None:
    place = parse_fault(FAULT).sites[0]
    pe = f"core.array.pe_{place.row}_{place.col}"
    valid = golden.values[f"{pe}.valid_east"] == 1
    bits = find_preset("34P").config.omit_weight
    held = golden.values[f"{pe}.weight"]
    expected = int((valid & (held >> (place.bit - bits) & 1 == 0)).sum())
    hints = [
        (
            int((valid & (held >> place.bit & 1 == 0)).sum()),
            "bit 6 of the weight is not bit 6 of this register: it has 5",
        ),
        (int((held >> (place.bit - bits) & 1 == 0).sum()), "also steps that are not valid are counted here"),
        (int(valid.sum()) - expected, "these are the steps in which the bit is 1 already, and nothing changes"),
    ]
    return number(answer, expected, hints=hints)


@task("6.9", "two numbers of cells")
def _(answer: Any, lab: Lab, none: Any, weight: Any) -> str | None:
    bits, every = _hardware(1, "weight").pe_scan_bits, _hardware(1, "all").pe_scan_bits
    per_bit = [(getattr(weight, kind) - getattr(none, kind)) / bits for kind in ("flip_flops", "luts")]
    empty = np.array([none.flip_flops, none.luts])
    expected = empty + every * np.array(per_bit)
    hints = [
        (empty + 6 * bits * np.array(per_bit), "not every site has as many bits as a weight: how wide is a product?"),
        (expected - empty, "these are the cells of the sites alone: the PE itself is missing"),
        (expected[::-1], "flip-flops come first, then look-up tables"),
    ]
    otherwise = "Cells of a PE without sites, and for each bit of all sites what one costs"
    return array(answer, expected, tolerance=1.5, hints=hints, otherwise=otherwise)


@task("6.10", "three whole numbers: without sites, with weight, with all")
def _(answer: Any, lab: Lab, counted: Mapping[str, Any]) -> str | None:
    elements = [int(_USABLE * LUTS / area.luts) for area in counted.values()]
    expected = [math.isqrt(number) for number in elements]
    full = [math.isqrt(LUTS // area.luts) for area in counted.values()]
    hints = [
        (full, "this fills the device to the last look-up table; only 85 % of them are to be used"),
        (elements, "these are numbers of PEs; the side of a square array is asked for"),
    ]
    otherwise = "The largest n for which n x n PEs take at most 85 % of the look-up tables"
    return array(answer, expected, hints=hints, otherwise=otherwise)


@task("6.11", "the letters of the statements that hold")
def _(answer: Any, lab: Lab) -> str | None:
    return statements(
        answer,
        {"a": False, "b": True, "c": True, "d": False, "e": False},
        (
            "what a count of cells leaves out, how many registers an operand passes, and which sites and clock "
            "cycles a host reaches"
        ),
    )
