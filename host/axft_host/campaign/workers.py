"""Batches of faults on several processes, in order, until done or interrupted. A process that dies is replaced."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import traceback
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import connection, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from types import FrameType, TracebackType
from typing import Any, Protocol

from axft_host.backends.base import Backend
from axft_host.campaign.batch import BatchRunner, Job
from axft_host.campaign.blas import one_blas_thread
from axft_host.campaign.records import FaultRow
from axft_spec.errors import AxftError, BackendError
from axft_spec.flipflops import AnyFault

__all__ = ["ATTEMPTS", "Batch", "Interruption", "Pool", "WorkerPool", "default_workers", "run_batches_here"]

#: Faults of a batch, each with its place in the list.
Batch = Sequence[tuple[int, AnyFault]]

#: How often a batch is begun before the campaign gives up: processes die for reasons of their own, too.
ATTEMPTS = 4

#: Seconds between looks at whether to stop.
_POLL_S = 0.2
#: Seconds that processes get to end by themselves.
_END_S = 5.0


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


class Pool(Protocol):
    """Where batches run: processes of this machine, or a cluster."""

    @property
    def where(self) -> str:
        """What a store says of it, such as ``2 processes``."""

    def run(
        self, batches: Sequence[Batch], stop: Interruption, progress: Callable[[int], None]
    ) -> Iterator[list[FaultRow]]:
        """Yield the rows of each batch, in order, until done or asked to stop; then those of batches in hand."""

    def close(self, *, kill: bool = False) -> None:
        """Let go of what runs the batches; `kill` does not wait for what it is doing."""


def run_batches_here(
    job: Job,
    batches: Sequence[Batch],
    stop: Interruption,
    progress: Callable[[int], None],
    backend: Backend | None = None,
) -> Iterator[list[FaultRow]]:
    """Yield the rows of each batch, run in this process, until done or asked to stop.

    If the backend fails, first those of the faults before.
    """
    runner = BatchRunner(job, backend)
    for batch in batches:
        if stop.requested:
            return
        rows: list[FaultRow] = []
        try:
            rows.extend(runner.rows(batch, progress))
        except AxftError:
            if rows:
                yield rows
            raise
        yield rows


class _RemoteError(Exception):
    """The traceback of an error in another process, as text."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


def _work(job: Job, link: Connection) -> None:
    """Be a worker: answer None when ready, then every batch with its rows, until there is no more.

    After an error: the rows before it, the error and its traceback.
    """
    # Ctrl-C goes to the whole process group; the workers finish what they have, their parent decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # A parent that was killed closes its end, and there is nobody to tell then.
    with suppress(EOFError, OSError):
        rows: list[FaultRow] = []
        try:
            runner = BatchRunner(job)
            runner.prepare()
            link.send(None)
            while (batch := link.recv()) is not None:
                rows = []
                rows.extend(runner.rows(batch))
                link.send(rows)
        except (EOFError, OSError):
            raise
        except Exception as error:
            link.send((rows, error, traceback.format_exc()))


class _Worker:
    """One process, and the batch that it has in hand."""

    def __init__(self, context: Any, job: Job) -> None:
        self.link, theirs = context.Pipe()
        self.process: BaseProcess = context.Process(target=_work, args=(job, theirs), daemon=True)
        self.ready = False
        self.batch: tuple[int, Batch] | None = None
        # Rows of that batch which were done before an error.
        self.rescued: list[FaultRow] = []
        try:
            with one_blas_thread(), _interrupts_later():
                self.process.start()
        finally:
            # Only the process holds its end now: when it dies, this end says so.
            theirs.close()

    def receive(self) -> Any:
        """Return what the process sends; EOFError or OSError mean that it has died."""
        answer = self.link.recv()
        if isinstance(answer, tuple):
            self.rescued, error, trace = answer
            raise error from _RemoteError(trace)
        self.ready = True
        return answer

    def reap(self) -> int | None:
        """Take leave of a process that has died; return its exit code."""
        self.link.close()
        self.process.join(_END_S)
        return self.process.exitcode


class WorkerPool:
    """Worker processes that have loaded a job and wait for batches. One that dies is replaced, its batch run again.

    Parameters
    ----------
    job : Job
    workers : int
        At least 1.

    Raises
    ------
    BackendError
        If the processes cannot be started.
    """

    def __init__(self, job: Job, workers: int) -> None:
        # spawn: a fresh interpreter whose BLAS reads the environment anew, and the same on every system.
        self._context = multiprocessing.get_context("spawn")
        # A helper of multiprocessing's that lets Ctrl-C through again when it starts: so it starts first.
        if os.name == "posix":
            resource_tracker.ensure_running()
        self._job = job
        self._images = len(job.labels)
        self._workers: list[_Worker] = []
        try:
            for _ in range(workers):
                self._workers.append(_Worker(self._context, job))
            for worker in self._workers:
                worker.receive()
        except (EOFError, OSError, BackendError) as error:
            self.close(kill=True)
            reason = str(error) or "one died"
            raise BackendError(f"{workers} worker processes could not be started ({reason}); try --workers 1") from None
        except BaseException:
            self.close(kill=True)
            raise

    @property
    def where(self) -> str:
        """See `Pool`."""
        return f"{len(self._workers)} processes"

    @property
    def processes(self) -> list[BaseProcess]:
        """The workers."""
        return [worker.process for worker in self._workers]

    def run(
        self, batches: Sequence[Batch], stop: Interruption, progress: Callable[[int], None]
    ) -> Iterator[list[FaultRow]]:
        """Yield the rows of each batch, in order, until done or asked to stop; then those of batches in hand.

        Raises
        ------
        BackendError
            If workers die again and again.
        """
        waiting, done = deque(enumerate(batches)), dict[int, list[FaultRow]]()
        attempts: Counter[int] = Counter()
        following = 0
        while True:
            for worker in self._workers:
                # Not too far ahead of the slowest: what is ahead of it is lost with this process.
                near = waiting and waiting[0][0] < following + 4 * len(self._workers)
                if worker.ready and worker.batch is None and near and not stop.requested:
                    worker.batch = waiting.popleft()
                    with suppress(OSError):  # it has died, which shows below
                        worker.link.send(worker.batch[1])
            in_hand = [worker for worker in self._workers if worker.batch is not None]
            if not in_hand and (stop.requested or not waiting):
                return
            links = {worker.link: worker for worker in self._workers}
            for link in connection.wait(list(links), timeout=_POLL_S):
                worker = links[link]
                try:
                    rows = worker.receive()
                except (EOFError, OSError):
                    self._replace(worker, waiting, attempts)
                    continue
                except AxftError:
                    # What comes behind faults that are not done cannot be kept.
                    if worker.rescued and worker.batch is not None and worker.batch[0] == following:
                        yield worker.rescued
                    raise
                if worker.batch is not None and rows is not None:
                    done[worker.batch[0]] = rows
                    worker.batch = None
                    attempts[-1] = 0
                    progress(len(rows) * self._images)
            while following in done:
                yield done.pop(following)
                following += 1

    def _replace(self, worker: _Worker, waiting: deque[tuple[int, Batch]], attempts: Counter[int]) -> None:
        """Start another process in place of one that has died, and have what it had in hand run again."""
        code = worker.reap()
        number = -1  # of those that die with nothing in hand
        if worker.batch is not None:
            number = worker.batch[0]
            waiting.appendleft(worker.batch)
        attempts[number] += 1
        if attempts[number] >= ATTEMPTS:
            raise BackendError(
                f"one of {len(self._workers)} worker processes died, {ATTEMPTS} times in a row (exit code {code}; out "
                f"of memory?); the faults that are done are kept: resume with fewer --workers"
            )
        self._workers[self._workers.index(worker)] = _Worker(self._context, self._job)

    def close(self, *, kill: bool = False) -> None:
        """Let the processes go; `kill` does not wait for what they are doing."""
        for worker in self._workers:
            if kill:
                worker.process.terminate()
            else:
                with suppress(OSError):
                    worker.link.send(None)
        for worker in self._workers:
            worker.link.close()
            worker.process.join(_END_S)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join(_END_S)


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
