"""The figures of a report as CSV files, one per table, with a first column that names the result."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from axft_host.campaign.statistics import Interval
from axft_host.campaign.summary import published_row
from axft_host.reports.labels import energy_reduction
from axft_host.reports.profiles import DIMENSIONS, METRICS, Figures, Group, public_name

__all__ = ["write_csv_files"]

_CLASSES = ("masked", "tolerable", "critical")

_RATE_HEADS = [f"{public_name(name)}{end}" for name in METRICS for end in ("", "_low", "_high")]
_GROUP_HEADS = ["faults", "fault_space", "certain_masked", "activated_faults", *_RATE_HEADS]

Cell = str | int | float | None


def write_csv_files(results: Sequence[tuple[str, Figures]], directory: Path) -> list[Path]:
    """Write the tables of one or more results into a directory that exists; return the files.

    Rates are fractions. ``docs/reference/report.md`` describes the columns.
    """
    files = [
        _write(directory / "outcomes.csv", _OUTCOME_HEADS, (_outcomes(label, one) for label, one in results)),
        _write(
            directory / "accuracy.csv",
            ["result", "accuracy_from", "accuracy_to", "faults"],
            (row for label, one in results for row in _accuracy(label, one)),
        ),
    ]
    for dimension in DIMENSIONS:
        rows = [[label, *_group(group)] for label, one in results for group in one.profile(dimension)]
        if rows:
            files.append(_write(directory / f"by_{dimension}.csv", ["result", dimension, *_GROUP_HEADS], rows))
    files.append(
        _write(
            directory / "by_pe.csv",
            ["result", "row", "col", *_GROUP_HEADS],
            (row for label, one in results for row in _pes(label, one)),
        )
    )
    return files


def _write(path: Path, heads: Sequence[str], rows: Iterable[Sequence[Cell]]) -> Path:
    with path.open("x", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(heads)
        writer.writerows(rows)
    return path


_OUTCOME_HEADS = [
    *("result", "store", "config", "energy_reduction", "faults", "images", "golden_accuracy", "faulty_accuracy"),
    *(f"{name}{end}" for name in _CLASSES for end in ("", "_low", "_high")),
    *("ok", "sdc", "hang", "crash", "target", "confidence", "interval_method"),
    *(f"paper_{name}" for name in _CLASSES),
]


def _outcomes(label: str, one: Figures) -> list[Cell]:
    summary, paper = one.summary, published_row(one.about)
    rates: list[Interval] = [getattr(summary, name) for name in _CLASSES]
    return [
        *(label, summary.store, one.about.config_name, energy_reduction(one), summary.faults, summary.images),
        *(one.about.golden_accuracy, summary.faulty_accuracy),
        *(number for rate in rates for number in rate.numbers),
        *summary.status_rates.values(),
        *(summary.target, one.about.confidence, summary.interval_method),
        *(None if paper is None else getattr(paper, name) / 100 for name in _CLASSES),
    ]


def _accuracy(label: str, one: Figures) -> Iterable[list[Cell]]:
    bins = one.accuracy_bins()
    for low, high, faults in zip(bins.edges, bins.edges[1:], bins.faults, strict=False):
        yield [label, low, high, faults]


def _group(group: Group) -> list[Cell]:
    return [group.label, *_figures(group)]


def _figures(group: Group) -> list[Cell]:
    bounds: list[Cell] = [None] * len(_RATE_HEADS)
    if group.rates:
        rates = [group.rates[name] for name in METRICS]
        bounds = [number for rate in rates for number in rate.numbers]
    return [group.faults, group.population, group.certain, group.activated, *bounds]


def _pes(label: str, one: Figures) -> Iterable[list[Cell]]:
    rows, cols = one.shape
    for row in range(rows):
        for col in range(cols):
            yield [label, row, col, *_figures(one.group(row=row, col=col))]
