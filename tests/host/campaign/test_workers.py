"""Worker processes: how they start, stop, and fail."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from axft_host.backends.emulator import Emulator
from axft_host.campaign.batch import Job, make_batches
from axft_host.campaign.blas import one_blas_thread, use_one_blas_thread
from axft_host.campaign.workers import ATTEMPTS, Interruption, WorkerPool, default_workers, run_batches_here
from axft_spec.errors import BackendError, FaultError
from axft_spec.faults import parse_fault
from support.breaking_batch import BreakingBatch
from support.processes import exists
from support.small_campaign import small_plan


def small_job(directory: Path) -> tuple[Job, list[object]]:
    """Return a job and its batches."""
    plan = small_plan(directory, faults={"faults": 192})
    workload, labels = plan.prepared.workload, plan.prepared.dataset.labels
    golden = Emulator().evaluate(workload, [None])[0].accumulators
    job = Job(board="emu", workload=workload, labels=labels, golden=golden, score="softmax")
    return job, make_batches(list(enumerate(plan.faults.faults)), len(labels))


def interrupt() -> None:
    """Send this process what Ctrl-C sends."""
    os.kill(os.getpid(), signal.SIGINT)


def test_first_interrupt_is_a_request_and_the_second_one_is_not() -> None:
    """The handler of before comes back."""
    before = signal.getsignal(signal.SIGINT)
    notices: list[bool] = []
    with Interruption(lambda: notices.append(True)) as stop:
        assert not stop.requested
        interrupt()
        assert stop.requested
        with pytest.raises(KeyboardInterrupt):
            interrupt()
    assert notices == [True]
    assert signal.getsignal(signal.SIGINT) is before


def test_batches_in_this_process_stop_after_the_one_in_hand(tmp_path: Path) -> None:
    """No further one begins."""
    job, batches = small_job(tmp_path)
    done = []
    with Interruption(lambda: None) as stop:
        for rows in run_batches_here(job, batches, stop, lambda pairs: None):
            done.append(rows)
            interrupt()
    assert len(done) == 1 < len(batches)


def test_pool_stops_after_the_batches_in_hand(tmp_path: Path) -> None:
    """Their rows still come, in order and without a gap."""
    job, batches = small_job(tmp_path)
    singles = [[entry] for batch in batches for entry in batch]
    pool = WorkerPool(job, 2)
    indices = []
    try:
        with Interruption(lambda: None) as stop:
            for rows in pool.run(singles, stop, lambda pairs: None):
                indices += [row.index for row in rows]
                if len(indices) == 5:
                    interrupt()
    finally:
        pool.close()
    assert indices == list(range(len(indices)))
    assert 5 <= len(indices) < len(singles)


def test_dead_workers_are_replaced(tmp_path: Path) -> None:
    """All of them, before and during the batches; every row still comes once, in order."""
    job, batches = small_job(tmp_path)
    singles = [[entry] for batch in batches for entry in batch]
    pool, indices = WorkerPool(job, 2), []
    try:
        for process in pool.processes:
            assert process.pid is not None
            os.kill(process.pid, signal.SIGKILL)
        with Interruption(lambda: None) as stop:
            for rows in pool.run(singles, stop, lambda pairs: None):
                indices += [row.index for row in rows]
                if len(indices) == 60:
                    assert pool.processes[0].pid is not None
                    os.kill(pool.processes[0].pid, signal.SIGKILL)
    finally:
        pool.close()
    assert indices == list(range(192))


class Deadly:
    """Kills the process that unpickles it."""

    def __reduce__(self) -> tuple[object, tuple[int]]:
        return os._exit, (9,)


def test_faults_that_kill_every_worker_are_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    """As when one batch needs more memory than there is; those before it are done."""
    job, batches = small_job(tmp_path)
    pool, done = WorkerPool(job, 1), []
    try:
        with (
            pytest.raises(BackendError, match=rf"died, {ATTEMPTS} times in a row \(exit code 9; .*: resume with fewer"),
            Interruption(lambda: None) as stop,
        ):
            for rows in pool.run([batches[0], [Deadly()], *batches[1:]], stop, lambda pairs: None):
                done += [row.index for row in rows]
    finally:
        pool.close(kill=True)
    assert done == [index for index, _ in batches[0]]


def test_error_of_a_worker_comes_with_its_traceback(tmp_path: Path) -> None:
    """That of the process it happened in."""
    job, _ = small_job(tmp_path)
    pool = WorkerPool(job, 2)
    try:
        with pytest.raises(FaultError, match="row must be between") as caught, Interruption(lambda: None) as stop:
            list(pool.run([[(0, parse_fault("weight:r40:c0:b0:sa1"))]], stop, lambda pairs: None))
    finally:
        pool.close(kill=True)
    assert "in rows" in str(caught.value.__cause__)


@pytest.mark.parametrize("workers", [0, 2])
def test_rows_before_an_error_are_not_lost_with_it(tmp_path: Path, workers: int) -> None:
    """Those of the same batch, in this process and in another."""
    job, batches = small_job(tmp_path)
    breaking = [batches[0], BreakingBatch(batches[1])]
    pool = WorkerPool(job, workers) if workers else None
    done: list[int] = []
    try:
        with pytest.raises(FaultError, match="that is enough"), Interruption(lambda: None) as stop:
            run = run_batches_here(job, breaking, stop, print) if pool is None else pool.run(breaking, stop, print)
            for rows in run:
                done += [row.index for row in rows]
    finally:
        if pool is not None:
            pool.close(kill=True)
    whole = [index for index, _ in batches[0]]
    # Another worker may fail before the batch in front of its own is there.
    assert done in ([*whole, len(whole), len(whole) + 1], *([[]] if workers else []))


def test_worker_that_cannot_load_its_job_is_an_error(tmp_path: Path) -> None:
    """At once, and not after a time limit."""
    job, _ = small_job(tmp_path)
    broken = Job(board="no such board", workload=job.workload, labels=job.labels, golden=job.golden, score="softmax")
    with pytest.raises(BackendError, match="2 worker processes could not be started"):
        WorkerPool(broken, 2)


def test_killed_pool_leaves_no_process(tmp_path: Path) -> None:
    """Nobody waits for what they were doing."""
    job, _ = small_job(tmp_path)
    pool = WorkerPool(job, 2)
    pids = [process.pid for process in pool.processes if process.pid is not None]
    assert len(pids) == 2
    pool.close(kill=True)
    deadline = time.monotonic() + 30
    while any(map(exists, pids)):
        assert time.monotonic() < deadline, "the processes are still there"
        time.sleep(0.01)


def test_default_number_of_workers_is_that_of_the_processors() -> None:
    """Those that this process may use."""
    assert 1 <= default_workers() <= (os.cpu_count() or 1)


def test_blas_threads_are_limited_and_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers always have one; this process has what the user says, else one."""
    environ = {"OPENBLAS_NUM_THREADS": "7"}
    monkeypatch.setattr(os, "environ", environ)
    with one_blas_thread():
        assert environ["OPENBLAS_NUM_THREADS"] == environ["OMP_NUM_THREADS"] == "1"
    assert environ == {"OPENBLAS_NUM_THREADS": "7"}
    use_one_blas_thread()
    assert (environ["OPENBLAS_NUM_THREADS"], environ["OMP_NUM_THREADS"]) == ("7", "1")


def test_rows_of_the_pool_are_those_of_this_process(tmp_path: Path) -> None:
    """Bit for bit."""
    job, batches = small_job(tmp_path)
    pool = WorkerPool(job, 2)
    try:
        with Interruption(lambda: None) as stop:
            there = [row for rows in pool.run(batches, stop, lambda pairs: None) for row in rows]
            here = [row for rows in run_batches_here(job, batches, stop, lambda pairs: None) for row in rows]
    finally:
        pool.close()
    assert there == here
    assert len(np.unique([row.packed for row in here])) > 3
