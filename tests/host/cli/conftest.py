"""What tests of the command line share."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from support.command_line import invoke
from support.small_campaign import write_small

Run = Callable[..., Result]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the current directory, which is empty but for small.npz (a float network) and small-data.npz."""
    write_small(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(place: Path) -> Run:
    """Return a function that runs a command line there and checks its exit code."""

    def run_line(line: str, code: int = 0) -> Result:
        result = invoke(*line.split())
        assert result.exit_code == code, result.output
        return result

    return run_line


@pytest.fixture
def run_json(run: Run) -> Callable[..., Any]:
    """Return a function that runs a command line with --json and returns the document on stdout."""
    return lambda line, code=0: json.loads(run(f"{line} --json", code).stdout)
