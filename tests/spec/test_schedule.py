"""Tiles, cycles and windows."""

from __future__ import annotations

import pytest

from axft_spec.errors import FaultError
from axft_spec.lowering import GemmShape
from axft_spec.schedule import Schedule, Window, tile_cycles, tiles


def test_tiles_come_by_row_block_then_column_block_with_partial_ones_at_the_ends() -> None:
    """A 5 x 4 result on a 2 x 3 array."""
    found = [(t.index, t.row0, t.col0, t.rows, t.cols) for t in tiles(GemmShape(m=5, k=7, n=4), 2, 3)]
    assert found == [
        (0, 0, 0, 2, 3),
        (1, 0, 3, 2, 1),
        (2, 2, 0, 2, 3),
        (3, 2, 3, 2, 1),
        (4, 4, 0, 1, 3),
        (5, 4, 3, 1, 1),
    ]


def test_tile_cycles_end_with_the_last_step_of_the_last_pe() -> None:
    """Step k-1 of PE(R-1, C-1) is in cycle k + R + C - 3."""
    assert tile_cycles(4, 3, 5) == 4 + 3 + 5 - 3 + 1


def test_locate_numbers_every_cycle_once() -> None:
    """All windows of a schedule, one after the other, by layer, GEMM, tile, cycle."""
    schedule = Schedule.of([(2, GemmShape(m=3, k=2, n=2)), (1, GemmShape(m=1, k=1, n=5))], 2, 2)
    windows = [schedule.locate(cycle) for cycle in range(schedule.cycles)]
    expected = [(0, g, t, y) for g in range(2) for t in range(2) for y in range(4)]
    expected += [(1, 0, t, y) for t in range(3) for y in range(3)]
    assert [(w.layer, w.gemm, w.tile, w.first_cycle) for w in windows] == expected
    assert {w.cycles for w in windows} == {1}
    with pytest.raises(IndexError, match="scheduled cycle must be between 0 and 24, not 25"):
        schedule.locate(25)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("l1:g0:t0:y0+1", "layer must be between 0 and 0, not 1"),
        ("l0:g2:t0:y0+1", "gemm must be between 0 and 1, not 2"),
        ("l0:g1:t2:y0+1", "tile must be between 0 and 1, not 2"),
        ("l0:g1:t1:y3+2", "last cycle must be between 0 and 3, not 4"),
    ],
)
def test_check_window_names_what_is_outside(text: str, message: str) -> None:
    """A window outside the schedule is refused before anything runs."""
    schedule = Schedule.of([(2, GemmShape(m=3, k=2, n=2))], 2, 2)
    with pytest.raises(FaultError, match=message):
        schedule.check_window(Window.parse(text))


def test_window_survives_text_and_json() -> None:
    """Both forms give the same window back."""
    window = Window(layer=1, gemm=2, tile=3, first_cycle=4, cycles=5)
    assert str(window) == "l1:g2:t3:y4+5"
    assert Window.parse(str(window)) == window == Window.from_json(window.to_json())


@pytest.mark.parametrize("text", ["l1:g2:t3:y4", "l1:g2:t3:y4+0", "x", "l-1:g0:t0:y0+1"])
def test_window_rejects_other_text(text: str) -> None:
    """A window of no cycles, or in another form, is an error."""
    with pytest.raises(FaultError):
        Window.parse(text)


def test_schedule_survives_json() -> None:
    """A schedule comes back equal."""
    schedule = Schedule.of([(2, GemmShape(m=3, k=2, n=2))], 2, 4)
    assert Schedule.from_json(schedule.to_json()) == schedule
