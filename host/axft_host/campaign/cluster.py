"""Batches of faults on a Dask cluster: the same tasks as on this machine, and so the same results.

A worker that dies has its tasks run by others. A board is a worker that was started with a resource of the board's name
(``dask worker ADDRESS --resources "pynq=1"``), which one task at a time holds.
"""

from __future__ import annotations

import importlib
import logging
import queue
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from axft_host.campaign.batch import BatchRunner, Job
from axft_host.campaign.records import FaultRow
from axft_host.campaign.versions import own_version
from axft_host.campaign.workers import ATTEMPTS, Batch, Interruption, Pool
from axft_spec.errors import AxftError, BackendError, ConfigError, check_int, how_to_install

__all__ = ["DaskPool", "cluster_of", "quiet_dask", "resources_of"]

#: Seconds that a scheduler gets to answer, and to have a worker.
_ANSWER_S = 10.0
#: Seconds between looks at whether to stop, and at how many workers there are.
_POLL_S, _COUNT_S = 0.2, 2.0


def cluster_of(address: str | None, workers: int | None) -> Callable[[Job], Pool] | None:
    """Return what makes the pool of a run.

    Parameters
    ----------
    address : str or None
        Of a Dask scheduler; None for processes of this machine.
    workers : int or None
        How many of these.

    Returns
    -------
    callable or None
        None for processes of this machine, which the plan makes.

    Raises
    ------
    ConfigError
        If there are no such workers, or both are given.
    """
    if workers is not None:
        check_int("workers", workers, 1)
    if address is None:
        return None
    if workers is not None:
        raise ConfigError(f"--dask has the workers of its scheduler; allowed: without --workers {workers}")

    def connect(job: Job) -> Pool:
        quiet_dask()
        return DaskPool(job, address)

    return connect


def quiet_dask() -> None:
    """Keep Dask's own log, with its tracebacks, from stderr: what matters of it is an error of ours."""
    with suppress(ImportError):
        # It sets the levels of its loggers when it is imported.
        importlib.import_module("distributed")
    for name in ["distributed", *logging.root.manager.loggerDict]:
        if name.partition(".")[0] in ("distributed", "tornado", "asyncio"):
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)


def resources_of(job: Job) -> dict[str, float]:
    """Return what a worker must have, and a task holds: a board by its name; nothing where there are only programs."""
    return {job.board.name.partition(":")[0]: 1} if job.board.single else {}


def _check_answers(distributed: Any, address: str) -> None:
    """Wait until something answers at an address. A client that never had a scheduler complains when it is let go.

    Raises
    ------
    OSError, ValueError
        If nothing does, or it is no address.
    """
    if "://" in address and address.partition("://")[0] not in ("tcp", "tls", "ws", "wss"):
        return
    host, port = distributed.comm.get_address_host_port(address, strict=True)
    deadline = time.monotonic() + _ANSWER_S
    while True:
        try:
            with socket.create_connection((host, port), timeout=_ANSWER_S):
                return
        except OSError:
            if time.monotonic() > deadline:
                raise
        time.sleep(_POLL_S)


class DaskPool:
    """The workers of a Dask scheduler.

    Parameters
    ----------
    job : Job
        Is sent once to every worker.
    address : str
        Of the scheduler, such as ``tcp://host:8786``.

    Raises
    ------
    BackendError
        If `distributed` is not installed, no scheduler answers, or it has no worker for the job.
    """

    def __init__(self, job: Job, address: str) -> None:
        try:
            distributed: Any = importlib.import_module("distributed")
        except ImportError:
            raise BackendError(
                f"--dask needs the package distributed, which is not installed; {how_to_install('cluster')}"
            ) from None
        self._distributed = distributed
        self._address = address
        self._job = job
        self._images = len(job.labels)
        self._resources = resources_of(job)
        self._token = f"{time.time_ns():x}-{id(job):x}"
        self._counted = 0.0
        self._slots = 1
        try:
            _check_answers(distributed, address)
            self._client = distributed.Client(address, timeout=_ANSWER_S, set_as_default=False, name="axft-hw")
        except (OSError, TimeoutError, ValueError) as error:
            raise BackendError(
                f"no Dask scheduler answers at {address} ({error or 'time is up'}); start one with `dask scheduler`, "
                f"and workers with `dask worker ADDRESS`"
            ) from None
        try:
            self._wait_for_workers()
            self._send()
        except BaseException:
            self.close(kill=True)
            raise

    def _wait_for_workers(self) -> None:
        deadline = time.monotonic() + _ANSWER_S
        while not self._fit():
            if time.monotonic() > deadline:
                wanted = ", ".join(f"{name}={count:g}" for name, count in self._resources.items())
                needed = f" with --resources {wanted!r}" if wanted else ""
                raise BackendError(
                    f"the Dask scheduler at {self._address} has no worker{needed}; start one with `dask worker "
                    f"{self._address}{needed}`"
                )
            time.sleep(_POLL_S)

    def _fit(self) -> list[dict[str, Any]]:
        """Return what is known of the workers that have what the job needs."""
        known = self._client.scheduler_info(n_workers=-1)["workers"].values()
        return [
            worker
            for worker in known
            if all(worker.get("resources", {}).get(name, 0) >= count for name, count in self._resources.items())
        ]

    def _send(self) -> None:
        """Send the job to every worker; those that come later have it from another."""
        self._remote = self._client.scatter(self._job, broadcast=True, hash=False)

    @property
    def where(self) -> str:
        """See `Pool`."""
        return f"Dask at {self._address}, {len(self._fit())} workers"

    def _room(self) -> int:
        """Return how many batches may be under way: enough to keep every thread busy."""
        if time.monotonic() - self._counted > _COUNT_S:
            fit = self._fit()
            self._slots = len(fit) if self._resources else sum(worker["nthreads"] for worker in fit)
            self._counted = time.monotonic()
        return 2 * max(1, self._slots)

    def run(
        self, batches: Sequence[Batch], stop: Interruption, progress: Callable[[int], None]
    ) -> Iterator[list[FaultRow]]:
        """Yield the rows of each batch, in order, until done or asked to stop; then those of batches in hand.

        Raises
        ------
        BackendError
            If the scheduler is gone, or the workers are lost again and again.
        """
        waiting, done = deque(enumerate(batches)), dict[int, list[FaultRow]]()
        running: dict[int, tuple[Batch, Any]] = {}
        finished: queue.SimpleQueue[int] = queue.SimpleQueue()
        attempts: Counter[int] = Counter()
        following = 0
        while True:
            while waiting and not stop.requested and len(running) < self._room():
                # Not too far ahead of the slowest: what is ahead of it is lost with this process.
                if waiting[0][0] >= following + 2 * self._room():
                    break
                number, batch = waiting.popleft()
                running[number] = (batch, self._submit(batch))
                running[number][1].add_done_callback(lambda future, number=number: finished.put(number))
            if not running and (stop.requested or not waiting):
                return
            self._check_scheduler()
            try:
                number = finished.get(timeout=_POLL_S)
            except queue.Empty:
                continue
            batch, future = running.pop(number)
            rows = self._rows_of(future)
            if rows is None:
                attempts[number] += 1
                if attempts[number] >= ATTEMPTS:
                    raise BackendError(
                        f"workers of the Dask scheduler at {self._address} were lost {ATTEMPTS} times on the same "
                        f"faults (out of memory?); the faults that are done are kept"
                    )
                waiting.appendleft((number, batch))
                continue
            done[number] = rows
            progress(len(rows) * self._images)
            while following in done:
                yield done.pop(following)
                following += 1

    def _submit(self, batch: Batch) -> Any:
        return self._client.submit(
            _run_batch,
            self._remote,
            list(batch),
            self._token,
            own_version(),
            pure=False,
            resources=self._resources or None,
        )

    def _rows_of(self, future: Any) -> list[FaultRow] | None:
        """Return the rows of a task that has ended; None if it was lost with its worker."""
        if future.status == "finished":
            with suppress(self._distributed.comm.CommClosedError, OSError, TimeoutError):
                rows: list[FaultRow] = future.result(timeout=_ANSWER_S)
                return rows
        if future.status == "error":
            error = future.exception(timeout=_ANSWER_S)
            if not isinstance(error, self._distributed.KilledWorker):
                if isinstance(error, AxftError):
                    raise error
                raise BackendError(f"a Dask worker failed: {type(error).__name__}: {error}") from error
            return None
        self._check_scheduler()
        # The job was lost with the last worker that had it.
        self._wait_for_workers()
        self._send()
        return None

    def _check_scheduler(self) -> None:
        if self._client.status != "running":
            raise BackendError(
                f"the Dask scheduler at {self._address} is gone; the faults that are done are kept, and any scheduler "
                f"or none can run the others"
            )

    def close(self, *, kill: bool = False) -> None:
        """Take back the tasks that are left; scheduler and workers go on."""
        with suppress(Exception):
            # A scheduler that is gone would not answer.
            self._client.close(timeout=_ANSWER_S if self._client.status == "running" else _POLL_S)


# What a worker keeps between tasks: the runner of the job used last, one per thread, as backends are. A board has one
# runner per process, whatever thread comes.
_mine = threading.local()
_shared: dict[str, BatchRunner] = {}
_board = threading.Lock()


def _run_batch(job: Job, batch: Batch, token: str, version: str) -> list[FaultRow]:
    """Run a batch on a worker."""
    if own_version() != version:
        raise BackendError(
            f"a Dask worker has axft-hw {own_version()}, where the campaign was started with {version}; install the "
            f"same version everywhere"
        )
    if not resources_of(job):
        if getattr(_mine, "token", None) != token:
            _mine.runner, _mine.token = BatchRunner(job), token
        runner: BatchRunner = _mine.runner
        return runner.run(batch)
    with _board:
        if token not in _shared:
            _shared.clear()
            _shared[token] = BatchRunner(job)
        return _shared[token].run(batch)
