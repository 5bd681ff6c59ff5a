"""Results to stdout, notes and progress to stderr."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import RenderableType

    from axft_host.campaign.runner import Progress

__all__ = ["check_new_file", "make_progress", "print_json", "print_notes", "print_tables"]

#: Columns of tables that do not go to a terminal.
_WIDTH = 120

#: Seconds between lines of progress where there is no terminal.
_LINE_EVERY_S = 10.0


def check_new_file(path: Path) -> None:
    """Check, before any work, that a file can be made: it does not exist, and its directory does.

    Raises
    ------
    ConfigError
        If not; the message says which.
    """
    from axft_spec.errors import ConfigError, exists_message

    if path.exists():
        raise ConfigError(exists_message(path))
    if not path.parent.is_dir():
        raise ConfigError(f"output {path}: the directory {path.parent} does not exist; make it, or name another")


def print_json(value: Any) -> None:
    """Print one JSON document."""
    click.echo(json.dumps(value, indent=2))


def print_tables(*parts: RenderableType) -> None:
    """Print tables and lines of text, none of them cut.

    A table that is wider than the terminal is printed as it is, and the terminal breaks its lines.
    """
    from rich.console import Console
    from rich.table import Table

    from axft_host.reports.tables import least_width

    # Names and paths may hold what rich takes for markup.
    console = Console(file=sys.stdout, highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = _WIDTH
    for part in parts:
        if isinstance(part, Table):
            # Rich lays nothing out wider than its console, and cuts cells instead.
            terminal = console.width
            console.width = max(terminal, least_width(part))
            console.print(part)
            console.width = terminal
        else:
            console.print(part)


def print_notes(notes: Iterable[str]) -> None:
    """Print what the user should know besides the result."""
    for note in notes:
        click.echo(f"note: {note}", err=True)


class _LineProgress:
    """A line now and then, for logs."""

    def __init__(self) -> None:
        self._total = self._done = 0
        self._start = self._last = 0.0

    def start(self, pairs: int) -> None:
        """Begin to count."""
        self._total = pairs
        self._start = self._last = time.monotonic()

    def advance(self, pairs: int) -> None:
        """Count, and print a line if the last one is old."""
        self._done += pairs
        now = time.monotonic()
        if now - self._last >= _LINE_EVERY_S:
            self._last = now
            rate = self._done / (now - self._start)
            left = (self._total - self._done) / rate
            click.echo(f"{self._done} of {self._total} pairs, {rate:.0f} pairs/s, {left:.0f} s left", err=True)

    def stopping(self) -> None:
        """Say so. This runs in a signal handler: no buffered writes."""
        os.write(2, b"stopping after the batches in hand; Ctrl-C again stops at once\n")

    def close(self) -> None:
        """Do nothing more."""


class _BarProgress:
    """A bar with rate and time left, for terminals."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:.0f}/{task.total:.0f} pairs"),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task: TaskID | None = None
        self._start = 0.0
        self._done = 0

    def start(self, pairs: int) -> None:
        """Show the bar."""
        self._start = time.monotonic()
        self._task = self._progress.add_task("faulty runs", total=pairs, rate="")
        self._progress.start()

    def advance(self, pairs: int) -> None:
        """Move the bar."""
        self._done += pairs
        if self._task is not None:
            rate = self._done / max(time.monotonic() - self._start, 1e-9)
            self._progress.update(self._task, advance=pairs, rate=f"{rate:.0f} pairs/s")

    def stopping(self) -> None:
        """Say so in place of the bar's title."""
        if self._task is not None:
            self._progress.update(self._task, description="stopping (Ctrl-C again: at once)")

    def close(self) -> None:
        """Take the bar away."""
        self._progress.stop()


def make_progress() -> Progress:
    """Return what shows progress on stderr: a bar on a terminal, lines elsewhere."""
    return _BarProgress() if sys.stderr.isatty() else _LineProgress()
