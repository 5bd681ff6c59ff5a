"""Sites of small netlists, counted by hand."""

from __future__ import annotations

from typing import Any

import pytest

from axft_hw.build.open_flow.sites import packed_sites


def lut(output: int, *inputs: int | str) -> dict[str, Any]:
    """Return a look-up table."""
    return {
        "type": f"LUT{len(inputs)}",
        "connections": {f"I{number}": [bit] for number, bit in enumerate(inputs)} | {"O": [output]},
    }


@pytest.mark.parametrize(
    ("tables", "sites"),
    [
        ([(2, 3, 4, 5, 6, 7), (2, 3)], 2),  # a table of six inputs is alone
        ([(2, 3, 4, 5), (2, 3, 4, 6)], 1),  # five inputs together
        ([(2, 3, 4, 5), (2, 3, 6, 7)], 2),  # six
        ([(2, 3, 4), (5, 6)], 1),  # nothing in common, five inputs
        ([(2, 3, 4), (5, 6, 7)], 2),
        ([(2, 3, 4, 5, "1"), (2, 3, 4, 5, 6)], 1),  # a constant takes no input
        ([], 0),
    ],
)
def test_tables_share_sites(tables, sites):
    """Two tables of at most five inputs together."""
    cells = {str(number): lut(100 + number, *inputs) for number, inputs in enumerate(tables)}
    assert packed_sites({"cells": cells}) == sites


def test_chains_and_memories_take_their_own(tmp_path):
    """A position takes the tables of S and DI along; one of six inputs needs another site. Shift registers take one."""
    cells = {
        "s": lut(10, 2, 3, 4),
        "d": lut(11, 2, 3),
        "a$bit0$MUXCY": {"type": "MUXCY", "connections": {"CI": ["0"], "S": [10], "DI": [11], "O": [12]}},
        "a$bit0$XORCY": {"type": "XORCY", "connections": {"CI": ["0"], "LI": [10], "O": [13]}},
        "wide": lut(14, 2, 3, 4, 5, 6, 7),
        "a$bit1$XORCY": {"type": "XORCY", "connections": {"CI": [12], "LI": [14], "O": [15]}},
    }
    assert packed_sites({"cells": cells}) == 3
    memories = {"m": {"type": "RAM32M", "connections": {}}, "r": {"type": "SRL16E", "connections": {}}}
    assert packed_sites({"cells": cells | memories}) == 8
