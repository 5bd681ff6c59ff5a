"""The programs and data files of the open flow that this machine has."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from axft_spec.errors import BackendError

__all__ = [
    "HOW_TO_GET",
    "PROGRAMS",
    "VARIABLE",
    "Found",
    "OpenFlowTools",
    "default_directory",
    "find_tools",
    "look_for_tools",
]

#: Names the directory in which `scripts/install_open_flow.py` has installed.
VARIABLE = "AXFT_OPEN_FLOW"

#: The programs; yosys is found by `axft_hw.build.yosys`.
PROGRAMS = ("nextpnr-himbaechel-xilinx", "xc7frames2bit", "bitread")

# Where Debian's packages have them, below the root directory.
_CHIPDB = Path("usr/share/nextpnr/himbaechel/xilinx/chipdb-xc7z020.bin")
_DATABASE = Path("usr/share/prjxray/database/zynq7")

#: For those who lack something.
HOW_TO_GET = f"run scripts/install_open_flow.py, or let {VARIABLE} name the directory where it has installed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A program or file that was looked for.

    Members
    -------
    name : str
    path : Path or None
        None if it is missing.
    version : str
        As far as known.
    """

    name: str
    path: Path | None
    version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenFlowTools:
    """Everything the open flow needs beside yosys.

    Members
    -------
    nextpnr, frames2bit, bitread : Path
        Programs.
    chipdb : Path
        nextpnr's description of the XC7Z020.
    database : Path
        Project X-Ray's directory of the Zynq-7000 family.
    versions : dict of str to str
        By name, as manifests have them.
    """

    nextpnr: Path
    frames2bit: Path
    bitread: Path
    chipdb: Path
    database: Path
    versions: dict[str, str]


def default_directory() -> Path:
    """Return where the script installs, if it is not told otherwise."""
    own = os.environ.get("AXFT_DATA")
    if own:
        return Path(own).expanduser() / "open-flow"
    base = Path(os.environ.get("XDG_DATA_HOME", ""))
    return (base if base.is_absolute() else Path.home() / ".local" / "share") / "axft-hw" / "open-flow"


def look_for_tools() -> tuple[list[Path], list[Found]]:
    """Look for everything, in the directory that the variable names, else the default one, else the system.

    Returns
    -------
    places : list of Path
        Where was looked, first place first.
    found : list of Found
        What was looked for, in a fixed order, found or not.

    Raises
    ------
    BackendError
        If the variable names no directory.
    """
    named = os.environ.get(VARIABLE)
    if named and not Path(named).is_dir():
        raise BackendError(
            f"{VARIABLE} must name the directory where scripts/install_open_flow.py has installed, not {named!r}, "
            f"which is no directory; correct it, or unset it to look in {default_directory()} and on the PATH"
        )
    places = [Path(named)] if named else [default_directory()]
    versions: dict[str, str] = {}
    for place in places:
        try:
            versions |= json.loads((place / "versions.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
    found = []
    for program in PROGRAMS:
        path = shutil.which(program, path=os.pathsep.join(str(place / "bin") for place in places))
        if path is None and not named:
            path = shutil.which(program)
        version = versions.get(program if program.startswith("nextpnr") else "prjxray", "") if path else ""
        found.append(Found(name=program, path=Path(path) if path else None, version=version))
    roots = [place / "root" for place in places] + ([] if named else [Path("/")])
    for name, file, package in (
        ("chip database", _CHIPDB, "nextpnr-himbaechel-xilinx-chipdb"),
        ("bitstream database", _DATABASE, "prjxray-database"),
    ):
        path_found = next((root / file for root in roots if (root / file).exists()), None)
        found.append(Found(name=name, path=path_found, version=versions.get(package, "") if path_found else ""))
    return places + ([] if named else [Path("PATH")]), found


def find_tools() -> OpenFlowTools:
    """Return the tools.

    Raises
    ------
    BackendError
        If one is missing: which, where it was looked for, and how to get it.
    """
    places, found = look_for_tools()
    missing = [item.name for item in found if item.path is None]
    if missing:
        raise BackendError(
            f"the open flow needs {', '.join(missing)}; looked in {', '.join(map(str, places))}; {HOW_TO_GET}"
        )
    nextpnr, frames2bit, bitread, chipdb, database = (item.path for item in found if item.path is not None)
    versions = {
        "nextpnr-himbaechel-xilinx": found[0].version or _nextpnr_version(nextpnr),
        "prjxray": found[1].version or "unknown",
        "prjxray-database": found[4].version or "unknown",
    }
    return OpenFlowTools(
        nextpnr=nextpnr, frames2bit=frames2bit, bitread=bitread, chipdb=chipdb, database=database, versions=versions
    )


def _nextpnr_version(program: Path) -> str:
    """Return what nextpnr says of itself."""
    try:
        done = subprocess.run([str(program), "--version"], capture_output=True, text=True, check=False)
    except OSError as error:
        raise BackendError(f"{program} cannot be started: {error.strerror}; {HOW_TO_GET}") from None
    match = re.search(r"Version ([^)]+)\)", done.stdout + done.stderr)
    return match[1] if match else "unknown"
