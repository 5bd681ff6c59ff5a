"""The client: keeps a session with an agent through whatever happens, and has it do jobs, each once."""

from __future__ import annotations

import atexit
import logging
import os
import secrets
import shlex
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from importlib import metadata
from typing import TypeVar

from axft_host.link.errors import LinkError, LinkLostError
from axft_host.link.messages import Blob, BlobState, Fetch, JobState, Message, Ping, State, Submit, Welcome
from axft_host.link.payloads import MAX_BLOB, Record, RecordKind, digest_of, read_records
from axft_host.link.secret import read_secret
from axft_host.link.session import WINDOW, LinkBusyError, Session, Statistics
from axft_host.link.transport import LinkAddress, open_transport
from axft_spec.errors import ConfigError

__all__ = ["POWER_VARIABLE", "AgentLostError", "LinkClient", "LinkSettings", "client_for", "own_program"]

_log = logging.getLogger(__name__)

#: Names the command that switches the board off and on again.
POWER_VARIABLE = "AXFT_POWER_COMMAND"

#: Seconds between attempts to reach an agent.
_AGAIN_S = (0.1, 2.0)
#: How long the agent may hold back the answer to a fetch: its heartbeat, in seconds.
_HOLD_S = 1.0

#: How often output is fetched again that came damaged in spite of its checksums.
_DAMAGES = 3

T = TypeVar("T")


def own_program() -> str:
    """Return what this program calls itself on a link."""
    try:
        return f"axft-hw {metadata.version('axft-hw')}"
    except metadata.PackageNotFoundError:
        return "axft-hw, not installed"


def utc_now() -> str:
    """Return the time as ISO 8601 to the second."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkSettings:
    """How a client behaves.

    Parameters
    ----------
    secret : bytes or None
        The shared secret, if the agent wants one.
    power_command : tuple of str
        Switches the board off and on; empty if there is none.
    silence_s : float
        Seconds without an answer after which the agent is lost: several of its heartbeats.
    first_s : float
        How long to try to reach it the first time.
    patience_s : float
        How long to wait for it to come back by itself: it restarts, or its processor reboots.
    power_s : float
        How long to wait for it after the power was switched.
    power_cycles : int
        How often that is done before giving up.
    """

    secret: bytes | None = field(default=None, repr=False)
    power_command: tuple[str, ...] = ()
    silence_s: float = 8.0
    first_s: float = 10.0
    patience_s: float = 90.0
    power_s: float = 180.0
    power_cycles: int = 2

    @classmethod
    def from_environment(cls) -> LinkSettings:
        """Return what the environment says: ``$AXFT_LINK_SECRET_FILE``, ``$AXFT_POWER_COMMAND``.

        Raises
        ------
        ConfigError
            If the secret cannot be read, or the command is none.
        """
        try:
            command = tuple(shlex.split(os.environ.get(POWER_VARIABLE, "")))
        except ValueError as error:
            raise ConfigError(f"${POWER_VARIABLE} must be a command, not one with {error}") from None
        return cls(secret=read_secret(), power_command=command)


class AgentLostError(LinkError):
    """The agent was gone in the middle of a job, and is back without it.

    Attributes
    ----------
    rung : str
        What brought it back, as in `axft_host.device.recovery`.
    cause : str
    utc : str
        Since when.
    """

    def __init__(self, rung: str, began: float, cause: str, utc: str) -> None:
        super().__init__(f"the agent was gone for {time.perf_counter() - began:.1f} s: {cause}")
        self.rung = rung
        self._began = began
        self.cause = cause
        self.utc = utc

    @property
    def elapsed_s(self) -> float:
        """Seconds since it was lost."""
        return time.perf_counter() - self._began


class LinkClient:
    """A client of one agent; used by one thread at a time.

    Parameters
    ----------
    address : LinkAddress
    settings : LinkSettings

    Attributes
    ----------
    statistics : Statistics
    """

    def __init__(self, address: LinkAddress, settings: LinkSettings) -> None:
        self.address = address
        self.settings = settings
        self.statistics = Statistics()
        self._id = secrets.token_bytes(16)
        self._session: Session | None = None
        self._welcome: Welcome | None = None

    @property
    def board(self) -> str:
        """What the agent says that it serves; empty before the first session."""
        return "" if self._welcome is None else self._welcome.board

    def connect(self) -> Welcome:
        """Reach the agent, if there is no session yet.

        Raises
        ------
        LinkRefusedError
            If it refuses.
        LinkLostError
            If it cannot be reached.
        """
        if self._session is None:
            self._reach(time.monotonic() + self.settings.first_s)
        assert self._welcome is not None
        return self._welcome

    def close(self) -> None:
        """End the session, if there is one."""
        if self._session is not None:
            self._session.close()
            self._session = None

    def _reach(self, deadline: float) -> None:
        """Open the port and a session, again and again until the deadline."""
        pause_s, silent_s = _AGAIN_S[0], -1.0
        while True:
            try:
                self._open(deadline)
                return
            except LinkBusyError as error:
                # A client that was killed cannot say goodbye: it is waited for, until it is heard or forgotten.
                if error.silent_s < silent_s or time.monotonic() > deadline + error.lease_s:
                    raise
                silent_s = error.silent_s
            except LinkLostError as error:
                if time.monotonic() + pause_s > deadline:
                    raise LinkLostError(f"{error}; is `axft-hw serve` running there?") from None
            time.sleep(pause_s)
            pause_s = min(_AGAIN_S[1], 2 * pause_s)

    def _open(self, deadline: float) -> None:
        transport = open_transport(self.address)
        silence_s = max(1.0, min(self.settings.silence_s, deadline - time.monotonic()))
        session = Session(transport, self.statistics, silence_s=silence_s)
        try:
            self._welcome = session.open(self._id, self.settings.secret, own_program())
        except BaseException:
            session.drop()
            raise
        session.silence_s = self.settings.silence_s
        self._session = session

    def come_back(self, cause: LinkLostError) -> str:
        """Reach the agent again after it was lost; return which rung helped: ``power``, or empty if it came by itself.

        Raises
        ------
        LinkError
            If nothing helps; it says what was tried.
        """
        if self._session is not None:
            self._session.drop()
            self._session = None
        _log.warning("%s; trying again", cause)
        settings = self.settings
        with suppress(LinkLostError):
            self._reach(time.monotonic() + settings.patience_s)
            return ""
        for cycle in range(settings.power_cycles if settings.power_command else 0):
            _log.warning("%s did not come back; power command, time %d", self.address, cycle + 1)
            self._switch_power()
            with suppress(LinkLostError):
                self._reach(time.monotonic() + settings.power_s)
                return "power"
        tried = f"waited {settings.patience_s:.0f} s for it"
        if settings.power_command:
            tried += f", switched its power {settings.power_cycles} times"
        else:
            tried += f"; no power command is known (${POWER_VARIABLE})"
        raise LinkError(
            f"the agent at {self.address} is gone: {cause}; tried: {tried}; look after the board, then resume: what "
            f"is done is kept"
        )

    def _switch_power(self) -> None:
        command = self.settings.power_command
        try:
            subprocess.run(command, check=True, timeout=120, stdin=subprocess.DEVNULL, capture_output=True)
        except (OSError, subprocess.SubprocessError) as error:
            raise LinkError(f"the power command {shlex.join(command)} failed: {error}") from None

    def ping(self) -> float:
        """Return the seconds that one exchange takes."""
        start = time.perf_counter()
        self._persist(lambda session: session.ask(Ping()))
        return time.perf_counter() - start

    def _persist(self, act: Callable[[Session], T]) -> T:
        """Do something with a session, however often it is lost."""
        while True:
            self.connect()
            assert self._session is not None
            try:
                return act(self._session)
            except LinkLostError as error:
                self.come_back(error)

    def upload(self, data: bytes) -> bytes:
        """Make sure that the agent has a blob; return its digest.

        Raises
        ------
        LinkError
            If it is too large, or the agent cannot be reached.
        """
        if len(data) > MAX_BLOB:
            raise LinkError(f"a blob must have at most {MAX_BLOB >> 20} MiB, not {len(data) / (1 << 20):.1f} MiB")
        digest = digest_of(data)
        self._persist(lambda session: _upload(session, digest, data))
        return digest

    def run(
        self,
        blobs: Sequence[bytes],
        task: bytes,
        *,
        credit: Callable[[bool], int],
        begun: Callable[[int], None] | None = None,
    ) -> Iterator[Record]:
        """Have a job done; yield the records of its output, each once, up to the last one.

        Parameters
        ----------
        blobs : sequence of bytes
            What the task needs.
        task : bytes
            As `payloads` has it.
        credit : callable
            Given whether the agent is ready (a golden run was clean), returns how many parts of the job may begin.
        begun : callable, optional
            Told how many parts have begun.

        Raises
        ------
        AgentLostError
            If the agent was gone meanwhile and is back without the job; what was yielded counts.
        LinkError
            If it cannot be reached any more, or refuses.
        """
        everything: Mapping[bytes, bytes] = {digest_of(each): each for each in (*blobs, task)}
        stream = _Stream(secrets.token_bytes(8), digest_of(task), everything, credit, begun)
        life = self.connect().life
        while not stream.over:
            assert self._session is not None
            try:
                yield from stream.records(self._session)
            except LinkLostError as error:
                start, utc = time.perf_counter(), utc_now()
                rung = self.come_back(error)
                if self.connect().life != life:
                    # Processes were started afresh, if nothing more is known.
                    rung = rung or ("reboot" if stream.rebooting else "worker")
                    lost = AgentLostError(rung, start, str(error), utc)
                    _log.warning("%s; it is back (%s)", lost, rung)
                    raise lost from None


def _upload(session: Session, digest: bytes, data: bytes) -> None:
    def state_of(answer: Message) -> BlobState:
        if not isinstance(answer, BlobState):
            raise LinkError("an unexpected answer to an upload")
        return answer

    missing = state_of(session.ask(Blob(digest=digest, size=len(data), offset=0, body=b""))).missing
    while missing:
        for start, stop in missing:
            place = start
            while place < stop:
                while session.under_way >= WINDOW:
                    state_of(session.next()[1])
                body = data[place : min(stop, place + session.body_bytes)]
                session.send(Blob(digest=digest, size=len(data), offset=place, body=body))
                place += len(body)
        while session.under_way:
            state_of(session.next()[1])
        missing = state_of(session.ask(Blob(digest=digest, size=len(data), offset=0, body=b""))).missing


class _Stream:
    """The output of one job, put together from pieces that come in any order."""

    def __init__(
        self,
        job: bytes,
        task: bytes,
        blobs: Mapping[bytes, bytes],
        credit: Callable[[bool], int],
        begun: Callable[[int], None] | None,
    ) -> None:
        self._job, self._task, self._blobs = job, task, blobs
        self._credit, self._begun = credit, begun
        # Output from `_acknowledged` on, as far as it is here without a gap; pieces behind a gap; how much there is.
        self._buffer = bytearray()
        self._acknowledged = 0
        self._pieces: dict[int, bytes] = {}
        self._size = 0
        self._damages = 0
        self._state = State.UNKNOWN
        self.over = False

    @property
    def rebooting(self) -> bool:
        """Whether the agent has said that it gives the reboot command."""
        return self._state is State.REBOOTING

    @property
    def _place(self) -> int:
        return self._acknowledged + len(self._buffer)

    def records(self, session: Session) -> Iterator[Record]:
        """Yield records that are whole, until the last one."""
        self._submit(session)
        self._pieces.clear()
        asked = self._place
        while not self.over:
            body = session.body_bytes
            while session.under_way < WINDOW and asked + 1 <= self._size:
                self._fetch(session, asked, body, 0.0)
                asked += min(body, self._size - asked)
            if not session.under_way:
                asked = self._place
                self._fetch(session, asked, body, _HOLD_S)
            _, answer = session.next()
            if self._take(answer) is State.UNKNOWN:
                self._submit(session)
            if not session.under_way and asked > self._place:
                asked = self._place
            try:
                whole, length = read_records(self._buffer)
            except LinkError as error:
                # A checksum of 32 bits lets one damaged frame in four thousand million through: fetch it again.
                self._again(error)
                continue
            del self._buffer[:length]
            self._acknowledged += length
            for record in whole:
                self.over = self.over or record.kind in (RecordKind.END, RecordKind.ERROR)
                yield record
        while session.under_way:
            session.next()

    def _again(self, error: LinkError) -> None:
        self._damages += 1
        if self._damages > _DAMAGES:
            raise error
        self._buffer.clear()
        self._pieces.clear()

    def _fetch(self, session: Session, offset: int, limit: int, wait_s: float) -> None:
        request = Fetch(
            job=self._job,
            offset=offset,
            acknowledged=self._acknowledged,
            credit=self._credit(self._state is State.RUNNING),
            limit=limit,
            wait_ms=int(1000 * wait_s),
        )
        session.send(request, wait_s=wait_s)

    def _submit(self, session: Session) -> None:
        """Have the agent know the job; upload what it lacks."""
        while session.under_way:
            session.next()
        _upload(session, self._task, self._blobs[self._task])
        for _ in range(len(self._blobs) + 1):
            answer = session.ask(Submit(job=self._job, task=self._task))
            if not isinstance(answer, JobState) or State(answer.state) is not State.MISSING:
                break
            for digest in answer.missing:
                if digest not in self._blobs:
                    raise LinkError(f"the agent asks for a blob {digest.hex()[:8]} that no task has named")
                _upload(session, digest, self._blobs[digest])
        self._take(answer)

    def _take(self, answer: Message) -> State:
        if not isinstance(answer, JobState) or answer.job != self._job:
            raise LinkError("an unexpected answer about a job")
        state = State(answer.state)
        if state in (State.UNKNOWN, State.MISSING):
            return state
        self._state = state
        self._size = max(self._size, answer.size)
        if self._begun is not None:
            self._begun(answer.begun)
        if answer.body:
            self._pieces[answer.offset] = answer.body
        for offset in sorted(self._pieces):
            if offset > self._place:
                break
            piece = self._pieces.pop(offset)
            self._buffer += piece[self._place - offset :]
        return state


_clients: dict[str, LinkClient] = {}
_lock = threading.Lock()


def client_for(url: str) -> LinkClient:
    """Return this process's client of an agent: there can be only one at a time.

    Parameters
    ----------
    url : str
        What stands behind ``link:``.
    """
    address = LinkAddress.parse(url)
    with _lock:
        if str(address) not in _clients:
            _clients[str(address)] = LinkClient(address, LinkSettings.from_environment())
            if len(_clients) == 1:
                atexit.register(_close_all)
        return _clients[str(address)]


def _close_all() -> None:
    for client in _clients.values():
        with suppress(LinkError):
            client.close()
