"""``axft-hw report``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from axft_host.cli.group import Command
from axft_host.cli.options import PATH, json_option, target_option
from axft_host.cli.output import print_json, print_tables

if TYPE_CHECKING:
    from axft_host.reports.profiles import Figures

__all__ = ["command"]


@click.command("report", cls=Command, short_help="Report results: terminal, HTML page, PNG, CSV.")
@click.argument("results", type=PATH, nargs=-1, required=True, metavar="DIR...")
@click.option("--html", type=PATH, metavar="FILE", help="Write one HTML page that needs no network; a new file.")
@click.option(
    "--png", type=PATH, metavar="DIR", help="Draw the figures as PNG into a new or empty directory; needs matplotlib."
)
@click.option("--csv", type=PATH, metavar="DIR", help="Write the tables as CSV into a new or empty directory.")
@target_option
@json_option
def command(
    results: tuple[Path, ...], html: Path | None, png: Path | None, csv: Path | None, target: str, as_json: bool
) -> None:
    """Report one or more results: outcomes, profiles by bit, site, kind, layer, row and column, accuracy under fault.

    DIR is a result directory, or a directory of several. Several are shown side by side, with their energy against
    their critical rate. Without --html, --png and --csv the tables go to the terminal.
    """
    from axft_host.reports.files import check_targets, write_files
    from axft_host.reports.labels import read_labelled

    check_targets(html, png, csv)
    labelled = read_labelled(results, target)
    files = write_files(labelled, html, png, csv)
    if as_json:
        from axft_host.reports.document import report_document

        print_json({**report_document(labelled), "files": [str(file) for file in files]})
    elif files:
        if html is not None:
            click.echo(f"the page is in {html} ({html.stat().st_size / 1000:,.0f} kB)")
        for directory in (png, csv):
            if directory is not None:
                click.echo(f"{sum(file.parent == directory for file in files)} files are in {directory}")
    else:
        _print(labelled)


def _print(results: Sequence[tuple[str, Figures]]) -> None:
    """Print the tables."""
    from axft_host.reports.profile_tables import profile_table, side_by_side_table
    from axft_host.reports.tables import facts_table, other_intervals_table, outcome_table, paper_notes, summary_facts

    if len(results) > 1:
        print_tables(side_by_side_table(results))
    for label, figures in results:
        summary = figures.summary
        print_tables("", label, outcome_table(summary), *paper_notes(summary), "", facts_table(summary_facts(summary)))
        if summary.for_comparison:
            print_tables("", other_intervals_table(summary))
        for dimension, groups in figures.profiles().items():
            if len(groups) > 1 and dimension not in ("row", "col"):
                print_tables("", profile_table(label, figures, dimension))
        print_tables("", f"intervals of these groups: {figures.group_method}")
        click.echo(f"result     {summary.store}")
