"""What the open flow refuses to hand to nextpnr."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from axft_hw.build.open_flow.flow import place_and_route
from axft_hw.build.open_flow.tools import OpenFlowTools
from axft_spec.errors import BackendError

NOWHERE = Path("/nowhere")
TOOLS = OpenFlowTools(
    nextpnr=NOWHERE / "nextpnr", frames2bit=NOWHERE, bitread=NOWHERE, chipdb=NOWHERE, database=NOWHERE, versions={}
)


def block_ram(kind: str, **widths: int) -> dict[str, Any]:
    """Return a block RAM of yosys's JSON form, without its wires."""
    parameters = {name: f"{width:032b}" for name, width in widths.items()} | {"RAM_MODE": "TDP"}
    return {"type": kind, "parameters": parameters, "port_directions": {}, "connections": {}}


def refusal(cell: dict[str, Any], work: Path) -> str:
    """Return why a design of one cell is not placed; there is no nextpnr to do it."""
    netlist = {"modules": {"top": {"cells": {"memory": cell}, "ports": {}}}}
    with pytest.raises(BackendError) as caught:
        place_and_route(TOOLS, netlist, "top", work, clock_mhz=50.0, seed=1, progress=lambda line: None)
    return str(caught.value)


@pytest.mark.parametrize("width", [1, 9])
@pytest.mark.parametrize("port", ["READ_WIDTH_A", "READ_WIDTH_B", "WRITE_WIDTH_A", "WRITE_WIDTH_B"])
def test_block_ram_that_nextpnr_gets_wrong_is_refused(port, width, tmp_path):
    """Of 36 kbit with ports of 1 or 9 bits; nothing is written."""
    cell = block_ram("RAMB36E1", **{"READ_WIDTH_A": 36, "WRITE_WIDTH_B": 36, port: width})
    message = refusal(cell, tmp_path)
    assert message.startswith(f"nextpnr cannot configure a block RAM with {port} {width} (memory), only widths")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "cell",
    [
        block_ram("RAMB36E1", READ_WIDTH_A=18, WRITE_WIDTH_B=18),
        block_ram("RAMB36E1", READ_WIDTH_A=72, WRITE_WIDTH_B=72),
        block_ram("RAMB18E1", READ_WIDTH_A=9, WRITE_WIDTH_B=9),
    ],
)
def test_other_block_rams_go_to_nextpnr(cell, tmp_path):
    """Which is not there."""
    assert "/nowhere/nextpnr cannot be started" in refusal(cell, tmp_path)


def test_steps_of_nextpnr_are_told_when_they_begin(tmp_path):
    """By a stand-in that prints what 0.11 has printed, and then fails; rounds that follow at once are left out."""
    program = tmp_path / "nextpnr"
    program.write_text(
        "#!/bin/sh\n"
        "echo 'Info: Running main analytical placer.'\n"
        "echo 'Info:     at iteration #1, type ALL: wirelen solved = 24172, spread = 69469, legal = 67545; time = 2s'\n"
        "echo 'Info: Running router2...'\n"
        "echo 'ERROR: too full'\n"
        "exit 1\n"
    )
    program.chmod(0o755)
    lines: list[str] = []
    netlist = {"modules": {"top": {"cells": {}, "ports": {}}}}
    with pytest.raises(BackendError, match="nextpnr failed: too full"):
        place_and_route(
            replace(TOOLS, nextpnr=program), netlist, "top", tmp_path, clock_mhz=50.0, seed=1, progress=lines.append
        )
    assert lines[1:] == ["nextpnr: placing", "nextpnr: routing"]
