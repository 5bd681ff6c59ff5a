"""The Vivado that this machine has, and running the script by it."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

from axft_hw.build.programs import running
from axft_spec.errors import BackendError

__all__ = ["COMMAND", "HOW_TO_GET", "SCRIPT_NAME", "find_vivado", "run_vivado", "vivado_version"]

#: The script, and how it is run where it lies (UG835, "Tcl Batch Mode").
SCRIPT_NAME = "build.tcl"
COMMAND = ("vivado", "-mode", "batch", "-source", SCRIPT_NAME)

#: For those who have none.
HOW_TO_GET = (
    "install AMD's Vivado (the free ML Standard Edition has the XC7Z020; the script is for 2022.1) and "
    "`source .../Vivado/2022.1/settings64.sh`, which puts it on the PATH"
)

_VERSION_SECONDS = 60.0
_STOP_SECONDS = 10.0


def find_vivado() -> Path | None:
    """Return the program `vivado` on the PATH; None if there is none."""
    found = shutil.which(COMMAND[0])
    return None if found is None else Path(found)


def vivado_version(program: Path) -> str:
    """Return what Vivado says of itself, such as 2022.1, or ``unknown``. It takes seconds to start."""
    try:
        done = subprocess.run(
            [str(program), "-version"], capture_output=True, text=True, check=False, timeout=_VERSION_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    found = re.search(r"v?(\d{4}\.\d+\S*)", done.stdout)
    return found[1] if found else "unknown"


def run_vivado(program: Path, work: Path, progress: Callable[[str], None]) -> None:
    """Run the script where it lies.

    Parameters
    ----------
    program : Path
    work : Path
        The directory with the sources; everything that Vivado leaves is there too.
    progress : callable
        Takes a line for each stage.

    Raises
    ------
    BackendError
        If it fails, with the first error that it printed.
    """
    errors: list[str] = []
    # A session of its own: Vivado is a script that starts programs, all of which end with the wait below.
    with running(
        [str(program), *COMMAND[1:]],
        stop=_stop,
        cwd=work,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        errors="replace",
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("axft-hw: "):
                progress(f"vivado: {line.removeprefix('axft-hw: ').strip()}")
            elif line.startswith("ERROR"):
                errors.append(line.partition(":")[2].strip())
        code = process.wait()
    if code:
        raise BackendError(f"vivado failed: {errors[0] if errors else f'exit code {code}'}")


def _stop(process: subprocess.Popen[str]) -> None:
    """End a program and all that it has started."""
    # The second one also for children that have outlived their parent.
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_SECONDS)
