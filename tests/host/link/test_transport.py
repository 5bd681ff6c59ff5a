"""Addresses of links, and ports that cannot be had."""

from __future__ import annotations

import os
import pty
import socket

import pytest

from axft_host.link.errors import LinkLostError, LinkRefusedError
from axft_host.link.transport import LinkAddress, open_transport
from axft_spec.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("socket://127.0.0.1:27182", LinkAddress(host="127.0.0.1", port=27182)),
        ("socket://[::1]:5", LinkAddress(host="::1", port=5)),
        ("/dev/ttyUSB1", LinkAddress(device="/dev/ttyUSB1")),
        ("serial:///dev/ttyUSB1?baud=921600", LinkAddress(device="/dev/ttyUSB1", baud=921600)),
    ],
)
def test_address_is_read_and_written(text: str, address: LinkAddress) -> None:
    """In each of its forms."""
    assert LinkAddress.parse(text) == address
    assert str(address) == text


@pytest.mark.parametrize(
    "text",
    ["", "socket://", "socket://host", "socket://host:99999", "http://host:1", "serial:///dev/x?speed=1", "loop://"],
)
def test_other_forms_are_refused(text: str) -> None:
    """With those that are allowed."""
    with pytest.raises(ConfigError, match=r"the address of a link must be socket://HOST:PORT, a serial port"):
        LinkAddress.parse(text)


def test_speed_of_a_line_has_limits() -> None:
    """A typing error is told."""
    with pytest.raises(ConfigError, match="baud must be between 50 and 10000000, not 0"):
        LinkAddress.parse("serial:///dev/ttyUSB1?baud=0")


def test_nobody_listening_is_a_lost_link() -> None:
    """It is tried again; a port that is free now may be taken later."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(LinkLostError, match="cannot be opened"):
        open_transport(LinkAddress(host="127.0.0.1", port=port))


def test_connection_with_oneself_is_nobody() -> None:
    """The system may give a connection the very port that it asks for, if nobody listens there."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    original = socket.create_connection

    def itself(address: tuple[str, int], *rest: object, **options: object) -> socket.socket:
        return original(address, source_address=("127.0.0.1", port))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "create_connection", itself)
        with pytest.raises(LinkLostError, match="nobody listens there"):
            open_transport(LinkAddress(host="127.0.0.1", port=port))


def test_serial_port_that_another_program_has_is_busy() -> None:
    """Two readers of one line would each get half of it."""
    master, slave = pty.openpty()
    try:
        first = open_transport(LinkAddress(device=os.ttyname(slave)))
        with pytest.raises(LinkRefusedError, match="is busy: another program has it open"):
            open_transport(LinkAddress(device=os.ttyname(slave)))
        first.close()
        open_transport(LinkAddress(device=os.ttyname(slave))).close()
    finally:
        os.close(master)
        os.close(slave)


def test_missing_serial_port_is_named() -> None:
    """As it is while a cable is out."""
    with pytest.raises(LinkLostError, match="/dev/ttyNOWHERE cannot be opened"):
        open_transport(LinkAddress(device="/dev/ttyNOWHERE"))
