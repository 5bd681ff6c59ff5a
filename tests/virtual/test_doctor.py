"""The doctor and the report on a virtual board: a board that is well, and one thing after another that is not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from axft_host.device.examination.finding import State
from axft_host.doctor.bundle import board_report
from axft_host.doctor.examine import DoctorOptions, Examination, open_examination
from axft_host.testing.virtual_bitstream import write_virtual_overlay
from axft_host.testing.virtual_zynq import Mishaps, virtual_zynq
from axft_hw.build.hwh import hwh
from axft_spec.config import find_preset
from axft_spec.hardware import HardwareConfig
from axft_spec.regmap import register, window
from support.virtual_board import rtl_port, stuck_scan_cell, virtual_board


@pytest.fixture(autouse=True)
def short_timing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Speeds are not what is tested."""
    monkeypatch.setattr("axft_host.doctor.trial._SPEED_S", 0.01)
    monkeypatch.setattr("axft_host.device.examination.speed.PATH_S", 0.01)


def examined(**options: Any) -> Examination:
    """Look at the board that is there."""
    examination = open_examination(DoctorOptions(board="pynq", images=1, **options))
    for _ in examination.run():
        pass
    return examination


def failures(examination: Examination) -> dict[str, str]:
    """Return what has failed, by name; each has a hint."""
    failed = [finding for finding in examination.findings if finding.state is State.FAIL]
    assert all(finding.hint for finding in failed)
    return {finding.name: finding.text for finding in failed}


@pytest.mark.parametrize("config", ["34P", "8P"])
def test_board_that_is_well_passes(device: Any, config: str) -> None:
    """What is not looked at is the clock, which is simulated, and what would end the program."""
    examination = examined(config=config)
    assert failures(examination) == {}
    rest = {finding.name: finding.state for finding in examination.findings if finding.state is not State.PASS}
    assert rest == {"clock": State.NOT_APPLICABLE, "error answers": State.SKIPPED}
    clock = next(finding for finding in examination.findings if finding.name == "clock")
    assert clock.text.startswith("100.00 MHz as read back")


def test_nothing_is_asked_that_ends_the_program() -> None:
    """On a virtual board that dies as a real one would."""
    with virtual_board(("34P",), (4, 4), mishaps=Mishaps(for_real=True)):
        assert failures(examined()) == {}


@pytest.mark.parametrize(
    ("mishaps", "row", "text"),
    [
        ({"unanswered": {register("SCRATCH").offset}}, "register bits", "nothing answers at 0x00040"),
        ({"unanswered": {window("RESULTS").offset}}, "buffer results", "nothing answers at 0x60000"),
        ({"words": {register("REGMAP_HASH").offset: 1234}}, "identity", "register map of the device is 0x000004d2"),
        ({"words": {register("ID").offset: 0}}, "identity", "no accelerator here"),
        ({"words": {window("SCAN").offset + 4: 0}}, "buffer scan", "bit 0 of word 1 (0x80004) always reads 0"),
        ({"root": False}, "identity", "needs root"),
    ],
)
def test_mishap_is_found(mishaps: dict[str, Any], row: str, text: str) -> None:
    """In the row that it belongs to."""
    with virtual_board(("34P",), (4, 4), mishaps=Mishaps(**mishaps)):
        assert text in failures(examined())[row]


def test_stuck_scan_cell_is_found_and_located() -> None:
    """By what faults do."""
    with virtual_board(("34P",), (4, 4), stuck_scan_cell(40, 1)):
        assert failures(examined())["scan chain"].endswith(", position 40")


def test_clock_that_does_not_read_back_is_found(tmp_path: Path) -> None:
    """An overlay for 50 MHz on a board whose clock stays at 100."""
    hardware = HardwareConfig(array=find_preset("34P").config.resized(4, 4))
    path = write_virtual_overlay(tmp_path / "slow", hardware, hwh(hardware, clock_mhz=50.0), "axft_34P")
    with virtual_zynq(rtl_port, mishaps=Mishaps(clock_stuck=True)):
        assert "the fabric clock reads back as 100 MHz" in failures(examined(bitstream=path))["identity"]


def test_report_names_the_bitstream_and_the_clock(device: Any, tmp_path: Path) -> None:
    """By digest; where it lies is nobody's business."""
    *_, parts = board_report(open_examination(DoctorOptions(board="pynq", images=1)), faults=2)
    assert isinstance(parts, dict)
    files = {each["name"]: each["sha256"] for each in parts["bitstream.json"]["files"]}
    assert set(files) == {"axft_34P.bit", "axft_34P.hwh", "manifest.json"}
    assert files["axft_34P.bit"] == parts["doctor.json"]["device"]["bitstream_sha256"]
    assert parts["bitstream.json"]["manifest"]["files"]["axft_34P.bit"]["sha256"] == files["axft_34P.bit"]
    assert parts["bitstream.json"]["device"]["pynq"] == parts["versions.json"]["versions"]["pynq"]
    assert parts["clock.json"]["text"].startswith("100.00 MHz")
    assert parts["faults.json"]["equal"] == 2
    assert "axft-virtual-board" not in json.dumps(parts)
