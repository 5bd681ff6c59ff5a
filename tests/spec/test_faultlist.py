"""The fault-list file."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from axft_spec.config import PRESETS, ArrayConfig
from axft_spec.errors import FaultError
from axft_spec.faultlist import FaultList, draw_fault_list, read_fault_list, write_fault_list
from axft_spec.faults import FaultKind, FaultSpace, parse_fault
from axft_spec.schedule import GemmShape, Schedule

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
    with pytest.raises(FaultError, match="exists and is not overwritten; name one that does not exist"):
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
        (lambda lines: [*lines[:2], lines[1], *lines[3:]], "line 3: the draw that .* names has"),
        (lambda lines: [lines[0], lines[1][:-5], *lines[2:]], "line 2: "),
        (
            lambda lines: [lines[0], lines[1].replace("weight", "psum"), *lines[2:]],
            "line 2: the draw that .* names has",
        ),
        (lambda lines: [lines[0], lines[2], lines[1], *lines[3:]], "line 2: the draw that .* names has"),
        (lambda lines: [lines[0].replace('"seed":3', '"seed":4'), *lines[1:]], "line 2: the draw that .* names has"),
        (lambda lines: [lines[0].replace('"seed":3', '"seed":-3'), *lines[1:]], "line 1: seed must .* not -3"),
        (lambda lines: [lines[0].replace('"seed":3', '"seed":null'), *lines[1:]], "line 1: seed must be .* not None"),
        (lambda lines: [lines[0].replace('"seed":3', '"seed":3.0'), *lines[1:]], "line 1: seed must be .* not 3.0"),
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


def test_hand_picked_list_is_no_sample_until_its_header_says_so(tmp_path: Path) -> None:
    """Different faults of the space, but not those that were drawn: the message says how to run them all the same."""
    space = FaultSpace(config=PRESETS["34P"].config)
    picked = tuple(parse_fault(f"weight:r0:c0:b{bit}:sa1") for bit in range(5))
    path = tmp_path / "f.jsonl"
    write_fault_list(path, FaultList(picked, space, 3))
    with pytest.raises(FaultError, match=r"line 2: .*, not weight:r0:c0:b0:sa1; .*set space and seed .* to null$"):
        read_fault_list(path)
    header, *lines = path.read_text().splitlines()
    header = json.dumps({**json.loads(header), "space": None, "seed": None})
    path.write_text("\n".join([header, *lines]) + "\n")
    assert read_fault_list(path) == FaultList(picked)


def test_seed_without_a_space_is_refused(tmp_path: Path) -> None:
    """A list made by hand has none."""
    path = tmp_path / "f.jsonl"
    write_fault_list(path, FaultList(DRAWN.faults, None, 3))
    with pytest.raises(FaultError, match="line 1: seed must be null in a list without a space, not 3"):
        read_fault_list(path)


def test_list_longer_than_its_space_is_refused(tmp_path: Path) -> None:
    """No draw without replacement can hold it."""
    space = FaultSpace(config=ArrayConfig(rows=1, cols=1), kinds=(FaultKind.FLIP,))
    path = tmp_path / "f.jsonl"
    write_fault_list(path, FaultList((*space, space[0]), space, 0))
    with pytest.raises(FaultError, match="line 1: a draw from a space of 8 faults must hold at most as many, not 9"):
        read_fault_list(path)


def test_beginning_of_a_drawn_list_is_a_drawn_list(tmp_path: Path) -> None:
    """Also of a transient one, whose faults lie in cycles of a schedule."""
    schedule = Schedule.of([(1, GemmShape(m=5, k=9, n=4))], 28, 28)
    space = FaultSpace(config=PRESETS["34P"].config, kinds=(FaultKind.FLIP,), schedule=schedule)
    path = tmp_path / "f.jsonl"
    part = FaultList(draw_fault_list(space, 50, 8).faults[:20], space, 8)
    write_fault_list(path, part)
    assert read_fault_list(path) == part


def test_largest_preset_space_is_checked_in_a_moment(tmp_path: Path) -> None:
    """Redrawing costs no more than reading."""
    space = FaultSpace(config=PRESETS["8P"].config)
    path = tmp_path / "f.jsonl"
    write_fault_list(path, draw_fault_list(space, space.size, 1))
    start = time.process_time()
    read_fault_list(path)
    assert time.process_time() - start < 5
