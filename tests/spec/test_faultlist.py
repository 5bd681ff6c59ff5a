"""The fault-list file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from axft_spec.config import PRESETS
from axft_spec.errors import FaultError
from axft_spec.faultlist import FaultList, draw_fault_list, read_fault_list, write_fault_list
from axft_spec.faults import FaultSpace, parse_fault

DRAWN = draw_fault_list(FaultSpace(config=PRESETS["34P"].config), 5, 3)


def test_list_survives_its_file(tmp_path: Path) -> None:
    """Faults, space and seed come back, and so the digest."""
    path = tmp_path / "f.jsonl"
    write_fault_list(path, DRAWN)
    again = read_fault_list(path)
    assert again == DRAWN
    assert again.digest == DRAWN.digest


def test_file_is_json_lines(tmp_path: Path) -> None:
    """A header, and one fault a line, for anybody to read."""
    path = tmp_path / "f.jsonl"
    write_fault_list(path, FaultList((parse_fault("weight:r3:c5:b6:sa1"),)))
    header, line = map(json.loads, path.read_text().splitlines())
    assert header == {"axft_fault_list": 1, "space": None, "seed": None, "faults": 1}
    assert line == {"kind": "stuck_at_1", "sites": [["weight", 3, 5, 6]], "window": None}


def test_write_never_overwrites(tmp_path: Path) -> None:
    """An existing file stays as it is."""
    path = tmp_path / "f.jsonl"
    path.write_text("mine")
    with pytest.raises(FaultError, match="exists already; name a new file"):
        write_fault_list(path, DRAWN)
    assert path.read_text() == "mine"


def test_digest_depends_on_faults_alone() -> None:
    """The same faults made by hand have the same digest; another order has another."""
    assert FaultList(DRAWN.faults).digest == DRAWN.digest
    assert FaultList(DRAWN.faults[::-1]).digest != DRAWN.digest


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: lines[:-1], "must hold 5 faults, not 4; it was cut"),
        (lambda lines: [], "line 1: the first line must be a header"),
        (lambda lines: ['{"a":1}'], "line 1: the first line must be a header"),
        (lambda lines: [*lines[:2], lines[1], *lines[3:]], "line 3: .* is not a new fault of the space it names"),
        (lambda lines: [lines[0], lines[1][:-5], *lines[2:]], "line 2: "),
        (lambda lines: [lines[0], lines[1].replace("weight", "psum"), *lines[2:]], "line 2: .* is not a new fault"),
        (lambda lines: [lines[0].replace('"rows":28', '"rows":99'), *lines[1:]], "line 1: rows must be between 1"),
    ],
)
def test_read_names_file_and_line_of_what_is_wrong(tmp_path: Path, change: object, message: str) -> None:
    """Cut, damaged or altered lists are refused."""
    path = tmp_path / "f.jsonl"
    write_fault_list(path, DRAWN)
    path.write_text("".join(line + "\n" for line in change(path.read_text().splitlines())))  # type: ignore[operator]
    with pytest.raises(FaultError, match=message) as caught:
        read_fault_list(path)
    assert str(path) in str(caught.value)
