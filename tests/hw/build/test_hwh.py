"""The .hwh file as XML: what pynq makes of it is in the tier `virtual`."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from axft_hw.build.hwh import hwh, with_clock
from axft_spec.config import find_preset
from axft_spec.hardware import HardwareConfig
from axft_spec.regmap import REGMAP_HASH, regmap_json

HARDWARE = HardwareConfig(array=find_preset("34P").config.resized(2, 3))


def test_registers_and_fields_are_those_of_the_register_map() -> None:
    """Each with its offset, its bits and its description; field names in capitals."""
    root = ET.fromstring(hwh(HARDWARE))

    def properties(element: ET.Element) -> dict[str, str]:
        return {each.attrib["NAME"]: each.attrib["VALUE"] for each in element.findall("PROPERTY")}

    found = {}
    for register in root.iter("REGISTER"):
        fields = {
            field.attrib["NAME"]: (int(properties(field)["BIT_OFFSET"]), int(properties(field)["BIT_WIDTH"]))
            for field in register.iter("FIELD")
        }
        found[register.attrib["NAME"]] = (int(properties(register)["ADDRESS_OFFSET"], 16), fields)
        assert properties(register)["SIZE"] == "32"
    expected = {
        entry["name"]: (
            entry["offset"],
            {field["name"].upper(): (field["low"], field["bits"]) for field in entry["fields"]},
        )
        for entry in regmap_json(HARDWARE)["registers"]
    }
    assert found == expected


def test_block_is_where_the_port_begins() -> None:
    """One range of 1 MiB at 0x40000000, on M_AXI_GP0."""
    root = ET.fromstring(hwh(HARDWARE))
    (place,) = root.iter("MEMRANGE")
    assert (place.attrib["BASEVALUE"], place.attrib["HIGHVALUE"]) == ("0x40000000", "0x400FFFFF")
    assert (place.attrib["INSTANCE"], place.attrib["MASTERBUSINTERFACE"]) == ("axft_0", "M_AXI_GP0")
    assert [each.attrib["VLNV"] for each in root.iter("MODULE")] == [
        "xilinx.com:ip:processing_system7:5.5",
        "axft:hw:axft_top:1.0",
    ]


def test_file_says_which_device_it_is_for() -> None:
    """The hashes of the registers of the same names."""
    root = ET.fromstring(hwh(HARDWARE))
    values = {each.attrib["NAME"]: each.attrib["VALUE"] for each in root.iter("PARAMETER")}
    assert int(values["REGMAP_HASH"], 16) == REGMAP_HASH
    assert int(values["CONFIG_HASH"], 16) == HARDWARE.config_hash


@pytest.mark.parametrize(("asked", "made", "divisor"), [(100.0, "100.0", "10"), (85.0, "83.333333", "12")])
def test_clock_is_not_faster_than_asked_for(asked: float, made: str, divisor: str) -> None:
    """What closed timing at 85 MHz runs at 83.3."""
    root = ET.fromstring(hwh(HARDWARE, clock_mhz=asked))
    values = {each.attrib["NAME"]: each.attrib["VALUE"] for each in root.iter("PARAMETER")}
    assert values["PCW_FPGA0_PERIPHERAL_FREQMHZ"] == made
    assert (values["PCW_FCLK0_PERIPHERAL_DIVISOR0"], values["PCW_FCLK0_PERIPHERAL_DIVISOR1"]) == (divisor, "1")
    assert values["PCW_FPGA_FCLK0_ENABLE"] == "1"


def test_clock_of_another_tool_is_made_one_of_the_board() -> None:
    """Divisors of a PLL that the board does not have; nothing else changes, and what is right stays as it is."""
    ours = hwh(HARDWARE, clock_mhz=60)
    assert with_clock(ours, 60) == ours
    other = ours.replace('DIVISOR0" VALUE="17"', 'DIVISOR0" VALUE="27"')
    assert other != ours
    assert ET.canonicalize(with_clock(other, 60)) == ET.canonicalize(ours)
    slower = with_clock(ours, 45.0)
    assert 'NAME="PCW_FCLK0_PERIPHERAL_DIVISOR0" VALUE="23"' in slower
    assert 'NAME="PCW_FPGA0_PERIPHERAL_FREQMHZ" VALUE="43.478261"' in slower
    assert 'NAME="PCW_FCLK1_PERIPHERAL_DIVISOR0" VALUE="10"' in slower
