"""``axft-hw doctor``: table, JSON, exit code."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import axft_host.backends.rtl
from axft_host.device.accelerator import Accelerator
from axft_spec.hardware import HardwareConfig
from support.broken_port import BrokenPort
from support.command_line import invoke

needs_amaranth = pytest.mark.skipif(importlib.util.find_spec("amaranth") is None, reason="Amaranth is not installed")


@pytest.fixture(autouse=True)
def short_timing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Speeds are not what is tested."""
    monkeypatch.setattr("axft_host.doctor.trial._SPEED_S", 0.01)
    monkeypatch.setattr("axft_host.device.examination.speed.PATH_S", 0.01)


def test_table_has_a_row_for_every_check() -> None:
    """With what does not apply named so; the emulator is nothing to be worried about."""
    result = invoke("doctor")
    assert result.exit_code == 0, result.output
    for text in ("identity", "not applicable", "golden network", "inferences per second", "nothing is wrong"):
        assert text in result.stdout
    assert "pass           golden network" in result.stderr


def test_json_is_one_document(run_json: Callable[..., Any]) -> None:
    """Keys that programs rely on."""
    document = run_json("doctor --config 8P --images 1")
    assert set(document) == {"board", "config", "physical", "passed", "counts", "findings", "device"}
    assert document["passed"] is True
    assert (document["board"], document["config"], document["physical"]) == ("emu", "8P", None)
    assert set(document["findings"][0]) == {"name", "state", "text", "hint", "figures", "seconds"}
    rates = [each for each in document["findings"] if each["name"] == "inferences per second"]
    assert rates[0]["figures"]["inferences_per_second"] > 0


@needs_amaranth
def test_simulated_hardware_passes(run_json: Callable[..., Any]) -> None:
    """Everything but a clock of its own."""
    document = run_json("doctor --board rtl --physical 4x4")
    assert document["counts"] == {"pass": 26, "FAIL": 0, "skipped": 0, "not applicable": 1}
    assert document["device"]["hardware"]["array"]["rows"] == 4


@needs_amaranth
@pytest.mark.parametrize(
    ("planted", "failing"),
    [
        ({"dead": [0x2C]}, {"error answers"}),
        ({"reading": lambda offset, word: word | 2 if offset == 0x20010 else word}, {"buffer activations"}),
    ],
)
def test_planted_fault_fails_the_command(
    monkeypatch: pytest.MonkeyPatch, run_json: Callable[..., Any], planted: dict[str, Any], failing: set[str]
) -> None:
    """Exit code 1, the row that it belongs to, and a hint."""
    make = axft_host.backends.rtl.open_accelerator

    def broken(hardware: HardwareConfig) -> Accelerator:
        return Accelerator(BrokenPort(make(hardware).port, **planted), hardware)

    monkeypatch.setattr(axft_host.backends.rtl, "open_accelerator", broken)
    document = run_json("doctor --board rtl --physical 4x4 --images 1", 1)
    found = {each["name"]: each for each in document["findings"] if each["state"] == "FAIL"}
    assert failing <= set(found)
    assert all(each["hint"] for each in found.values())
    assert document["passed"] is False


@needs_amaranth
def test_wrong_register_hash_is_found_and_ends_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver refuses it; nothing ends in a traceback."""
    make = axft_host.backends.rtl.open_accelerator

    def other(hardware: HardwareConfig) -> Accelerator:
        port = BrokenPort(make(hardware).port, reading=lambda offset, word: word ^ 1 if offset == 8 else word)
        return Accelerator(port, hardware)

    monkeypatch.setattr(axft_host.backends.rtl, "open_accelerator", other)
    result = invoke("doctor", "--board", "rtl", "--physical", "4x4")
    assert result.exit_code == 1
    assert "register map of the device is 0x" in " ".join(result.stdout.split())
    assert "begin with the first: identity" in result.stdout
    assert "Traceback" not in result.output


@pytest.mark.skipif(importlib.util.find_spec("pynq") is not None, reason="pynq is installed here")
def test_board_that_is_not_there_is_a_failure_that_says_what_to_do() -> None:
    """On a PC: what is missing, and what to use instead."""
    result = invoke("doctor", "--board", "pynq")
    assert result.exit_code == 1
    assert "--board emu" in result.stdout
    assert "Traceback" not in result.output


@pytest.mark.parametrize("line", ["--board fpga", "--config 9P", "--physical 0x3", "--images x"])
def test_bad_input_is_refused(line: str) -> None:
    """It is not the board that is wrong."""
    assert invoke("doctor", *line.split()).exit_code == 2


def test_tools_are_listed_with_what_they_are_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_json: Callable[..., Any]
) -> None:
    """Exit code 1 where no bitstream can be built; the table says how to get what is missing."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("AXFT_DATA", str(tmp_path))
    monkeypatch.delenv("AXFT_OPEN_FLOW", raising=False)
    result = invoke("doctor", "--tools")
    assert result.exit_code == 1
    text = " ".join(result.stdout.split())
    assert "vivado │ MISSING │ looked in PATH" in text
    assert text.count("scripts/install_open_flow.py") == 1  # for five tools
    assert "build --flow open │ lacks" in text
    assert run_json("doctor --tools", 1)["can_build"] is False
    monkeypatch.setenv("AXFT_OPEN_FLOW", "nodir")
    text = " ".join(invoke("doctor", "--tools").stdout.replace("│", "").split())
    assert "looked in AXFT_OPEN_FLOW" not in text
    assert text.count("'nodir'") == 1


def test_tools_and_a_board_are_not_looked_at_together() -> None:
    """Nothing of a board would be looked at."""
    result = invoke("doctor", "--tools", "--board", "rtl", "--images", "2")
    assert result.exit_code == 2
    assert "at no board; leave out --board, --images" in result.stderr
