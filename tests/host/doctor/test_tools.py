"""What is said of this machine's tools: found or not, where was looked, how to get them, and what they are for."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from axft_host.doctor.tools import CAPABILITIES, Tool, can_build, capabilities, look_for_everything, tools_json


@pytest.fixture(autouse=True)
def bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have no programs; return the directory that the PATH names."""
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setenv("AXFT_DATA", str(tmp_path / "data"))
    for name in ("AXFT_OPEN_FLOW", "YOSYS", "CC"):
        monkeypatch.delenv(name, raising=False)
    return programs


def program(path: Path, text: str) -> Path:
    """Write a program that prints a line."""
    path.write_text(f"#!/bin/sh\necho '{text}'\n")
    path.chmod(0o755)
    return path


def found() -> dict[str, Tool]:
    """Look, and return what was seen by name."""
    return {tool.name: tool for tool in look_for_everything()}


def test_everything_that_something_needs_is_looked_for() -> None:
    """And nothing that is for nothing."""
    assert set(found()) == {name for needed in CAPABILITIES.values() for name in needed}


def test_missing_tool_is_told_with_the_places_and_how_to_get_it(tmp_path: Path) -> None:
    """A row for each, in one line of text."""
    tools = found()
    assert not tools["vivado"].found
    assert tools["vivado"].where == "PATH"
    assert "settings64.sh" in tools["vivado"].how_to_get
    assert tools["bitread"].where == f"{tmp_path / 'data' / 'open-flow'}, PATH"
    assert "scripts/install_open_flow.py" in tools["bitread"].how_to_get
    assert tools["iverilog"].how_to_get == "Debian: apt install iverilog"
    assert all(tool.how_to_get and tool.where for tool in tools.values() if not tool.found)
    assert not can_build(list(tools.values()))


def test_found_tool_is_told_with_its_version(bare_machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the program says of itself."""
    vivado = program(bare_machine / "vivado", "Vivado v2022.1 (64-bit)")
    yosys = program(bare_machine / "yosys", "Yosys 0.70 (git sha1 28ba3cb92)")
    compiler = program(bare_machine / "mycc", "mycc (Debian) 12.2.0, a compiler")
    monkeypatch.setenv("CC", "mycc -m32")
    tools = found()
    assert tools["vivado"] == Tool(name="vivado", found=True, where=str(vivado), version="2022.1")
    assert tools["yosys"] == Tool(name="yosys", found=True, where=str(yosys), version="0.70")
    assert tools["C compiler"] == Tool(name="C compiler", found=True, where=f"{compiler} -m32", version="12.2.0")


@pytest.mark.parametrize(
    ("variable", "name"), [("YOSYS", "yosys"), ("CC", "C compiler"), ("AXFT_OPEN_FLOW", "nextpnr-himbaechel-xilinx")]
)
def test_variable_that_names_nothing_is_told(variable: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not passed over in silence, and nothing else is kept from being looked for."""
    monkeypatch.setenv(variable, "nothing-there")
    tool = found()[name]
    assert not tool.found
    assert "nothing-there" in tool.where
    assert variable in tool.where


def test_capabilities_name_what_they_lack() -> None:
    """One flow is enough to build."""
    there = [Tool(name=name, found=True, where="x") for name in ("Amaranth", "yosys", "vivado")]
    lacking = capabilities(there)
    assert lacking["build --flow vivado"] == []
    assert lacking["build --flow open"][:2] == ["nextpnr-himbaechel-xilinx", "xc7frames2bit"]
    assert lacking["compile"] == ["onnx"]
    assert can_build(there)
    assert not can_build(there[1:])


def test_json_has_every_tool_and_capability(bare_machine: Path) -> None:
    """Keys that programs rely on."""
    document = tools_json(look_for_everything())
    assert document["can_build"] is False
    assert set(document["tools"][0]) == {"name", "found", "where", "version", "how_to_get"}
    assert document["tools"][0]["found"] is (importlib.util.find_spec("amaranth") is not None)
    assert {key: value for key, value in document["capabilities"][2].items() if key != "missing"} == {
        "name": "build --flow vivado",
        "ready": False,
    }
