"""A client's session: whose answers count."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from axft_host.link.errors import LinkLostError
from axft_host.link.framing import Frame, FrameDecoder
from axft_host.link.messages import Auth, Challenge, Done, Hello, Message, Ping, Refused, Welcome, decode
from axft_host.link.secret import Handshake
from axft_host.link.session import Session, Statistics
from axft_host.link.transport import LinkAddress

SECRET = b"0123456789abcdef"
SESSION, NONCE = b"s" * 8, b"n" * 16


class Wire:
    """Stands for a transport, with an agent at the other end that has the secret."""

    address = LinkAddress(host="127.0.0.1", port=1)
    byte_s = 0.0

    def __init__(self) -> None:
        self._decoder = FrameDecoder()
        self._out = b""
        self.handshake: Handshake | None = None
        self.answers: list[Frame] = []
        self.spoil: Callable[[Frame], list[Frame]] = lambda frame: [frame]

    def write(self, data: bytes) -> int:
        """Answer."""
        for frame in self._decoder.feed(data):
            for answer in self._answer(frame, decode(frame.payload)):
                self._out += answer.encode()
        return len(data)

    def _answer(self, frame: Frame, message: Message) -> list[Frame]:
        reply = Frame(session=frame.session, sequence=frame.sequence, payload=b"", answer=True)
        if isinstance(message, Hello):
            self.handshake = Handshake(SECRET, message.nonce, NONCE, SESSION)
            given = Challenge(protocol=1, program="t", session=SESSION, nonce=NONCE, needs_secret=1)
            return [replace(reply, payload=given.encode())]
        assert self.handshake is not None and self.handshake.key is not None
        if isinstance(message, Auth):
            welcome = Welcome(proof=self.handshake.proof("agent"), life=bytes(8), board="emu", max_body=1000)
            return [replace(reply, payload=welcome.encode()).tagged(self.handshake.key)]
        assert frame.is_from(self.handshake.key)
        good = replace(reply, payload=Done().encode()).tagged(self.handshake.key)
        self.answers.append(good)
        return self.spoil(good)

    def read(self, timeout_s: float) -> bytes:
        """Return what was answered."""
        data, self._out = self._out, b""
        return data

    def close(self) -> None:
        """Do nothing."""


@pytest.fixture
def opened() -> tuple[Session, Wire]:
    """Return a session that is open, and its wire."""
    wire = Wire()
    session = Session(wire, Statistics(), silence_s=0.3)  # type: ignore[arg-type]
    session.open(b"c" * 16, SECRET, "t")
    return session, wire


def forged(good: Frame) -> dict[str, Frame]:
    """Return answers that the agent has not given, or not to this."""
    plain = replace(good, tag=b"")
    refusal = replace(plain, payload=Refused(reason="session", text="").encode())
    return {
        "untagged": plain,
        "zeros": replace(good, tag=bytes(16)),
        "another key": plain.tagged(b"another"),
        "another payload": replace(good, payload=Refused(reason="task", text="").encode()),
        "another number": replace(good, sequence=good.sequence + 1),
        "untagged refusal": refusal,
        "forged refusal": refusal.tagged(b"another"),
        "damage that nobody met": replace(plain, sequence=0, payload=Refused(reason="damaged", text="").encode()),
    }


@pytest.mark.parametrize("which", forged(Frame(session=SESSION, sequence=1, payload=Done().encode(), answer=True)))
def test_answer_without_the_tag_of_the_session_is_none(which: str, opened: tuple[Session, Wire]) -> None:
    """Neither taken nor refused: it is as if nothing had come."""
    session, wire = opened
    assert isinstance(session.ask(Ping()), Done)
    body = session.body_bytes
    wire.spoil = lambda good: [forged(good)[which], good]
    assert isinstance(session.ask(Ping()), Done)
    assert session.body_bytes >= body
    wire.spoil = lambda good: [forged(good)[which]]
    with pytest.raises(LinkLostError, match="no answer for"):
        session.ask(Ping())


def test_answer_that_is_played_again_answers_nothing_else(opened: tuple[Session, Wire]) -> None:
    """Its number is that of a request that was answered."""
    session, wire = opened
    session.ask(Ping())
    wire.spoil = lambda good: [wire.answers[0]]
    with pytest.raises(LinkLostError, match="no answer for"):
        session.ask(Ping())


def test_answer_of_another_session_is_none(opened: tuple[Session, Wire]) -> None:
    """Also with the tag of this one's key."""
    session, wire = opened
    assert wire.handshake is not None and wire.handshake.key is not None
    key = wire.handshake.key
    wire.spoil = lambda good: [replace(good, session=b"t" * 8).tagged(key)]
    with pytest.raises(LinkLostError, match="no answer for"):
        session.ask(Ping())
