"""The client in front of others than an agent: a clear error in bounded time, whoever is there."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from axft_host.link import client as client_module
from axft_host.link.client import LinkClient, LinkSettings, client_for
from axft_host.link.errors import LinkError, LinkLostError, LinkRefusedError
from axft_host.link.framing import FrameDecoder
from axft_host.link.messages import Auth, Busy, Challenge, Hello, Message, Refused, decode
from axft_host.link.transport import LinkAddress
from axft_spec.errors import ConfigError

QUICK = LinkSettings(first_s=1.5, silence_s=1.0, patience_s=1.0, power_s=1.0)


@contextlib.contextmanager
def server(behave: Callable[[socket.socket], None]) -> Iterator[LinkAddress]:
    """Give the address of somebody who behaves like that on every connection."""
    listener = socket.create_server(("127.0.0.1", 0))
    stop = threading.Event()

    def serve() -> None:
        while not stop.is_set():
            with contextlib.suppress(OSError), listener.accept()[0] as connection:
                connection.settimeout(10)
                behave(connection)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield LinkAddress(host="127.0.0.1", port=listener.getsockname()[1])
    finally:
        stop.set()
        listener.close()


def answering(answer: Callable[[Message], Message | None], version: int = 1) -> Callable[[socket.socket], None]:
    """Return the behaviour of somebody who speaks in frames."""

    def behave(connection: socket.socket) -> None:
        decoder = FrameDecoder()
        while data := connection.recv(4096):
            for frame in decoder.feed(data):
                said = answer(decode(frame.payload))
                if said is not None:
                    reply = type(frame)(
                        session=frame.session,
                        sequence=frame.sequence,
                        payload=said.encode(),
                        answer=True,
                        version=version,
                    )
                    connection.sendall(reply.encode())

    return behave


def refusal(address: LinkAddress, kind: type[LinkError], settings: LinkSettings = QUICK) -> str:
    """Return what a client says, which must not take long."""
    start = time.monotonic()
    with pytest.raises(kind) as caught:
        LinkClient(address, settings).connect()
    assert time.monotonic() - start < 8
    return str(caught.value)


def challenge(message: Message, **fields: object) -> Message | None:
    """Answer a greeting."""
    given = {"protocol": 1, "program": "t", "session": b"s" * 8, "nonce": b"n" * 16, "needs_secret": 0, **fields}
    return Challenge(**given) if isinstance(message, Hello) else None


def test_garbage_for_ever_is_told_from_an_agent() -> None:
    """Within the time that the first attempt has."""

    def babble(connection: socket.socket) -> None:
        while True:
            connection.sendall(os.urandom(1000))

    with server(babble) as address:
        assert "bytes that are no frames; is `axft-hw serve` running there?" in refusal(address, LinkLostError)


def test_silence_is_a_lost_link() -> None:
    """It takes connections, and says nothing."""
    with server(lambda connection: time.sleep(3)) as address:
        assert "no answer for" in refusal(address, LinkLostError)


def test_agent_of_another_version_is_told_with_what_to_do() -> None:
    """By its frames, by its greeting, or by its refusal."""
    said = "install the same release of axft-hw at both ends"
    with server(answering(challenge, version=9)) as address:
        assert f"speaks version 9 of the link, this program version 1; {said}" in refusal(address, LinkRefusedError)
    with server(answering(lambda message: challenge(message, protocol=2))) as address:
        assert f"speaks version 2 of the link, this program version 1; {said}" in refusal(address, LinkRefusedError)
    with server(answering(lambda message: Refused(reason="version", text="only version 3"))) as address:
        assert "refuses: only version 3" in refusal(address, LinkRefusedError)


def test_secret_that_is_wanted_or_unknown_is_told() -> None:
    """The proof of an agent that has another one is not one."""
    with server(answering(lambda message: challenge(message, needs_secret=1))) as address:
        assert "needs the secret that it was started with" in refusal(address, LinkRefusedError)
    from axft_host.link.messages import Welcome

    def impostor(message: Message) -> Message | None:
        if isinstance(message, Auth):
            return Welcome(proof=bytes(32), life=bytes(8), board="emu", max_body=1000)
        return challenge(message, needs_secret=1)

    with server(answering(impostor)) as address:
        settings = LinkSettings(first_s=1.5, silence_s=1.0, secret=b"s" * 16)
        assert "has another secret than this program" in refusal(address, LinkRefusedError, settings)


def test_busy_board_is_told_when_its_client_is_heard() -> None:
    """One that was killed is waited for instead."""
    silences = iter([900, 1500, 300])

    def busy(message: Message) -> Message | None:
        if isinstance(message, Auth):
            return Busy(silent_ms=next(silences), lease_ms=5000)
        return challenge(message)

    with server(answering(busy)) as address:
        assert "is busy: another client drives it, heard 0 s ago" in refusal(address, LinkRefusedError)


def test_power_command_is_run_when_nothing_else_helps(tmp_path: object) -> None:
    """So often and no more; the message says all that was tried."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = LinkAddress(host="127.0.0.1", port=listener.getsockname()[1])
    switched = f"{tmp_path}/switched"
    settings = LinkSettings(patience_s=0.3, power_s=0.3, power_command=("sh", "-c", f"echo x >> {switched}"))
    with pytest.raises(LinkError, match=r"tried: waited 0 s for it, switched its power 2 times"):
        LinkClient(address, settings).come_back(LinkLostError("gone"))
    with open(switched, encoding="ascii") as lines:  # noqa: PTH123
        assert lines.read() == "x\nx\n"
    broken = LinkSettings(patience_s=0.3, power_command=("false",))
    with pytest.raises(LinkError, match="the power command false failed"):
        LinkClient(address, broken).come_back(LinkLostError("gone"))


def test_process_has_one_client_of_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """However it is written; the environment says what it needs."""
    monkeypatch.setattr(client_module, "_clients", {})
    monkeypatch.setenv("AXFT_POWER_COMMAND", "switch 'outlet 3' off")
    first = client_for("serial:///dev/ttyX?baud=115200")
    assert client_for("/dev/ttyX") is first
    assert first.settings.power_command == ("switch", "outlet 3", "off")
    monkeypatch.setenv("AXFT_POWER_COMMAND", "switch 'outlet")
    with pytest.raises(ConfigError, match=r"\$AXFT_POWER_COMMAND must be a command, not one with No closing"):
        client_for("/dev/ttyY")


def test_secret_that_is_not_asked_for_is_refused_on_this_machine_too() -> None:
    """Whoever has the port need not be the agent that the secret was made for."""
    settings = LinkSettings(first_s=1.5, silence_s=1.0, secret=b"s" * 16)
    with server(answering(challenge)) as address:
        said = refusal(address, LinkRefusedError, settings)
    assert "does not ask for the secret; unset $AXFT_LINK_SECRET_FILE if it was started without one" in said
