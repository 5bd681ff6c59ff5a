"""The worker: a process that alone touches the fabric, and what the supervisor has of it.

Both talk over a pipe: one line of JSON, then bytes; on the way to the supervisor behind their length, so that it can
take what is there of a message whose rest may never come. The worker says every second that it lives, and how much it
has done, so that one which is stuck can be told from one that is slow.
"""

from __future__ import annotations

import ctypes
import json
import logging
import multiprocessing
import os
import signal
import struct
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from axft_host.agent.tasks import Question, Workshop
from axft_host.backends.on_device import end_of
from axft_host.backends.registry import Board
from axft_host.device.recovery import RecoveryError, first_line
from axft_spec.errors import AxftError

__all__ = ["Report", "Worker", "WorkerGoneError", "WorkerSettings"]

_log = logging.getLogger(__name__)

#: Seconds between signs of life.
BEAT_S = 1.0

_LENGTH = struct.Struct("<Q")
_CHUNK = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """What a worker is for.

    Parameters
    ----------
    board : Board
    questions : mapping of str to Question
        Functions of modules, which the worker imports.
    log_level : int
    """

    board: Board
    questions: Mapping[str, Question] = field(default_factory=dict)
    log_level: int = logging.WARNING


@dataclass(frozen=True, slots=True)
class Report:
    """What a worker says: a word, JSON values to it, and bytes."""

    word: str
    values: dict[str, Any]
    body: bytes = b""


class WorkerGoneError(Exception):
    """The process has ended."""


class Inbox:
    """Takes messages from a pipe, without ever waiting for one.

    Parameters
    ----------
    number : int
        The file descriptor; made non-blocking.
    """

    def __init__(self, number: int) -> None:
        os.set_blocking(number, False)
        self._number = number
        self._data = bytearray()

    def read(self) -> bool:
        """Take some bytes that are there; return whether there were any.

        Raises
        ------
        EOFError
            If no more can come.
        OSError
            If the pipe is broken.
        """
        try:
            data = os.read(self._number, _CHUNK)
        except BlockingIOError:
            return False
        if not data:
            raise EOFError
        self._data += data
        return True

    def messages(self) -> Iterator[bytes]:
        """Yield messages that are whole."""
        while len(self._data) >= _LENGTH.size:
            end = _LENGTH.size + _LENGTH.unpack_from(self._data)[0]
            if len(self._data) < end:
                return
            message = bytes(self._data[_LENGTH.size : end])
            del self._data[:end]
            yield message


class Worker:
    """A worker process, seen from the supervisor."""

    def __init__(self, settings: WorkerSettings) -> None:
        context = multiprocessing.get_context("spawn")
        self.link, theirs = context.Pipe()
        self._process: BaseProcess = context.Process(target=_work, args=(settings, theirs), daemon=True, name="worker")
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self._process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            theirs.close()
        self._inbox = Inbox(self.link.fileno())
        self.heard = self.moved = time.monotonic()
        #: Whether it has said anything yet: importing takes its time.
        self.ready = False
        self._done = 0

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid or 0

    def send(self, word: str, **values: Any) -> None:
        """Tell it something; that it has ended shows in `reports`."""
        with suppress(OSError):
            self.link.send_bytes(_packed(word, values, b""))
        self.moved = time.monotonic()

    def reports(self) -> Iterator[Report]:
        """Yield what it has said.

        Raises
        ------
        WorkerGoneError
            If it has ended.
        """
        try:
            while self._inbox.read():
                self.heard = time.monotonic()
                for message in self._inbox.messages():
                    head, _, body = message.partition(b"\n")
                    values = json.loads(head)
                    word = values.pop("word")
                    if not self.ready:
                        self.ready, self.moved = True, self.heard
                    if word not in ("beat", "ready"):
                        self.moved = self.heard
                        yield Report(word, values, body)
                    elif word == "beat" and values["done"] != self._done:
                        self._done, self.moved = values["done"], self.heard
        except (EOFError, OSError):
            self._process.join(1.0)
            code = self._process.exitcode
            what = f"exit code {code}" if code is None or code >= 0 else f"signal {-code}"
            raise WorkerGoneError(f"the worker process has ended ({what})") from None

    def kill(self) -> None:
        """End it, whatever it is doing."""
        self._process.kill()
        self._process.join(5.0)
        self.link.close()


def _packed(word: str, values: dict[str, Any], body: bytes) -> bytes:
    return json.dumps({"word": word, **values}).encode() + b"\n" + body


class _Voice:
    """The worker's end of the pipe. Without a supervisor there is nothing left to do: the process ends."""

    def __init__(self, link: Connection) -> None:
        self._link = link
        self._lock = threading.Lock()
        self.done = 0

    def say(self, word: str, body: bytes = b"", **values: Any) -> None:
        try:
            with self._lock:
                message = _packed(word, values, body)
                rest = memoryview(_LENGTH.pack(len(message)) + message)
                while rest:
                    rest = rest[os.write(self._link.fileno(), rest) :]
        except OSError:
            os._exit(1)

    def beat(self) -> None:
        while True:
            time.sleep(BEAT_S)
            self.say("beat", done=self.done)

    def count(self, pairs: int) -> None:
        self.done += pairs


def _die_with_parent() -> None:
    """Have Linux end this process with its supervisor, also in the middle of a call into native code."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            pr_set_pdeathsig = 1
            ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
            if os.getppid() == 1:
                os._exit(1)


def _work(settings: WorkerSettings, link: Connection) -> None:
    """Be a worker."""
    # Ctrl-C goes to all processes of a terminal; the supervisor decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _die_with_parent()
    logging.basicConfig(level=settings.log_level, stream=sys.stderr, format="%(levelname)s: worker: %(message)s")
    voice = _Voice(link)
    threading.Thread(target=voice.beat, daemon=True).start()
    voice.say("ready")
    workshop = Workshop(board=settings.board, questions=settings.questions)
    with suppress(EOFError, OSError):
        while True:
            values = json.loads(link.recv_bytes())
            try:
                _obey(workshop, voice, values)
            except AxftError as error:
                # What a worker afresh may do better is said to be of the device.
                of_device = isinstance(error, RecoveryError) or end_of(error) is not None
                voice.say("failed", type=type(error).__name__, message=str(error), device=of_device)
            except Exception as error:
                _log.exception("the worker failed")
                message = f"the worker failed: {type(error).__name__}: {first_line(error)}; its log has the traceback"
                voice.say("failed", type="BackendError", message=message, device=False)


def _obey(workshop: Workshop, voice: _Voice, values: dict[str, Any]) -> None:
    if values["word"] == "load":
        blobs = [Path(path) for path in values["blobs"]]
        records = workshop.load(Path(values["task"]), blobs, check=values["check"])
    else:
        records = workshop.run(values["parts"], voice.count)
    for record in records:
        voice.say("record", record.encode(), kind=int(record.kind), index=record.index)
    voice.say("done")
