"""Faults in flip-flops: text and JSON forms, spaces, draws, lists, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from axft_spec.errors import AxftError, FaultError
from axft_spec.faultlist import draw_fault_list, read_fault_list, write_fault_list
from axft_spec.faults import FaultKind
from axft_spec.flipflops import (
    FlipFlop,
    FlipFlopFault,
    FlipFlopSpace,
    any_fault_from_json,
    check_flip_flop,
    match_flip_flops,
    parse_any_fault,
)

WIDTHS = {"bus.scratch": 32, "core.a": 2, "core.b": 3}
SPACE = FlipFlopSpace(
    flip_flops=(FlipFlop("core.a", 2), FlipFlop("core.b", 3)),
    kinds=(FaultKind.STUCK_AT_0, FaultKind.STUCK_AT_1),
    cycles=7,
    device="d",
)


@pytest.mark.parametrize("text", ["rtl:core.a:b1:flip@y1200", "rtl:core.array.pe_3_5.psum:b0:sa1@y0"])
def test_fault_survives_its_text_and_its_json(text: str) -> None:
    """Both forms are complete."""
    fault = parse_any_fault(text)
    assert str(fault) == text
    assert any_fault_from_json(fault.to_json()) == fault


def test_fault_without_a_cycle_begins_with_the_run() -> None:
    """As a stuck bit usually does."""
    assert FlipFlopFault.parse("rtl:core.a:b1:sa0") == FlipFlopFault(FaultKind.STUCK_AT_0, "core.a", 1, 0)


@pytest.mark.parametrize(
    "text", ["rtl:core.a:flip", "rtl:core.a:b1:melted", "rtl:core.a:b1:flip@y-1", f"rtl:core.a:b1:flip@y{2**60}"]
)
def test_malformed_fault_is_refused(text: str) -> None:
    """In one error of ours."""
    with pytest.raises(AxftError):
        FlipFlopFault.parse(text)


def test_space_numbers_kinds_bits_and_cycles() -> None:
    """Worked by hand: five bits, two kinds, seven cycles."""
    assert SPACE.bits == 5 and SPACE.size == 70
    assert SPACE[0] == FlipFlopFault(FaultKind.STUCK_AT_0, "core.a", 0, 0)
    assert SPACE[1] == FlipFlopFault(FaultKind.STUCK_AT_1, "core.a", 0, 0)
    assert SPACE[4] == FlipFlopFault(FaultKind.STUCK_AT_0, "core.b", 0, 0)
    assert SPACE[69] == FlipFlopFault(FaultKind.STUCK_AT_1, "core.b", 2, 6)
    assert len({SPACE[index] for index in range(70)}) == 70
    with pytest.raises(IndexError, match="between 0 and 69, not 70"):
        SPACE[70]


def test_space_of_damaged_json_is_refused() -> None:
    """Types and the recorded size are checked."""
    value = SPACE.to_json()
    assert FlipFlopSpace.from_json(value) == SPACE
    for damage in ({"cycles": "7"}, {"size": 71}, {"flip_flops": [["core.a", -2]]}):
        with pytest.raises(AxftError):
            FlipFlopSpace.from_json({**value, **damage})


def test_drawn_list_is_read_back_and_held_against_its_draw(tmp_path: Path) -> None:
    """As any list; a changed line is found."""
    drawn = draw_fault_list(SPACE, 20, 3)
    path = tmp_path / "list.jsonl"
    write_fault_list(path, drawn)
    assert read_fault_list(path) == drawn
    lines = path.read_text().splitlines()
    lines[5] = lines[5].replace('"first_cycle":', '"first_cycle":1')
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(FaultError, match="line 6"):
        read_fault_list(path)


def test_patterns_find_flip_flops_by_name() -> None:
    """Whole names, and wildcards; an unknown one names some that there are."""
    assert match_flip_flops(WIDTHS, "core.*") == SPACE.flip_flops
    assert match_flip_flops(WIDTHS, "bus.scratch") == (FlipFlop("bus.scratch", 32),)
    with pytest.raises(FaultError, match=r"is called 'core.c'; allowed: one of 3 names such as bus.scratch"):
        match_flip_flops(WIDTHS, "core.c")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rtl:core.a:b2:flip", "bit must be between 0 and 1, not 2"),
        ("rtl:core.x:b0:flip", "no flip-flop is called 'core.x'"),
        ("rtl:core.a:b0:flip@y100", "cycle must be between 0 and 99, the last of the run, not 100"),
    ],
)
def test_bit_or_cycle_that_is_not_there_is_refused(text: str, message: str) -> None:
    """Before anything runs; a pattern is no name of a flip-flop."""
    with pytest.raises(FaultError, match=message):
        check_flip_flop(FlipFlopFault.parse(text), WIDTHS, 100)
    with pytest.raises(FaultError, match="no flip-flop is called"):
        check_flip_flop(FlipFlopFault(FaultKind.FLIP, "core.*", 0), WIDTHS)
