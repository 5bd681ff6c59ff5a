"""Campaigns of several runs: from a file or from keywords, run, gone on with, looked at."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from axft_host.api.config import Config
from axft_host.api.keywords import by_keywords, shown
from axft_host.api.results import Result
from axft_host.api.show import table_html
from axft_host.campaign.cluster import cluster_of
from axft_host.campaign.compare import Comparison, compare_campaigns
from axft_host.campaign.conduct import resume_runs, run_spec
from axft_host.campaign.contrast import contrasts
from axft_host.campaign.directory import read_campaign_dir, result_dirs, states
from axft_host.campaign.forecast import forecast
from axft_host.campaign.planning import plan_run
from axft_host.campaign.progress import make_progress
from axft_host.campaign.runner import Progress, SilentProgress
from axft_host.campaign.spec import CampaignSpec, read_spec
from axft_host.campaign.toml_file import read_text
from axft_host.reports.campaigns import Told
from axft_host.reports.tables import percent
from axft_spec.errors import ConfigError, StoreError

__all__ = ["Campaign"]


class Campaign:
    """Several runs, one for each configuration, lowering, sample and backend.

    Parameters
    ----------
    spec : str or path, optional
        A TOML file such as those in ``fi_campaigns``; instead of keywords.
    title : str, optional
    workload, faults, sampling, stopping, backends : mapping, optional
        The tables of such a file, with its keys. Without `sampling`, as many faults as `inject` draws.

    Raises
    ------
    ConfigError
        If a key is unknown or a value is not allowed; the message names it.

    Examples
    --------
    >>> campaign = Campaign(
    ...     workload={"configs": ["8P", "34P"], "images": 50},
    ...     sampling={"faults": 200},
    ... )
    >>> campaign.run().rates  # doctest: +SKIP
    """

    @by_keywords
    def __init__(
        self,
        spec: str | PathLike[str] | None = None,
        *,
        title: str | None = None,
        workload: Mapping[str, Any] | None = None,
        faults: Mapping[str, Any] | None = None,
        sampling: Mapping[str, Any] | None = None,
        stopping: Mapping[str, Any] | None = None,
        backends: Mapping[str, Any] | None = None,
    ) -> None:
        tables: dict[str, Any] = {
            "workload": workload,
            "faults": faults,
            "sampling": sampling,
            "stopping": stopping,
            "backends": backends,
        }
        given = {name: _plain(table, name) for name, table in tables.items() if table is not None}
        if spec is not None and (given or title is not None):
            named = ", ".join([*(() if title is None else ("title",)), *given])
            raise ConfigError(f"a campaign is a file or keywords, not both: {fspath(spec)} and {named}")
        if spec is not None:
            self._text = read_text(Path(spec))
            self.spec = read_spec(Path(spec))
        else:
            document = {**({} if title is None else {"title": title}), **given}
            self._text = json.dumps(document, indent=1)
            self.spec = CampaignSpec.from_json(document, "campaign", "campaign")
        self._directory: Path | None = None

    @classmethod
    @by_keywords
    def open(cls, directory: str | PathLike[str]) -> Campaign:
        """Return a campaign that has begun.

        Raises
        ------
        StoreError
            If the directory is none of a campaign.
        """
        campaign = cls.__new__(cls)
        campaign.spec = read_campaign_dir(Path(directory))
        campaign._text = ""
        campaign._directory = Path(directory)
        return campaign

    @property
    def directory(self) -> Path:
        """Where its results are.

        Raises
        ------
        StoreError
            If it has not run.
        """
        if self._directory is None:
            raise StoreError("this campaign has not run; call run(), or use Campaign.open(directory)")
        return self._directory

    @by_keywords
    def check(self, *, workers: int | None = None) -> pd.DataFrame:
        """Return what its runs amount to, as ``axft-hw campaign check`` does: fault space, faults, pairs, seconds.

        Its `pairs` are those to simulate; a result's are all, those of certainly masked faults among them. The seconds
        come from a calibration run of about a second per run on this machine. Nothing is written.
        """
        cluster_of(None, workers)
        runs = self.spec.runs(workers=workers)
        found = [forecast(run, plan_run(self.spec, run)) for run in runs]
        return pd.DataFrame([one.to_json() for one in found]).set_index("name")

    @by_keywords
    def run(
        self,
        out: str | PathLike[str] | None = None,
        *,
        workers: int | None = None,
        dask: str | None = None,
        progress: bool = True,
    ) -> Campaign:
        """Run all, and return this campaign; after Ctrl-C, `resume` goes on.

        Parameters
        ----------
        out : str or path, optional
            A new directory; a fresh one under ``axft-results`` by default.
        workers : int, optional
            Processes; one per processor by default.
        dask : str, optional
            Address of a Dask scheduler, whose workers are used instead.
        progress : bool
            Whether to say which run begins, and how it gets on.

        Raises
        ------
        AxftError
            If a run cannot be planned (nothing has run), or its backend fails (what is done stays).
        """
        target = None if out is None else Path(fspath(out))
        cluster = cluster_of(dask, workers)
        result = run_spec(self.spec, self._text, target, _watcher(progress), workers=workers, cluster=cluster)
        self._directory = result.directory
        return self

    @by_keywords
    def resume(self, *, workers: int | None = None, dask: str | None = None, progress: bool = True) -> Campaign:
        """Run what is missing, and return this campaign; nothing that is done runs again.

        Parameters are those of `run`.

        Raises
        ------
        StoreError
            If it has not begun, or another process runs it.
        """
        resume_runs(self.directory, _watcher(progress), workers=workers, cluster=cluster_of(dask, workers))
        return self

    @property
    def status(self) -> pd.DataFrame:
        """How far every run is, indexed by name: `state`, `faults` done of those `listed`, and more."""
        return pd.DataFrame([one.to_json() for one in states(self.directory)]).set_index("name")

    @property
    def complete(self) -> bool:
        """Whether nothing is left to run."""
        return bool((self.status["state"] == "complete").all())

    @property
    def results(self) -> dict[str, Result]:
        """The results of the runs that have begun, by name."""
        return {path.name: Result(path) for path in result_dirs(self.directory)}

    @property
    def rates(self) -> pd.DataFrame:
        """Rates of all runs that have outcomes, indexed by run and class: `rate`, `low`, `high`, `paper` if known."""
        found = {name: result.rates for name, result in self.results.items() if len(result.frame)}
        return pd.concat(found, names=["run"]) if found else pd.DataFrame()

    @by_keywords
    def compare(self, outcome: str = "critical") -> pd.DataFrame:
        """Compare its configurations on the same faults, as ``axft-hw campaign compare`` does.

        Parameters
        ----------
        outcome : str
            ``masked``, ``tolerable`` or ``critical``.

        Returns
        -------
        DataFrame
            One row for every two that can be compared: `difference` with `low` and `high`, `p_value`, and the same
            corrected for all comparisons (Holm).

        Raises
        ------
        ConfigError
            If no two can be compared; the message says why.
        """
        found, _ = contrasts(result_dirs(self.directory), outcome)
        columns = ["config_a", "config_b", "lowering", "outcome", "difference", "low", "high", "p_value"]
        return pd.DataFrame([one.to_json() for one in found])[[*columns, "p_value_corrected", "faults"]]

    @by_keywords
    def diff(self, other: Campaign | str | PathLike[str]) -> dict[str, Comparison]:
        """Compare its runs with those of the same names in another campaign, pair by pair, as ``axft-hw diff`` does.

        Parameters
        ----------
        other : Campaign or path

        Returns
        -------
        dict of str to Comparison
            By name of the run; `equal` of each says whether nothing differs.

        Raises
        ------
        StoreError
            If one lacks a run of the other, or two runs cannot be compared.
        """
        path = other.directory if isinstance(other, Campaign) else Path(fspath(other))
        return dict(compare_campaigns(self.directory, path))

    def __repr__(self) -> str:
        where = "not run" if self._directory is None else f"in {str(self._directory)!r}"
        return f"<Campaign {self.spec.title!r}, {len(self.spec.runs())} runs, {where}>"

    def _repr_html_(self) -> str:
        if self._directory is None:
            rows = [[run.name, "not run"] for run in self.spec.runs()]
            return table_html(["run", "state"], rows, caption=self.spec.title)
        rates = self.rates
        rows = []
        for name, row in self.status.iterrows():
            shown = ["-"] * 3
            if len(rates) and name in rates.index:
                shown = [percent(rate) for rate in rates.loc[str(name)]["rate"]]
            done = "-" if pd.isna(row["faults"]) else f"{row['faults']:,} of {row['listed']:,}"
            rows.append([str(name), str(row["state"]), done, *shown])
        heads = ["run", "state", "faults", "masked %", "tolerable %", "critical %"]
        return table_html(heads, rows, caption=self.spec.title)


def _plain(value: Any, key: str) -> Any:
    """Return a value as a TOML file has it; `key` is where it stands.

    Raises
    ------
    ConfigError
        If a file could not have it.
    """
    if isinstance(value, Mapping):
        return {str(name): _plain(item, f"{key}.{name}") for name, item in value.items()}
    if isinstance(value, PathLike):
        return fspath(value)
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    if isinstance(value, (list, tuple)):
        return [_plain(item, key) for item in value]
    if isinstance(value, (str, bool, int, float)):
        return value
    allowed = "a text, a number, True or False, or a list or a mapping of those, as in a campaign file"
    if isinstance(value, Config):
        allowed = f"names, such as {value.config or '34P'!r}; array, lowerings, rounding and so on are keys of workload"
    raise ConfigError(f"{key}: {shown(value)} cannot be in a campaign; allowed: {allowed}")


def _watcher(progress: bool) -> Told:
    def say(line: str) -> None:
        print(line, file=sys.stderr)

    def silent() -> Progress:
        return SilentProgress()

    return Told(say, make_progress) if progress else Told(lambda line: None, silent)
