"""Reports as files: the page, the figures, the tables, each only where nothing is yet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from axft_host.reports.csv_files import write_csv_files
from axft_host.reports.figures import check_matplotlib, write_png_files
from axft_host.reports.html import write_page
from axft_host.reports.profiles import Figures
from axft_spec.errors import StoreError
from axft_spec.outputs import check_new_output

__all__ = ["check_targets", "write_files"]


def check_targets(html: Path | None, png: Path | None, csv: Path | None) -> None:
    """Check, before any work, that what `write_files` is to write can be made.

    Raises
    ------
    ConfigError
        If one exists, and is no empty directory for `png` or `csv`; its parent does not; or matplotlib is not installed
        for `png`.
    """
    for target in (png, csv, html):
        if target is not None:
            # In an empty directory there must be room for a file.
            check_new_output(target / "report" if target != html and _is_empty(target) else target)
    if png is not None:
        check_matplotlib()


def write_files(
    results: Sequence[tuple[str, Figures]], html: Path | None, png: Path | None, csv: Path | None
) -> list[Path]:
    """Write what is asked for; return the files.

    Parameters
    ----------
    results : sequence of (str, Figures)
        Each with what it is called.
    html : Path or None
        A new file for the page.
    png, csv : Path or None
        Directories for the figures and for the tables, new or empty.

    Raises
    ------
    StoreError
        If something exists or cannot be written.
    ConfigError
        If matplotlib is not installed for `png`.
    """
    files: list[Path] = []
    if html is not None:
        write_page(results, html)
        files.append(html)
    if png is not None:
        files += _into(png, lambda directory: write_png_files(results, directory))
    if csv is not None:
        files += _into(csv, lambda directory: write_csv_files(results, directory))
    return files


def _is_empty(path: Path) -> bool:
    """Return whether a path is a directory with nothing in it."""
    try:
        return path.is_dir() and not any(path.iterdir())
    except OSError:
        return False


def _into(directory: Path, write: Callable[[Path], list[Path]]) -> list[Path]:
    """Make a directory, unless an empty one is there, and let files be written into it."""
    try:
        if not _is_empty(directory):
            directory.mkdir()
        return write(directory)
    except OSError as error:
        raise StoreError(f"{error.filename or directory} cannot be written: {error.strerror}") from None
