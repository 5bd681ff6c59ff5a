"""Who is let in, and whose frames count."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace

import pytest

from axft_host.agent.peers import TcpPeer
from axft_host.agent.sessions import Sessions
from axft_host.link.framing import NO_SESSION, Frame
from axft_host.link.messages import Auth, Challenge, Hello, Message, Ping, Refused, Welcome, decode
from axft_host.link.secret import Handshake

SECRET = b"0123456789abcdef"


@pytest.fixture
def peers() -> Iterator[tuple[TcpPeer, TcpPeer]]:
    """Return two connections."""
    ends = tcp_pair()
    peers = TcpPeer(ends[0], "first"), TcpPeer(ends[1], "second")
    yield peers
    for peer in peers:
        peer.close()


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    """Return both ends of a connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        near = socket.create_connection(server.getsockname())
        return near, server.accept()[0]


def say(sessions: Sessions, peer: TcpPeer, frame: Frame) -> Message | None:
    """Have a frame taken."""
    return sessions.take(peer, frame, decode(frame.payload))


def open_session(sessions: Sessions, peer: TcpPeer, nonce: bytes) -> Handshake:
    """Do a handshake."""
    hello = Hello(protocol=1, program="t", client=b"c" * 16, nonce=nonce)
    challenge = say(sessions, peer, Frame(session=NO_SESSION, sequence=1, payload=hello.encode()))
    assert isinstance(challenge, Challenge)
    handshake = Handshake(SECRET, nonce, challenge.nonce, challenge.session)
    proof = Auth(proof=handshake.proof("client"))
    welcome = say(sessions, peer, Frame(session=challenge.session, sequence=2, payload=proof.encode()))
    assert isinstance(welcome, Welcome)
    return handshake


def test_frames_of_a_session_with_a_secret_need_its_tag(peers: tuple[TcpPeer, TcpPeer]) -> None:
    """Those without, with another one, or with that of another frame are refused, and move nothing."""
    sessions = Sessions(SECRET, "emu")
    handshake = open_session(sessions, peers[0], b"n" * 16)
    assert handshake.key is not None
    session = sessions.session_of(peers[0])
    assert session is not None
    plain = Frame(session=session, sequence=3, payload=Ping().encode())
    good = plain.tagged(handshake.key)
    bad = [
        plain,
        replace(plain, tag=bytes(16)),
        plain.tagged(b"another key"),
        replace(good, sequence=4),
        replace(good, tag=good.tag[:-1] + bytes([good.tag[-1] ^ 1])),
    ]
    for frame in bad:
        answer = say(sessions, peers[1], frame)
        assert isinstance(answer, Refused) and answer.reason == "damaged"
        assert sessions.holder is peers[0]
    assert say(sessions, peers[1], good) is None
    assert sessions.holder is peers[1]


def test_frame_of_an_earlier_session_is_refused_in_the_next(peers: tuple[TcpPeer, TcpPeer]) -> None:
    """Played again as it was, or with the new session in it."""
    sessions = Sessions(SECRET, "emu")
    first = open_session(sessions, peers[0], b"n" * 16)
    assert first.key is not None
    session = sessions.session_of(peers[0])
    assert session is not None
    heard = Frame(session=session, sequence=3, payload=Ping().encode()).tagged(first.key)
    assert say(sessions, peers[0], heard) is None
    open_session(sessions, peers[0], b"m" * 16)
    answer = say(sessions, peers[1], heard)
    assert isinstance(answer, Refused) and answer.reason == "session"
    now = sessions.session_of(peers[0])
    assert now is not None
    answer = say(sessions, peers[1], replace(heard, session=now))
    assert isinstance(answer, Refused) and answer.reason == "damaged"
    assert sessions.holder is peers[0]


def test_submission_that_is_older_than_one_that_was_taken_is_stale(peers: tuple[TcpPeer, TcpPeer]) -> None:
    """The same one is not; without a session all are."""
    sessions = Sessions(SECRET, "emu")
    assert sessions.is_stale(1)
    open_session(sessions, peers[0], b"n" * 16)
    assert [sessions.is_stale(number) for number in (5, 7, 6, 7, 0, 8)] == [False, False, True, False, True, False]
    open_session(sessions, peers[0], b"m" * 16)
    assert not sessions.is_stale(1)
