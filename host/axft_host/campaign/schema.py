"""The tables of a result store, and their versions. ``docs/reference/store.md`` describes them for readers.

Version 2 added the checksum of every row, the table `sessions`, and the keys of `meta` that a campaign needs to be
gone on with. Version 3 added the table `recoveries`.
"""

from __future__ import annotations

__all__ = [
    "APPLICATION_ID",
    "CHECKSUM",
    "FAULT_COLUMNS",
    "READABLE_VERSIONS",
    "RESUMABLE_VERSIONS",
    "SCHEMA_VERSION",
    "TABLES",
    "UPGRADE",
]

#: Version of the tables that are written. It goes up with every change that an older program would misread.
SCHEMA_VERSION = 3

#: Versions that can be read, and those that can be gone on with, for which they become the one that is written.
READABLE_VERSIONS = (1, 2, 3)
RESUMABLE_VERSIONS = (2, 3)

#: SQLite's mark for files of one application: ``AXFT`` in ASCII.
APPLICATION_ID = 0x41584654

#: The columns of the table `faults`, in order, with their SQL types; its last column is `CHECKSUM`.
FAULT_COLUMNS: dict[str, str] = {
    "idx": "INTEGER PRIMARY KEY",
    "fault": "TEXT NOT NULL",
    "site": "TEXT NOT NULL",
    "row": "INTEGER",
    "col": "INTEGER",
    "bit": "INTEGER NOT NULL",
    "n_bits": "INTEGER NOT NULL",
    "kind": "TEXT NOT NULL",
    "layer": "INTEGER",
    "gemm": "INTEGER",
    "tile": "INTEGER",
    "first_cycle": "INTEGER",
    "cycles": "INTEGER",
    "certain": "INTEGER NOT NULL",
    "activated": "INTEGER NOT NULL",
    "status": "TEXT NOT NULL",
    "masked": "INTEGER NOT NULL",
    "tolerable": "INTEGER NOT NULL",
    "critical": "INTEGER NOT NULL",
    "correct": "INTEGER NOT NULL",
    "outcomes": "BLOB NOT NULL",
}

#: The column that guards the others; version 1 has none.
CHECKSUM = "checksum"

_FAULTS = ",\n    ".join(f"{name} {kind}" for name, kind in FAULT_COLUMNS.items())

_RECOVERIES = """CREATE TABLE recoveries (
    recovery INTEGER PRIMARY KEY,
    session INTEGER NOT NULL,
    idx INTEGER,
    attempt INTEGER NOT NULL,
    failure TEXT NOT NULL,
    cause TEXT NOT NULL,
    rung TEXT NOT NULL,
    seconds REAL NOT NULL,
    utc TEXT NOT NULL
)"""

_VERSION = f"PRAGMA user_version = {SCHEMA_VERSION}"

#: What makes a store of version 2 one of version 3.
UPGRADE = (_RECOVERIES, _VERSION)

#: What creates the tables of a new store, in one transaction.
TABLES = (
    """CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID""",
    """CREATE TABLE golden (
    image INTEGER PRIMARY KEY,
    image_id INTEGER NOT NULL,
    label INTEGER NOT NULL,
    prediction INTEGER NOT NULL
)""",
    f"""CREATE TABLE faults (
    {_FAULTS},
    {CHECKSUM} TEXT NOT NULL
)""",
    """CREATE TABLE sessions (
    session INTEGER PRIMARY KEY,
    started_utc TEXT NOT NULL,
    ended_utc TEXT,
    first_fault INTEGER NOT NULL,
    faults INTEGER NOT NULL,
    seconds REAL NOT NULL,
    workers TEXT NOT NULL,
    host TEXT NOT NULL,
    versions TEXT NOT NULL,
    device TEXT
)""",
    _RECOVERIES,
    f"PRAGMA application_id = {APPLICATION_ID}",
    _VERSION,
)
