"""The scan map: positions counted by hand, and both directions of the map."""

from __future__ import annotations

import numpy as np
import pytest

from axft_spec.config import ArrayConfig, find_preset
from axft_spec.errors import FaultError
from axft_spec.faults import FaultSite, Site
from axft_spec.hardware import HardwareConfig
from axft_spec.scanmap import ScanMap

SMALL = HardwareConfig(array=find_preset("34P").config.resized(2, 3), sites=(Site.WEIGHT, Site.PSUM))


def test_positions_follow_rows_columns_sites_and_bits() -> None:
    """Five weight bits (3..7) and eighteen psum bits (6..23) in a PE; PE(1, 2) is the sixth."""
    sites = ScanMap(SMALL)
    assert len(sites) == 6 * 23
    assert sites.position(FaultSite(Site.WEIGHT, 0, 0, 3)) == 0
    assert sites.position(FaultSite(Site.WEIGHT, 0, 0, 7)) == 4
    assert sites.position(FaultSite(Site.PSUM, 0, 0, 6)) == 5
    assert sites.position(FaultSite(Site.PSUM, 0, 0, 23)) == 22
    assert sites.position(FaultSite(Site.WEIGHT, 1, 2, 3)) == 5 * 23
    assert sites.position(FaultSite(Site.PSUM, 1, 2, 23)) == 6 * 23 - 1


def test_every_position_has_one_bit() -> None:
    """Both directions agree, for every site."""
    for width, cut in ((8, "2R5"), (16, "exact")):
        array = find_preset("Baseline").config if width == 16 else find_preset(cut).config
        sites = ScanMap(HardwareConfig(array=array.resized(3, 2)))
        found = [sites.site_at(position) for position in range(len(sites))]
        assert len(set(found)) == len(sites)
        assert [sites.position(site) for site in found] == list(range(len(sites)))


def test_ignored_bit_has_no_position_and_a_missing_one_is_an_error() -> None:
    """The multiplier of 34P ignores bits 0 to 2."""
    sites = ScanMap(SMALL)
    assert sites.position(FaultSite(Site.WEIGHT, 0, 0, 2)) is None
    assert sites.positions([FaultSite(Site.WEIGHT, 0, 0, 2), FaultSite(Site.WEIGHT, 0, 1, 3)]) == [23]
    for site, message in (
        (FaultSite(Site.PRODUCT, 0, 0, 8), "has no site product; allowed: weight, psum"),
        (FaultSite(Site.WEIGHT, 2, 0, 3), "has 2x3 PEs"),
        (FaultSite(Site.WEIGHT, 0, 0, 8), "bit must be below 8, not 8"),
    ):
        with pytest.raises(FaultError, match=message):
            sites.position(site)
    with pytest.raises(IndexError, match="between 0 and 137, not 138"):
        sites.site_at(138)


def test_words_hold_one_bit_for_each_position() -> None:
    """Bit p % 32 of word p // 32; what lies beyond the chain does not count."""
    sites = ScanMap(SMALL)
    words = sites.words([0, 31, 32, 137])
    assert words.tolist() == [0x80000001, 1, 0, 0, 1 << (137 - 128), 0, 0, 0]
    assert sites.armed(words) == [0, 31, 32, 137]
    assert sites.armed(np.full(8, 0xFFFFFFFF, dtype=np.uint32)) == list(range(138))


def test_documents_say_how_to_find_a_position() -> None:
    """The formula of the JSON form, applied by hand, is the map."""
    sites = ScanMap(SMALL)
    value = sites.to_json()
    psum = next(entry for entry in value["sites"] if entry["site"] == "psum")
    by_hand = (1 * value["cols"] + 2) * value["pe_bits"] + psum["offset"] + 10 - psum["first_bit"]
    assert sites.position(FaultSite(Site.PSUM, 1, 2, 10)) == by_hand
    assert "| psum | 5 | 6 | 18 |" in sites.to_markdown()


def test_hardware_without_sites_has_an_empty_chain() -> None:
    """A build that leaves injection out."""
    sites = ScanMap(HardwareConfig(array=ArrayConfig(rows=2, cols=2), sites=()))
    assert len(sites) == 0
    assert sites.words([]).tolist() == [0]
