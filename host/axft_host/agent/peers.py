"""Who is at the other end: clients on TCP connections, or whoever is at a serial port."""

from __future__ import annotations

import contextlib
import errno
import logging
import socket
import time
from abc import ABC, abstractmethod

from axft_host.link.errors import LinkError, LinkLostError
from axft_host.link.framing import Frame, FrameDecoder
from axft_host.link.transport import LinkAddress, Transport, is_loopback, open_transport
from axft_spec.errors import BackendError, ConfigError

__all__ = ["Listener", "Peer", "PeerGoneError", "SerialPeer", "TcpPeer"]

_log = logging.getLogger(__name__)

_CHUNK = 1 << 16
#: Bytes that wait to be sent to a peer that does not read; frames beyond are dropped, and asked for again.
_MAX_WAITING = 256 << 10
#: What accepting says that will say the same again at once.
_NO_MEANS = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class PeerGoneError(Exception):
    """The connection is over."""


class Peer(ABC):
    """One connection: frames come in, frames go out; what does not fit is dropped, as a link may do anyway."""

    #: Whether it shows when the other end has gone.
    tells_its_end = True

    def __init__(self, name: str) -> None:
        self.name = name
        self.decoder = FrameDecoder()
        #: When it was last that of the open session, or came.
        self.since = time.monotonic()
        self._waiting = bytearray()

    @abstractmethod
    def fileno(self) -> int:
        """Return what `select` takes."""

    @abstractmethod
    def _read(self) -> bytes:
        """Return bytes that are there; none raise `PeerGoneError`."""

    @abstractmethod
    def _write(self, data: bytes) -> int:
        """Send what there is room for; return how many bytes."""

    @abstractmethod
    def close(self) -> None:
        """Let go of it."""

    @property
    def blocked(self) -> bool:
        """Whether something waits to be sent."""
        return bool(self._waiting)

    def receive(self) -> list[Frame]:
        """Return the frames that have come.

        Raises
        ------
        PeerGoneError
            If the connection is over.
        """
        return self.decoder.feed(self._read())

    def send(self, frame: Frame) -> None:
        """Send a frame, now or when there is room."""
        data = frame.encode()
        if len(self._waiting) + len(data) <= _MAX_WAITING:
            self._waiting += data
            self.flush()

    def flush(self) -> None:
        """Send what waits, as far as there is room."""
        while self._waiting:
            count = self._write(bytes(self._waiting[:_CHUNK]))
            if not count:
                return
            del self._waiting[:count]


class TcpPeer(Peer):
    """A TCP connection."""

    def __init__(self, connection: socket.socket, name: str) -> None:
        super().__init__(name)
        self._socket = connection
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def fileno(self) -> int:
        """See `Peer`."""
        return self._socket.fileno()

    def _read(self) -> bytes:
        try:
            data = self._socket.recv(_CHUNK)
        except BlockingIOError:
            return b""
        except OSError as error:
            raise PeerGoneError(str(error)) from None
        if not data:
            raise PeerGoneError("closed")
        return data

    def _write(self, data: bytes) -> int:
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0
        except OSError:
            self._waiting.clear()  # reading says that it is gone
            return 0

    def close(self) -> None:
        """See `Peer`."""
        with contextlib.suppress(OSError):
            self._socket.close()


class SerialPeer(Peer):
    """Whoever is at the other end of a serial port, which is opened again when it fails."""

    tells_its_end = False

    def __init__(self, address: LinkAddress) -> None:
        super().__init__(str(address))
        self._address = address
        self._transport: Transport = open_transport(address, write_timeout_s=0)

    def fileno(self) -> int:
        """See `Peer`."""
        return self._transport.fileno()

    def _read(self) -> bytes:
        try:
            return self._transport.read(0)
        except LinkLostError as error:
            raise PeerGoneError(str(error)) from None

    def _write(self, data: bytes) -> int:
        try:
            return self._transport.write_now(data)
        except LinkError:
            self._waiting.clear()
            return 0

    def close(self) -> None:
        """See `Peer`."""
        self._transport.close()


class Listener:
    """Accepts TCP connections.

    Parameters
    ----------
    host : str
        An address of this machine. One that others can reach needs a secret.
    port : int
        0 for any that is free.
    has_secret : bool

    Raises
    ------
    ConfigError
        If a secret is needed, and there is none.
    BackendError
        If the port cannot be had.
    """

    def __init__(self, host: str, port: int, *, has_secret: bool) -> None:
        if not has_secret and not is_loopback(host):
            raise ConfigError(
                f"a listener on {host}, which other machines can reach, needs a shared secret; allowed: --secret-file, "
                f"or a loopback address such as 127.0.0.1"
            )
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind((host, port))
            self._socket.listen(8)
        except OSError as error:
            self._socket.close()
            raise BackendError(f"cannot listen on {host} port {port}: {error.strerror or error}") from None
        self._socket.setblocking(False)
        self.address = LinkAddress(host=host, port=self._socket.getsockname()[1])

    def fileno(self) -> int:
        """Return what `select` takes."""
        return self._socket.fileno()

    def accept(self) -> TcpPeer | None:
        """Return a new connection, if there is one.

        Raises
        ------
        OSError
            If there are not the means for one: no file descriptors, no memory.
        """
        try:
            connection, where = self._socket.accept()
        except OSError as error:
            if error.errno in _NO_MEANS:
                raise
            return None
        try:
            return TcpPeer(connection, f"{where[0]}:{where[1]}")
        except OSError:
            connection.close()  # it has gone in the meantime
            return None

    def close(self) -> None:
        """Accept no more."""
        self._socket.close()
