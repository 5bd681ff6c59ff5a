"""A result in a notebook: rates with intervals, tables, and what it looks like."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from axft_host.api.contrasts import ShownContrast, as_shown
from axft_host.api.keywords import by_keywords
from axft_host.api.show import facts_html, table_html
from axft_host.campaign.compare import Comparison, compare
from axft_host.campaign.contrast import contrasts
from axft_host.campaign.directory import RunState, states
from axft_host.campaign.export import fault_table
from axft_host.campaign.sequential import CLASSES
from axft_host.campaign.store import COMPLETE, ResultStore, store_path
from axft_host.campaign.summary import TARGETS, Summary, published_row, summarise
from axft_host.reports.profiles import DIMENSIONS, METRICS, Figures, public_name, read_figures
from axft_host.reports.tables import paper_notes, percent, summary_facts
from axft_spec.errors import ConfigError, unknown_name

__all__ = ["Result", "open_result", "outcome_pairs"]

_LETTERS = {"M": "masked", "T": "tolerable", "C": "critical", "-": "no result"}


class Result:
    """What a fault-injection campaign has left in its directory.

    Parameters
    ----------
    path : str or path
        The directory, or the store in it.

    Attributes
    ----------
    directory : Path
    store : Path
        The SQLite file.

    Raises
    ------
    StoreError
        If there is none, or it cannot be read.
    """

    @by_keywords
    def __init__(self, path: str | Path) -> None:
        self.store = store_path(Path(path))
        self.directory = self.store.parent
        # Says what is wrong with it now, and not at the first figure.
        with ResultStore.open(self.store):
            pass

    @property
    def state(self) -> RunState:
        """How far the campaign is."""
        return states(self.directory)[0]

    @property
    def complete(self) -> bool:
        """Whether nothing is left to run."""
        return self.state.state == COMPLETE

    @cached_property
    def figures(self) -> Figures:
        """All figures: those of the report's page."""
        return read_figures(self.store)

    @by_keywords
    def summary(self, target: str = TARGETS[0]) -> Summary:
        """Return the figures of the campaign as a whole.

        Parameters
        ----------
        target : str
            As ``--target``: ``listed`` for rates on the images that ran, ``population`` for other images as well.

        Raises
        ------
        StoreError
            If no fault is done.
        ConfigError
            If the target is unknown, or cannot be had from this result.
        """
        return summarise(self.store, target)

    @cached_property
    def rates(self) -> pd.DataFrame:
        """Rates of the three classes with their intervals, as fractions, indexed by class.

        `rate`, `low`, `high`; and `paper`, that of the published study, if there is a row to compare with.
        """
        summary = self.summary()
        paper = published_row(summary.provenance)
        rows = {}
        for name in CLASSES:
            interval = getattr(summary, name)
            rows[name] = {"rate": interval.rate, "low": interval.low, "high": interval.high}
            if paper is not None:
                rows[name]["paper"] = getattr(paper, name) / 100
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("outcome")

    @cached_property
    def frame(self) -> pd.DataFrame:
        """One row per fault: those of ``axft-hw export``; see the page about the store."""
        return fault_table(self.store)

    @property
    def pairs(self) -> pd.DataFrame:
        """One row per (fault, image) pair: `fault`, `image`, `outcome`."""
        return outcome_pairs(self.frame)

    @by_keywords
    def profile(self, dimension: str) -> pd.DataFrame:
        """Return rates with intervals of groups of faults.

        Parameters
        ----------
        dimension : str
            ``bit``, ``site``, ``kind``, ``row``, ``col``; of transient faults also ``layer`` and ``cycle``.

        Returns
        -------
        DataFrame
            Indexed by value: `faults`, `fault_space`, and for each of masked, tolerable, critical, no_result and
            faulty_accuracy the columns ``NAME``, ``NAME_low``, ``NAME_high``.

        Raises
        ------
        ConfigError
            If there is no such dimension.
        """
        if dimension not in DIMENSIONS:
            raise ConfigError(unknown_name("dimension", dimension, DIMENSIONS))
        rows = []
        for group in self.figures.profile(dimension):
            row: dict[str, Any] = {dimension: group.label, "faults": group.faults, "fault_space": group.population}
            for metric in METRICS:
                made = group.rates.get(metric)
                for ending, part in (("", "rate"), ("_low", "low"), ("_high", "high")):
                    row[public_name(metric) + ending] = None if made is None else getattr(made, part)
            rows.append(row)
        table = pd.DataFrame(rows)
        return table.set_index(dimension) if rows else table

    @by_keywords
    def diff(self, other: Result | str | Path) -> Comparison:
        """Compare with a result of the same faults and images pair by pair, as ``axft-hw diff`` does.

        Parameters
        ----------
        other : Result or path

        Returns
        -------
        Comparison
            `pairs` compared, `differing_pairs` of them, the `first` of those, what else differs; `equal` if nothing.

        Raises
        ------
        StoreError
            If the two cannot be compared.
        """
        return compare(self.store, _store_of(other))

    @by_keywords
    def compare(self, other: Result | str | Path, outcome: str = "critical") -> ShownContrast:
        """Compare the rates of two configurations that met the same faults, as ``axft-hw campaign compare`` does.

        Parameters
        ----------
        other : Result or path
            Of another configuration: the same fault space, faults, images and lowering.
        outcome : str
            ``masked``, ``tolerable`` or ``critical``.

        Returns
        -------
        ShownContrast
            `difference`, the mean over the faults of this result's rate less the other's, a fraction; its `interval`
            at `confidence`, for the fault space; `p_value` of the hypothesis that no fault tells the two apart.

        Raises
        ------
        ConfigError
            If the two are of one configuration, or cannot be compared; the message says in what they differ.
        StoreError
            If a result cannot be read.
        """
        found, _ = contrasts([self.store, _store_of(other)], outcome)
        return as_shown(found[0])

    def __repr__(self) -> str:
        return f"Result({str(self.directory)!r})"

    def _repr_html_(self) -> str:
        return "".join(self._parts())

    def _parts(self) -> Iterator[str]:
        if not _done(self.store):
            yield facts_html([("result", f"{self.directory}: its first faults are not done yet")])
            return
        summary = self.summary()
        about = summary.provenance
        level = f"{100 * about.confidence:g}% interval"
        yield table_html(
            ["outcome", "%", level, *(["paper %"] if "paper" in self.rates else [])],
            [
                [
                    str(name),
                    percent(row["rate"]),
                    f"{percent(row['low'])} - {percent(row['high'])}",
                    *([percent(row["paper"])] if "paper" in row else []),
                ]
                for name, row in self.rates.iterrows()
            ],
            caption=f"{about.config_name} on {about.backend}: {about.network_name}, {summary.faults:,} faults on "
            f"{summary.images:,} images each",
        )
        facts = list(summary_facts(summary))
        facts += [("note", note) for note in paper_notes(summary)]
        if not self.complete:
            facts.append(("state", f"{self.state.state}; `resume` goes on"))
        yield facts_html([*facts, ("result", str(self.directory))])


def _store_of(result: Result | str | Path) -> Path:
    """Return the store of a result, or what may be one."""
    return result.store if isinstance(result, Result) else Path(result)


def _done(store: Path) -> int:
    """Return how many faults of a store are done."""
    with ResultStore.open(store) as opened:
        return len(opened)


def outcome_pairs(frame: pd.DataFrame) -> pd.DataFrame:
    """Return one row per (fault, image) pair of a table with one row per fault.

    Parameters
    ----------
    frame : DataFrame
        With the columns `fault` and `outcomes`, one letter per image.
    """
    images = len(frame["outcomes"].iloc[0]) if len(frame) else 0
    return pd.DataFrame(
        {
            "fault": frame["fault"].repeat(images).to_numpy(),
            "image": [image for _ in range(len(frame)) for image in range(images)],
            "outcome": [_LETTERS[letter] for row in frame["outcomes"] for letter in row],
        }
    )


@by_keywords
def open_result(path: str | Path) -> Result:
    """Return a result that is there already.

    Parameters
    ----------
    path : str or path
        Its directory, or the store in it.

    Raises
    ------
    StoreError
        If there is none, or it cannot be read.
    """
    return Result(path)
