"""Workers that are no processes, for tests of what the agent makes of theirs."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from typing import Any

from axft_host.agent.worker import Report, WorkerGoneError, WorkerSettings


class FakeWorker:
    """Does what the test says: it puts reports into `says`, or has it end.

    Attributes
    ----------
    made : list of FakeWorker
        All of them; a test clears it.
    stillborn : bool
        Whether those that are made from now on end at once.
    """

    made: list[FakeWorker] = []  # noqa: RUF012
    stillborn = False

    def __init__(self, settings: WorkerSettings) -> None:
        self.link, self._theirs = socket.socketpair()
        self.pid = os.getpid()
        self.heard = self.moved = time.monotonic()
        self.ready = True
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.says: list[Report] = []
        self.gone = FakeWorker.stillborn
        FakeWorker.made.append(self)

    def send(self, word: str, **values: Any) -> None:
        """Remember what it is told."""
        self.told.append((word, values))
        self.moved = time.monotonic()

    def reports(self) -> Iterator[Report]:
        """Say what there is to say."""
        self.heard = time.monotonic()
        while self.says:
            yield self.says.pop(0)
        if self.gone:
            raise WorkerGoneError("the worker process has ended (signal 7)")

    def kill(self) -> None:
        """Close the pipe."""
        self.link.close()
        self._theirs.close()
