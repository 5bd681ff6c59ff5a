"""Connections: whatever one of them does costs that one, and never the agent."""

from __future__ import annotations

import contextlib
import errno
import os
import pty
import selectors
import socket
import threading
import time
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest

from axft_host.agent import foreman
from axft_host.agent.foreman import ForemanSettings
from axft_host.agent.peers import Listener, Peer, SerialPeer
from axft_host.agent.supervisor import Supervisor, SupervisorSettings
from axft_host.agent.worker import WorkerSettings
from axft_host.backends.registry import Board
from axft_host.link.client import LinkClient, LinkSettings
from axft_host.link.framing import Frame
from axft_host.link.transport import LinkAddress
from support.fake_worker import FakeWorker


@pytest.fixture
def supervisor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Supervisor]:
    """Return one with a listener, whose rounds the test makes."""
    monkeypatch.setattr(foreman, "Worker", FakeWorker)
    settings = SupervisorSettings(
        worker=WorkerSettings(board=Board(name="emu")), foreman=ForemanSettings(), cache=tmp_path / "cache"
    )
    made = Supervisor(settings, listeners=[Listener("127.0.0.1", 0, has_secret=False)])
    yield made
    made.stopping = True
    made.run()


@pytest.fixture
def connections() -> Iterator[list[socket.socket]]:
    """Return a list whose sockets are closed in the end."""
    with contextlib.ExitStack() as stack:
        made: list[socket.socket] = []
        stack.callback(lambda: [each.close() for each in made])
        yield made


def connect(supervisor: Supervisor) -> socket.socket:
    """Return a connection to it."""
    return socket.create_connection(("127.0.0.1", supervisor._listeners[0].address.port), timeout=5)


@contextlib.contextmanager
def running(supervisor: Supervisor) -> Iterator[LinkAddress]:
    """Run it in a thread."""
    thread = threading.Thread(target=supervisor.run)
    thread.start()
    try:
        yield supervisor._listeners[0].address
    finally:
        supervisor.stopping = True
        thread.join()


def test_peer_dropped_for_another_is_skipped_when_it_was_ready_too(
    supervisor: Supervisor, connections: list[socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All connections are taken, all have said something, and another one comes, which is seen first."""
    while len(supervisor._peers) < 16:
        connections.append(connect(supervisor))
        supervisor._round()
    select = supervisor._selector.select

    def listener_first(timeout: float | None = None) -> list[object]:
        return sorted(select(timeout), key=lambda each: isinstance(each[0].fileobj, Peer))

    monkeypatch.setattr(supervisor._selector, "select", listener_first)
    for _ in range(30):
        for each in connections[-16:]:
            with contextlib.suppress(OSError):
                each.send(b"x")
        connections.append(connect(supervisor))
        supervisor._round()
    assert len(supervisor._peers) == 16
    supervisor._drop(supervisor._peers[0])
    assert len(supervisor._peers) == 15


def test_dropping_twice_is_dropping_once(supervisor: Supervisor, connections: list[socket.socket]) -> None:
    """Whoever finds out first."""
    connections.append(connect(supervisor))
    supervisor._round()
    (peer,) = supervisor._peers
    supervisor._drop(peer)
    supervisor._drop(peer)
    assert supervisor._peers == []


def test_peer_that_was_dropped_is_not_heard(
    supervisor: Supervisor, connections: list[socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though it was seen ready before."""
    connections.append(connect(supervisor))
    supervisor._round()
    (peer,) = supervisor._peers
    heard = list[bool]()
    monkeypatch.setattr(peer, "receive", lambda: heard.append(True) or [])
    supervisor._serve(peer, selectors.EVENT_READ)
    assert heard == [True]
    supervisor._drop(peer)
    supervisor._serve(peer, selectors.EVENT_READ | selectors.EVENT_WRITE)
    assert heard == [True]


def test_failure_over_one_peer_costs_one_connection(
    supervisor: Supervisor, connections: list[socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it is."""
    for _ in range(2):
        connections.append(connect(supervisor))
        supervisor._round()
    first, second = supervisor._peers

    def fail() -> list[Frame]:
        raise RuntimeError("planted")

    monkeypatch.setattr(first, "receive", fail)
    for each in connections:
        each.send(b"x")
    for _ in range(3):
        supervisor._round()
    assert supervisor._peers == [second]


def test_connections_that_never_end_give_way_to_their_client(supervisor: Supervisor) -> None:
    """A client whose network goes away twenty times leaves twenty connections that are open at the agent's end."""
    left = []
    with running(supervisor) as address:
        client = LinkClient(address, LinkSettings(first_s=5.0))
        for _ in range(20):
            client.connect()
            left.append(client._session)
            client._session = None
        client.ping()
        assert len(supervisor._peers) == 1
        client.close()
    for session in left:
        assert session is not None
        session.drop()


def test_connection_without_its_session_is_anonymous(supervisor: Supervisor) -> None:
    """Once its client has said goodbye, it gives way to others, and its time runs."""
    with running(supervisor) as address:
        client = LinkClient(address, LinkSettings(first_s=5.0))
        client.ping()
        (peer,) = supervisor._peers
        assert not supervisor._is_anonymous(peer)
        supervisor._sessions.end()
        assert supervisor._is_anonymous(peer)
        peer.since -= 30
        deadline = time.monotonic() + 5
        while supervisor._peers and time.monotonic() < deadline:
            time.sleep(0.02)
        assert supervisor._peers == []
        client.close()


def test_accepting_without_file_descriptors_does_not_spin(
    supervisor: Supervisor, connections: list[socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection still waits, so that the listener would be ready at once: it is left alone for a while."""
    calls = 0
    (listener,) = supervisor._listeners
    inner = listener._socket

    class Full:
        def accept(self) -> None:
            nonlocal calls
            calls += 1
            raise OSError(errno.EMFILE, "Too many open files")

        def __getattr__(self, name: str) -> object:
            return getattr(inner, name)

    monkeypatch.setattr(listener, "_socket", Full())
    connections.append(connect(supervisor))
    end = time.monotonic() + 0.6
    while time.monotonic() < end:
        supervisor._round()
    assert calls == 1
    monkeypatch.setattr(listener, "_socket", inner)
    end = time.monotonic() + 5
    while not supervisor._peers and time.monotonic() < end:
        supervisor._round()
    assert len(supervisor._peers) == 1


def test_serial_port_that_nobody_reads_does_not_hold_the_agent() -> None:
    """What does not fit waits."""
    master, slave = pty.openpty()
    tty.setraw(slave)
    try:
        peer = SerialPeer(LinkAddress(device=os.ttyname(slave)))

        def fill() -> None:
            for number in range(100):
                peer.send(Frame(session=bytes(8), sequence=number, payload=bytes(2000)))

        thread = threading.Thread(target=fill, daemon=True)
        thread.start()
        thread.join(10)
        assert not thread.is_alive()
        assert peer.blocked
        os.read(master, 4096)
        peer.close()
    finally:
        os.close(master)
        os.close(slave)
