"""Shows how a campaign gets on: a bar on a terminal, one line that changes in a notebook, lines elsewhere."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from axft_host.campaign.runner import Progress

__all__ = ["make_progress"]

#: Seconds between lines of progress where there is no terminal, and between changes of the line in a notebook.
_LINE_EVERY_S = 10.0
_CHANGE_EVERY_S = 0.5


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


class _NotebookProgress:
    """One line under the cell, which goes away when all is done."""

    def __init__(self, display: Any) -> None:
        self._display = display
        self._handle: Any = None
        self._total = self._done = 0
        self._start = self._last = 0.0
        self._stopping = False

    def start(self, pairs: int) -> None:
        """Show the line."""
        self._total = pairs
        self._start = self._last = time.monotonic()
        self._handle = self._display({"text/plain": self._text()}, raw=True, display_id=True)

    def advance(self, pairs: int) -> None:
        """Count, and change the line now and then."""
        self._done += pairs
        now = time.monotonic()
        if self._handle is not None and now - self._last >= _CHANGE_EVERY_S:
            self._last = now
            self._handle.update({"text/plain": self._text()}, raw=True)

    def stopping(self) -> None:
        """Have the next change say so: this runs in a signal handler."""
        self._stopping = True

    def close(self) -> None:
        """Leave nothing behind."""
        if self._handle is not None:
            self._handle.update({"text/plain": ""}, raw=True)

    def _text(self) -> str:
        share = self._done / self._total if self._total else 1.0
        full = round(30 * share)
        seconds = max(time.monotonic() - self._start, 1e-9)
        what = "stopping after the batches in hand" if self._stopping else f"{self._done / seconds:,.0f} pairs/s"
        return f"[{'#' * full}{'.' * (30 - full)}] {self._done:,} of {self._total:,} pairs, {what}"


def _notebook_display() -> Any:
    """Return what shows things under a notebook's cell; None anywhere else."""
    # Only where somebody has loaded IPython can there be a notebook: this must not be what loads it.
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    if shell is None or not hasattr(shell, "kernel"):
        return None
    from importlib import import_module

    return import_module("IPython.display").display


def make_progress() -> Progress:
    """Return what shows progress: under the cell of a notebook; else on stderr, a bar on a terminal, or lines."""
    display = _notebook_display()
    if display is not None:
        return _NotebookProgress(display)
    return _BarProgress() if sys.stderr.isatty() else _LineProgress()
