"""A report as one JSON document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axft_host.campaign.summary import published_row
from axft_host.reports.labels import energy_reduction
from axft_host.reports.profiles import METRICS, Figures, public_name

__all__ = ["report_document"]


def report_document(results: Sequence[tuple[str, Figures]]) -> dict[str, Any]:
    """Return the figures of one or more results as plain JSON values; ``docs/reference/report.md`` names the keys."""
    return {"results": [_one(label, figures) for label, figures in results]}


def _one(label: str, figures: Figures) -> dict[str, Any]:
    paper, grid = published_row(figures.about), figures.pes
    return {
        "label": label,
        **figures.summary.to_json(),
        "energy_reduction": energy_reduction(figures),
        # In percent, as printed.
        "paper": None if paper is None else asdict(paper),
        "group_interval_method": figures.group_method,
        "profiles": {name: [group.to_json() for group in groups] for name, groups in figures.profiles().items()},
        "pes": {
            "faults": grid.faults.tolist(),
            "fault_space": grid.population,
            **{public_name(name): _nested(grid.rates[name]) for name in METRICS},
        },
        "accuracy_under_fault": figures.accuracy_bins().to_json(),
    }


def _nested(rates: NDArray[np.float64]) -> list[list[float | None]]:
    """Return rates by row and column; null where no fault is done."""
    return [[None if np.isnan(rate) else float(rate) for rate in row] for row in rates]
