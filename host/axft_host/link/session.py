"""One session over one open port: handshake, and exchanges that are made again until they are answered.

Every request is safe to repeat: what it asks for is done once. So there is one remedy for whatever a link does to a
frame: the request is sent again, under the same sequence number, until an answer to it comes.
"""

from __future__ import annotations

import itertools
import secrets
import time
from dataclasses import dataclass

from axft_host.link.errors import LinkError, LinkLostError, LinkRefusedError
from axft_host.link.framing import NO_SESSION, VERSION, Frame, FrameDecoder
from axft_host.link.messages import (
    MAX_BODY,
    Auth,
    Busy,
    Bye,
    Challenge,
    Hello,
    Message,
    MessageError,
    Refused,
    Welcome,
    decode,
)
from axft_host.link.secret import Handshake
from axft_host.link.transport import Transport

__all__ = ["WINDOW", "LinkBusyError", "Session", "Statistics"]

#: Requests under way at a time.
WINDOW = 4

#: Limits in seconds of the time after which a request is sent again.
_RETRY_S = (0.03, 2.0)
#: What a frame costs besides its body, roughly, in bytes.
_OVERHEAD = 90
#: Bounds of the body of a frame: small ones get through where every thousandth byte is damaged.
_SMALLEST_BODY = 96


@dataclass(slots=True)
class Statistics:
    """What a client has met on its links.

    Members
    -------
    exchanges, retries : int
        Requests answered; requests sent again.
    damaged : int
        Pieces of what came in that were no frame.
    sessions : int
        Handshakes done.
    bytes_out, bytes_in : int
    """

    exchanges: int = 0
    retries: int = 0
    damaged: int = 0
    sessions: int = 0
    bytes_out: int = 0
    bytes_in: int = 0


@dataclass(slots=True)
class _Pending:
    request: Message
    data: bytes
    wait_s: float
    sent: float
    retry_s: float
    tries: int = 1


class Session:
    """A client's session; used by one thread.

    Parameters
    ----------
    transport : Transport
    statistics : Statistics
        Is added to.
    silence_s : float
        Seconds without an answer, while one is awaited, after which the other end is lost; can be set later.
    """

    def __init__(self, transport: Transport, statistics: Statistics, *, silence_s: float) -> None:
        self._transport = transport
        self._statistics = statistics
        self.silence_s = silence_s
        self._decoder = FrameDecoder()
        self._sequence = itertools.count(secrets.randbits(16))
        self._pending: dict[int, _Pending] = {}
        self._answers: list[tuple[Message, Message]] = []
        self._id = NO_SESSION
        self._key: bytes | None = None
        self._heard = time.monotonic()
        self._round_trip_s = 0.1
        self._body = 2048.0
        self._largest = MAX_BODY

    @property
    def body_bytes(self) -> int:
        """How large the body of a message should be on this link, as it is now."""
        return max(_SMALLEST_BODY, min(self._largest, int(self._body)))

    @property
    def under_way(self) -> int:
        """Requests that are not answered yet."""
        return len(self._pending) + len(self._answers)

    def open(self, client: bytes, secret: bytes | None, program: str) -> Welcome:
        """Do the handshake.

        Raises
        ------
        LinkRefusedError
            If the other end is of another version, wants another secret, or is busy.
        LinkLostError
            If nobody answers.
        """
        nonce = secrets.token_bytes(16)
        challenge = self.ask(Hello(protocol=VERSION, program=program, client=client, nonce=nonce))
        if not isinstance(challenge, Challenge):
            raise LinkError(f"link {self._transport.address}: an unexpected answer to a greeting")
        if challenge.protocol != VERSION:
            raise self._other_version(challenge.protocol)
        if challenge.needs_secret and secret is None:
            raise LinkRefusedError(
                f"the agent at {self._transport.address} needs the secret that it was started with; put it into a file "
                f"and name that with $AXFT_LINK_SECRET_FILE"
            )
        if secret is not None and not challenge.needs_secret:
            # Whoever answers there may do so without the secret: it is not the agent that the secret was made for,
            # also on this machine, where an agent of another user or a tunnel may have the port.
            raise LinkRefusedError(
                f"the agent at {self._transport.address} does not ask for the secret; unset $AXFT_LINK_SECRET_FILE if "
                f"it was started without one"
            )
        handshake = Handshake(secret, nonce, challenge.nonce, challenge.session)
        self._id = challenge.session
        welcome = self.ask(Auth(proof=handshake.proof("client")))
        if isinstance(welcome, Busy):
            raise LinkBusyError(str(self._transport.address), welcome.silent_ms / 1000, welcome.lease_ms / 1000)
        if not isinstance(welcome, Welcome):
            raise LinkError(f"link {self._transport.address}: an unexpected answer to a proof")
        if not handshake.is_proof("agent", welcome.proof):
            raise LinkRefusedError(f"the agent at {self._transport.address} has another secret than this program")
        self._key = handshake.key
        self._largest = max(_SMALLEST_BODY, min(MAX_BODY, welcome.max_body))
        self._statistics.sessions += 1
        return welcome

    def _other_version(self, version: int) -> LinkRefusedError:
        return LinkRefusedError(
            f"the agent at {self._transport.address} speaks version {version} of the link, this program version "
            f"{VERSION}; install the same release of axft-hw at both ends"
        )

    def ask(self, request: Message, *, wait_s: float = 0.0) -> Message:
        """Send a request and return the answer to it; answers that are still to come are awaited, and dropped."""
        while self.under_way:
            self.next()
        self.send(request, wait_s=wait_s)
        return self.next()[1]

    def send(self, request: Message, *, wait_s: float = 0.0) -> None:
        """Send a request; `wait_s` is how long the other end may hold its answer back."""
        number = next(self._sequence) & 0xFFFFFFFF
        frame = Frame(session=self._id, sequence=number, payload=request.encode())
        data = (frame if self._key is None else frame.tagged(self._key)).encode()
        now = time.monotonic()
        if not self._pending:
            self._heard = now
        self._pending[number] = _Pending(request, data, wait_s, now, self._retry_after(len(data)))
        self._put(data)

    def next(self) -> tuple[Message, Message]:
        """Return a request that was answered, and the answer.

        Raises
        ------
        LinkLostError
            If nothing comes from the other end any more.
        LinkRefusedError
            If it refuses.
        """
        while not self._answers:
            now = time.monotonic()
            longest = max(each.wait_s for each in self._pending.values())
            if now - self._heard > self.silence_s + longest:
                raise LinkLostError(
                    f"link {self._transport.address}: no answer for {now - self._heard:.1f} s"
                    + (
                        f", but {self._decoder.garbage_bytes} bytes that are no frames"
                        * bool(self._decoder.garbage_bytes)
                    )
                )
            due = min(each.sent + each.wait_s + each.retry_s for each in self._pending.values())
            self._receive(max(0.0, min(due - now, 0.2)))
            self._retry(time.monotonic())
        return self._answers.pop(0)

    def _receive(self, timeout_s: float) -> None:
        data = self._transport.read(timeout_s)
        self._statistics.bytes_in += len(data)
        damaged = self._decoder.damaged
        for frame in self._decoder.feed(data):
            self._take(frame)
        if self._decoder.damaged > damaged:
            self._statistics.damaged += self._decoder.damaged - damaged
            self._smaller()
            # It was an answer, most likely: the oldest request would wait for it in vain.
            self._at_once()

    def _take(self, frame: Frame) -> None:
        if frame.version != VERSION:
            raise self._other_version(frame.version)
        if not frame.answer or frame.session != self._id or (self._key is not None and not frame.is_from(self._key)):
            return
        try:
            answer = decode(frame.payload)
        except MessageError:
            return
        if isinstance(answer, Refused):
            self._refused(frame, answer)
            return
        pending = self._pending.pop(frame.sequence, None)
        if pending is None:
            return  # the answer to a request that was answered before
        self._heard = time.monotonic()
        self._statistics.exchanges += 1
        if pending.tries == 1:
            taken = max(0.0, self._heard - pending.sent - pending.wait_s)
            self._round_trip_s += (taken - self._round_trip_s) / 8
            self._body = min(float(self._largest), self._body * 1.06)
        self._answers.append((pending.request, answer))

    def _refused(self, frame: Frame, answer: Refused) -> None:
        if answer.reason == "damaged":
            self._smaller()
            self._at_once()
        elif frame.sequence in self._pending:
            where = self._transport.address
            if answer.reason == "session":
                raise LinkLostError(f"link {where}: the agent has forgotten this session: {answer.text}")
            raise LinkRefusedError(f"the agent at {where} refuses: {answer.text}")

    def _smaller(self) -> None:
        self._body = max(float(_SMALLEST_BODY), self._body * 0.7)

    def _at_once(self) -> None:
        if self._pending:
            oldest = min(self._pending.values(), key=lambda each: each.sent)
            oldest.retry_s = min(oldest.retry_s, time.monotonic() - oldest.sent - oldest.wait_s)

    def _retry(self, now: float) -> None:
        for each in list(self._pending.values()):
            if now >= each.sent + each.wait_s + each.retry_s:
                each.tries += 1
                each.sent = now
                each.retry_s = min(_RETRY_S[1], self._retry_after(len(each.data)) * 2 ** min(each.tries - 1, 6))
                self._statistics.retries += 1
                self._smaller()
                self._put(each.data)

    def _retry_after(self, size: int) -> float:
        # All that may be on the wire before the answer: the requests under way, and their answers.
        wire_s = self._transport.byte_s * (size + (len(self._pending) + 1) * (self.body_bytes + _OVERHEAD))
        return min(_RETRY_S[1] + wire_s, max(_RETRY_S[0], 3 * self._round_trip_s) + wire_s)

    def _put(self, data: bytes) -> None:
        self._statistics.bytes_out += len(data)
        self._transport.write(data)

    def close(self) -> None:
        """Say goodbye, without waiting for an answer, and let go of the port."""
        try:
            if self._id != NO_SESSION:
                self.send(Bye())
        except LinkLostError:
            pass
        finally:
            self.drop()

    def drop(self) -> None:
        """Let go of the port."""
        self._transport.close()


class LinkBusyError(LinkRefusedError):
    """Another client drives the board.

    Attributes
    ----------
    silent_s, lease_s : float
        How long ago it was heard, and after how long it is forgotten.
    """

    def __init__(self, where: str, silent_s: float, lease_s: float) -> None:
        super().__init__(
            f"the board at {where} is busy: another client drives it, heard {silent_s:.0f} s ago; wait until it is "
            f"done, or stop it"
        )
        self.silent_s = silent_s
        self.lease_s = lease_s
