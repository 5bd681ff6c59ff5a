"""Bytes to and from the other end: a serial port or a TCP connection, opened through pyserial."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import select
import socket
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

from axft_host.link.errors import LinkLostError, LinkRefusedError
from axft_spec.errors import ConfigError, check_int

__all__ = ["BAUD", "LinkAddress", "Transport", "is_loopback", "open_transport"]

#: Bits per second of a serial port, if nothing else is said; what the console of a PYNQ-Z2 has.
BAUD = 115_200

#: Most bytes that are read, or written without a look at what came in, at a time.
_CHUNK = 4096

_FORMS = "socket://HOST:PORT, a serial port such as /dev/ttyUSB1, or serial:///dev/ttyUSB1?baud=921600"


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkAddress:
    """Where the other end is: a serial port with its speed, or a host and a port of TCP."""

    device: str = ""
    baud: int = BAUD
    host: str = ""
    port: int = 0

    @classmethod
    def parse(cls, text: str) -> LinkAddress:
        """Read what stands behind ``link:``.

        Raises
        ------
        ConfigError
            If it has none of the forms.
        """
        form = ConfigError(f"the address of a link must be {_FORMS}; not {text!r}")
        scheme, has_scheme, _ = text.partition("://")
        if not has_scheme:
            if not text:
                raise form
            return cls(device=text)
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError:
            raise form from None
        if scheme == "socket" and parts.hostname and port and not parts.path.strip("/"):
            return cls(host=parts.hostname, port=port)
        if scheme == "serial" and parts.path and not parts.netloc:
            query = parse_qs(parts.query)
            bauds = query.pop("baud", [str(BAUD)])
            if not query and len(bauds) == 1 and bauds[0].isdecimal():
                return cls(device=parts.path, baud=check_int("baud", int(bauds[0]), 50, 10_000_000))
        raise form

    def __str__(self) -> str:
        if self.host:
            host = f"[{self.host}]" if ":" in self.host else self.host
            return f"socket://{host}:{self.port}"
        return self.device if self.baud == BAUD else f"serial://{self.device}?baud={self.baud}"


def is_loopback(host: str) -> bool:
    """Return whether a host, by its number or as ``localhost``, is this machine for all that others can tell."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Transport:
    """An open port; reading and writing take no longer than asked.

    Parameters
    ----------
    port : serial.SerialBase
        With a timeout of 0.
    address : LinkAddress
    """

    def __init__(self, port: Any, address: LinkAddress) -> None:
        self._port = port
        self.address = address

    @property
    def byte_s(self) -> float:
        """Seconds that a byte takes on the wire; 0 if that is no matter."""
        return 10 / self.address.baud if self.address.device else 0.0

    def fileno(self) -> int:
        """Return what `select` takes."""
        return int(self._port.fileno())

    def read(self, timeout_s: float) -> bytes:
        """Return what has come, or wait so long for the first of it; nothing if nothing comes.

        Raises
        ------
        LinkLostError
            If the port is gone.
        """
        try:
            if timeout_s > 0:
                select.select([self.fileno()], [], [], timeout_s)
            return bytes(self._port.read(_CHUNK))
        except (OSError, ValueError) as error:
            raise LinkLostError(f"link {self.address}: {_plain(error)}") from None

    def write(self, data: bytes) -> int:
        """Send bytes, which takes no longer than the write timeout; return how many. See `read`."""
        try:
            return int(self._port.write(data) or 0)
        except (OSError, ValueError) as error:
            raise LinkLostError(f"link {self.address}: {_plain(error)}") from None

    def write_now(self, data: bytes) -> int:
        """Send bytes to a serial port, as many as there is room for; return how many. See `read`.

        pyserial tries again, without end, while there is no room.
        """
        try:
            return os.write(self.fileno(), data)
        except BlockingIOError:
            return 0
        except (OSError, ValueError, TypeError) as error:
            raise LinkLostError(f"link {self.address}: {_plain(error)}") from None

    def close(self) -> None:
        """Let go of the port."""
        # pyserial forgets to close a socket whose other end has gone.
        inner = getattr(self._port, "_socket", None)
        with contextlib.suppress(OSError, ValueError):
            self._port.close()
        if inner is not None:
            inner.close()


def _plain(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def open_transport(address: LinkAddress, *, write_timeout_s: float = 5.0) -> Transport:
    """Open a port for this process alone.

    Raises
    ------
    LinkRefusedError
        If another program has the port, or it may not be used.
    LinkLostError
        If there is no such port (now), or nobody answers.
    """
    import serial

    options: dict[str, Any] = {"timeout": 0, "write_timeout": write_timeout_s}
    try:
        if address.host:
            port = serial.serial_for_url(str(address), **options)
            # pyserial leaves it to the system to gather small frames before it sends them.
            with socket.socket(fileno=os.dup(port.fileno())) as twin:
                twin.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                itself = twin.getsockname() == twin.getpeername()
            if itself:
                # Nobody listens on that port of this machine, and the system gave it to this very connection. Kept, it
                # would be in the way of an agent that starts.
                port.close()
                raise LinkLostError(f"link {address} cannot be opened: nobody listens there")
        else:
            port = serial.serial_for_url(address.device, baudrate=address.baud, exclusive=True, **options)
    except (OSError, ValueError) as error:
        what = _plain(error)
        if "lock" in what.lower() or "busy" in what.lower():
            raise LinkRefusedError(
                f"serial port {address.device} is busy: another program has it open (a terminal, or a getty; on the "
                f"board `systemctl mask --now serial-getty@...`)"
            ) from None
        if isinstance(error, PermissionError) or "permission" in what.lower():
            raise LinkRefusedError(
                f"serial port {address.device} may not be opened by this user; on Debian and Ubuntu: add the user to "
                f"the group dialout"
            ) from None
        raise LinkLostError(f"link {address} cannot be opened: {what}") from None
    return Transport(port, address)
