"""Has the worker do a job, and replaces the worker when it fails: what hangs or crashes is run again."""

from __future__ import annotations

import logging
import shlex
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from axft_host.agent.jobs import Job
from axft_host.agent.worker import Report, Worker, WorkerGoneError, WorkerSettings
from axft_host.device.recovery import Failure, Recovery, is_repeat
from axft_host.link.client import utc_now
from axft_host.link.messages import State
from axft_host.link.payloads import Record, RecordKind, no_result, read_records

__all__ = ["Foreman", "ForemanSettings"]

_log = logging.getLogger(__name__)

#: What a chunk of faults should take, in seconds, and how many faults it may have.
_CHUNK_S, _MAX_CHUNK = 1.0, 64
#: Seconds between the starts of two workers in a row: with a job in hand, and at most if nobody waits for them.
_PAUSE_S, _IDLE_PAUSE_S = 0.2, 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ForemanSettings:
    """When a worker is given up, and what is done then.

    Parameters
    ----------
    beat_s : float
        Seconds without a sign of life.
    patience_s : float
        Seconds without progress.
    restarts : int
        How many workers in a row may fail to show a clean golden run.
    reboot_command : tuple of str
        What is run then; empty if nothing.
    reboot_s : float
        Seconds after which a reboot should have ended this process.
    """

    beat_s: float = 30.0
    patience_s: float = 900.0
    restarts: int = 3
    reboot_command: tuple[str, ...] = ()
    reboot_s: float = 120.0


@dataclass(slots=True)
class _Trouble:
    """A failure that is not over before a golden run is clean."""

    failure: Failure
    part: int
    began: float
    utc: str
    decided: bool
    attempt: int
    restarts: int = 0


class Foreman:
    """Drives one worker.

    Parameters
    ----------
    settings : ForemanSettings
    worker : WorkerSettings
    paths : callable
        Returns the files of a task and of its blobs, or None if one is gone.
    keep : callable
        Keeps a golden run as a blob: the client will name it.
    """

    def __init__(
        self,
        settings: ForemanSettings,
        worker: WorkerSettings,
        paths: Callable[[Job], tuple[Path, Sequence[Path]] | None],
        keep: Callable[[bytes], None],
    ) -> None:
        self._settings = settings
        self._worker_settings = worker
        self._paths = paths
        self._keep = keep
        self._worker: Worker | None = None
        self._started = 0.0
        self._pause_s = _PAUSE_S
        self._fresh = True
        # What the worker is at: a job or none, whether it is loaded, and the parts in hand.
        self._job: Job | None = None
        self._busy_with: Job | None = None
        self._loading = False
        self._loaded: Job | None = None
        self._in_hand: list[int] = []
        self._chunk = 1
        self._chunk_began = 0.0
        self._chunk_size = 0
        self._trouble: _Trouble | None = None
        self._reboot_at: float | None = None
        self._rebooted_at: float | None = None

    @property
    def worker(self) -> Worker | None:
        """The worker, if there is one now."""
        return self._worker

    @property
    def job(self) -> Job | None:
        """The job in hand, or the last one."""
        return self._job

    def take(self, job: Job) -> None:
        """Turn to another job; what the worker has in hand for the one before is finished, and dropped."""
        self._job = job
        self._pause_s = _PAUSE_S
        if self._trouble is not None:
            self._trouble.part, self._trouble.decided, self._trouble.restarts = -1, False, 0

    def stop(self) -> None:
        """Let the worker go."""
        if self._worker is not None:
            self._worker.kill()
            self._worker = None

    def work(self) -> bool:
        """Do what can be done now; return whether something has moved."""
        moved = self._listen()
        now = time.monotonic()
        if self._worker is None:
            if self._rebooted_at is None and self._reboot_at is None and now - self._started >= self._pause_s:
                self._start()
            else:
                self._reboot(now)
        elif self._busy_with is None:
            moved = self._next_step() or moved
        return moved

    @property
    def _is_wanted(self) -> bool:
        """Whether a job is not over yet."""
        return self._job is not None and self._job.state is not State.OVER

    def _start(self) -> None:
        self._started = time.monotonic()
        self._worker = Worker(self._worker_settings)
        self._fresh, self._loaded, self._busy_with = True, None, None
        _log.info("worker %d started", self._worker.pid)

    def _listen(self) -> bool:
        """Take the worker's reports, and find out whether it is well."""
        worker, moved = self._worker, False
        if worker is None:
            return False
        try:
            for report in worker.reports():
                self._hear(report)
                moved = True
                if self._worker is not worker:
                    return True
        except WorkerGoneError as error:
            self._failed("crash", str(error))
            return True
        now = time.monotonic()
        if now - worker.heard > self._settings.beat_s:
            self._failed("crash", f"no sign of life of the worker for {self._settings.beat_s:.0f} s")
        elif self._busy_with is not None and now - worker.moved > self._settings.patience_s:
            self._failed("hang", f"no progress of the worker for {self._settings.patience_s:.0f} s (--patience)")
        else:
            return moved
        return True

    def _hear(self, report: Report) -> None:
        job, current = self._busy_with, self._busy_with is self._job
        if report.word == "record" and job is not None:
            kind, index = RecordKind(report.values["kind"]), int(report.values["index"])
            if kind is RecordKind.RESULT and index in self._in_hand:
                self._in_hand.remove(index)
            if kind is RecordKind.GOLDEN:
                self._keep(read_records(report.body)[0][0].body)
            if current:
                job.write(report.body)
        elif report.word == "done":
            self._done(job, current)
        elif report.word == "failed":
            if report.values["device"]:
                self._failed("crash", report.values["message"].partition("\n")[0])
                return
            self._busy_with, self._in_hand = None, []
            if job is not None and current and job.state is not State.OVER:
                job.fail(report.values["type"], report.values["message"])

    def _done(self, job: Job | None, current: bool) -> None:
        self._busy_with, self._in_hand = None, []
        if self._loading:
            self._loaded = job
            if self._fresh and job is not None and job.needs.evaluates:
                # There was a golden run, and it was clean.
                self._fresh = False
                self._clean(job if current else None)
            if current and job is not None:
                job.state = State.RUNNING
            return
        taken = time.monotonic() - self._chunk_began
        if taken < _CHUNK_S / 2 and self._chunk_size >= self._chunk:
            self._chunk = min(_MAX_CHUNK, 2 * self._chunk)
        elif taken > 2 * _CHUNK_S:
            self._chunk = max(1, self._chunk // 2)

    def _next_step(self) -> bool:
        job, worker = self._job, self._worker
        if job is None or worker is None or not worker.ready or job.state in (State.OVER, State.REBOOTING):
            return False
        if self._loaded is not job:
            paths = self._paths(job)
            if paths is None:
                job.fail("BackendError", "the cache of the agent is too small for what this task needs; --cache-limit")
                return True
            self._busy_with, self._loading = job, True
            worker.send("load", task=str(paths[0]), blobs=[str(path) for path in paths[1]], check=self._fresh)
            return True
        if job.following >= job.needs.parts:
            job.finish()
            return True
        end = min(job.credit, job.needs.parts, job.following + self._chunk)
        if end <= job.following or job.full:
            return False
        parts = [job.following]
        if job.following not in job.alone:
            parts += [part for part in range(job.following + 1, end) if part not in job.alone]
        # Those that run alone come when it is their turn.
        parts = [part for place, part in enumerate(parts) if part == job.following + place]
        self._busy_with, self._loading, self._in_hand = job, False, list(parts)
        self._chunk_began, self._chunk_size = time.monotonic(), len(parts)
        job.following = parts[-1] + 1
        worker.send("run", parts=parts)
        return True

    def _failed(self, end: str, cause: str) -> None:
        """Note that the worker has failed, end it, and say what that means for the parts in hand."""
        job, parts = self._busy_with, self._in_hand
        job = job if job is not None and job is self._job and job.state is not State.OVER else None
        loading = self._loading and self._busy_with is not None
        self.stop()
        self._busy_with, self._loaded, self._in_hand = None, None, []
        _log.warning("%s: %s", end, cause)
        if not self._is_wanted:
            self._pause_s = min(_IDLE_PAUSE_S, 2 * self._pause_s)
        if self._trouble is not None and (loading or job is None):
            self._trouble.restarts += 1
            if self._trouble.restarts >= self._settings.restarts:
                self._give_up(cause)
            return
        part, decided, attempt = -1, False, 1
        if job is not None and not loading and parts:
            part = job.following = parts[0]
            if len(parts) == 1:
                job.failures[part].append(Failure(end, "worker", cause))
                attempt, decided = len(job.failures[part]), is_repeat(job.failures[part])
            job.alone.update(parts)
            if decided and not job.needs.evaluates:
                times = "twice" if attempt == 2 else f"{attempt} times"
                job.fail("BackendError", f"the worker process died {times}: {cause}")
                part, decided = -1, False
        elif self._job is not None and self._job.state in (State.RUNNING, State.LOADING):
            part = self._job.following
        if job is not None and job.state is not State.OVER:
            job.state = State.LOADING
        self._trouble = _Trouble(Failure(end, "worker", cause), part, time.perf_counter(), utc_now(), decided, attempt)

    def _clean(self, job: Job | None) -> None:
        """Count the failure before a golden run that was clean as over."""
        trouble, self._trouble = self._trouble, None
        if trouble is None:
            return
        seconds = time.perf_counter() - trouble.began
        _log.warning("%s (%s); board back after worker, %.2f s", trouble.failure.end, trouble.failure.cause, seconds)
        if job is None or not 0 <= trouble.part < job.needs.parts:
            return
        failure = trouble.failure
        recovery = Recovery("worker", seconds, failure.cause, failure.end, trouble.attempt, trouble.utc)
        job.say(RecordKind.RECOVERY, recovery.to_json(), trouble.part)
        if trouble.decided:
            job.write(Record(RecordKind.RESULT, trouble.part, no_result(failure.end)).encode())
            job.following = trouble.part + 1

    def _give_up(self, cause: str) -> None:
        """No worker is clean any more: reboot, or say so."""
        restarts = self._settings.restarts
        if self._job is None or not self._is_wanted:
            _log.error("the board did not come back: %s; trying again for whoever wants it", cause)
            return
        if self._settings.reboot_command:
            self._job.state = State.REBOOTING
            # Long enough for a client to hear of it.
            self._reboot_at = time.monotonic() + 2.0
            return
        self._over(
            f"the board did not come back: {restarts} workers failed, the last: {cause}; no reboot command is known"
        )

    def _over(self, message: str) -> None:
        _log.error("%s", message)
        self._trouble = None
        if self._job is not None and self._job.state is not State.OVER:
            self._job.fail("RecoveryError", message)

    def _reboot(self, now: float) -> None:
        command = self._settings.reboot_command
        if self._reboot_at is not None and now >= self._reboot_at:
            self._reboot_at, self._rebooted_at = None, now
            _log.error("reboot: %s", shlex.join(command))
            try:
                subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
            except OSError as error:
                self._rebooted_at = None
                self._over(f"the board did not come back, and the reboot command failed: {error.strerror}")
        elif self._rebooted_at is not None and now - self._rebooted_at > self._settings.reboot_s:
            self._rebooted_at = None
            self._over(f"the board did not come back, and the reboot command {shlex.join(command)} did not reboot it")
