"""The header of .bit files, and .bin files."""

from __future__ import annotations

import pytest

from axft_hw.build.open_flow.bitstream import Bitstream, to_bin
from axft_spec.errors import BackendError

DATA = bytes.fromhex("ffffffffaa9955662000000030022001")
# Field by field, as hex dumps of such files show them.
FILE = (
    bytes.fromhex("0009 0ff00ff00ff00ff000 0001")
    + b"a\0\x05axft\0"
    + b"b\0\x107z020clg400-1..\0"
    + b"c\0\x0b2000/01/01\0"
    + b"d\0\x0900:00:00\0"
    + b"e\0\0\0\x10"
    + DATA
)
BITSTREAM = Bitstream(design="axft", part="7z020clg400-1..", date="2000/01/01", time="00:00:00", data=DATA)


def test_file_is_read_and_written():
    """Every field, and the data."""
    assert Bitstream.from_bytes(FILE) == BITSTREAM
    assert BITSTREAM.to_bytes() == FILE


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "damaged"),
        (b"\x7fELF" + bytes(100), "no bitstream"),
        (FILE[:40], "damaged|no field"),
        (FILE[:-1], "must have 16 bytes"),
        (FILE + b"\0", "must have 16 bytes"),
        (FILE.replace(bytes.fromhex("aa995566"), bytes(4)), "sync word"),
        (FILE.replace(b"c\0\x0b", b"x\0\x0b"), "no field 'c'"),
    ],
)
def test_what_is_no_bitstream_is_refused(content, message):
    """Also one that is cut off."""
    with pytest.raises(BackendError, match=message):
        Bitstream.from_bytes(content)


def test_bin_has_the_bytes_of_each_word_reversed():
    """The sync word is what Linux's driver looks for: 66 55 99 aa."""
    assert to_bin(DATA) == bytes.fromhex("ffffffff665599aa0000002001200230")
