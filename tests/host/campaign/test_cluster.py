"""Campaigns on a Dask cluster: the same results, whoever dies."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from axft_host.backends.registry import Board
from axft_host.campaign import cluster
from axft_host.campaign.batch import Job
from axft_host.campaign.cluster import DaskPool, resources_of
from axft_host.campaign.compare import compare
from axft_host.campaign.records import FaultRow
from axft_host.campaign.runner import resume_campaign, run_campaign
from axft_host.campaign.store import ResultStore
from axft_host.campaign.workers import Interruption
from axft_spec.errors import BackendError
from support.small_campaign import small_plan

distributed = pytest.importorskip("distributed", reason="distributed is of the extra `cluster`")

FAULTS = {"site": "psum", "kind": "flip", "transient": True, "faults": 1200}


@contextmanager
def two_workers() -> Iterator[Any]:
    """Make a cluster of two worker processes on this machine, the first one with a board."""
    spec = {
        name: {"cls": distributed.Nanny, "options": {"nthreads": 1, "resources": {"board": 1} if name == 0 else {}}}
        for name in (0, 1)
    }
    scheduler = {"cls": distributed.Scheduler, "options": {"dashboard_address": ":0", "dashboard": False}}
    with distributed.SpecCluster(workers=spec, scheduler=scheduler, silence_logs=50) as made:
        with distributed.Client(made, set_as_default=False) as client:
            client.wait_for_workers(2, timeout=60)
        yield made


@pytest.fixture(scope="module")
def local() -> Iterator[Any]:
    """Return a cluster that all tests may use; a worker that dies there is replaced by its nanny."""
    with two_workers() as made:
        yield made


def worker_pids(local: Any) -> list[int]:
    """Return the processes that run tasks."""
    with distributed.Client(local, set_as_default=False) as client:
        return list(client.run(os.getpid).values())


def test_results_are_those_of_this_machine_though_a_worker_is_killed(tmp_path: Path, local: Any) -> None:
    """Without an accident, and with one of two workers dead in the middle of the campaign."""
    plan = small_plan(tmp_path, faults=FAULTS)
    here = run_campaign(plan, tmp_path / "here")
    pids = worker_pids(local)

    class Killing(DaskPool):
        """Kills a worker when the second batch is there."""

        def run(self, *args: Any) -> Iterator[list[FaultRow]]:
            for number, rows in enumerate(super().run(*args)):
                if number == 1:
                    os.kill(pids[0], signal.SIGKILL)
                yield rows

    for name, pool in (("whole", DaskPool), ("killed", Killing)):
        result = run_campaign(plan, tmp_path / name, cluster=lambda job, pool=pool: pool(job, local.scheduler_address))
        assert result.complete
        assert compare(here.store, result.store).equal
        with ResultStore.open(result.store) as store, ResultStore.open(here.store) as first:
            assert list(store.rows()) == list(first.rows())
            assert store.sessions()[0].workers.startswith(f"Dask at {local.scheduler_address}")


def test_scheduler_that_is_gone_is_an_error_and_the_campaign_goes_on_elsewhere(tmp_path: Path) -> None:
    """What was done is kept."""
    plan = small_plan(tmp_path, faults=FAULTS)

    class Losing(DaskPool):
        """Loses its scheduler after the second batch."""

        def run(self, *args: Any) -> Iterator[list[FaultRow]]:
            for number, rows in enumerate(super().run(*args)):
                yield rows
                if number == 1:
                    doomed.close()

    with (
        two_workers() as doomed,
        pytest.raises(
            BackendError, match=r"the Dask scheduler at .* is gone; .*`axft-hw campaign resume \S+/lost` goes on"
        ),
    ):
        run_campaign(plan, tmp_path / "lost", cluster=lambda job: Losing(job, doomed.scheduler_address))
    with ResultStore.open(tmp_path / "lost") as store:
        assert 0 < len(store) < 1200
        assert store.meta()["state"] == "interrupted"
    assert resume_campaign(tmp_path / "lost", workers=1).complete
    assert compare(run_campaign(plan, tmp_path / "here").store, tmp_path / "lost").equal


def test_scheduler_that_does_not_answer_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That says how to start one."""
    monkeypatch.setattr(cluster, "_ANSWER_S", 0.5)
    with pytest.raises(BackendError, match=r"no Dask scheduler answers at tcp://127.0.0.1:1 .*`dask scheduler`"):
        run_campaign(small_plan(tmp_path), tmp_path / "r", cluster=lambda job: DaskPool(job, "tcp://127.0.0.1:1"))


def test_missing_package_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That says what to install."""

    def missing(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr("importlib.import_module", missing)
    with pytest.raises(BackendError, match=r"needs the package distributed.*'.\[cluster\]'"):
        run_campaign(small_plan(tmp_path), tmp_path / "r", cluster=lambda job: DaskPool(job, "tcp://127.0.0.1:1"))


def small_job(directory: Path) -> Job:
    """Return the job of a small campaign, with a board that only some workers have."""
    plan = small_plan(directory)
    workload, labels = plan.prepared.workload, plan.prepared.dataset.labels
    golden = Board(name="board:7")
    return Job(board=golden, workload=workload, labels=labels, golden=labels[:, None], score="softmax")


def test_board_is_a_worker_with_its_resource(tmp_path: Path, local: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Named before the colon; programs need none. A board that no worker has is an error that says how to have one."""
    job = small_job(tmp_path)
    assert resources_of(job) == {"board": 1}
    assert resources_of(replace(job, board=Board(name="emu"))) == {}
    pool = DaskPool(job, local.scheduler_address)
    assert pool.where.endswith("1 workers")
    pool.close()
    monkeypatch.setattr(cluster, "_ANSWER_S", 1.0)
    with pytest.raises(BackendError, match=r"has no worker with --resources 'pynq=1'; start one"):
        DaskPool(replace(job, board=Board(name="pynq")), local.scheduler_address)


def test_board_has_one_runner_and_one_batch_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever thread of the worker comes; the emulator has one runner per thread."""
    busy, made = threading.Semaphore(1), []

    class Runner:
        """Fails if it is used twice at a time."""

        def __init__(self, job: Job) -> None:
            made.append(job)

        def run(self, batch: object) -> list[FaultRow]:
            assert busy.acquire(blocking=False)
            threading.Event().wait(0.02)
            busy.release()
            return []

    monkeypatch.setattr(cluster, "BatchRunner", Runner)
    monkeypatch.setattr(cluster, "_shared", {})
    job, errors = small_job(tmp_path), []

    def work() -> None:
        try:
            cluster._run_batch(job, [], "token", cluster.own_version())
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (errors, len(made)) == ([], 1)
    with pytest.raises(BackendError, match=r"a Dask worker has axft-hw .* where the campaign was started with 0"):
        cluster._run_batch(job, [], "token", "0")


def test_interruption_finishes_the_batches_in_hand(tmp_path: Path, local: Any) -> None:
    """And leaves a store that can be gone on with."""
    plan = small_plan(tmp_path, faults=FAULTS)

    class Stopping(DaskPool):
        """Is asked to stop after the first batch."""

        def run(self, batches: Any, stop: Interruption, progress: Any) -> Iterator[list[FaultRow]]:
            for rows in super().run(batches, stop, progress):
                stop.requested = True
                yield rows

    result = run_campaign(plan, tmp_path / "r", cluster=lambda job: Stopping(job, local.scheduler_address))
    assert not result.complete
    assert 0 < result.faults_done < 1200


def test_batches_do_not_run_far_ahead_of_the_slowest(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is ahead of it is in no store, and lost with this process."""
    submitted: list[int] = []
    slow = threading.Event()

    class Done:
        """A task that has ended."""

        status = "finished"

        def __init__(self, number: int) -> None:
            self.number = number

        def add_done_callback(self, call: Any) -> None:
            """Tell at once, or after a while if it is the first."""
            if self.number:
                call(self)
            else:
                threading.Thread(target=lambda: (slow.wait(), call(self))).start()

        def result(self, timeout: float) -> list[FaultRow]:
            """Have no rows."""
            return []

    def submit(batch: Any) -> Done:
        submitted.append(batch[0])
        return Done(batch[0])

    pool = object.__new__(DaskPool)
    pool._distributed, pool._images = distributed, 1
    monkeypatch.setattr(DaskPool, "_room", lambda self: 3)
    monkeypatch.setattr(DaskPool, "_check_scheduler", lambda self: None)
    monkeypatch.setattr(pool, "_submit", submit)
    ahead: list[int] = []
    timer = threading.Timer(0.5, lambda: (ahead.append(len(submitted)), slow.set()))
    timer.start()
    done = list(pool.run([[number] for number in range(40)], Interruption(lambda: None), lambda pairs: None))
    timer.join()
    assert (len(done), submitted) == (40, list(range(40)))
    assert ahead == [6]
