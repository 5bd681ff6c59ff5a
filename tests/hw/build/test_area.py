"""Counts of synthesised cells."""

from __future__ import annotations

import pytest

from axft_hw.build.area import Area, area_and_sites, area_of
from axft_hw.pe import ProcessingElement
from axft_spec.config import find_preset
from axft_spec.faults import Site
from axft_spec.hardware import HardwareConfig


def test_cells_are_counted_by_kind() -> None:
    """Inverters are look-up tables, memories take several, small block RAMs are halves, other cells are no area."""
    cells = {"LUT2": 3, "LUT6": 5, "INV": 1, "SRL16E": 2, "RAM32M": 1, "FDRE": 7, "FDSE": 1, "CARRY4": 4}
    cells |= {"RAMB36E1": 2, "RAMB18E1": 3, "DSP48E1": 1, "MUXF7": 9, "$scopeinfo": 8}
    area = Area.of_cells(cells)
    assert area.luts_by_inputs == (1, 3, 0, 0, 0, 5)
    assert area.memory_luts == 2 + 4
    assert area.luts == 15
    assert (area.flip_flops, area.carry4, area.bram36, area.dsps) == (8, 4, 3.5, 1)


@pytest.mark.parametrize(
    ("preset", "sites", "most_luts", "flip_flops"),
    [
        ("34P", (), 47, 5 + 5 + 1 + 10 + 18),
        ("34P", (Site.WEIGHT,), 58, 5 + 5 + 1 + 10 + 18 + 5),
        ("2QH", (), 74, 7 + 8 + 1 + 11 + 19),
        ("8P", (Site.WEIGHT,), 110, 8 + 8 + 1 + 16 + 24 + 8),
    ],
)
def test_pe_takes_no_more_than_documented(
    preset: str, sites: tuple[Site, ...], most_luts: int, flip_flops: int
) -> None:
    """Two look-up tables of grace for other versions of yosys; flip-flops are those of the registers, and none more."""
    array = find_preset(preset).config.resized(8, 8)
    area = area_of(ProcessingElement(HardwareConfig(array=array, sites=sites)))
    assert area.flip_flops == flip_flops
    assert area.luts <= most_luts
    assert area.dsps == 0


def test_pe_of_34p_takes_at_most_50_sites() -> None:
    """With the study's fault site, the scan chain and the counter of activations."""
    array = find_preset("34P").config.resized(28, 28)
    _, sites = area_and_sites(ProcessingElement(HardwareConfig(array=array, sites=(Site.WEIGHT,))))
    assert sites <= 50
