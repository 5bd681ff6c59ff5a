"""Files that stand for a bitstream."""

from __future__ import annotations

from pathlib import Path

import pytest

from axft_host.testing.virtual_bitstream import read_payload, virtual_bit, write_virtual_overlay
from axft_spec.config import find_preset
from axft_spec.errors import BackendError
from axft_spec.hardware import HardwareConfig
from axft_spec.manifest import Manifest

HARDWARE = HardwareConfig(array=find_preset("34P").config.resized(2, 3), operand_steps=16)


def firmware(bit: bytes) -> bytes:
    """Return what the FPGA manager gets: the payload behind the header, each 32-bit word the other way round."""
    start = bit.index(b"e", bit.index(b"00:00:00")) + 5
    payload = bit[start:]
    assert int.from_bytes(bit[start - 4 : start], "big") == len(payload)
    return b"".join(payload[at : at + 4][::-1] for at in range(0, len(payload), 4))


def test_payload_names_the_hardware_and_says_that_it_is_no_bitstream() -> None:
    """In words, for whoever opens it; without the word that every bitstream synchronises by."""
    bit = virtual_bit(HARDWARE)
    assert read_payload(firmware(bit)) == HARDWARE
    assert b"this is not a bitstream" in bit
    assert b"\xaa\x99\x55\x66" not in bit


def test_same_hardware_gives_the_same_file_unless_noted_otherwise() -> None:
    """Pynq tells bitstreams apart by their SHA-1."""
    assert virtual_bit(HARDWARE) == virtual_bit(HARDWARE)
    assert virtual_bit(HARDWARE, "another") != virtual_bit(HARDWARE)


def test_other_and_damaged_payloads_are_refused() -> None:
    """A real bitstream configures no virtual Zynq, and the bytes must be swapped once."""
    good = firmware(virtual_bit(HARDWARE))
    with pytest.raises(BackendError, match="by virtual bitstreams only"):
        read_payload(b"\xff" * 32 + b"\xaa\x99\x55\x66" + bytes(64))
    with pytest.raises(BackendError, match="by virtual bitstreams only"):
        read_payload(firmware(virtual_bit(HARDWARE))[::-1])
    for place in (len(good) // 2, len(good) - 30):
        bad = bytearray(good)
        bad[place] ^= 1
        with pytest.raises(BackendError, match="damaged"):
            read_payload(bytes(bad))


def test_overlay_has_both_files_and_their_manifest(tmp_path: Path) -> None:
    """As a build leaves them."""
    bit = write_virtual_overlay(tmp_path / "34P", HARDWARE, "<x/>", "axft_34P")
    manifest = Manifest.load(tmp_path / "34P")
    manifest.verify(tmp_path / "34P")
    assert (bit.name, set(manifest.files)) == ("axft_34P.bit", {"axft_34P.bit", "axft_34P.hwh"})
    assert manifest.hardware == HARDWARE
