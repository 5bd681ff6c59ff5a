"""What is read of a .hwh file before anything is loaded."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from axft_spec.config import find_preset
from axft_spec.errors import BackendError
from axft_spec.handoff import read_handoff
from axft_spec.hardware import HardwareConfig
from axft_spec.regmap import REGISTERS

pytest.importorskip("amaranth", reason="Amaranth is not installed")
from axft_hw.build.hwh import hwh

HARDWARE = HardwareConfig(array=find_preset("34P").config.resized(2, 3))
TEXT = hwh(HARDWARE, clock_mhz=50)


def write(directory: Path, text: str) -> Path:
    """Write a file."""
    path = directory / "axft.hwh"
    path.write_text(text)
    return path


def test_file_that_was_made_for_the_hardware_is_read_as_it_is(tmp_path: Path) -> None:
    """Address, registers, clock."""
    path = write(tmp_path, TEXT)
    found = read_handoff(path)
    found.check(path, HARDWARE)
    assert (found.instance, found.base, found.size, found.clock_mhz) == ("axft_0", 0x40000000, 0x100000, 50.0)
    assert dict(found.registers) == {entry.name: entry.offset for entry in REGISTERS}


@pytest.mark.parametrize(
    ("pattern", "instead", "message"),
    [
        ("0x40000000", "0x80000000", None),
        ("0x40000000", "0xE0000000", r"the accelerator has .* bytes at 0xe0000000"),
        ("0x400FFFFF", "0x4000FFFF", r"has 65,536 bytes at 0x40000000, not 1,048,576"),
        ('ADDRESS_OFFSET" VALUE="0x48"', 'ADDRESS_OFFSET" VALUE="0x5c"', r"register STATUS is at 0x5c, not at 0x48"),
        ('NAME="STATUS"', 'NAME="STATE"', r"register STATUS is missing, not at 0x48"),
        (r'(?<=REGMAP_HASH" VALUE=")0x\w+', "0x00000001", r"REGMAP_HASH is 0x00000001, not 0x"),
        (r'(?<=CONFIG_HASH" VALUE=")0x\w+', "0x00000001", r"CONFIG_HASH is 0x00000001, not 0x"),
    ],
)
def test_file_of_another_bitstream_or_version_is_told(
    pattern: str, instead: str, message: str | None, tmp_path: Path
) -> None:
    """A wrong address stops the processor. The second port is allowed."""
    text = re.sub(pattern, instead, TEXT)
    assert text != TEXT
    if instead == "0x80000000":
        text = text.replace("0x400FFFFF", "0x800FFFFF")
    elif instead == "0xE0000000":
        text = text.replace("0x400FFFFF", "0xE00FFFFF")
    path = write(tmp_path, text)
    if message is None:
        read_handoff(path).check(path, HARDWARE)
        return
    with pytest.raises(BackendError, match=message):
        read_handoff(path).check(path, HARDWARE)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"axft\.hwh is no \.hwh file, or a damaged one"),
        (TEXT[: len(TEXT) // 2], r"is no \.hwh file, or a damaged one"),
        (TEXT.replace("axft:hw:axft_top", "xilinx.com:ip:axi_gpio"), r"has no block axft:hw:axft_top:1\.0, only "),
        (re.sub(r"<MEMRANGE[^>]*>", "", TEXT), r"gives axft_0 no address"),
        (TEXT.replace('BASEVALUE="0x', 'BASEVALUE="no'), r"is no \.hwh file, or a damaged one"),
    ],
)
def test_file_that_cannot_be_used_is_told(text: str, message: str, tmp_path: Path) -> None:
    """Empty, cut off, of another block, without an address."""
    with pytest.raises(BackendError, match=message):
        read_handoff(write(tmp_path, text))
