"""Finding the tools: where is looked, and what is said if they are not there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from axft_hw.build.open_flow.tools import PROGRAMS, find_tools, look_for_tools
from axft_spec.errors import BackendError

DATA = ("usr/share/nextpnr/himbaechel/xilinx/chipdb-xc7z020.bin", "usr/share/prjxray/database/zynq7/settings.sh")
VERSIONS = {"nextpnr-himbaechel-xilinx": "0.11", "prjxray": "0.1", "prjxray-database": "20211214"}


def installed(directory: Path) -> Path:
    """Return a directory with everything in it, as the script leaves one."""
    (directory / "bin").mkdir(parents=True)
    for program in PROGRAMS:
        path = directory / "bin" / program
        path.write_text("#!/bin/sh\n")
        path.chmod(0o755)
    for name in DATA:
        file = directory / "root" / name
        file.parent.mkdir(parents=True)
        file.write_text("")
    (directory / "versions.json").write_text(json.dumps(VERSIONS))
    return directory


@pytest.fixture(autouse=True)
def _bare_machine(tmp_path, monkeypatch):
    """No tools anywhere."""
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    monkeypatch.setenv("AXFT_DATA", str(tmp_path / "data"))
    monkeypatch.delenv("AXFT_OPEN_FLOW", raising=False)


def test_variable_names_the_directory(tmp_path, monkeypatch):
    """Programs, data files and versions are those in it."""
    directory = installed(tmp_path / "mine")
    monkeypatch.setenv("AXFT_OPEN_FLOW", str(directory))
    tools = find_tools()
    assert tools.nextpnr == directory / "bin" / "nextpnr-himbaechel-xilinx"
    assert tools.chipdb == directory / "root" / DATA[0]
    assert tools.database == directory / "root" / "usr/share/prjxray/database/zynq7"
    assert tools.versions == VERSIONS


def test_without_variable_it_is_where_the_script_installs(tmp_path):
    """Beside other data of the user's."""
    directory = installed(tmp_path / "data" / "open-flow")
    assert find_tools().bitread == directory / "bin" / "bitread"


def test_variable_must_name_a_directory(tmp_path, monkeypatch):
    """A wrong one is not passed over."""
    monkeypatch.setenv("AXFT_OPEN_FLOW", str(tmp_path / "gone"))
    with pytest.raises(BackendError, match="AXFT_OPEN_FLOW must name a directory, not"):
        find_tools()


@pytest.mark.parametrize("lost", [f"bin/{PROGRAMS[1]}", f"root/{DATA[0]}"])
def test_what_is_missing_is_named_with_the_places(tmp_path, lost):
    """And how to get it."""
    directory = installed(tmp_path / "data" / "open-flow")
    (directory / lost).unlink()
    name = "xc7frames2bit" if "bin" in lost.split("/")[0] else "chip database"
    with pytest.raises(BackendError, match=rf"needs {name}; looked in .*open-flow.*install_open_flow\.py"):
        find_tools()
    missing = [item.name for item in look_for_tools()[1] if item.path is None]
    if Path("/" + DATA[0]).exists():
        pytest.skip("the system has a chip database of its own")
    assert missing == [name]
