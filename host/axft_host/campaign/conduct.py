"""Runs the runs of a campaign one after another, and goes on with those that were interrupted or killed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from axft_host.campaign.batch import Job
from axft_host.campaign.directory import SPEC_NAME, create_campaign_dir, is_complete, read_campaign_dir
from axft_host.campaign.locking import locked
from axft_host.campaign.matching import check_store_of
from axft_host.campaign.plan import Plan
from axft_host.campaign.planning import plan_all, plan_run
from axft_host.campaign.runner import FAULT_LIST_NAME, Progress, resume_campaign, run_campaign
from axft_host.campaign.spec import CampaignSpec, Run
from axft_host.campaign.stopping import fractions_of
from axft_host.campaign.store import STORE_NAME, ResultStore
from axft_host.campaign.workers import Pool
from axft_spec.errors import AxftError, BackendError, StoreError, exists_message

__all__ = ["CampaignResult", "Watcher", "resume_runs", "run_spec"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignResult:
    """Where a campaign is, and whether all of its runs are complete."""

    directory: Path
    complete: bool


class Watcher(Protocol):
    """Is told which run begins, and shows its progress."""

    def planned(self, run: Run, number: int, total: int, plan: Plan) -> None:
        """Say that a run begins; it is that number, from 1, of so many."""

    def resumed(self, run: Run, number: int, total: int) -> None:
        """Say that a run that had begun goes on."""

    def progress(self) -> Progress:
        """Return what is told how the run gets on."""


def run_spec(
    spec: CampaignSpec,
    text: str,
    out: Path | None,
    watcher: Watcher,
    *,
    workers: int | None = None,
    cluster: Callable[[Job], Pool] | None = None,
) -> CampaignResult:
    """Run a campaign and leave its results in a directory of its own.

    Parameters
    ----------
    spec : CampaignSpec
    text : str
        Of its file.
    out : Path or None
        The directory, which must not exist; None for a new name under ``axft-results``.
    watcher : Watcher
    workers : int or None
    cluster : callable or None
        As for `axft_host.campaign.runner.run_campaign`.

    Raises
    ------
    AxftError
        As `axft_host.campaign.runner.run_campaign`; what was done until then stays. If a run cannot be planned, or
        the first batch finds no backend, nothing is left.
    """
    if out is not None and out.exists():
        raise StoreError(exists_message(out))
    plan_all(spec, spec.runs(workers=workers))
    directory = create_campaign_dir(spec, text, out)
    try:
        return resume_runs(directory, watcher, workers=workers, cluster=cluster)
    except BackendError:
        if not _rows(directory):
            _take_back(directory)
        raise


def resume_runs(
    directory: Path,
    watcher: Watcher,
    *,
    workers: int | None = None,
    cluster: Callable[[Job], Pool] | None = None,
) -> CampaignResult:
    """Run what is missing of a campaign; nothing of what is done runs again.

    Raises
    ------
    StoreError
        If another process runs it.
    AxftError
        As `run_spec`.
    """
    with locked(directory), _naming(directory):
        spec = read_campaign_dir(directory)
        runs = spec.runs(workers=workers)
        # All of them, before anything is added to one.
        for run in runs:
            if (directory / run.name / STORE_NAME).is_file():
                check_store_of(run, directory / run.name)
        for number, run in enumerate(runs, start=1):
            place = directory / run.name
            if is_complete(place):
                continue
            with _naming(directory, place):
                if (place / STORE_NAME).is_file():
                    watcher.resumed(run, number, len(runs))
                    result = resume_campaign(place, watcher.progress(), workers=workers, cluster=cluster)
                else:
                    _clear(place)
                    shares = None if run.pilot is None else _shares(directory / run.pilot)
                    plan = plan_run(spec, run, pilot_shares=shares)
                    watcher.planned(run, number, len(runs), plan)
                    result = run_campaign(plan, place, watcher.progress(), cluster=cluster)
            if not result.complete:
                return CampaignResult(directory=directory, complete=False)
    return CampaignResult(directory=directory, complete=True)


@contextmanager
def _naming(directory: Path, place: Path | None = None) -> Iterator[None]:
    """Let what is raised inside say how the campaign goes on, and not one of its runs."""
    goes_on = f"`axft-hw campaign resume {directory}` goes on"
    try:
        yield
    except KeyboardInterrupt as interrupt:
        said = str(interrupt) or f"what is done is kept in {directory}; {goes_on}"
        raise KeyboardInterrupt(_restated(said, directory, place)) from interrupt
    except (BackendError, StoreError) as error:
        said = _restated(str(error), directory, place)
        # Workers that are gone can come back, and so can room for a store; what a store says of itself stands.
        again = bool(_rows(directory)) if isinstance(error, BackendError) else not _has_store(place)
        if place is not None and again and goes_on not in said:
            said = f"{said}; {goes_on}"
        if said == str(error):
            raise
        raise type(error)(said) from error


def _restated(said: str, directory: Path, place: Path | None) -> str:
    return said if place is None else said.replace(f"campaign resume {place}`", f"campaign resume {directory}`")


def _has_store(place: Path | None) -> bool:
    return place is not None and (place / STORE_NAME).is_file()


def _rows(directory: Path) -> int:
    """Return how many faults the runs of a campaign have by now."""
    done = 0
    for path in directory.glob(f"*/{STORE_NAME}"):
        with suppress(AxftError), ResultStore.open(path) as store:
            done += len(store)
    return done


def _take_back(directory: Path) -> None:
    """Take away what was made of a campaign that has no fault yet, and nothing else."""
    with suppress(OSError):
        for place in [path for path in directory.iterdir() if path.is_dir()]:
            for path in place.iterdir():
                if path.name == FAULT_LIST_NAME or STORE_NAME in path.name:
                    path.unlink()
            place.rmdir()
        (directory / SPEC_NAME).unlink()
        directory.rmdir()


def _shares(pilot: Path) -> NDArray[np.float64]:
    """Return what came of a pilot: the shares of its images in each class, fault by fault."""
    with ResultStore.open(pilot) as store:
        images = len(store.golden().labels)
        shares = [list(fractions_of(row, images).values()) for row in store.rows()]
    return np.array(shares, dtype=np.float64).reshape(len(shares), -1)


def _clear(place: Path) -> None:
    """Take away what a kill has left of a run that had no store yet, and nothing else."""
    if not place.exists():
        return
    for path in place.iterdir():
        if path.name != FAULT_LIST_NAME and not path.name.startswith(f".{STORE_NAME}."):
            raise StoreError(f"{place} holds {path.name}, which is no part of a campaign; move it away")
        path.unlink()
    place.rmdir()
