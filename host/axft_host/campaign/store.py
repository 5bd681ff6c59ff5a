"""The result of a campaign: one SQLite file in a directory of its own, written as the campaign runs."""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axft_host.campaign.outcome import Outcome, Status, pack_outcomes, unpack_outcomes
from axft_host.campaign.schema import APPLICATION_ID, FAULT_COLUMNS, SCHEMA_VERSION, TABLES
from axft_spec.errors import StoreError
from axft_spec.faults import Fault

__all__ = [
    "RESULTS_DIR",
    "STORE_NAME",
    "FaultRow",
    "Golden",
    "Provenance",
    "ResultStore",
    "make_result_dir",
    "store_path",
]

#: Name of the store in a result directory.
STORE_NAME = "campaign.sqlite"

#: Where results go that were given no name.
RESULTS_DIR = "axft-results"

COMPLETE, INTERRUPTED, RUNNING = "complete", "interrupted", "running"


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """All that the outcomes of a campaign depend on, and what they were computed with.

    Every member is a row of the table `meta`, as JSON; ``docs/reference/store.md`` says what each one holds.
    """

    created_utc: str
    spec: dict[str, Any]
    fault_list_digest: str
    fault_space: dict[str, Any] | None
    fault_seed: int | None
    faults: int
    space_size: int | None
    space_certain: int | None
    site: str
    kind: str
    config_name: str
    config: dict[str, Any]
    config_digest: str
    lowering: str
    score: str
    rounding: str
    compensated: bool
    network_name: str
    network_digest: str
    network_source_digest: str
    network_notices: list[str]
    dataset_name: str
    dataset_digest: str
    dataset_source: str
    golden_accuracy: float
    golden_digest: str
    backend: str
    physical: list[int] | None
    device: dict[str, Any] | None
    regmap_digest: str | None
    confidence: float
    versions: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Golden:
    """The golden run: one entry per image.

    Members
    -------
    image_ids : ndarray of int64, shape (images,)
        Index of each image in its data set.
    labels, predictions : ndarray of int64, shape (images,)
    """

    image_ids: NDArray[np.int64]
    labels: NDArray[np.int64]
    predictions: NDArray[np.int64]

    @property
    def correct(self) -> int:
        """Number of images whose top-1 class is their label."""
        return int(np.count_nonzero(self.predictions == self.labels))

    @property
    def accuracy(self) -> float:
        """Top-1 accuracy, a fraction."""
        return self.correct / len(self.labels)


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRow:
    """What came of one fault of the list.

    Members
    -------
    index : int
        Its place in the list, from 0.
    fault : Fault
    certain : bool
        Whether it is masked with certainty, and was not simulated.
    activated : int
        Number of (armed bit, valid step) where the forced value differed, over all images.
    status : Status
    masked, tolerable, critical : int
        Number of images.
    correct : int
        Number of images whose top-1 class under the fault is their label.
    packed : bytes
        Outcome of every image; see `axft_host.campaign.outcome.pack_outcomes`.
    """

    index: int
    fault: Fault
    certain: bool
    activated: int
    status: Status
    masked: int
    tolerable: int
    critical: int
    correct: int
    packed: bytes

    @classmethod
    def of(
        cls,
        index: int,
        fault: Fault,
        outcomes: NDArray[np.uint8],
        *,
        correct: int,
        activated: int = 0,
        certain: bool = False,
    ) -> FaultRow:
        """Build the row of a fault that ran to its end from the outcome of each image."""
        masked, tolerable, critical = np.bincount(outcomes, minlength=3)[:3].tolist()
        return cls(
            index=index,
            fault=fault,
            certain=certain,
            activated=activated,
            status=Status.OK if masked == len(outcomes) else Status.SDC,
            masked=masked,
            tolerable=tolerable,
            critical=critical,
            correct=correct,
            packed=pack_outcomes(outcomes),
        )

    @classmethod
    def masked_with_certainty(cls, index: int, fault: Fault, golden: Golden) -> FaultRow:
        """Build the row of a fault that changes nothing, whatever the image."""
        outcomes = np.full(len(golden.labels), Outcome.MASKED, dtype=np.uint8)
        return cls.of(index, fault, outcomes, correct=golden.correct, certain=True)

    def outcomes(self, images: int) -> NDArray[np.uint8]:
        """Return the codes of `Outcome`, shape (images,)."""
        return unpack_outcomes(self.packed, images)

    def to_sql(self) -> tuple[object, ...]:
        """Return the columns of the table `faults`, in order."""
        first, window = self.fault.sites[0], self.fault.window
        when = (None,) * 5
        if window is not None:
            when = (window.layer, window.gemm, window.tile, window.first_cycle, window.cycles)  # type: ignore[assignment]
        return (
            self.index,
            json.dumps(self.fault.to_json(), separators=(",", ":")),
            *(first.site.value, first.row, first.col, first.bit),
            len(self.fault.sites),
            self.fault.kind.value,
            *when,
            int(self.certain),
            self.activated,
            self.status.value,
            *(self.masked, self.tolerable, self.critical),
            self.correct,
            self.packed,
        )

    @classmethod
    def from_sql(cls, columns: Sequence[Any]) -> FaultRow:
        """Rebuild from the columns of the table `faults`."""
        named = dict(zip(FAULT_COLUMNS, columns, strict=True))
        same = {name: named[name] for name in ("activated", "masked", "tolerable", "critical", "correct")}
        return cls(
            index=named["idx"],
            fault=Fault.from_json(json.loads(named["fault"])),
            certain=bool(named["certain"]),
            status=Status(named["status"]),
            packed=named["outcomes"],
            **same,
        )


def store_path(result: Path) -> Path:
    """Return the path of a store from that of its directory or of the file itself."""
    return result / STORE_NAME if result.is_dir() else result


def make_result_dir(out: Path | None, config_name: str) -> Path:
    """Create the directory of a new result.

    Parameters
    ----------
    out : Path or None
        Its name. None makes one from the time, the configuration and a random part, under ``axft-results`` in
        the current directory.
    config_name : str
        Goes into the made name.

    Raises
    ------
    StoreError
        If `out` exists (it stays as it is), or a directory cannot be made.
    """
    try:
        if out is not None:
            out.mkdir(parents=True)
            return out
        safe = "".join(char if char.isalnum() else "-" for char in config_name)
        while True:
            stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
            made = Path(RESULTS_DIR, f"{stamp}-{safe}-{secrets.token_hex(3)}")
            try:
                # mkdir fails if somebody else was faster: no two campaigns ever share a directory.
                made.mkdir(parents=True)
            except FileExistsError:
                if not made.exists():
                    raise
                continue
            return made
    except FileExistsError:
        raise StoreError(exists_message(out or Path(RESULTS_DIR))) from None
    except OSError as error:
        raise StoreError(f"the result directory {out or RESULTS_DIR} cannot be made: {error.strerror}") from None


def exists_message(path: Path) -> str:
    """Return the message for an output that is in the way."""
    return f"output {path} exists and is not overwritten; name one that does not exist"


class ResultStore:
    """An open store. Closing it, or leaving its context, keeps all that was added.

    One process writes a store, in one thread; any number may read it meanwhile.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection

    @classmethod
    def create(cls, path: Path, provenance: Provenance, golden: Golden) -> ResultStore:
        """Create a store for a campaign that is about to run.

        Raises
        ------
        StoreError
            If the file exists or cannot be written.
        """
        if path.exists():
            raise StoreError(exists_message(path))
        meta = {field.name: getattr(provenance, field.name) for field in fields(provenance)}
        rows = zip(golden.image_ids.tolist(), golden.labels.tolist(), golden.predictions.tolist(), strict=True)
        with _as_store_error(path):
            store = cls(path, sqlite3.connect(path))
            # WAL: readers are not held up, and what is committed survives a kill.
            store._connection.execute("PRAGMA journal_mode = WAL")
            store._connection.execute("PRAGMA synchronous = NORMAL")
            with store._connection:
                # All or nothing: a file with tables has its provenance, too.
                store._connection.execute("BEGIN")
                for statement in TABLES:
                    store._connection.execute(statement)
                store._put(schema_version=SCHEMA_VERSION, state=RUNNING, seconds=None, finished_utc=None, **meta)
                store._connection.executemany(
                    "INSERT INTO golden VALUES (?, ?, ?, ?)", ((index, *row) for index, row in enumerate(rows))
                )
        return store

    @classmethod
    def open(cls, result: Path) -> ResultStore:
        """Open a store to read it.

        Parameters
        ----------
        result : Path
            The file, or its directory.

        Raises
        ------
        StoreError
            If there is none, it is damaged, or it is of another schema version.
        """
        path = store_path(result)
        if not path.is_file():
            raise StoreError(
                f"no result store at {result}: give the directory that inject has left, or its {STORE_NAME}"
            )
        try:
            store = cls(path, _connect_to_read(path))
            kind = store._one("PRAGMA application_id")
            version = store._one("PRAGMA user_version")
        except sqlite3.Error as error:
            raise StoreError(f"{path} is not a result store: {error}") from None
        if kind != APPLICATION_ID:
            store.close()
            raise StoreError(f"{path} is not a result store, but another SQLite file")
        if version != SCHEMA_VERSION:
            store.close()
            advice = (
                "install a newer axft-hw"
                if version > SCHEMA_VERSION
                else "read it with the axft-hw that wrote it, or run the campaign again"
            )
            raise StoreError(
                f"{path} has schema version {version}, this axft-hw reads version {SCHEMA_VERSION}; {advice}"
            )
        return store

    def add(self, rows: Sequence[FaultRow]) -> None:
        """Add faults, all of them or (on an error) none."""
        marks = ", ".join("?" * len(FAULT_COLUMNS))
        with _as_store_error(self.path), self._connection:
            self._connection.executemany(f"INSERT INTO faults VALUES ({marks})", [row.to_sql() for row in rows])

    def finish(self, *, complete: bool, seconds: float) -> None:
        """Record how the run ended, and how long it took."""
        state = COMPLETE if complete else INTERRUPTED
        with _as_store_error(self.path), self._connection:
            self._put(state=state, seconds=seconds, finished_utc=utc_now())

    def _put(self, **meta: object) -> None:
        self._connection.executemany(
            "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            [(key, json.dumps(value)) for key, value in meta.items()],
        )

    def meta(self) -> dict[str, Any]:
        """Return every key of the table `meta` with its value."""
        with _as_store_error(self.path):
            return {key: json.loads(value) for key, value in self._connection.execute("SELECT * FROM meta")}

    def provenance(self) -> Provenance:
        """Return what the outcomes depend on."""
        meta = self.meta()
        try:
            return Provenance(**{field.name: meta[field.name] for field in fields(Provenance)})
        except KeyError as error:
            raise StoreError(f"{self.path} is damaged: it lacks the key {error.args[0]}") from None

    def golden(self) -> Golden:
        """Return the golden run."""
        with _as_store_error(self.path):
            rows = self._connection.execute("SELECT image_id, label, prediction FROM golden ORDER BY image").fetchall()
        columns = np.array(rows, dtype=np.int64).reshape(-1, 3)
        return Golden(image_ids=columns[:, 0], labels=columns[:, 1], predictions=columns[:, 2])

    def rows(self) -> Iterator[FaultRow]:
        """Yield the faults that are done, in the order of the list."""
        with _as_store_error(self.path):
            for columns in self._connection.execute("SELECT * FROM faults ORDER BY idx"):
                yield FaultRow.from_sql(columns)

    def __len__(self) -> int:
        """Return the number of faults that are done."""
        with _as_store_error(self.path):
            return int(self._one("SELECT COUNT(*) FROM faults"))

    def _one(self, query: str) -> Any:
        return self._connection.execute(query).fetchone()[0]

    def close(self) -> None:
        """Close the file; committed rows are safe without it."""
        self._connection.close()

    def __enter__(self) -> ResultStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def utc_now() -> str:
    """Return the time in UTC, as ISO 8601 to the second."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


@contextmanager
def _as_store_error(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise StoreError(f"result store {path}: {error}") from None


def _connect_to_read(path: Path) -> sqlite3.Connection:
    """Connect without ever changing the content.

    A file in WAL mode needs its ``-wal`` and ``-shm`` files, which cannot be made beside it on read-only media;
    there it cannot change either, and is read as it is.
    """
    connection = sqlite3.connect(path)
    try:
        connection.execute("PRAGMA query_only = ON")
        connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError:
        connection.close()
        return sqlite3.connect(f"{path.resolve().as_uri()}?immutable=1", uri=True)
    return connection
