"""Lines of nextpnr's log, taken from runs of 0.11, in words."""

from __future__ import annotations

import pytest

from axft_hw.build.open_flow.stages import Stage


@pytest.mark.parametrize(
    ("line", "text", "begins"),
    [
        ("Info: Running main analytical placer, max placement attempts per cell = 113764.\n", "placing", True),
        (
            "Info:     at iteration #5, type ALL: wirelen solved = 29413, spread = 52076, legal = 62583; time = 5.78s",
            "placing, round 5",
            False,
        ),
        ("Info: Running simulated annealing placer for refinement.\n", "refining the placement", True),
        (
            "Info:   at iteration #8: temp = 0.000000, timing cost = 183, wirelen = 54794 ",
            "refining the placement, round 8",
            False,
        ),
        ("Info: Running router2...\n", "routing", True),
        (
            "Info:     iter=1 wires=202484 overused=12502 overuse=13576 archfail=NA",
            "routing, round 1: 12,502 wires overused",
            False,
        ),
        ("Info: Running router1 to check that route is legal...\n", "checking the routes", True),
        ("Info: Floorplan: 36000 cells of 61234\n", "floorplan: 36,000 of 61,234 cells have their places", True),
    ],
)
def test_stages_are_told_in_words(line: str, text: str, begins: bool) -> None:
    """Beginnings, and rounds with their numbers."""
    assert Stage.of_line(line) == Stage(text=text, begins=begins)


@pytest.mark.parametrize("line", ["Info: Router2 time 12.3s", "Info: Max frequency for clock: 85 MHz", "ERROR: x", ""])
def test_other_lines_tell_nothing(line: str) -> None:
    """Most of the log."""
    assert Stage.of_line(line) is None
