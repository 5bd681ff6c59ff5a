"""Campaign directories: a specification, resolved, and one result directory for each of its runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from axft_host.campaign.locking import is_locked
from axft_host.campaign.matching import check_store_of
from axft_host.campaign.records import Provenance
from axft_host.campaign.sampled import rule_of
from axft_host.campaign.spec import CampaignSpec
from axft_host.campaign.stopping import fractions_of
from axft_host.campaign.store import COMPLETE, RESULTS_DIR, RUNNING, STORE_NAME, ResultStore, make_result_dir, utc_now
from axft_host.campaign.versions import tool_versions
from axft_spec.errors import AxftError, ConfigError, StoreError

__all__ = [
    "SPEC_NAME",
    "RunState",
    "create_campaign_dir",
    "find_results",
    "is_campaign_dir",
    "is_complete",
    "orphans",
    "read_campaign_dir",
    "result_dirs",
    "states",
]

#: Name of the resolved specification in a campaign directory.
SPEC_NAME = "campaign.json"

_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """How far one run is.

    Members
    -------
    name : str
        Of the run; that of the directory if it is no part of a campaign.
    directory : str
    state : str
        ``waiting`` (not begun), ``running``, ``killed`` (its process is gone, the store does not know), ``interrupted``
        or ``complete``; ``unreadable`` if its store cannot be read, or is of another plan.
    faults, listed : int or None
        How many are done, out of how many; None before it has begun.
    stopped_at : int or None
        Number of faults that a stopping rule found enough.
    target_reached : bool or None
        Whether the intervals are as narrow as the stopping rule wants; None without a rule, and until the end.
    config, lowering, backend : str or None
    images : int or None
    created_utc : str or None
    sessions : int
        How often it was begun or gone on with.
    seconds : float
        What all sessions took, up to the last commit.
    faults_per_second : float or None
        Of the last session.
    seconds_left : float or None
        At that rate; None unless it is running.
    problem : str or None
        Why it is unreadable.
    """

    name: str
    directory: str
    state: str
    faults: int | None = None
    listed: int | None = None
    stopped_at: int | None = None
    target_reached: bool | None = None
    config: str | None = None
    lowering: str | None = None
    backend: str | None = None
    images: int | None = None
    created_utc: str | None = None
    sessions: int = 0
    seconds: float = 0.0
    faults_per_second: float | None = None
    seconds_left: float | None = None
    problem: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the members as plain JSON values."""
        return {name: getattr(self, name) for name in self.__slots__}


def create_campaign_dir(spec: CampaignSpec, text: str, out: Path | None) -> Path:
    """Create the directory of a campaign that is about to run.

    Parameters
    ----------
    spec : CampaignSpec
    text : str
        Of its file, to be kept beside what was made of it.
    out : Path or None
        The directory, which must not exist; None for a new name under ``axft-results``.

    Raises
    ------
    StoreError
        If it exists or cannot be written.
    """
    directory = make_result_dir(out, spec.name)
    made = directory / f".{SPEC_NAME}.new"
    value = {
        "axft_campaign": _VERSION,
        "name": spec.name,
        "created_utc": utc_now(),
        "versions": tool_versions(),
        "spec": spec.to_json(),
        "text": text,
    }
    try:
        made.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
        made.rename(directory / SPEC_NAME)
    except OSError as error:
        with suppress(OSError):
            made.unlink(missing_ok=True)
            directory.rmdir()
        raise StoreError(f"{directory} cannot be written: {error.strerror}; nothing has run, begin again") from None
    return directory


def is_campaign_dir(directory: Path) -> bool:
    """Return whether a directory is that of a campaign, and not of a single result."""
    return (directory / SPEC_NAME).is_file()


def read_campaign_dir(directory: Path) -> CampaignSpec:
    """Return the resolved specification of a campaign.

    Raises
    ------
    StoreError
        If there is none, it is damaged, or it is of another version.
    """
    path = directory / SPEC_NAME
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        version = value["axft_campaign"]
        if version != _VERSION:
            raise StoreError(
                f"{path} has version {version}, this axft-hw reads version {_VERSION}; install another one"
            )
        return CampaignSpec.from_json(value["spec"], value["name"], str(path))
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, ConfigError) as error:
        raise StoreError(f"{path} is damaged, or was not written by this program: {error}") from None


def result_dirs(directory: Path) -> list[Path]:
    """Return the result directories of a campaign that have a store, in the order of its runs.

    Of a directory that is no campaign's, it is that directory alone.

    Raises
    ------
    StoreError
        If it is a campaign that cannot be read, no run of it has begun, or a store is of another plan.
    """
    if not is_campaign_dir(directory):
        return [directory]
    begun = []
    for run in read_campaign_dir(directory).runs():
        if (directory / run.name / STORE_NAME).is_file():
            check_store_of(run, directory / run.name)
            begun.append(directory / run.name)
    if not begun:
        raise StoreError(f"{directory} holds no result yet; run `axft-hw campaign resume {directory}`")
    return begun


def states(directory: Path) -> list[RunState]:
    """Return how far every run of a campaign is, or the one of a single result; also while they run.

    A run of a campaign whose store cannot be read, or is of another plan, is unreadable, and does not hide the others.

    Raises
    ------
    StoreError
        If it is neither, or cannot be read.
    """
    if not is_campaign_dir(directory):
        if directory.is_dir() and not (directory / STORE_NAME).is_file():
            inside = [path.name for path in find_results(directory)]
            if inside:
                raise StoreError(
                    f"{directory} is no campaign and no result, but holds some: give one of {_few(inside)} in it, or "
                    f"run `axft-hw campaign list {directory}`"
                )
        return [_state(directory.name or str(directory), directory)]
    found = []
    for run in read_campaign_dir(directory).runs():
        path = directory / run.name
        if not (path / STORE_NAME).is_file():
            found.append(RunState(name=run.name, directory=str(path), state="waiting"))
            continue
        try:
            check_store_of(run, path)
            found.append(_state(run.name, path))
        except AxftError as error:
            found.append(RunState(name=run.name, directory=str(path), state="unreadable", problem=str(error)))
    return found


def orphans(directory: Path) -> list[str]:
    """Return the names of directories in a campaign that hold a store and are none of its runs."""
    if not is_campaign_dir(directory):
        return []
    runs = {run.name for run in read_campaign_dir(directory).runs()}
    return sorted(path.parent.name for path in directory.glob(f"*/{STORE_NAME}") if path.parent.name not in runs)


def _few(names: list[str]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def _target_reached(store: ResultStore, about: Provenance, meta: dict[str, Any]) -> bool | None:
    """Return whether a campaign that has ended has intervals as narrow as its stopping rule wants."""
    if about.stopping is None or meta["state"] != COMPLETE:
        return None
    if meta.get("stopped_at") is not None:
        return True
    # It may have been the last fault that was enough.
    rule = rule_of(about)
    images = len(store.golden().labels)
    for row in store.rows():
        rule.feed(row.index, fractions_of(row, images), certain=row.certain)
    return rule.should_stop


def _state(name: str, directory: Path) -> RunState:
    with ResultStore.open(directory) as store:
        meta, about, done, sessions = store.meta(), store.provenance(), len(store), store.sessions()
        images = len(store.golden().labels)
        reached = _target_reached(store, about, meta)
        place = store.path.parent
    state = meta["state"]
    if state == RUNNING:
        state = "running" if is_locked(place) else "killed"
    last = sessions[-1] if sessions else None
    rate = last.faults / last.seconds if last is not None and last.seconds > 0 and last.faults else None
    left = (about.faults - done) / rate if rate and state == "running" else None
    return RunState(
        name=name,
        directory=str(directory),
        state=state,
        faults=done,
        listed=about.faults,
        stopped_at=meta.get("stopped_at"),
        target_reached=reached,
        config=about.config_name,
        lowering=about.lowering,
        backend=about.backend,
        images=images,
        created_utc=about.created_utc,
        sessions=len(sessions),
        seconds=sum(session.seconds for session in sessions) if sessions else meta["seconds"] or 0.0,
        faults_per_second=rate,
        seconds_left=left,
    )


def is_complete(directory: Path) -> bool:
    """Return whether a result directory has a store with nothing left to run."""
    if not (directory / STORE_NAME).is_file():
        return False
    with ResultStore.open(directory) as store:
        return bool(store.meta()["state"] == COMPLETE)


def find_results(root: Path | None = None) -> Iterator[Path]:
    """Yield the campaign directories, and the result directories outside of them, directly below one, oldest first.

    Raises
    ------
    StoreError
        If there is no such directory.
    """
    root = Path(RESULTS_DIR) if root is None else root
    try:
        below = sorted((path for path in root.iterdir() if path.is_dir()), key=lambda path: path.stat().st_mtime)
    except OSError as error:
        raise StoreError(f"{root} cannot be read: {error.strerror}; give a directory that holds results") from None
    for path in below:
        if is_campaign_dir(path) or (path / STORE_NAME).is_file():
            yield path
