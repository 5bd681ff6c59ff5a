"""The store: what it keeps, what it refuses, who can read it."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from axft_host.campaign.compare import compare
from axft_host.campaign.outcome import Status
from axft_host.campaign.records import FaultRow, Golden, Provenance, RecoveryRow, Session, row_checksum
from axft_host.campaign.runner import resume_campaign, run_campaign
from axft_host.campaign.schema import CHECKSUM, FAULT_COLUMNS, SCHEMA_VERSION
from axft_host.campaign.store import STORE_NAME, ResultStore, _lacks_access, make_result_dir, store_path
from axft_host.campaign.summary import summarise
from axft_host.device.recovery import Recovery
from axft_spec.errors import StoreError
from axft_spec.faultlist import read_fault_list
from axft_spec.faults import parse_fault
from support.small_campaign import small_plan

DOCUMENT = Path(__file__).parents[3] / "docs" / "reference" / "store.md"

STORES = Path(__file__).parents[2] / "data" / "stores"

#: Of the frozen stores: certainly masked faults, activations, masked pairs of 288.
FROZEN = (9, 6696, 113)

#: Of each: session, fault and failure of its recoveries.
RECOVERED = {1: [], 2: [], 3: [(1, 0, "crash"), (1, 1, "hang"), (1, 10, "crash")]}

OUTCOMES = np.array([0, 0, 1, 2, 0], dtype=np.uint8)

RECOVERY = Recovery("reload", 1.5, "the bus is silent", "crash", 1, "2026-01-02T03:04:05Z")


def provenance(**changes: object) -> Provenance:
    """Return a provenance with placeholders in it."""
    values: dict[str, object] = {name: name for name in Provenance.__slots__}
    return Provenance(**{**values, "faults": 2, "golden_accuracy": 0.8, **changes})


def golden() -> Golden:
    """Return a golden run over five images, one of them wrong."""
    labels = np.arange(5)
    return Golden(image_ids=np.arange(5), labels=labels, predictions=np.array([0, 1, 2, 3, 0]))


def rows() -> list[FaultRow]:
    """Return a simulated fault with a window, and a certainly masked one."""
    first = parse_fault("weight:r1:c2:b3+psum:r0:c0:b7:flip@l1:g2:t3:y4+5")
    second = parse_fault("weight:r0:c0:b0:sa1")
    return [
        FaultRow.of(0, first, OUTCOMES, correct=3, activated=17),
        FaultRow.masked_with_certainty(1, second, golden()),
    ]


def make_store(path: Path) -> Path:
    """Write a complete store of two faults."""
    with ResultStore.create(path, provenance(), golden()) as store:
        store.add(rows())
        store.finish(complete=True, seconds=1.5)
    return path


# --- what is kept -------------------------------------------------------------------------------------------


def test_store_returns_what_was_added(tmp_path: Path) -> None:
    """Provenance, golden run, rows and how the run ended."""
    with ResultStore.open(make_store(tmp_path / STORE_NAME)) as store:
        assert store.provenance() == provenance()
        assert list(store.rows()) == rows()
        assert len(store) == 2
        assert store.golden().predictions.tolist() == [0, 1, 2, 3, 0]
        meta = store.meta()
    assert (meta["schema_version"], meta["state"], meta["seconds"]) == (SCHEMA_VERSION, "complete", 1.5)


def test_row_of_a_fault_counts_its_outcomes() -> None:
    """Three masked, one tolerable, one critical image make SDC; a certain fault has the golden accuracy."""
    simulated, certain = rows()
    assert (simulated.masked, simulated.tolerable, simulated.critical) == (3, 1, 1)
    assert simulated.status is Status.SDC
    assert simulated.outcomes(5).tolist() == OUTCOMES.tolist()
    assert (certain.masked, certain.correct, certain.activated, certain.status) == (5, 4, 0, Status.OK)


def test_pandas_reads_the_tables(tmp_path: Path) -> None:
    """With a plain connection, and without this package."""
    connection = sqlite3.connect(make_store(tmp_path / STORE_NAME))
    table = pd.read_sql("SELECT * FROM faults", connection)
    connection.close()
    assert list(table.columns) == [*FAULT_COLUMNS, CHECKSUM]
    first = table.iloc[0]
    # Sites are sorted by name: the first one is that of psum.
    assert (first["site"], first["row"], first["col"], first["bit"], first["n_bits"]) == ("psum", 0, 0, 7, 2)
    assert (first["layer"], first["gemm"], first["tile"], first["first_cycle"], first["cycles"]) == (1, 2, 3, 4, 5)
    assert table["layer"].isna().tolist() == [False, True]
    assert table["certain"].tolist() == [0, 1]
    assert table["masked"].tolist() == [3, 5]


def test_store_is_in_wal_mode_and_leaves_one_file(tmp_path: Path) -> None:
    """Readers are not held up while it is written; afterwards everything is in the one file."""
    path = make_store(tmp_path / STORE_NAME)
    assert [file.name for file in tmp_path.iterdir()] == [STORE_NAME]
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    connection.close()


def test_committed_rows_are_there_while_the_store_is_open(tmp_path: Path) -> None:
    """What a kill would leave is what a second reader sees."""
    with ResultStore.create(tmp_path / STORE_NAME, provenance(), golden()) as store:
        store.add(rows()[:1])
        with ResultStore.open(tmp_path) as reader:
            assert len(reader) == 1
            assert reader.meta()["state"] == "running"


def test_failed_batch_adds_nothing(tmp_path: Path) -> None:
    """A batch is one transaction."""
    with ResultStore.create(tmp_path / STORE_NAME, provenance(), golden()) as store:
        with pytest.raises(StoreError, match="UNIQUE"):
            store.add([rows()[0], rows()[0]])
        assert len(store) == 0


def test_reading_does_not_change_the_file(tmp_path: Path) -> None:
    """A result can be kept under a checksum."""
    path = make_store(tmp_path / STORE_NAME)
    before = path.read_bytes()
    with ResultStore.open(path) as store:
        list(store.rows())
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == [STORE_NAME]


def test_path_of_a_store_is_that_of_its_directory_or_its_own(tmp_path: Path) -> None:
    """Users name either."""
    path = make_store(tmp_path / STORE_NAME)
    assert store_path(tmp_path) == store_path(path) == path


# --- what is refused ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "advice"),
    [(SCHEMA_VERSION + 1, "install a newer axft-hw: `pip install"), (0, "read it with the axft-hw that wrote it")],
)
def test_open_refuses_another_schema_version(tmp_path: Path, version: int, advice: str) -> None:
    """The message says what to do."""
    connection = sqlite3.connect(make_store(tmp_path / STORE_NAME))
    connection.execute(f"PRAGMA user_version = {version}")
    connection.close()
    message = f"has schema version {version}, this axft-hw reads versions 1 to 3; {advice}"
    with pytest.raises(StoreError, match=message):
        ResultStore.open(tmp_path)


@pytest.mark.parametrize("content", [b"", b"not a database, but longer than a header of SQLite would be" * 10])
def test_open_refuses_what_is_no_store(tmp_path: Path, content: bytes) -> None:
    """A file of another kind."""
    path = tmp_path / STORE_NAME
    path.write_bytes(content)
    with pytest.raises(StoreError, match="is not a result store"):
        ResultStore.open(path)


def test_open_refuses_another_sqlite_file(tmp_path: Path) -> None:
    """Some other program's."""
    connection = sqlite3.connect(tmp_path / "other.sqlite")
    connection.execute("CREATE TABLE faults (a)")
    connection.close()
    with pytest.raises(StoreError, match="not a result store, but another SQLite file"):
        ResultStore.open(tmp_path / "other.sqlite")


def test_open_refuses_a_truncated_store(tmp_path: Path) -> None:
    """As a copy that broke off leaves it."""
    path = make_store(tmp_path / STORE_NAME)
    path.write_bytes(path.read_bytes()[:5000])
    with (
        pytest.raises(StoreError, match=r"malformed|is not a"),
        ResultStore.open(path) as store,
    ):
        list(store.rows())


def test_open_names_what_is_missing(tmp_path: Path) -> None:
    """And what to give instead."""
    with pytest.raises(StoreError, match=f"no result store at .*{STORE_NAME}$"):
        ResultStore.open(tmp_path)


def test_create_does_not_overwrite(tmp_path: Path) -> None:
    """The store that is there stays as it is."""
    path = make_store(tmp_path / STORE_NAME)
    before = path.read_bytes()
    with pytest.raises(StoreError, match="exists and is not overwritten"):
        ResultStore.create(path, provenance(), golden())
    assert path.read_bytes() == before


# --- what was changed afterwards ----------------------------------------------------------------------------


def change(path: Path, statement: str, *, cover_up: bool = False) -> None:
    """Change a store with another program, which may know how checksums are made."""
    connection = sqlite3.connect(path)
    connection.execute(statement)
    if cover_up:
        for columns in connection.execute("SELECT * FROM faults").fetchall():
            mended = (row_checksum(columns[:-1]), columns[0])
            connection.execute("UPDATE faults SET checksum = ? WHERE idx = ?", mended)
    connection.commit()
    connection.close()


@pytest.mark.parametrize(
    "statement",
    [
        f"UPDATE faults SET {column} = {value} WHERE idx = 0"
        for column, value in {
            "activated": 18, "masked": 2, "tolerable": 0, "critical": 2, "correct": 4, "certain": 1, "kind": "'sa1'",
            "status": "'ok'", "row": 3, "outcomes": "x'0000'", "cycles": 4, "checksum": "'0'",
            "fault": "replace(fault, '3', '2')",
        }.items()
    ],
)  # fmt: skip
def test_changed_row_is_noticed(tmp_path: Path, statement: str) -> None:
    """Whatever column it is in."""
    path = make_store(tmp_path / STORE_NAME)
    change(path, statement)
    with (
        ResultStore.open(path) as store,
        pytest.raises(StoreError, match=r"was changed after it was written, or is damaged: row idx 0: it does not"),
    ):
        list(store.rows())


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("UPDATE faults SET masked = 4, critical = 0 WHERE idx = 0", r"are \[3, 1, 1\] in its outcomes"),
        ("UPDATE faults SET masked = 8 WHERE idx = 0", "add up to 10 images, its outcomes do not"),
        ("UPDATE faults SET status = 'ok' WHERE idx = 0", "status is 'ok' with 3 of 5 images masked"),
        ("UPDATE faults SET certain = 1 WHERE idx = 0", "certain is 1, but some image was not masked"),
        ("UPDATE faults SET correct = 6 WHERE idx = 0", "correct is 6"),
        ("UPDATE faults SET bit = 2 WHERE idx = 0", "bit is 2, where its fault has 7"),
        ("UPDATE faults SET kind = 'flop' WHERE idx = 0", "kind is 'flop'"),
        ("UPDATE faults SET fault = 'x' WHERE idx = 0", "Expecting value"),
        ("DELETE FROM faults WHERE idx = 0", "row idx 1: the row before it, idx 0, is missing"),
    ],
)
def test_row_that_contradicts_itself_is_noticed_whatever_its_checksum(
    tmp_path: Path, statement: str, message: str
) -> None:
    """Stores of version 1 have no checksum; and one can be made again."""
    path = make_store(tmp_path / STORE_NAME)
    change(path, statement, cover_up=True)
    with ResultStore.open(path) as store, pytest.raises(StoreError, match=message):
        list(store.rows())


# --- versions that were ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [1, 2, 3])
def test_store_of_every_version_opens(version: int, tmp_path: Path) -> None:
    """A frozen copy, as the version that wrote it has left it: 24 faults of 34P on a 4 x 3 array, 12 images."""
    shutil.copytree(STORES / f"v{version}", tmp_path / "copy")
    summary = summarise(tmp_path / "copy")
    assert (summary.faults, summary.images, summary.certain_masked, summary.activated) == (24, 12, *FROZEN[:2])
    with ResultStore.open(tmp_path / "copy") as store:
        assert sum(row.masked for row in store.rows()) == FROZEN[2]
        assert (store.version, len(store.sessions())) == (version, min(version - 1, 1))
        assert [(each.session, each.index, each.recovery.end) for each in store.recoveries()] == RECOVERED[version]
        assert store.provenance().config_name == "34P"
        assert store.provenance().fault_list_digest == read_fault_list(tmp_path / "copy" / "faults.jsonl").digest
    assert compare(STORES / "v1", tmp_path / "copy").equal


def test_campaign_of_version_2_goes_on_and_is_of_the_version_that_is_written_then(tmp_path: Path) -> None:
    """One transaction adds what it lacks; until there is something to write, it stays what it is."""
    shutil.copytree(STORES / "v2", tmp_path / "copy")
    path = tmp_path / "copy" / STORE_NAME
    before = path.read_bytes()
    with ResultStore.open_to_write(path) as store:
        rows_then, first = list(store.rows()), store.sessions()
        assert (store.version, store.recoveries()) == (2, [])
    assert path.read_bytes() == before
    with ResultStore.open_to_write(path) as store:
        store.begin_session(replace(first[0], faults=0, seconds=0.0, ended_utc=None), [RECOVERY])
        assert store.version == SCHEMA_VERSION
    with ResultStore.open(path) as store:
        assert (store.version, store.meta()["schema_version"]) == (SCHEMA_VERSION, SCHEMA_VERSION)
        assert list(store.rows()) == rows_then
        assert store.recoveries() == [RecoveryRow(session=2, index=None, recovery=RECOVERY)]
        assert len(store.sessions()) == 2


def test_campaign_of_version_1_cannot_be_gone_on_with(tmp_path: Path) -> None:
    """It does not say where its images are; the message says what to do."""
    shutil.copytree(STORES / "v1", tmp_path / "copy")
    with pytest.raises(StoreError, match=r"has schema version 1, which can be read, .*inject --fault-list .*faults"):
        resume_campaign(tmp_path / "copy")


# --- recoveries ---------------------------------------------------------------------------------------------


def test_recoveries_are_kept_with_their_fault_and_session(tmp_path: Path) -> None:
    """In the transaction of their rows; what came of a fault does not depend on them."""
    began = Session(started_utc="now", first_fault=0, workers="this process", host="here", versions={})
    again = replace(RECOVERY, attempt=2, rung="power")
    first, second = rows()
    with ResultStore.create(tmp_path / STORE_NAME, provenance(), golden()) as store:
        store.begin_session(began, [RECOVERY])
        store.add([replace(first, recoveries=(RECOVERY, again)), second])
        with pytest.raises(StoreError, match="UNIQUE"):
            store.add([replace(first, recoveries=(RECOVERY,))])
    with ResultStore.open(tmp_path) as store:
        assert list(store.rows()) == rows()
        assert store.recoveries() == [
            RecoveryRow(session=1, index=None, recovery=RECOVERY),
            RecoveryRow(session=1, index=0, recovery=RECOVERY),
            RecoveryRow(session=1, index=0, recovery=again),
        ]


# --- sessions -----------------------------------------------------------------------------------------------


def test_session_counts_what_it_commits(tmp_path: Path) -> None:
    """Row by row, so that a kill leaves what was done and how long it took."""
    began = Session(started_utc="now", first_fault=0, workers="2 processes", host="here", versions={"numpy": "2"})
    with ResultStore.create(tmp_path / STORE_NAME, provenance(), golden()) as store:
        store.begin_session(began)
        store.add(rows()[:1], seconds=1.25)
        assert store.sessions() == [replace(began, faults=1, seconds=1.25)]
        store.finish(complete=False, seconds=1.5)
    with ResultStore.open_to_write(tmp_path) as store:
        store.begin_session(replace(began, first_fault=1))
        assert store.meta()["state"] == "running"
        store.add(rows()[1:])
        store.finish(complete=True, seconds=2.0)
        first, second = store.sessions()
    assert (first.faults, second.faults, second.first_fault) == (1, 1, 1)
    assert first.ended_utc is not None


def test_full_disk_is_an_error_that_keeps_what_was_committed(tmp_path: Path) -> None:
    """And says how to go on; here, SQLite may not add pages."""
    with ResultStore.create(tmp_path / STORE_NAME, provenance(), golden()) as store:
        store.add(rows()[:1])
        pages = store._one("PRAGMA page_count")
        store._connection.execute(f"PRAGMA max_page_count = {pages}")
        many = [replace(rows()[0], index=index) for index in range(1, 2000)]
        with pytest.raises(StoreError, match=r"disk is full; the faults .* are kept: .*`axft-hw campaign resume "):
            store.add(many)
        assert len(store) == 1


# --- directories --------------------------------------------------------------------------------------------


def test_result_directories_never_collide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even if the random part repeats."""
    monkeypatch.chdir(tmp_path)
    parts = iter(["aa", "aa", "aa", "bb"])
    monkeypatch.setattr("axft_host.campaign.store.secrets.token_hex", lambda size: next(parts))
    names = [make_result_dir(None, "8P") for _ in range(2)]
    assert names[0] != names[1]
    assert all(re.fullmatch(r"axft-results/\d{8}T\d{6}Z-8P-(aa|bb)", name.as_posix()) for name in names)


def test_named_directory_must_not_exist(tmp_path: Path) -> None:
    """Not even an empty one: it may be somebody else's."""
    with pytest.raises(StoreError, match="exists and is not overwritten; name one that does not exist"):
        make_result_dir(tmp_path, "8P")


def test_directory_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    """The reason comes from the system."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be made"):
        make_result_dir(tmp_path / "file" / "below", "8P")


def test_results_directory_that_is_a_file_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And not an endless search for another name."""
    monkeypatch.chdir(tmp_path)
    Path("axft-results").write_text("")
    with pytest.raises(StoreError, match="axft-results"):
        make_result_dir(None, "8P")


# --- the document -------------------------------------------------------------------------------------------


def test_document_describes_every_key_and_column(tmp_path: Path) -> None:
    """Those of a real campaign."""
    result = run_campaign(small_plan(tmp_path, faults={"faults": 4}), tmp_path / "result")
    text = DOCUMENT.read_text(encoding="utf-8")
    with ResultStore.open(result.store) as store:
        names = [*store.meta(), *FAULT_COLUMNS, CHECKSUM, "image", "image_id", "label", "prediction"]
        names += ["session", *Session.__slots__]
    assert [name for name in names if f"`{name}`" not in text] == []


def test_provenance_of_a_campaign_is_plain_json(tmp_path: Path) -> None:
    """Everything that outcomes depend on is there, and can be read without this package."""
    plan = small_plan(tmp_path, faults={"faults": 4})
    result = run_campaign(plan, tmp_path / "result")
    connection = sqlite3.connect(result.store)
    meta = {key: json.loads(value) for key, value in connection.execute("SELECT * FROM meta")}
    connection.close()
    assert meta["fault_list_digest"] == plan.faults.digest
    assert meta["network_digest"] == plan.prepared.workload.network.digest
    assert meta["dataset_digest"] == plan.prepared.dataset.digest
    assert meta["config_digest"] == plan.prepared.workload.config.digest()
    assert set(meta["versions"]) == {"axft-hw", "engine", "numpy", "python"}
    assert (meta["backend"], meta["device"], meta["physical"]) == ("emu", None, None)
    assert meta["fault_space"]["size"] == meta["space_size"] == 192


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root can write everywhere")
def test_store_on_read_only_media_can_be_read(tmp_path: Path) -> None:
    """A file in WAL mode usually needs a directory that can be written."""
    make_store(tmp_path / STORE_NAME)
    tmp_path.chmod(0o555)
    try:
        with ResultStore.open(tmp_path) as store:
            assert len(store) == 2
    finally:
        tmp_path.chmod(0o755)


def without_shm(path: Path) -> None:
    """Make it impossible for every user, as on read-only media, to create ``-shm``: a link to nowhere is there."""
    path.with_name(f"{path.name}-shm").symlink_to(path.parent / "nowhere" / "shm")


def test_store_that_lacks_its_shm_is_read_as_it_is(tmp_path: Path) -> None:
    """All rows are in the file itself."""
    without_shm(make_store(tmp_path / STORE_NAME))
    with ResultStore.open(tmp_path) as store:
        assert list(store.rows()) == rows()


def test_rows_in_a_wal_that_cannot_be_used_are_not_left_out(tmp_path: Path) -> None:
    """As in a copy of a store that was being written, on read-only media."""
    with ResultStore.create(tmp_path / STORE_NAME, provenance(), golden()) as store:
        store.add(rows())
        copy = tmp_path / "copy"
        copy.mkdir()
        for name in (STORE_NAME, f"{STORE_NAME}-wal"):
            (copy / name).write_bytes((tmp_path / name).read_bytes())
    without_shm(copy / STORE_NAME)
    with pytest.raises(StoreError, match=rf"some of its rows are still in {STORE_NAME}-wal, .* copy both files"):
        ResultStore.open(copy)
    (copy / f"{STORE_NAME}-shm").unlink()
    with ResultStore.open(copy) as store:
        assert list(store.rows()) == rows()


@pytest.mark.parametrize(
    ("text", "code", "expected"),
    [
        ("unable to open database file", None, True),
        ("attempt to write a readonly database", None, True),
        ("database is locked", None, False),
        ("no such table: unable to open database file", None, False),
        ("", 14, True),
        ("", 8 + (6 << 8), True),  # SQLITE_READONLY_DIRECTORY
        ("unable to open database file", 11, False),
    ],
)
def test_lack_of_access_is_told_by_code_or_by_text(text: str, code: int | None, expected: bool) -> None:
    """The code alone where Python tells it."""
    error = sqlite3.OperationalError(text)
    if code is not None:
        error.sqlite_errorcode = code
    assert _lacks_access(error) is expected
