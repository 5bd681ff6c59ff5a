"""Logical arrays on smaller physical ones."""

from __future__ import annotations

import pytest

from axft_spec.errors import FaultError
from axft_spec.faults import parse_fault
from axft_spec.folding import fold
from axft_spec.schedule import Tile

TILE = Tile(index=0, row0=0, col0=0, rows=5, cols=3)


def armed(fault: str) -> list[tuple[str | None, str | None]]:
    """Return what is armed, and what of it enters, in each sub-tile of a 5 x 3 tile of 4 steps on a 2 x 2 array."""
    parts = fold(parse_fault(fault), TILE, 4, 2, 2)
    return [(str(p.fault) if p.fault else None, str(p.entering) if p.entering else None) for p in parts]


def test_weight_line_enters_lower_sub_tiles_at_row_0() -> None:
    """The fault is at its own PE in its sub-tile, and at the edge of those below; not beside or above."""
    own, entering = "weight:r1:c0:b6:sa1", "weight:r0:c0:b6:sa1"
    nothing = (None, None)
    assert armed("weight:r3:c0:b6:sa1") == [nothing, nothing, (own, None), nothing, (entering, entering), nothing]


def test_activation_line_enters_eastern_sub_tiles_at_column_0() -> None:
    """The same along a row; a partial sub-tile as well."""
    own, entering = "activation:r0:c1:b2:flip", "activation:r0:c0:b2:flip"
    nothing = (None, None)
    assert armed("activation:r4:c1:b2:flip") == [nothing] * 4 + [(own, None), (entering, entering)]


def test_window_follows_the_step_and_not_the_cycle() -> None:
    """Cycle 4 at PE(3, 0) is step 1: cycle 2 at PE(1, 0) of its sub-tile, cycle 1 at PE(0, 0) of the one below."""
    found = [fault for fault, _ in armed("weight:r3:c0:b6:flip@l0:g0:t0:y4+1") if fault]
    assert found == ["weight:r1:c0:b6:flip@l0:g0:t0:y2+1", "weight:r0:c0:b6:flip@l0:g0:t0:y1+1"]


def test_two_flips_that_enter_as_one_bit_cancel() -> None:
    """Flips of one bit in two rows above a sub-tile are no fault there."""
    assert armed("weight:r0:c0:b6+weight:r1:c0:b6:flip")[2] == (None, None)


def test_two_stuck_bits_that_enter_as_one_are_one() -> None:
    """Stuck-at faults of one bit in two rows above act as one."""
    entering = "weight:r0:c0:b6:sa0"
    assert armed("weight:r0:c0:b6+weight:r1:c0:b6:sa0")[2] == (entering, entering)


def test_bits_that_need_two_windows_are_refused() -> None:
    """One device has one window: nothing is approximated."""
    with pytest.raises(FaultError, match="one window, and the sub-tile at row 2, column 0 would need several"):
        armed("weight:r0:c0:b6+psum:r3:c0:b6:sa1@l0:g0:t0:y3+1")


def test_bit_armed_where_another_enters_is_refused() -> None:
    """Its activations could not be told from those of the bit that enters."""
    with pytest.raises(FaultError, match="cannot tell its own armed bits from those that enter"):
        armed("weight:r0:c0:b6+weight:r2:c0:b6:sa1")
