"""From features to frames, on a database whose bits were worked out by hand."""

from __future__ import annotations

import pytest

from axft_hw.build.open_flow.database import Bit, Database
from axft_hw.build.open_flow.frames import assemble, features_of_fasm, frames_text
from axft_spec.errors import BackendError

REQUIRED = {Bit(0x101, 4, 2), Bit(0x103, 5, 8)}


@pytest.mark.parametrize(
    ("line", "features"),
    [
        ("T_X0Y0.A.B", {"T_X0Y0.A.B"}),
        ("T_X0Y0.A.B = 1 # why", {"T_X0Y0.A.B"}),
        ("T_X0Y0.A.B = 0", set()),
        ("T_X0Y0.INIT[7]", {"T_X0Y0.INIT[7]"}),
        ("T_X0Y0.INIT[7:4] = 4'b1010", {"T_X0Y0.INIT[5]", "T_X0Y0.INIT[7]"}),
        ("T_X0Y0.INIT[255:250] = 6'h21", {"T_X0Y0.INIT[250]", "T_X0Y0.INIT[255]"}),
        ('T_X0Y0.A { .x = "y" }', {"T_X0Y0.A"}),
        ("# nothing", set()),
        ("", set()),
    ],
)
def test_fasm_line_gives_the_features_that_are_on(line, features):
    """One for each bit that is 1."""
    assert set(features_of_fasm([line])) == features


@pytest.mark.parametrize("line", ["T.A = ", "T A", "T.INIT[3:0] = 4'b10000", "T.INIT[3:0] = 4'q1", "T..é"])
def test_what_is_no_fasm_is_refused_with_its_line(line):
    """The number and the text."""
    with pytest.raises(BackendError, match="line 2 of the FASM"):
        list(features_of_fasm(["T.A", line]))


def test_features_are_where_the_tile_is(database: Database):
    """Frame: base plus the first number; word: offset plus bit / 32. What the part requires is added."""
    frames = assemble(database, ["INT_L_X0Y0.A.IN1", "BRAM_L_X1Y0.RAMB18_Y0.ZINIT_A[12:5] = 8'b10000001"])
    assert frames.ones == REQUIRED | {Bit(0x101, 2, 2), Bit(0x103, 3, 8), Bit(0x182, 1, 1), Bit(0x182, 1, 2)}


def test_contents_are_in_frames_of_their_own(database: Database):
    """Those of block RAMs; leading zeros of an index do not matter."""
    frames = assemble(database, ["BRAM_L_X1Y0.RAMB18_Y0.INIT_00[255:0] = 256'h401"])
    assert frames.ones == REQUIRED | {Bit(0xC00000, 0, 0), Bit(0xC00000 + 127, 9, 31)}


def test_features_without_bits_are_listed(database: Database):
    """They are in the database, with nothing to set."""
    frames = assemble(database, ["INT_L_X0Y0.D.E", "INT_L_X0Y0.B.OFF"])
    assert frames.ones == REQUIRED
    assert frames.silent == {"INT_L_X0Y0.D.E"}
    assert "INT_L_X0Y0.B.OFF" in frames.features


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["INT_L_X0Y0.A.IN7"], "feature INT_L_X0Y0.A.IN7 is not in the database of part-1"),
        (["INT_L_X9Y9.A.IN0"], "fab has no tile 'INT_L_X9Y9'"),
        (["INT_L_X0Y0.A.IN0", "INT_L_X0Y0.A.IN1"], "contradict each other"),
        (["LIOB33_SING_X0Y0.IOB_Y0.PULL"], "whose place in the memory is not known"),
    ],
)
def test_what_cannot_be_is_refused(database: Database, lines, message):
    """Rather than left out."""
    with pytest.raises(BackendError, match=message):
        assemble(database, lines)


def test_missing_database_says_how_to_get_it(tmp_path):
    """And which file it is."""
    with pytest.raises(BackendError, match=r"tilegrid\.json cannot be read.*install_open_flow"):
        assemble(Database(tmp_path, "part-1", "fab"), ["INT_L_X0Y0.A.IN0"])


def test_text_has_whole_frames_in_order():
    """An address, 101 words."""
    first, second = frames_text([Bit(0x20, 100, 31), Bit(0x03, 0, 0), Bit(0x03, 0, 4)]).splitlines()
    assert first == "0x00000003 0x00000011," + ",".join(["0x00000000"] * 100)
    assert second == "0x00000020 " + ",".join(["0x00000000"] * 100) + ",0x80000000"
