"""``axft-hw build``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from axft_spec.config import find_preset
from axft_spec.faults import Site
from axft_spec.hardware import HardwareConfig
from axft_spec.manifest import Manifest
from support.command_line import invoke

pytest.importorskip("amaranth")

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
