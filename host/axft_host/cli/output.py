"""Results to stdout, notes to stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["print_json", "print_notes", "print_tables"]

#: Columns of tables that do not go to a terminal.
_WIDTH = 120


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
