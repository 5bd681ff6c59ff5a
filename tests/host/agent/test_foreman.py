"""What is made of a worker that fails: with a fault in hand, with a question, or with nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from axft_host.agent import foreman as module
from axft_host.agent.foreman import Foreman, ForemanSettings
from axft_host.agent.jobs import Job, Needs
from axft_host.agent.worker import Report, WorkerSettings
from axft_host.backends.registry import Board
from axft_host.link.messages import State
from axft_host.link.payloads import Record, RecordKind, json_from_bytes, json_to_bytes, read_records
from support.fake_worker import FakeWorker


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Foreman]:
    """Return what makes a foreman of workers that are none."""
    monkeypatch.setattr(module, "Worker", FakeWorker)
    monkeypatch.setattr(module, "_PAUSE_S", 0.005)
    monkeypatch.setattr(FakeWorker, "made", [])
    monkeypatch.setattr(FakeWorker, "stillborn", False)

    def of(**settings: object) -> Foreman:
        return Foreman(
            ForemanSettings(**settings), WorkerSettings(board=Board(name="emu")), lambda job: (Path("task"), []),
            lambda data: None,
        )  # fmt: skip

    return of


def job_of(tmp_path: Path, kind: str, name: bytes = b"job-0001") -> Job:
    """Return a job of one part, which may begin."""
    path = tmp_path / "task"
    path.write_bytes(json_to_bytes({"kind": kind, "parts": 1, "blobs": []}))
    job = Job(name=name, task=bytes(32), needs=Needs.of(path))
    job.credit = 1
    return job


def until(foreman: Foreman, what: Callable[[], bool], seconds: float = 5.0) -> None:
    """Work until something is so."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        foreman.work()


def records(job: Job) -> list[Record]:
    """Return the output."""
    return read_records(job.read(0, 1 << 20))[0]


def drive(foreman: Foreman, job: Job, behave: Callable[[FakeWorker, str], None]) -> None:
    """Work until the job is over; its workers do what `behave` says to each word."""
    answered = dict[int, int]()

    def step() -> bool:
        for worker in FakeWorker.made:
            for word, _ in worker.told[answered.get(id(worker), 0) :]:
                behave(worker, word)
            answered[id(worker)] = len(worker.told)
        return job.state is State.OVER

    until(foreman, step)


@pytest.mark.parametrize("kind", ["gemm", "question"])
def test_worker_that_dies_twice_of_what_has_no_outcome_fails_the_job(
    kind: str, make: Callable[..., Foreman], tmp_path: Path
) -> None:
    """In words that say so: a result would be none that its client knows, and no golden run was clean."""
    foreman, job = make(), job_of(tmp_path, kind)

    def die(worker: FakeWorker, word: str) -> None:
        if word == "load":
            worker.says.append(Report("done", {}))
        else:
            worker.gone = True

    foreman.take(job)
    drive(foreman, job, die)
    (record,) = records(job)
    assert record.kind is RecordKind.ERROR
    assert json_from_bytes(record.body) == {
        "type": "BackendError",
        "message": "the worker process died twice: the worker process has ended (signal 7)",
    }
    assert len([worker for worker in FakeWorker.made if worker.told]) == 2
    assert foreman._trouble is not None

    def well(worker: FakeWorker, word: str) -> None:
        worker.says.append(Report("done", {}))

    second = job_of(tmp_path, "question", b"job-0002")
    foreman.take(second)
    drive(foreman, second, well)
    assert [each.kind for each in records(second)] == [RecordKind.END]
    assert foreman._trouble is not None
    third = job_of(tmp_path, "evaluate", b"job-0003")
    foreman.take(third)
    drive(foreman, third, well)
    assert foreman._trouble is None
    assert FakeWorker.made[-1].told[-2][1]["check"] is True


def test_worker_that_dies_twice_of_a_fault_is_its_outcome(make: Callable[..., Foreman], tmp_path: Path) -> None:
    """Behind a golden run."""
    foreman, job = make(), job_of(tmp_path, "evaluate")

    def die(worker: FakeWorker, word: str) -> None:
        if word == "load":
            worker.says.append(Report("done", {}))
        else:
            worker.gone = True

    foreman.take(job)
    drive(foreman, job, die)
    assert [each.kind for each in records(job)] == [
        RecordKind.RECOVERY, RecordKind.RECOVERY, RecordKind.RESULT, RecordKind.END,
    ]  # fmt: skip


def test_agent_without_a_job_reboots_nothing(
    make: Callable[..., Foreman], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers that do not come up are tried less and less often, until somebody wants one."""
    rebooted = tmp_path / "rebooted"
    monkeypatch.setattr(module, "_IDLE_PAUSE_S", 0.3)
    FakeWorker.stillborn = True
    foreman = make(reboot_command=("touch", str(rebooted)))
    over = job_of(tmp_path, "question")
    over.state = State.OVER
    foreman.take(over)
    end = time.monotonic() + 1.5
    while time.monotonic() < end:
        foreman.work()
    assert 5 < len(FakeWorker.made) < 15
    assert (foreman._reboot_at, foreman._rebooted_at, over.state) == (None, None, State.OVER)
    job = job_of(tmp_path, "evaluate", b"job-0002")
    assert foreman._pause_s == 0.3
    foreman.take(job)
    assert foreman._pause_s == 0.005
    until(foreman, lambda: job.state is State.REBOOTING)
    until(foreman, rebooted.exists)


def test_hang_by_patience_names_the_option(make: Callable[..., Foreman], tmp_path: Path) -> None:
    """A run may just be slow."""
    foreman, job = make(patience_s=0.05), job_of(tmp_path, "question")

    def stand_still(worker: FakeWorker, word: str) -> None:
        if word == "load":
            worker.says.append(Report("done", {}))

    foreman.take(job)
    drive(foreman, job, stand_still)
    (record,) = records(job)
    assert "died twice: no progress of the worker for 0 s (--patience)" in json_from_bytes(record.body)["message"]
