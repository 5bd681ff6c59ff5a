"""The supervisor: owns listener, ports and sessions, and survives the worker. It never touches the fabric.

One thread, one loop: whatever comes is answered at once, except a fetch that has nothing to fetch yet.
"""

from __future__ import annotations

import logging
import selectors
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from axft_host.agent.blobs import BlobStore
from axft_host.agent.foreman import Foreman, ForemanSettings
from axft_host.agent.jobs import Job, Needs
from axft_host.agent.peers import Listener, Peer, PeerGoneError, SerialPeer
from axft_host.agent.sessions import Sessions
from axft_host.agent.worker import WorkerSettings
from axft_host.link.errors import LinkError
from axft_host.link.framing import VERSION, Frame
from axft_host.link.messages import (
    MAX_BODY,
    Auth,
    Blob,
    BlobState,
    Bye,
    Done,
    Fetch,
    JobState,
    Message,
    MessageError,
    Ping,
    Refused,
    State,
    Submit,
    decode,
)
from axft_host.link.transport import LinkAddress
from axft_spec.errors import BackendError

__all__ = ["Supervisor", "SupervisorSettings"]

_log = logging.getLogger(__name__)

#: Connections at a time; seconds and bytes of garbage that one without a session gets.
_MAX_PEERS, _ANONYMOUS_S, _ANONYMOUS_BYTES = 16, 20.0, 1 << 20
#: Fetches that are held back, at most.
_MAX_HELD = 16
#: Seconds between looks at what does not announce itself.
_TICK_S = 0.1
#: Seconds between attempts to open a serial port that failed, or to accept when that failed.
_REOPEN_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SupervisorSettings:
    """What an agent is told when it starts.

    Parameters
    ----------
    worker : WorkerSettings
    foreman : ForemanSettings
    cache : Path
    cache_bytes : int
    secret : bytes or None
    """

    worker: WorkerSettings
    foreman: ForemanSettings
    cache: Path
    cache_bytes: int = 512 << 20
    secret: bytes | None = None


@dataclass(slots=True)
class _Held:
    """A fetch without an answer yet, and what the client knows already."""

    peer: Peer
    frame: Frame
    fetch: Fetch
    until: float
    known: tuple[int, int]


class Supervisor:
    """An agent.

    Parameters
    ----------
    settings : SupervisorSettings
    listeners : sequence of Listener
    serial : sequence of LinkAddress
        Ports to open.

    Raises
    ------
    AxftError
        If a port or the cache cannot be had.
    """

    def __init__(
        self, settings: SupervisorSettings, *, listeners: Sequence[Listener] = (), serial: Sequence[LinkAddress] = ()
    ) -> None:
        self._settings = settings
        self._blobs = BlobStore(settings.cache, settings.cache_bytes)
        self._sessions = Sessions(settings.secret, settings.worker.board.name)
        self._foreman = Foreman(settings.foreman, settings.worker, self._paths, self._blobs.keep)
        self._selector = selectors.DefaultSelector()
        self._listeners = list(listeners)
        self._peers: list[Peer] = [SerialPeer(address) for address in serial]
        self._reopen: list[tuple[float, LinkAddress]] = []
        self._paused: list[tuple[float, Listener]] = []
        self._held: list[_Held] = []
        self._listened: tuple[object, int] = (None, -1)
        self.stopping = False
        for listener in self._listeners:
            self._selector.register(listener, selectors.EVENT_READ)
        for peer in self._peers:
            self._selector.register(peer, selectors.EVENT_READ)

    def run(self, idle: Callable[[], None] | None = None) -> None:
        """Serve until told to stop; then let everything go.

        Parameters
        ----------
        idle : callable, optional
            Called once in every round.
        """
        try:
            while not self.stopping:
                self._round()
                if idle is not None:
                    idle()
        finally:
            self._foreman.stop()
            for listener in self._listeners:
                listener.close()
            for peer in self._peers:
                peer.close()
            self._selector.close()

    def _round(self) -> None:
        for key, events in self._selector.select(self._wait_s()):
            source = key.fileobj
            if isinstance(source, Listener):
                self._accept(source)
            elif isinstance(source, Peer):
                self._serve(source, events)
        self._work()
        self._answer_held()
        self._tidy()

    def _wait_s(self) -> float:
        return max(0.0, min([_TICK_S, *(held.until - time.monotonic() for held in self._held)]))

    def _work(self) -> None:
        """Have the worker do what it can, and the loop wake up when it says something."""
        while self._foreman.work():
            pass
        worker = self._foreman.worker
        link = None if worker is None else worker.link
        if link is not self._listened[0]:
            # By number: of a pipe that is closed there is nothing else, and the number may be another's next.
            if self._listened[1] >= 0:
                self._selector.unregister(self._listened[1])
            self._listened = link, -1 if link is None else self._selector.register(link, selectors.EVENT_READ).fd

    def _serve(self, peer: Peer, events: int) -> None:
        """Send to a peer and hear it, unless it was dropped since it was seen ready; what goes wrong costs it alone."""
        if peer not in self._peers:
            return
        try:
            if events & selectors.EVENT_WRITE:
                peer.flush()
            if events & selectors.EVENT_READ:
                self._receive(peer)
        except Exception:
            _log.exception("%s: dropped", peer.name)
            self._drop(peer)

    def _accept(self, listener: Listener) -> None:
        try:
            peer = listener.accept()
        except OSError as error:
            # No file descriptors, or no memory. The connection still waits: without a pause this would come at once.
            _log.warning("cannot accept: %s", error.strerror)
            self._selector.unregister(listener)
            self._paused.append((time.monotonic() + _REOPEN_S, listener))
            return
        if peer is None:
            return
        if len(self._peers) >= _MAX_PEERS:
            # One that drives no board goes first.
            anonymous = [each for each in self._peers if self._is_anonymous(each)]
            if not anonymous:
                peer.close()
                return
            self._drop(anonymous[0])
        self._peers.append(peer)
        self._selector.register(peer, selectors.EVENT_READ)

    def _is_anonymous(self, peer: Peer) -> bool:
        """Whether a connection is not, or not any more, that of the open session."""
        return peer.tells_its_end and self._sessions.holder is not peer

    def _drop(self, peer: Peer) -> None:
        """Let a connection go; nothing happens if it is gone already."""
        if peer not in self._peers:
            return
        self._peers.remove(peer)
        self._selector.unregister(peer)
        self._held = [held for held in self._held if held.peer is not peer]
        self._sessions.disconnected(peer)
        peer.close()
        if isinstance(peer, SerialPeer):
            _log.warning("serial port %s failed; opening it again", peer.name)
            self._reopen.append((time.monotonic() + _REOPEN_S, LinkAddress.parse(peer.name)))

    def _receive(self, peer: Peer) -> None:
        damaged = peer.decoder.damaged
        try:
            frames = peer.receive()
        except PeerGoneError:
            self._drop(peer)
            return
        for frame in frames:
            self._take(peer, frame)
        session = self._sessions.session_of(peer)
        if peer.decoder.damaged > damaged and session is not None:
            self._send(peer, Frame(session=session, sequence=0, payload=b""), Refused(reason="damaged", text=""))

    def _take(self, peer: Peer, frame: Frame) -> None:
        if frame.answer:
            return
        if frame.version != VERSION:
            # It can be told what this end speaks: every frame says its version.
            self._send(peer, frame, Refused(reason="version", text=f"this agent speaks version {VERSION} of the link"))
            return
        try:
            message = decode(frame.payload)
        except MessageError as error:
            _log.debug("%s: a message that is none: %s", peer.name, error)
            return
        before = self._sessions.holder
        answer = self._sessions.take(peer, frame, message)
        replaced = isinstance(message, Auth) and self._sessions.holder is not before
        if replaced and before is not None and before.tells_its_end:
            # Its client has come back on this connection; that one may never say that it has ended.
            self._drop(before)
        if answer is None:
            answer = self._answer(peer, frame, message)
        if answer is not None:
            self._send(peer, frame, answer)

    def _send(self, peer: Peer, request: Frame, message: Message) -> None:
        frame = Frame(session=request.session, sequence=request.sequence, payload=message.encode(), answer=True)
        key = self._sessions.key(request.session)
        peer.send(frame if key is None else frame.tagged(key))

    def _answer(self, peer: Peer, frame: Frame, message: Message) -> Message | None:
        """Return the answer to a message of the open session; None if there is none, or not yet."""
        if isinstance(message, Ping | Bye):
            if isinstance(message, Bye):
                self._sessions.end()
            return Done()
        if isinstance(message, Blob):
            return self._put(message)
        if isinstance(message, Submit):
            return self._submit(frame, message)
        if isinstance(message, Fetch):
            return self._fetch(peer, frame, message)
        return None

    def _put(self, message: Blob) -> Message:
        try:
            missing = self._blobs.put(message.digest, message.size, message.offset, message.body)
        except BackendError as error:
            return Refused(reason="blob", text=str(error))
        return BlobState(digest=message.digest, missing=tuple(missing))

    def _submit(self, frame: Frame, message: Submit) -> Message | None:
        job = self._foreman.job
        if job is not None and job.name == message.job:
            return self._state(job, 0, b"")
        if self._sessions.is_stale(frame.sequence):
            return None
        path = self._blobs.path(message.task)
        if path is None:
            return _unknown(message.job, State.MISSING, [message.task])
        try:
            needs = Needs.of(path)
        except (LinkError, OSError) as error:
            return Refused(reason="task", text=str(error))
        lacking = self._blobs.lacking(needs.blobs)
        if lacking:
            return _unknown(message.job, State.MISSING, lacking)
        self._blobs.pinned = frozenset([message.task, *needs.blobs])
        job = Job(name=message.job, task=message.task, needs=needs)
        self._foreman.take(job)
        self._held.clear()
        return self._state(job, 0, b"")

    def _paths(self, job: Job) -> tuple[Path, Sequence[Path]] | None:
        paths = [self._blobs.path(digest) for digest in (job.task, *job.needs.blobs)]
        there = [path for path in paths if path is not None]
        return (there[0], there[1:]) if len(there) == len(paths) else None

    def _fetch(self, peer: Peer, frame: Frame, message: Fetch) -> Message | None:
        job = self._foreman.job
        if job is None or job.name != message.job:
            return _unknown(message.job, State.UNKNOWN, [])
        job.credit = max(job.credit, message.credit)
        job.acknowledge(message.acknowledged)
        self._work()
        if message.wait_ms and job.size <= message.offset and job.state is not State.OVER:
            until = time.monotonic() + message.wait_ms / 1000
            held = _Held(peer, frame, message, until, (int(job.state), job.following))
            self._held = [each for each in self._held if each.frame.sequence != frame.sequence][-_MAX_HELD:]
            self._held.append(held)
            return None
        return self._piece(job, message)

    def _piece(self, job: Job, message: Fetch) -> JobState:
        return self._state(job, message.offset, job.read(message.offset, min(message.limit, MAX_BODY)))

    def _answer_held(self) -> None:
        now, kept = time.monotonic(), []
        for held in self._held:
            job = self._foreman.job
            if job is None or job.name != held.fetch.job:
                continue
            changed = (int(job.state), job.following) != held.known
            if job.size > held.fetch.offset or changed or now >= held.until:
                self._send(held.peer, held.frame, self._piece(job, held.fetch))
            else:
                kept.append(held)
        self._held = kept

    @staticmethod
    def _state(job: Job, offset: int, body: bytes) -> JobState:
        return JobState(
            job=job.name,
            state=int(job.state),
            begun=job.following,
            size=job.size,
            offset=offset,
            missing=(),
            body=body,
        )

    def _tidy(self) -> None:
        """Drop who says nothing that can be understood; see who must be told more; open ports again."""
        now = time.monotonic()
        for peer in list(self._peers):
            if not self._is_anonymous(peer):
                peer.since = now
            elif now - peer.since > _ANONYMOUS_S or peer.decoder.garbage_bytes > _ANONYMOUS_BYTES:
                self._drop(peer)
                continue
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if peer.blocked else 0)
            if self._selector.get_key(peer).events != events:
                self._selector.modify(peer, events)
        for paused in [paused for paused in self._paused if now >= paused[0]]:
            self._paused.remove(paused)
            self._selector.register(paused[1], selectors.EVENT_READ)
        for entry in [entry for entry in self._reopen if now >= entry[0]]:
            self._reopen.remove(entry)
            try:
                peer = SerialPeer(entry[1])
            except LinkError:
                self._reopen.append((now + _REOPEN_S, entry[1]))
                continue
            self._peers.append(peer)
            self._selector.register(peer, selectors.EVENT_READ)


def _unknown(job: bytes, state: State, missing: Sequence[bytes]) -> JobState:
    return JobState(job=job, state=int(state), begun=0, size=0, offset=0, missing=tuple(missing), body=b"")
