"""The result of a campaign: one SQLite file in a directory of its own, written as the campaign runs."""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import MISSING, fields
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from axft_host.campaign.records import FaultRow, Golden, Provenance, RecoveryRow, Session, row_checksum
from axft_host.campaign.schema import (
    APPLICATION_ID,
    CHECKSUM,
    FAULT_COLUMNS,
    READABLE_VERSIONS,
    RESUMABLE_VERSIONS,
    SCHEMA_VERSION,
    TABLES,
    UPGRADE,
)
from axft_host.device.recovery import Recovery
from axft_spec.errors import AxftError, StoreError, exists_message, how_to_install

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

#: Columns of the table `recoveries`, after session and fault, and the members of a `Recovery`.
_RECOVERY_COLUMNS = {
    "attempt": "attempt",
    "failure": "end",
    "cause": "cause",
    "rung": "rung",
    "seconds": "seconds",
    "utc": "utc",
}


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
        self.version = SCHEMA_VERSION
        self._connection = connection
        self._session: int | None = None

    @classmethod
    def create(cls, path: Path, provenance: Provenance, golden: Golden) -> ResultStore:
        """Create a store for a campaign that is about to run.

        It gets its name when everything but the rows is in it: a store that is there can be gone on with.

        Raises
        ------
        StoreError
            If the file exists or cannot be written.
        """
        if path.exists():
            raise StoreError(exists_message(path))
        meta = {field.name: getattr(provenance, field.name) for field in fields(provenance)}
        rows = zip(golden.image_ids.tolist(), golden.labels.tolist(), golden.predictions.tolist(), strict=True)
        made = path.with_name(f".{path.name}.new")
        with _as_store_error(path):
            made.unlink(missing_ok=True)
            store = cls(made, _connect_to_write(made))
            with closing(store._connection), store._connection:
                store._connection.execute("BEGIN IMMEDIATE")
                for statement in TABLES:
                    store._connection.execute(statement)
                store._put(schema_version=SCHEMA_VERSION, state=RUNNING, seconds=None, finished_utc=None, **meta)
                store._put(stopped_at=None)
                store._connection.executemany(
                    "INSERT INTO golden VALUES (?, ?, ?, ?)", ((index, *row) for index, row in enumerate(rows))
                )
            made.rename(path)
        return cls(path, _connect_to_write(path))

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
            If there is none, it is damaged, it is of a schema version that cannot be read, or some of its rows are in
            a ``-wal`` file that cannot be used where it lies.
        """
        return cls._opened(result, _connect_to_read)

    @classmethod
    def open_to_write(cls, result: Path) -> ResultStore:
        """Open a store to go on with its campaign.

        Raises
        ------
        StoreError
            As `open`, and if the store is of an older version, which does not hold what that takes.
        """
        store = cls._opened(result, _connect_to_write)
        if store.version not in RESUMABLE_VERSIONS:
            store.close()
            raise StoreError(
                f"{store.path} has schema version {store.version}, which can be read, but not gone on with: it does "
                f"not say where its network and images are; run `axft-hw inject --fault-list "
                f"{store.path.with_name('faults.jsonl')}` with the options of that campaign instead"
            )
        return store

    @classmethod
    def _opened(cls, result: Path, connect: Callable[[Path], sqlite3.Connection]) -> ResultStore:
        path = store_path(result)
        if not path.is_file():
            raise StoreError(
                f"no result store at {result}: give the directory that inject has left, or its {STORE_NAME}"
            )
        with _as_store_error(path):
            store = cls(path, connect(path))
        try:
            store.version = store._check_version()
        except StoreError:
            store.close()
            raise
        return store

    def _check_version(self) -> int:
        try:
            kind, version = self._one("PRAGMA application_id"), self._one("PRAGMA user_version")
        except sqlite3.Error as error:
            raise StoreError(f"{self.path} is not a result store: {error}") from None
        if kind != APPLICATION_ID:
            raise StoreError(f"{self.path} is not a result store, but another SQLite file")
        if version in READABLE_VERSIONS:
            return int(version)
        newer = version > SCHEMA_VERSION
        advice = (
            f"install a newer axft-hw: {how_to_install()}, updated"
            if newer
            else "read it with the axft-hw that wrote it, or run it again"
        )
        raise StoreError(
            f"{self.path} has schema version {version}, this axft-hw reads versions {READABLE_VERSIONS[0]} to "
            f"{READABLE_VERSIONS[-1]}; {advice}"
        )

    def begin_session(self, session: Session, recoveries: Sequence[Recovery] = ()) -> None:
        """Record that this process goes on with the campaign, which counts as running again.

        Parameters
        ----------
        session : Session
        recoveries : sequence of Recovery
            What its golden run took.
        """
        columns = {**{field.name: getattr(session, field.name) for field in fields(session)}}
        for name in ("versions", "device"):
            columns[name] = None if columns[name] is None else json.dumps(columns[name])
        names, marks = ", ".join(columns), ", ".join("?" * len(columns))
        with self._writing():
            if self.version != SCHEMA_VERSION:
                for statement in UPGRADE:
                    self._connection.execute(statement)
                self._put(schema_version=SCHEMA_VERSION)
            cursor = self._connection.execute(
                f"INSERT INTO sessions ({names}) VALUES ({marks})", list(columns.values())
            )
            self._session = cursor.lastrowid
            self._put(state=RUNNING, finished_utc=None)
            self._add_recoveries((None, recovery) for recovery in recoveries)
        self.version = SCHEMA_VERSION

    def sessions(self) -> list[Session]:
        """Return the sessions in order; none of a store of version 1."""
        if self.version < 2:
            return []
        names = [field.name for field in fields(Session)]
        with _as_store_error(self.path):
            rows = self._connection.execute(f"SELECT {', '.join(names)} FROM sessions ORDER BY session").fetchall()
        found = []
        for row in rows:
            named = dict(zip(names, row, strict=True))
            for name in ("versions", "device"):
                named[name] = None if named[name] is None else json.loads(named[name])
            found.append(Session(**named))
        return found

    def add(self, rows: Sequence[FaultRow], *, seconds: float | None = None) -> None:
        """Add faults, all of them or (on an error) none.

        Parameters
        ----------
        rows : sequence of FaultRow
        seconds : float or None
            What the session has taken so far.
        """
        marks = ", ".join("?" * (len(FAULT_COLUMNS) + 1))
        values = [(*columns, row_checksum(columns)) for columns in (row.to_sql() for row in rows)]
        with self._writing():
            self._connection.executemany(f"INSERT INTO faults VALUES ({marks})", values)
            self._add_recoveries((row.index, recovery) for row in rows for recovery in row.recoveries)
            self._connection.execute(
                "UPDATE sessions SET faults = faults + ?, seconds = COALESCE(?, seconds) WHERE session = ?",
                (len(values), seconds, self._session),
            )

    def _add_recoveries(self, recoveries: Iterable[tuple[int | None, Recovery]]) -> None:
        columns = ", ".join(["session", "idx", *_RECOVERY_COLUMNS])
        self._connection.executemany(
            f"INSERT INTO recoveries ({columns}) VALUES ({', '.join('?' * (2 + len(_RECOVERY_COLUMNS)))})",
            [
                (self._session, index, *(getattr(recovery, name) for name in _RECOVERY_COLUMNS.values()))
                for index, recovery in recoveries
            ],
        )

    def recoveries(self) -> list[RecoveryRow]:
        """Return how the device was brought back, in order; nothing of a store before version 3."""
        if self.version < SCHEMA_VERSION:
            return []
        columns = ", ".join(["session", "idx", *_RECOVERY_COLUMNS])
        with _as_store_error(self.path):
            rows = self._connection.execute(f"SELECT {columns} FROM recoveries ORDER BY recovery").fetchall()
        return [
            RecoveryRow(
                session=session,
                index=index,
                recovery=Recovery(**dict(zip(_RECOVERY_COLUMNS.values(), values, strict=True))),
            )
            for session, index, *values in rows
        ]

    def finish(self, *, complete: bool, seconds: float, stopped_at: int | None = None) -> None:
        """Record how the run ended, and how long it took.

        Parameters
        ----------
        complete : bool
            Whether nothing is left to run.
        seconds : float
            What all sessions took.
        stopped_at : int or None
            Number of faults after which a stopping rule found that they are enough.
        """
        state = COMPLETE if complete else INTERRUPTED
        with self._writing():
            self._put(state=state, seconds=seconds, finished_utc=utc_now(), stopped_at=stopped_at)
            self._connection.execute("UPDATE sessions SET ended_utc = ? WHERE session = ?", (utc_now(), self._session))

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Make what happens inside one transaction; say what to do where it cannot be one."""
        try:
            with self._connection:
                self._connection.execute("BEGIN IMMEDIATE")
                yield
        except sqlite3.IntegrityError as error:
            raise StoreError(
                f"result store {self.path}: {error}; another process has written the same faults, and nothing was "
                f"added twice"
            ) from None
        except (sqlite3.Error, OSError) as error:
            raise StoreError(
                f"result store {self.path}: {error}; the faults that were committed are kept: when the cause is gone, "
                f"`axft-hw campaign resume {self.path.parent}` goes on"
            ) from None

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
        known = {field.name: meta[field.name] for field in fields(Provenance) if field.name in meta}
        lacking = [field.name for field in fields(Provenance) if field.name not in known and field.default is MISSING]
        if lacking:
            raise StoreError(f"{self.path} is damaged: it lacks the key {lacking[0]}")
        return Provenance(**known)

    def golden(self) -> Golden:
        """Return the golden run."""
        with _as_store_error(self.path):
            rows = self._connection.execute("SELECT image_id, label, prediction FROM golden ORDER BY image").fetchall()
        columns = np.array(rows, dtype=np.int64).reshape(-1, 3)
        return Golden(image_ids=columns[:, 0], labels=columns[:, 1], predictions=columns[:, 2])

    def rows(self) -> Iterator[FaultRow]:
        """Yield the faults that are done, in the order of the list.

        Raises
        ------
        StoreError
            If a row is missing, or is not as it was written.
        """
        names = [*FAULT_COLUMNS, *([CHECKSUM] if self.version > 1 else [])]
        with _as_store_error(self.path):
            found = self._connection.execute(f"SELECT {', '.join(names)} FROM faults ORDER BY idx")
            for index, columns in enumerate(found):
                values = columns[: len(FAULT_COLUMNS)]
                try:
                    if self.version > 1 and row_checksum(values) != columns[-1]:
                        raise ValueError("it does not have its checksum")
                    row = FaultRow.from_sql(values)
                    if row.index != index:
                        raise ValueError(f"the row before it, idx {index}, is missing")
                except (AxftError, ValueError, TypeError) as error:
                    raise StoreError(
                        f"{self.path} was changed after it was written, or is damaged: row idx {columns[0]}: {error}"
                    ) from None
                yield row

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


def _connect_to_write(path: Path) -> sqlite3.Connection:
    """Connect to add rows; transactions begin and end where this module says so."""
    connection = sqlite3.connect(path, isolation_level=None)
    # WAL: readers are not held up, and what is committed survives a kill of every process at any moment, because it
    # is with the system then. NORMAL syncs when the log is moved into the file and not at every commit: a power cut
    # can take back the last transactions, never a part of one, and going on runs these faults again.
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    return connection


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
