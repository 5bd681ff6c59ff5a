"""Batches of faults on several processes, in order, until done or interrupted."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

from axft_host.campaign.batch import BatchRunner, Job
from axft_host.campaign.blas import one_blas_thread
from axft_host.campaign.records import FaultRow
from axft_spec.errors import BackendError
from axft_spec.faults import Fault

__all__ = ["Batch", "Interruption", "WorkerPool", "default_workers", "run_batches_here"]

#: Faults of a batch, each with its place in the list.
Batch = Sequence[tuple[int, Fault]]

#: Seconds between looks at whether to stop.
_POLL_S = 0.2
#: Seconds that the workers may take to start.
_START_S = 120.0


def default_workers() -> int:
    """Return the number of processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Interruption:
    """Turns the first Ctrl-C into a request to stop; a second one stops at once, as usual.

    Parameters
    ----------
    notice : callable
        Called once, when the request comes.
    """

    def __init__(self, notice: Callable[[], None]) -> None:
        self._notice = notice
        self._before: Any = None
        self.requested = False

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        self._notice()


def run_batches_here(
    job: Job, batches: Sequence[Batch], stop: Interruption, progress: Callable[[int], None]
) -> Iterator[list[FaultRow]]:
    """Yield the rows of each batch, run in this process, until done or asked to stop."""
    runner = BatchRunner(job)
    for batch in batches:
        if stop.requested:
            return
        yield runner.run(batch, progress)


# The runner of a worker process: made once by `_start_worker`, used by every `_run_batch` there.
_runner: list[BatchRunner] = []


def _start_worker(job: Job, ready: Any) -> None:
    # Ctrl-C goes to the whole process group; the workers finish what they have, their parent decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _runner.append(BatchRunner(job))
    # The executor starts a process only when no other is idle: until all are there, none is.
    ready.wait(_START_S)


def _nothing() -> None:
    """Be the task for which the executor starts a worker."""


def _run_batch(batch: Batch) -> list[FaultRow]:
    return _runner[0].run(batch)


class WorkerPool:
    """Worker processes that have loaded a job and wait for batches.

    Parameters
    ----------
    job : Job
    workers : int
        At least 1.

    Attributes
    ----------
    processes : set of multiprocessing.Process
        The workers.

    Raises
    ------
    BackendError
        If the processes cannot be started.
    """

    def __init__(self, job: Job, workers: int) -> None:
        # spawn: a fresh interpreter whose BLAS reads the environment anew, and the same on every system.
        context = multiprocessing.get_context("spawn")
        # Made first: it starts a helper of multiprocessing's that would let Ctrl-C through again.
        ready = context.Barrier(workers)
        others = set(multiprocessing.active_children())
        self._workers = workers
        self._images = len(job.labels)
        self._executor = ProcessPoolExecutor(
            workers, mp_context=context, initializer=_start_worker, initargs=(job, ready)
        )
        try:
            try:
                with one_blas_thread(), _interrupts_later():
                    started = [self._executor.submit(_nothing) for _ in range(workers)]
            finally:
                self.processes = set(multiprocessing.active_children()) - others
            for future in started:
                future.result()
        except (BrokenProcessPool, OSError) as error:
            self.close(kill=True)
            raise BackendError(f"{workers} worker processes could not be started ({error}); try --workers 1") from None
        except BaseException:
            self.close(kill=True)
            raise

    def run(
        self, batches: Sequence[Batch], stop: Interruption, progress: Callable[[int], None]
    ) -> Iterator[list[FaultRow]]:
        """Yield the rows of each batch, in order, until done or asked to stop; then those of batches in hand.

        Raises
        ------
        BackendError
            If a worker process died.
        """
        waiting, running = deque(batches), deque[Future[list[FaultRow]]]()
        unfinished: set[Future[list[FaultRow]]] = set()
        try:
            while waiting or running:
                # One batch more than workers, so that none waits for this process.
                while waiting and not stop.requested and len(unfinished) <= self._workers:
                    running.append(self._executor.submit(_run_batch, waiting.popleft()))
                    unfinished.add(running[-1])
                if not running:
                    return
                done, unfinished = wait(unfinished, timeout=_POLL_S, return_when=FIRST_COMPLETED)
                for future in done:
                    progress(len(future.result()) * self._images)
                while running and running[0].done():
                    yield running.popleft().result()
        except BrokenProcessPool:
            raise BackendError(
                f"one of {self._workers} worker processes died (out of memory?); try fewer --workers"
            ) from None

    def close(self, *, kill: bool = False) -> None:
        """Let the processes go; `kill` does not wait for what they are doing."""
        if kill:
            for process in self.processes:
                process.terminate()
        self._executor.shutdown(wait=not kill, cancel_futures=True)


@contextmanager
def _interrupts_later() -> Iterator[None]:
    """Hold Ctrl-C back for this process, and for good from those that it starts inside.

    A process that starts would otherwise die of a Ctrl-C before it can say that it ignores it.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
