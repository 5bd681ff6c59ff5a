"""``axft-hw board-report``: one bundle, announced before it is written."""

from __future__ import annotations

import importlib.util
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from axft_host.doctor.bundle import CONTENTS
from support.command_line import invoke


@pytest.fixture(autouse=True)
def short_timing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Speeds are not what is tested."""
    monkeypatch.setattr("axft_host.doctor.trial._SPEED_S", 0.01)
    monkeypatch.setattr("axft_host.device.examination.speed.PATH_S", 0.01)


@pytest.mark.parametrize(
    "board",
    [
        "emu",
        pytest.param(
            "rtl",
            marks=pytest.mark.skipif(importlib.util.find_spec("amaranth") is None, reason="Amaranth is not installed"),
        ),
    ],
)
def test_bundle_of_a_board_that_is_well(run_json: Callable[..., Any], place: Path, board: str) -> None:
    """Everything equal, and the file where it is said to be."""
    physical = "--physical 4x4" if board == "rtl" else ""
    document = run_json(f"board-report --board {board} {physical} --images 2 --faults 3 --out b.zip")
    assert document["passed"] is True
    assert document["golden_equal"] is True
    assert (document["faults"], document["faults_equal"]) == (3, 3)
    with zipfile.ZipFile(place / "b.zip") as archive:
        assert archive.namelist() == list(CONTENTS) == list(document["contents"])
        assert json.loads(archive.read("doctor.json"))["board"] == board
    assert document["size_bytes"] == (place / "b.zip").stat().st_size


def test_contents_are_announced_before_anything_is_done(place: Path) -> None:
    """On stderr, in front of the first check."""
    result = invoke("board-report", "--images", "1", "--faults", "1", "--out", "b.zip")
    assert result.exit_code == 0, result.output
    announced, _, done = result.stderr.partition("pass           board")
    assert done
    assert [name for name in CONTENTS if name not in announced] == []
    assert "1 of 1 injections gave what the emulator gives" in result.stdout
    assert "look through it, then send it" in result.stdout


def test_file_has_a_name_of_its_own_if_none_is_given(run_json: Callable[..., Any], place: Path) -> None:
    """In the current directory."""
    name = run_json("board-report --images 1 --faults 1")["file"]
    assert [path.name for path in place.glob("board-report-emu-34P-*.zip")] == [name]


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("--out small.npz", "small.npz"),
        ("--out missing/b.zip", "does not exist"),
        ("--faults 0", "faults must be between 1 and 200, not 0"),
        ("--board nothing", "unknown board"),
    ],
)
def test_bad_input_is_refused_before_the_board_is_touched(place: Path, line: str, text: str) -> None:
    """Nothing is written."""
    before = sorted(place.iterdir())
    result = invoke("board-report", *line.split())
    assert result.exit_code == 2
    assert text in result.stderr
    assert sorted(place.iterdir()) == before
