"""What the page's script works on: every fault as a row of small numbers, and groups with their intervals."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from axft_host.reports.profiles import DIMENSIONS, Figures, Group
from axft_spec.faults import FaultKind, Site

__all__ = ["page_data"]

#: First letters of the `DIMENSIONS` in the key of a group, in the order of the key.
_LETTERS = {"site": "s", "kind": "k", "bit": "b", "layer": "l", "row": "r", "col": "c", "cycle": "y"}

#: Digits of a rate: a thousandth of a percent.
_DIGITS = 5


def page_data(figures: Figures, label: str) -> dict[str, Any]:
    """Return one result for the script.

    Parameters
    ----------
    figures : Figures
    label : str
        What the result is called.

    Returns
    -------
    dict
        ``columns``: per fault, an array, or one number where all faults have the same. ``armed``: the same per armed
        bit. ``weights``: how many faults of the space each stands for. ``leftOut``: faults that a stratified sample
        has counted instead of drawing them, bit by bit, and the share of images that they have in each metric.
        ``cells``: key (letters of the fixed dimensions with values) to faults, population, then rate, low and high of
        every metric in ``metrics``; null for ends that are not known.
    """
    columns, metrics = figures.columns, figures.shown_metrics
    rows, cols = figures.shape
    per_fault = ("kind", "certain", "activated", "masked", "tolerable", "critical", "no_result", "correct")
    window = ("layer", "gemm", "tile", "first_cycle", "cycles") if figures.transient else ()
    return {
        "label": label,
        "rows": rows,
        "cols": cols,
        "images": figures.images,
        "faults": len(columns),
        "golden": figures.about.golden_accuracy,
        "intervals": figures.has_intervals,
        "metrics": list(metrics),
        "sites": [site.value for site in Site],
        "kinds": [kind.value for kind in FaultKind],
        "shorts": [kind.short for kind in FaultKind],
        "values": {name: list(figures.values[name]) for name in DIMENSIONS if name in figures.values},
        "tileCycles": figures.tile_cycles,
        "pePopulation": figures.pes.population,
        "columns": {name: _compact(getattr(columns, name)) for name in (*per_fault, *window)},
        "weights": _weights(figures.weights),
        "leftOut": {
            "fault": figures.left_out.fault.tolist(),
            "pe": (figures.left_out.row * cols + figures.left_out.col).tolist(),
            **{name: _compact(getattr(figures.left_out, name)) for name in ("bit", "site", "kind")},
            "shares": {name: figures.certain_share(name) for name in metrics},
        },
        "armed": {
            # One bit per fault is the rule, and needs no list of which fault it belongs to.
            "fault": None if len(columns.armed) == len(columns) else columns.armed.tolist(),
            "pe": (columns.row * cols + columns.col).tolist(),
            "bit": _compact(columns.bit),
            "site": _compact(columns.site),
        },
        "cells": {_key(group): _cell(group, metrics) for group in figures.cells()},
        "meta": figures.meta,
    }


def _compact(column: NDArray[np.int64]) -> list[int] | int:
    """Return a column, or its one value."""
    if len(column) and (column == column[0]).all():
        return int(column[0])
    return [int(value) for value in column]


def _weights(weights: NDArray[np.float64]) -> list[float] | int:
    """Return how many faults each stands for; 1 where all stand for as many."""
    if (weights == weights[0]).all():
        return 1
    return [round(float(weight), _DIGITS) for weight in weights]


def _key(group: Group) -> str:
    fixed = dict(group.key)
    return "".join(f"{letter}{fixed[name]}" for name, letter in _LETTERS.items() if name in fixed)


def _cell(group: Group, metrics: tuple[str, ...]) -> list[float | int | None]:
    numbers = [
        None if number is None else round(number, _DIGITS)
        for name in metrics
        if group.rates
        for number in group.rates[name].numbers
    ]
    return [group.faults, group.population, *numbers]
