"""Who drives the board: handshakes, and the one session that is open."""

from __future__ import annotations

import logging
import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass, field

from axft_host.agent.peers import Peer
from axft_host.link.client import own_program
from axft_host.link.framing import VERSION, Frame
from axft_host.link.messages import MAX_BODY, Auth, Busy, Challenge, Hello, Message, Refused, Welcome
from axft_host.link.secret import Handshake

__all__ = ["Sessions"]

_log = logging.getLogger(__name__)

#: Handshakes under way, at most, and seconds that one may take.
_MAX_HANDSHAKES, _HANDSHAKE_S = 16, 30.0

#: Seconds after which a client that is silent is forgotten: on a connection that is closed, on one that is open.
_LEASES_S = (5.0, 120.0)
#: The same where a connection does not tell.
_SERIAL_LEASE_S = 20.0


@dataclass(slots=True, eq=False)
class _Session:
    """A handshake under way, or the session that came of it."""

    session: bytes
    client: bytes
    nonce: bytes
    handshake: Handshake
    peer: Peer
    began: float
    heard: float
    gone: bool = False
    last_submit: int = -1


@dataclass(slots=True)
class Sessions:
    """Holds the open session, and handshakes.

    Parameters
    ----------
    secret : bytes or None
    board : str
        What clients are told that is served.
    """

    secret: bytes | None = field(repr=False)
    board: str
    life: bytes = field(default_factory=lambda: secrets.token_bytes(8))
    _greeted: OrderedDict[bytes, _Session] = field(default_factory=OrderedDict)
    _current: _Session | None = None

    def take(self, peer: Peer, frame: Frame, message: Message) -> Message | None:
        """Answer a message of a handshake; None for any other message of the open session, which is for others.

        Messages of other sessions are refused.
        """
        now = time.monotonic()
        if isinstance(message, Hello):
            return self._greet(peer, message, now)
        if isinstance(message, Auth):
            return self._admit(peer, frame, message, now)
        current = self._current
        if current is None or frame.session != current.session:
            return Refused(reason="session", text="there is no such session")
        key = current.handshake.key
        if key is not None and not frame.is_from(key):
            return Refused(reason="damaged", text="the tag is not that of this session")
        current.heard, current.peer, current.gone = now, peer, False
        return None

    def key(self, session: bytes) -> bytes | None:
        """Return the key of the tags of a session's frames, if they have any."""
        current = self._current
        return current.handshake.key if current is not None and current.session == session else None

    def is_stale(self, sequence: int) -> bool:
        """Return whether a submission is older than one that was taken; remember it if not."""
        current = self._current
        if current is None or sequence < current.last_submit:
            return True
        current.last_submit = sequence
        return False

    def end(self) -> None:
        """Forget the open session: its client has said goodbye."""
        self._current = None

    def disconnected(self, peer: Peer) -> None:
        """Note that a connection is closed."""
        if self._current is not None and self._current.peer is peer:
            self._current.gone = True

    @property
    def holder(self) -> Peer | None:
        """The connection on which the client of the open session was heard last."""
        return None if self._current is None else self._current.peer

    def session_of(self, peer: Peer) -> bytes | None:
        """Return the open session if this is its connection."""
        return self._current.session if self._current is not None and self._current.peer is peer else None

    @property
    def is_open(self) -> bool:
        """Whether a client drives the board."""
        return self._current is not None

    def _greet(self, peer: Peer, message: Hello, now: float) -> Message:
        if message.protocol != VERSION:
            return Refused(
                reason="version",
                text=f"this agent speaks version {VERSION} of the link ({own_program()}), not version "
                f"{message.protocol} ({message.program}); install the same release of axft-hw at both ends",
            )
        greeted = self._greeted.get(message.nonce)
        if greeted is None:
            while self._greeted and (
                len(self._greeted) >= _MAX_HANDSHAKES or now - next(iter(self._greeted.values())).began > _HANDSHAKE_S
            ):
                self._greeted.popitem(last=False)
            session, nonce = secrets.token_bytes(8), secrets.token_bytes(16)
            handshake = Handshake(self.secret, message.nonce, nonce, session)
            greeted = _Session(session, message.client, nonce, handshake, peer, now, now)
            self._greeted[message.nonce] = greeted
        return Challenge(
            protocol=VERSION,
            program=own_program(),
            session=greeted.session,
            nonce=greeted.nonce,
            needs_secret=int(self.secret is not None),
        )

    def _admit(self, peer: Peer, frame: Frame, message: Auth, now: float) -> Message:
        current = self._current
        if current is not None and current.session == frame.session:
            # Said again: the answer was lost.
            return self._welcome(current) if current.handshake.is_proof("client", message.proof) else _no_proof(peer)
        found = next((each for each in self._greeted.items() if each[1].session == frame.session), None)
        if found is None:
            return Refused(reason="session", text="there is no such handshake")
        nonce, greeted = found
        if not greeted.handshake.is_proof("client", message.proof):
            del self._greeted[nonce]
            return _no_proof(peer)
        if current is not None and current.client != greeted.client:
            lease_s = self._lease_s(current)
            if now - current.heard < lease_s:
                return Busy(silent_ms=int(1000 * (now - current.heard)), lease_ms=int(1000 * lease_s))
        del self._greeted[nonce]
        greeted.heard, greeted.peer = now, peer
        self._current = greeted
        _log.info("%s: session %s", peer.name, greeted.session.hex())
        return self._welcome(greeted)

    @staticmethod
    def _lease_s(session: _Session) -> float:
        if not session.peer.tells_its_end:
            return _SERIAL_LEASE_S
        return _LEASES_S[0] if session.gone else _LEASES_S[1]

    def _welcome(self, session: _Session) -> Welcome:
        return Welcome(proof=session.handshake.proof("agent"), life=self.life, board=self.board, max_body=MAX_BODY)


def _no_proof(peer: Peer) -> Refused:
    _log.warning("%s: wrong secret", peer.name)
    return Refused(reason="secret", text="the secret is wrong: both ends must have the same")
