"""Reports of results: the page, in the notebook or as a file, the figures and the tables."""

from __future__ import annotations

from os import PathLike, fspath
from pathlib import Path

from axft_host.api.campaigns import Campaign
from axft_host.api.keywords import by_keywords
from axft_host.api.results import Result
from axft_host.campaign.summary import TARGETS
from axft_host.reports.files import check_targets, write_files
from axft_host.reports.html import report_page
from axft_host.reports.labels import read_labelled
from axft_host.reports.markup import element
from axft_spec.errors import ConfigError

__all__ = ["Report", "report"]

#: Height of the page under a cell, in pixels.
_HEIGHT = 720


class Report:
    """A report that a notebook shows as the page it is.

    Attributes
    ----------
    page : str
        HTML with everything in it.
    files : tuple of Path
        What was written.
    """

    def __init__(self, page: str, files: tuple[Path, ...]) -> None:
        self.page = page
        self.files = files

    def __repr__(self) -> str:
        return f"<Report of {len(self.page):,} characters; files: {', '.join(map(str, self.files)) or 'none'}>"

    def _repr_html_(self) -> str:
        style = f"width:100%;height:{_HEIGHT}px;border:1px solid #888"
        return element("iframe", srcdoc=self.page, title="Fault-injection report", style=style)


@by_keywords
def report(
    *results: Result | Campaign | str | PathLike[str],
    html: str | PathLike[str] | None = None,
    png: str | PathLike[str] | None = None,
    csv: str | PathLike[str] | None = None,
    target: str = TARGETS[0],
) -> Report:
    """Report one or more results side by side, as ``axft-hw report`` does.

    Parameters
    ----------
    *results : Result, Campaign or path
        One or more.
    html : str or path, optional
        A new file for the page, which opens offline.
    png, csv : str or path, optional
        Directories for the figures (needs matplotlib) and for the tables, new or empty.
    target : str
        ``listed`` or ``population``, as ``--target``.

    Raises
    ------
    StoreError
        If a result cannot be read, or a file cannot be written.
    ConfigError
        If there is no result, or a file, or a directory with something in it, exists already.
    """
    if not results:
        raise ConfigError("a report needs one result or more, not none")
    page, figures, tables = (None if each is None else Path(fspath(each)) for each in (html, png, csv))
    check_targets(page, figures, tables)
    labelled = read_labelled([_path(result) for result in results], target)
    return Report(report_page(labelled), tuple(write_files(labelled, page, figures, tables)))


def _path(result: Result | Campaign | str | PathLike[str]) -> Path:
    return result.directory if isinstance(result, (Result, Campaign)) else Path(fspath(result))
