"""The command line inside the test's own process."""

from __future__ import annotations

import inspect
from typing import Any

from click.testing import CliRunner, Result

from axft_host.cli.main import cli


def invoke(*arguments: str, **extra: Any) -> Result:
    """Run ``axft-hw`` with arguments; stdout and stderr are kept apart, whatever the release of click."""
    apart = {"mix_stderr": False} if "mix_stderr" in inspect.signature(CliRunner).parameters else {}
    return CliRunner(**apart).invoke(cli, list(arguments), prog_name="axft-hw", **extra)
