"""``axft-hw report``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from axft_host.cli.group import Command
from axft_host.cli.options import PATH, json_option, target_option
from axft_host.cli.output import check_new_file, print_json, print_tables

if TYPE_CHECKING:
    from axft_host.reports.profiles import Figures

__all__ = ["command"]


@click.command("report", cls=Command, short_help="Report results: terminal, HTML page, PNG, CSV.")
@click.argument("results", type=PATH, nargs=-1, required=True, metavar="DIR...")
@click.option("--html", type=PATH, metavar="FILE", help="Write one HTML page that needs no network; a new file.")
@click.option("--png", type=PATH, metavar="DIR", help="Draw the figures as PNG into a new directory; needs matplotlib.")
@click.option("--csv", type=PATH, metavar="DIR", help="Write the tables as CSV into a new directory.")
@target_option
@json_option
def command(
    results: tuple[Path, ...], html: Path | None, png: Path | None, csv: Path | None, target: str, as_json: bool
) -> None:
    """Report one or more results: outcomes, profiles by bit, site, kind, layer, row and column, accuracy under fault.

    DIR is a result directory, or a directory of several. Several are shown side by side, with their energy against
    their critical rate. Without --html, --png and --csv the tables go to the terminal.
    """
    for directory in (png, csv):
        if directory is not None:
            _check_new_directory(directory)
    if html is not None:
        check_new_file(html)
    if png is not None:
        from axft_host.reports.figures import check_matplotlib

        check_matplotlib()
    from axft_host.reports.labels import find_results, result_labels
    from axft_host.reports.profiles import read_figures

    figures = [read_figures(path, target) for path in find_results(results)]
    labelled = list(zip(result_labels(figures), figures, strict=True))
    files = _write(labelled, html, png, csv)
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


def _check_new_directory(path: Path) -> None:
    from axft_spec.errors import ConfigError, exists_message

    if path.exists():
        raise ConfigError(exists_message(path))
    if not path.parent.is_dir():
        raise ConfigError(f"output {path}: the directory {path.parent} does not exist; make it, or name another")


def _write(results: Sequence[tuple[str, Figures]], html: Path | None, png: Path | None, csv: Path | None) -> list[Path]:
    """Write what was asked for; return the files."""
    files: list[Path] = []
    if html is not None:
        from axft_host.reports.html import write_page

        write_page(results, html)
        files.append(html)
    if png is not None:
        from axft_host.reports.figures import write_png_files

        files += _into(png, lambda directory: write_png_files(results, directory))
    if csv is not None:
        from axft_host.reports.csv_files import write_csv_files

        files += _into(csv, lambda directory: write_csv_files(results, directory))
    return files


def _into(directory: Path, write: Callable[[Path], list[Path]]) -> list[Path]:
    """Make a directory and let files be written into it."""
    from axft_spec.errors import StoreError

    try:
        directory.mkdir()
        return write(directory)
    except OSError as error:
        raise StoreError(f"{error.filename or directory} cannot be written: {error.strerror}") from None


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
