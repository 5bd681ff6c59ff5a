"""The result of a campaign: one SQLite file in a directory of its own, written as the campaign runs."""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import fields
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from axft_host.campaign.records import FaultRow, Golden, Provenance
from axft_host.campaign.schema import APPLICATION_ID, FAULT_COLUMNS, SCHEMA_VERSION, TABLES
from axft_spec.errors import StoreError, exists_message

__all__ = [
    "RESULTS_DIR",
    "STORE_NAME",
    "ResultStore",
    "make_result_dir",
    "store_path",
    "utc_now",
]

#: Name of the store in a result directory.
STORE_NAME = "campaign.sqlite"

#: Where results go that were given no name.
RESULTS_DIR = "axft-results"

COMPLETE, INTERRUPTED, RUNNING = "complete", "interrupted", "running"


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
            If there is none, it is damaged, it is of another schema version, or some of its rows are in a ``-wal``
            file that cannot be used where it lies.
        """
        path = store_path(result)
        if not path.is_file():
            raise StoreError(
                f"no result store at {result}: give the directory that inject has left, or its {STORE_NAME}"
            )
        with _as_store_error(path):
            store = cls(path, _connect_to_read(path))
        try:
            store._check_version()
        except StoreError:
            store.close()
            raise
        return store

    def _check_version(self) -> None:
        try:
            kind, version = self._one("PRAGMA application_id"), self._one("PRAGMA user_version")
        except sqlite3.Error as error:
            raise StoreError(f"{self.path} is not a result store: {error}") from None
        if kind != APPLICATION_ID:
            raise StoreError(f"{self.path} is not a result store, but another SQLite file")
        if version == SCHEMA_VERSION:
            return
        newer = version > SCHEMA_VERSION
        advice = "install a newer axft-hw" if newer else "read it with the axft-hw that wrote it, or run it again"
        raise StoreError(
            f"{self.path} has schema version {version}, this axft-hw reads version {SCHEMA_VERSION}; {advice}"
        )

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


# Primary result codes of SQLite (https://www.sqlite.org/rescode.html), and their texts.
_READ_ONLY, _CANNOT_OPEN = 8, 14
_NO_ACCESS_TEXTS = ("attempt to write a readonly database", "unable to open database file")


def _lacks_access(error: sqlite3.Error) -> bool:
    """Return whether an error means that SQLite may not read or write where it needs to."""
    # Python 3.10 does not tell the code. The low byte of an extended code is the primary one.
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return str(error) in _NO_ACCESS_TEXTS if code is None else code & 0xFF in (_READ_ONLY, _CANNOT_OPEN)


def _opens_normally(path: Path) -> bool:
    """Return whether SQLite has the access that it needs; what else may be wrong is found later."""
    try:
        with closing(sqlite3.connect(path)) as connection:
            # The first look into the file is what needs the files beside it.
            connection.execute("PRAGMA application_id")
    except sqlite3.Error as error:
        return not _lacks_access(error)
    return True


def _connect_to_read(path: Path) -> sqlite3.Connection:
    """Connect for queries alone.

    A file in WAL mode needs its ``-wal`` and ``-shm`` files, which cannot be made beside it on read-only media.
    There it is read as it is, without them, provided that all rows are in it. Elsewhere SQLite may move rows from
    ``-wal`` into the file, as it does whenever the last reader leaves; what the store says stays the same.
    """
    if _opens_normally(path):
        connection = sqlite3.connect(path)
    else:
        wal = path.with_name(f"{path.name}-wal")
        if wal.exists() and wal.stat().st_size:
            raise StoreError(
                f"result store {path} cannot be read where it is: some of its rows are still in {wal.name}, which "
                f"needs a directory that can be written; copy both files to one and read them there"
            )
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?immutable=1", uri=True)
    connection.execute("PRAGMA query_only = ON")
    return connection
