"""Tables of a report for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from axft_host.campaign.statistics import Interval
from axft_host.campaign.summary import published_row
from axft_host.reports.labels import energy_reduction
from axft_host.reports.profiles import DIMENSIONS, Figures
from axft_host.reports.scales import percent
from axft_host.reports.tables import empty_table

__all__ = ["profile_table", "side_by_side_table"]

_CLASSES = ("masked", "tolerable", "critical")

# Short ones: a table should fit on a terminal of 80 columns.
_HEADS = {"cycle": "part"}


def _interval(rate: Interval | None, digits: int = 2, between: str = "\n") -> str:
    if rate is None:
        return "no fault"
    if not rate.known or rate.low == rate.high:
        return percent(rate.rate, digits)
    bounds = f"{percent(rate.low, digits)} - {percent(rate.high, digits)}"
    return f"{percent(rate.rate, digits)}{between}({bounds})"


def profile_table(label: str, figures: Figures, dimension: str) -> Table:
    """Return the rates along a dimension, with intervals."""
    columns = [_HEADS.get(dimension, dimension), "faults", *(f"{name} %" for name in _CLASSES), "acc. %"]
    table = empty_table(*columns, left=columns[:1], title=f"{label} by {DIMENSIONS[dimension]}", dense=True)
    for group in figures.profile(dimension):
        accuracy = group.rates.get("correct")
        table.add_row(
            group.label,
            f"{group.faults:,}",
            *(_interval(group.rates.get(name), 1, " ") for name in _CLASSES),
            percent(None if accuracy is None else accuracy.rate, 1),
        )
    return table


def side_by_side_table(results: Sequence[tuple[str, Figures]]) -> Table:
    """Return the outcomes of several results, with the study's critical rate where there is one to compare."""
    papers = [published_row(figures.about) for _, figures in results]
    with_paper = any(paper is not None for paper in papers)
    heads = ["result", "energy\nreduction %", "golden\naccuracy %", *(f"{name} %" for name in _CLASSES)]
    heads += ["paper\ncritical %"] if with_paper else []
    table = empty_table(*heads, left=heads[:1], title="outcomes side by side", dense=True)
    for (label, figures), paper in zip(results, papers, strict=True):
        table.add_row(
            label,
            percent(energy_reduction(figures)),
            percent(figures.about.golden_accuracy),
            *(_interval(getattr(figures.summary, name)) for name in _CLASSES),
            *([] if not with_paper else ["-" if paper is None else f"{paper.critical:.2f}"]),
        )
    return table
