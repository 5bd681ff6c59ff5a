"""Hardware configurations: worked figures, limits, and the JSON form."""

from __future__ import annotations

import pytest

from axft_spec.config import ArrayConfig, find_preset
from axft_spec.errors import ConfigError, FaultError
from axft_spec.faults import Site, parse_fault
from axft_spec.hardware import HardwareConfig, parse_sites


def test_34p_stores_only_what_its_multiplier_keeps() -> None:
    """FACTS of the part: three low bits of each operand ignored, six low bits of a product always 0."""
    hardware = HardwareConfig(array=find_preset("34P").config, sites=(Site.WEIGHT,))
    assert (hardware.weight_bits, hardware.activation_bits) == (5, 5)
    assert (hardware.product_bits, hardware.psum_bits) == (10, 18)
    assert (hardware.pe_scan_bits, hardware.scan_bits) == (5, 5 * 784)
    assert list(hardware.site_range(Site.WEIGHT)) == [3, 4, 5, 6, 7]
    assert list(hardware.site_range(Site.PRODUCT)) == list(range(6, 16))


def test_windows_of_the_baseline_hold_28_operands_of_16_bits_in_16_words() -> None:
    """Two operands in a word, padded to a power of two; partial sums of 40 bits take two words."""
    hardware = HardwareConfig(array=find_preset("Baseline").config)
    assert (hardware.operands_per_word, hardware.activation_step_words) == (2, 16)
    assert hardware.psum_words == 2
    assert hardware.tile_words(28, 28) == 2 * 784 + 1
    assert hardware.result_words == 4096


def test_each_operand_has_its_own_omitted_bits() -> None:
    """2QH cuts one bit of operand A, whichever operand that is."""
    array = find_preset("2QH").config
    swapped = ArrayConfig(multiplier=array.multiplier, operand_a="activation")
    assert [HardwareConfig(array=each).weight_bits for each in (array, swapped)] == [7, 8]
    assert [HardwareConfig(array=each).activation_bits for each in (array, swapped)] == [8, 7]


def test_sites_keep_one_order_whatever_was_given() -> None:
    """So that equal hardware has equal hashes."""
    array = ArrayConfig(rows=2, cols=2)
    one = HardwareConfig(array=array, sites=(Site.PSUM, Site.WEIGHT))
    other = HardwareConfig(array=array, sites=(Site.WEIGHT, Site.PSUM))
    assert one == other and one.config_hash == other.config_hash
    assert one.config_hash != HardwareConfig(array=array).config_hash
    assert HardwareConfig.from_json(one.to_json()) == one


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"operand_steps": 8}, "operand_steps must be between 16 and 512, not 8"),
        ({"operand_steps": 100}, "operand_steps must be a power of two, not 100"),
        ({"sites": (Site.PSUM, Site.PSUM)}, "sites must be different fault sites, not"),
    ],
)
def test_impossible_hardware_is_refused(options: dict[str, object], message: str) -> None:
    """Each message names what was given and what is allowed."""
    with pytest.raises(ConfigError, match=message):
        HardwareConfig(array=ArrayConfig(), **options)  # type: ignore[arg-type]


def test_from_json_rejects_unknown_keys() -> None:
    """A manifest of another version is not half understood."""
    value = HardwareConfig(array=ArrayConfig()).to_json()
    with pytest.raises(ConfigError, match="must have the keys"):
        HardwareConfig.from_json({**value, "dsp": 1})


def test_site_that_the_hardware_lacks_is_named() -> None:
    """With the sites that it has, and the option that makes others."""
    hardware = HardwareConfig(array=ArrayConfig(rows=2, cols=2), sites=(Site.WEIGHT,))
    hardware.check_sites([None, parse_fault("weight:r0:c0:b0:sa1")])
    with pytest.raises(FaultError, match=r"has no site psum; allowed: weight; generate it with --sites"):
        hardware.check_sites([parse_fault("psum:r0:c0:b0:sa1")])


def test_parse_sites_reads_lists_and_words() -> None:
    """In any order; unknown names list what there is."""
    assert parse_sites("psum, weight") == (Site.WEIGHT, Site.PSUM)
    assert parse_sites("all") == tuple(Site)
    assert parse_sites("none") == ()
    with pytest.raises(ConfigError, match=r"unknown fault site 'weigth' \(did you mean weight"):
        parse_sites("weigth")
