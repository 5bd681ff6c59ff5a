"""From bits back to features, and differences."""

from __future__ import annotations

import pytest

from axft_hw.build.open_flow.database import Bit, Database
from axft_hw.build.open_flow.frames import assemble
from axft_hw.build.open_flow.readback import bits_of_bitread, compare, decode

FASM = ["INT_L_X0Y0.A.IN0", "INT_L_X0Y0.D.E", "BRAM_L_X1Y0.RAMB18_Y0.INIT_00[10]"]


def test_bits_are_read_without_the_frames_codes():
    """The code is the low 13 bits of word 50; a clock row's own bits share that word."""
    text = "bit_00000101_002_02\nbit_00c0007f_009_31\nbit_00000101_050_12\nbit_00000101_050_13\nframe 3\n"
    assert bits_of_bitread(text) == {Bit(0x101, 2, 2), Bit(0xC0007F, 9, 31), Bit(0x101, 50, 13)}


def test_all_bits_of_a_feature_must_be_there_and_no_other(database: Database):
    """IN1 is IN0 with one bit more: only the larger one is found."""
    found, left = decode(database, [Bit(0x101, 2, 2)])
    assert (found, left) == ({"INT_L_X0Y0.A.IN0"}, frozenset())
    found, left = decode(database, [Bit(0x101, 2, 2), Bit(0x103, 3, 8)])
    assert (found, left) == ({"INT_L_X0Y0.A.IN1"}, frozenset())
    found, left = decode(database, [Bit(0x103, 3, 8)])
    assert (found, left) == (frozenset(), {Bit(0x103, 3, 8)})


def test_what_was_assembled_reads_back_without_differences(database: Database):
    """Counts by type of tile."""
    frames = assemble(database, FASM)
    comparison = compare(database, frames, frames.ones)
    assert comparison.differences == 0
    assert (comparison.features, comparison.silent, comparison.bits) == (3, 1, 4)
    assert comparison.by_kind == {"BRAM_L": 1, "INT_L": 2}


@pytest.mark.parametrize("index", range(4))
def test_every_lost_bit_is_found(database: Database, index):
    """As a missing bit, and as a missing feature."""
    frames = assemble(database, FASM)
    lost = sorted(frames.ones)[index]
    comparison = compare(database, frames, frames.ones - {lost})
    assert comparison.missing_bits == (lost,)
    assert len(comparison.missing) == 1


@pytest.mark.parametrize("bit", [Bit(0x103, 3, 8), Bit(0x182, 1, 1), Bit(0xC00000, 0, 0), Bit(0x500, 0, 0)])
def test_every_additional_bit_is_found(database: Database, bit):
    """Whether it makes a feature, spoils one, or means nothing."""
    frames = assemble(database, FASM)
    comparison = compare(database, frames, frames.ones | {bit})
    assert comparison.extra_bits == (bit,)
    assert comparison.extra or comparison.missing or comparison.unexplained
