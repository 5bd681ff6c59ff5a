"""A job: what a client wants done, how far it is, and output that the client has not acknowledged yet."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from axft_host.device.recovery import Failure
from axft_host.link.errors import LinkError
from axft_host.link.messages import State
from axft_host.link.payloads import MAX_TASK, Record, RecordKind, json_from_bytes, json_to_bytes

__all__ = ["Job", "Needs"]

#: Parts of a job, and blobs that it needs, at most.
_MAX_PARTS, _MAX_BLOBS = 1 << 20, 8

#: Output that is not acknowledged, in bytes, with which nothing new begins.
MAX_OUTPUT = 64 << 20


@dataclass(frozen=True, slots=True)
class Needs:
    """What the supervisor has to know of a task.

    Members
    -------
    parts : int
        How many it has.
    blobs : tuple of bytes
        Digests of those that it needs.
    evaluates : bool
        Whether its parts are faults, which have outcomes and golden runs; a GEMM or a question has neither.
    """

    parts: int
    blobs: tuple[bytes, ...]
    evaluates: bool = True

    @classmethod
    def of(cls, path: Path) -> Needs:
        """Read it from a task.

        Raises
        ------
        LinkError
            If that is no task.
        """
        data = path.read_bytes()
        task = json_from_bytes(data) if len(data) <= MAX_TASK else None
        task = task if isinstance(task, dict) else {}
        parts, blobs = task.get("parts"), task.get("blobs")
        if type(parts) is not int or not 0 <= parts <= _MAX_PARTS:
            raise LinkError(f"parts of a task must be between 0 and {_MAX_PARTS}, not {parts!r}")
        if not isinstance(blobs, list) or len(blobs) > _MAX_BLOBS:
            raise LinkError(f"a task must name at most {_MAX_BLOBS} blobs")
        try:
            named = tuple(bytes.fromhex(each) for each in blobs)
        except (TypeError, ValueError):
            named = (b"",)
        if any(len(each) != 32 for each in named):
            raise LinkError("blobs of a task must be named by their SHA-256")
        return cls(parts, named, task.get("kind", "evaluate") == "evaluate")


@dataclass(slots=True, kw_only=True, eq=False)
class Job:
    """One job.

    Members
    -------
    name : bytes
        What the client calls it: the same name is the same job, which is done once.
    task : bytes
        Digest of the task.
    needs : Needs
    state : State
    credit : int
        Parts before this one may begin.
    following : int
        The part to begin next; those before it have a result, or are in hand.
    alone : set of int
        Parts that run alone: one of them was in hand when a worker failed.
    failures : dict of int to list of Failure
        Of parts that were in hand alone when a worker failed.
    """

    name: bytes
    task: bytes
    needs: Needs
    state: State = State.LOADING
    credit: int = 0
    following: int = 0
    alone: set[int] = field(default_factory=set)
    failures: defaultdict[int, list[Failure]] = field(default_factory=lambda: defaultdict(list))
    _output: bytearray = field(default_factory=bytearray)
    _first: int = 0

    @property
    def size(self) -> int:
        """Bytes of output until now."""
        return self._first + len(self._output)

    @property
    def full(self) -> bool:
        """Whether the client must take something before more begins."""
        return len(self._output) >= MAX_OUTPUT

    def acknowledge(self, offset: int) -> None:
        """Forget the output before an offset."""
        if self._first < offset <= self.size:
            del self._output[: offset - self._first]
            self._first = offset

    def read(self, offset: int, limit: int) -> bytes:
        """Return output from an offset on."""
        start = offset - self._first
        return bytes(self._output[start : start + limit]) if start >= 0 else b""

    def write(self, record: bytes) -> None:
        """Add an encoded record."""
        self._output += record

    def say(self, kind: RecordKind, value: Any, index: int = 0) -> None:
        """Add a record of JSON values."""
        self.write(Record(kind, index, json_to_bytes(value)).encode())

    def finish(self) -> None:
        """Say that all is done."""
        self.write(Record(RecordKind.END, 0, b"").encode())
        self.state = State.OVER

    def fail(self, kind: str, message: str) -> None:
        """Say that the job ends with an error."""
        self.say(RecordKind.ERROR, {"type": kind, "message": message[:4000]})
        self.state = State.OVER
