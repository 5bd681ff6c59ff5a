"""Campaigns that go on: what they run, what they refuse, and when they stop by themselves."""

from __future__ import annotations

import fcntl
import json
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest

from axft_host.backends.emulator import Emulator
from axft_host.campaign.compare import compare
from axft_host.campaign.locking import is_locked, locked
from axft_host.campaign.runner import FAULT_LIST_NAME, RunResult, SilentProgress, resume_campaign, run_campaign
from axft_host.campaign.statistics import Interval
from axft_host.campaign.store import ResultStore
from axft_host.nn.datasets import Dataset, export_npz
from axft_host.nn.library import load_network_file
from axft_spec.errors import StoreError
from support.small_campaign import small_dataset, small_plan

FAULTS = {"faults": {"faults": 192}}


class Stopping(SilentProgress):
    """Presses Ctrl-C after some progress."""

    def __init__(self, after: int) -> None:
        self._left = after

    def advance(self, pairs: int) -> None:
        """Count down."""
        self._left -= pairs
        if self._left <= 0:
            self._left = sys.maxsize
            os.kill(os.getpid(), signal.SIGINT)


def interrupted(directory: Path, name: str = "r", workers: int = 1) -> RunResult:
    """Run a campaign that is interrupted after its first batch."""
    plan = small_plan(directory, **FAULTS, workers=workers)
    result = run_campaign(plan, directory / name, Stopping(1))
    assert not result.complete
    assert 0 < result.faults_done < 192
    return result


def change_meta(store: Path, **values: object) -> None:
    """Change keys of a store's meta data."""
    connection = sqlite3.connect(store)
    for key, value in values.items():
        connection.execute("UPDATE meta SET value = ? WHERE key = ?", (json.dumps(value), key))
    connection.commit()
    connection.close()


def test_resumed_campaign_runs_what_is_missing_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its store is that of a campaign that was not interrupted, but for times and sessions."""
    result = interrupted(tmp_path)
    whole = run_campaign(small_plan(tmp_path, **FAULTS), tmp_path / "whole")
    with ResultStore.open(result.store) as store:
        open_before = sum(not row.certain for row in store.rows())
    evaluated: list[object] = []
    evaluate = Emulator.evaluate

    def counting(self: Emulator, workload: object, faults: list[object], *rest: object) -> object:
        evaluated.extend(fault for fault in faults if fault is not None)
        return evaluate(self, workload, faults, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Emulator, "evaluate", counting)
    again = resume_campaign(tmp_path / "r", workers=1)
    assert (again.complete, again.faults_done) == (True, 192)
    with ResultStore.open(whole.store) as store, ResultStore.open(again.store) as other:
        assert list(store.rows()) == list(other.rows())
        assert len(evaluated) == len(set(evaluated)) == sum(not row.certain for row in store.rows()) - open_before
        differing = {key for key, value in store.meta().items() if other.meta()[key] != value}
        assert differing <= {"created_utc", "finished_utc", "seconds"}
        first, second = other.sessions()
        assert (first.faults, second.first_fault, first.faults + second.faults) == (
            result.faults_done,
            first.faults,
            192,
        )
        assert other.meta()["seconds"] == pytest.approx(first.seconds + second.seconds, abs=0.5)
    assert compare(whole.store, again.store).equal


def test_complete_campaign_has_nothing_to_resume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even its golden run."""
    done = run_campaign(small_plan(tmp_path, **FAULTS), tmp_path / "r")
    before = done.store.read_bytes()
    monkeypatch.setattr(Emulator, "evaluate", lambda *args: pytest.fail("it ran"))
    assert resume_campaign(tmp_path / "r") == done
    assert done.store.read_bytes() == before


def test_campaign_goes_on_from_another_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Options keep absolute paths; the result itself may have moved."""
    small_plan(tmp_path)
    monkeypatch.chdir(tmp_path)
    plan = small_plan(tmp_path, workload={"model": "small.npz", "data": "small-data.npz"}, **FAULTS)
    run_campaign(plan, tmp_path / "r", Stopping(1))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "r").rename(tmp_path / "elsewhere" / "r")
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert resume_campaign(Path("r"), workers=1).complete


# --- what is refused ----------------------------------------------------------------------------------------


def test_other_images_are_refused(tmp_path: Path) -> None:
    """Rows that answer another question would be added."""
    interrupted(tmp_path)
    images = small_dataset()
    (tmp_path / "small-data.npz").unlink()
    export_npz(
        Dataset(name="small", images=images.images[::-1], labels=images.labels[::-1], source="changed"),
        tmp_path / "small-data.npz",
    )
    with pytest.raises(StoreError, match=r"cannot be gone on with: the images changed"):
        resume_campaign(tmp_path / "r")


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"network_digest": "x"}, "the compiled network"),
        ({"golden_digest": "x"}, "the golden run"),
        ({"fault_list_digest": "x"}, "the fault list"),
        ({"score": "raw"}, "the score"),
    ],
)
def test_store_of_another_campaign_is_refused(tmp_path: Path, changed: dict[str, object], what: str) -> None:
    """With what differs."""
    result = interrupted(tmp_path)
    change_meta(result.store, **changed)
    with pytest.raises(StoreError, match=rf"cannot be gone on with: {what} changed .*bring back what it was made from"):
        resume_campaign(tmp_path / "r")


def test_network_that_has_gone_is_named(tmp_path: Path) -> None:
    """With its path."""
    interrupted(tmp_path)
    load_network_file(tmp_path / "small.npz", small_plan(tmp_path).prepared.workload.config)
    (tmp_path / "small.npz").unlink()
    with pytest.raises(Exception, match=r"small\.npz does not exist"):
        resume_campaign(tmp_path / "r")


def test_fault_list_that_was_changed_is_refused(tmp_path: Path) -> None:
    """It is no draw any more."""
    interrupted(tmp_path)
    path = tmp_path / "r" / FAULT_LIST_NAME
    header, first, *rest = path.read_text().splitlines(keepends=True)
    path.write_text("".join([header, rest[0], first, *rest[1:]]))
    with pytest.raises(Exception, match=r"fault list .* line \d+: the draw that the header names"):
        resume_campaign(tmp_path / "r")


def test_row_that_was_changed_is_not_gone_on_with(tmp_path: Path) -> None:
    """Nothing is added to a damaged store."""
    result = interrupted(tmp_path)
    connection = sqlite3.connect(result.store)
    connection.execute("UPDATE faults SET activated = activated + 1 WHERE idx = 3")
    connection.commit()
    connection.close()
    with pytest.raises(StoreError, match="was changed after it was written, or is damaged: row idx 3"):
        resume_campaign(tmp_path / "r")
    with ResultStore.open(tmp_path / "r") as store:
        assert len(store) == result.faults_done


def test_directory_without_a_store_is_refused(tmp_path: Path) -> None:
    """With what to give."""
    with pytest.raises(StoreError, match="no result store at"):
        resume_campaign(tmp_path)


def test_looking_for_a_lock_keeps_nobody_from_looking(tmp_path: Path) -> None:
    """Nor from running: a lock that somebody is only looking for is tried again."""
    descriptor = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    assert not is_locked(tmp_path)
    timer = threading.Timer(0.04, os.close, [descriptor])
    timer.start()
    with locked(tmp_path):
        assert is_locked(tmp_path)
    timer.join()


def test_lock_is_of_one_holder_at_a_time(tmp_path: Path) -> None:
    """And free again when that one leaves."""
    assert not is_locked(tmp_path)
    with locked(tmp_path):
        assert is_locked(tmp_path)
        with pytest.raises(StoreError, match="another process is running the campaign in"), locked(tmp_path):
            pass
    assert not is_locked(tmp_path)
    assert list(tmp_path.iterdir()) == []


# --- when there is no room ----------------------------------------------------------------------------------


def test_campaign_without_room_keeps_what_was_committed_and_goes_on_later(tmp_path: Path) -> None:
    """The system refuses to let files grow, as it does on a full disk: an error, exit code 1, then all faults."""
    small_plan(tmp_path)
    line = (
        "inject --config 8P --array 4x3 --model small.npz --data small-data.npz --site psum --kind flip --transient "
        "--faults 2500 --workers 1 --out r"
    )
    command = [sys.executable, "-m", "axft_host.cli", *line.split()]
    limits = (450_000, 450_000)
    ran = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limits),
    )  # fmt: skip
    last = ran.stderr.splitlines()[-1]
    assert ran.returncode == 1, ran.stderr
    assert "Error: result store r/campaign.sqlite: " in last
    assert "the faults that were committed are kept" in last
    assert "`axft-hw campaign resume r` goes on" in last
    with ResultStore.open(tmp_path / "r") as store:
        assert 0 < len(store) < 2500
    assert resume_campaign(tmp_path / "r", workers=1).faults_done == 2500


@pytest.mark.parametrize("limit", [4_000, 30_000])
def test_campaign_without_room_for_its_list_or_its_store_leaves_nothing(tmp_path: Path, limit: int) -> None:
    """Of its run; and says that it can begin again."""
    small_plan(tmp_path)
    line = "inject --config 8P --array 4x3 --model small.npz --data small-data.npz --faults 120 --workers 1 --out r"
    ran = subprocess.run(
        [sys.executable, "-m", "axft_host.cli", *line.split()], cwd=tmp_path, capture_output=True, text=True,
        check=False, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )  # fmt: skip
    assert ran.returncode == 1, ran.stderr
    assert ran.stderr.splitlines()[-1].endswith("no fault has run yet: when the cause is gone, begin again")
    assert not (tmp_path / "r").exists()


# --- stopping rules -----------------------------------------------------------------------------------------


class EnoughCritical:
    """Wants so many faults with a critical image."""

    def __init__(self, wanted: int) -> None:
        self._left = wanted
        self.fed: list[int] = []

    @property
    def should_stop(self) -> bool:
        """Whether they are there."""
        return self._left <= 0

    def feed(self, index: int, fractions: Mapping[str, float], *, certain: bool) -> None:
        """Count."""
        self.fed.append(index)
        assert sum(fractions.values()) == pytest.approx(1)
        assert not certain or fractions["masked"] == 1
        self._left -= fractions["critical"] > 0

    def intervals(self) -> dict[str, Interval]:
        """Have none."""
        return {}


def test_rule_stops_after_the_same_fault_whatever_the_workers_and_interruptions(tmp_path: Path) -> None:
    """It is told of every fault in the order of the list; what comes after its last one is not kept."""
    one = run_campaign(small_plan(tmp_path, **FAULTS), tmp_path / "one", rule=(rule := EnoughCritical(30)))
    assert one.complete
    assert 64 < one.faults_done < 192
    assert rule.fed == list(range(one.faults_done))
    plan = small_plan(tmp_path, **FAULTS, workers=3)
    three = run_campaign(plan, tmp_path / "three", rule=EnoughCritical(30))
    first = run_campaign(small_plan(tmp_path, **FAULTS), tmp_path / "r", Stopping(1), rule=EnoughCritical(30))
    assert not first.complete
    resumed = resume_campaign(tmp_path / "r", rule=(rule := EnoughCritical(30)), workers=1)
    assert rule.fed == list(range(one.faults_done))
    for other in (three, resumed):
        assert (other.complete, other.faults_done) == (True, one.faults_done)
        assert compare(one.store, other.store).equal
        with ResultStore.open(other.store) as store:
            assert (store.meta()["state"], store.meta()["stopped_at"]) == ("complete", one.faults_done)
