"""The host side where there is nothing that only PCs have."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path


def test_every_module_and_every_help_do_without_what_only_pcs_have() -> None:
    """In a process that finds none of it."""
    path = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    run = subprocess.run(
        [sys.executable, "-m", "support.every_module", "--hide", "pc"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
        check=False,
    )
    assert run.returncode == 0, run.stderr
    counts = re.search(r"(\d+) modules imported, (\d+) helps shown; loaded on the way: nothing", run.stdout)
    assert counts is not None, run.stdout
    assert int(counts[1]) > 100 and int(counts[2]) > 15
