"""What an agent is told when it starts."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest

from axft_host.agent.start import AgentOptions, start
from axft_host.link.transport import is_loopback
from axft_spec.errors import AxftError


def refusal(**options: object) -> str:
    """Return why an agent does not start."""
    with (
        pytest.raises(AxftError) as caught,
        start(AgentOptions(**{"board": "emu", "listen": ("127.0.0.1:0",), **options})),
    ):
        pass
    return str(caught.value)


@pytest.mark.parametrize("host", ["0.0.0.0:0", "[::]:0", "192.0.2.1:0", "example.org:0"])
def test_address_that_others_reach_needs_a_secret(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything listens."""
    monkeypatch.delenv("AXFT_LINK_SECRET_FILE", raising=False)
    assert "which other machines can reach, needs a shared secret; allowed: --secret-file" in refusal(listen=(host,))


def test_with_a_secret_any_address_can_be_listened_on(tmp_path: Path) -> None:
    """Its clients have to prove that they have it."""
    path = tmp_path / "secret"
    path.write_bytes(b"0123456789abcdef")
    path.chmod(0o600)
    with start(AgentOptions(board="emu", listen=("0.0.0.0:0",), secret_file=path)) as agent:
        assert agent.addresses[0].startswith("socket://0.0.0.0:")
        agent.supervisor.stopping = True
        agent.supervisor.run()


def test_port_that_is_taken_is_named() -> None:
    """By another agent, say."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert refusal(listen=(f"127.0.0.1:{port}",)) == (
            f"cannot listen on 127.0.0.1 port {port}: Address already in use"
        )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"board": "emo"}, "unknown board to serve 'emo' (did you mean emu?); allowed: emu, rtl, pynq"),
        ({"board": "link:/dev/ttyUSB0"}, "allowed: emu, rtl, pynq"),
        ({"listen": ("nowhere",)}, "--listen must be HOST:PORT such as 127.0.0.1:27182, not 'nowhere'"),
        ({"serial": ("/dev/ttyS0,fast",)}, "--serial must be DEVICE or DEVICE,BAUD such as /dev/ttyUSB1,115200"),
        ({"serial": ("/dev/ttyNOWHERE",)}, "/dev/ttyNOWHERE cannot be opened"),
        ({"patience": 0}, "patience must be at least 1, not 0"),
        ({"reboot_command": "echo 'x"}, "the reboot command must be a command, not one with No closing quotation"),
        ({"physical": "4"}, "array must be ROWSxCOLS"),
        ({"cache": Path("/proc/nowhere")}, "the cache /proc/nowhere cannot be used"),
    ],
)
def test_options_that_cannot_be_met_are_told(options: dict[str, object], message: str) -> None:
    """And nothing is left open."""
    assert message in refusal(**options)


@pytest.mark.parametrize(
    ("host", "near"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True), ("10.0.0.1", False)],
)
def test_loopback_is_told_from_the_network(host: str, near: bool) -> None:
    """By its number, not by what a name service says."""
    assert is_loopback(host) is near


def test_directories_of_agents_that_were_killed_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of agents that run stay, and so does what is none."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    ended = subprocess.Popen(["true"])
    ended.wait()
    stale = tmp_path / f"axft-agent-{ended.pid}-abc"
    kept = [tmp_path / name for name in (f"axft-agent-{os.getpid()}-abc", "axft-agent-notes", "axft-agent-1-x")]
    for path in (stale, *kept):
        (path / "axft-blobs").mkdir(parents=True)
    with start(AgentOptions(board="emu", listen=("127.0.0.1:0",))) as agent:
        assert not stale.exists()
        assert all(path.is_dir() for path in kept)
        mine = [path.name for path in tmp_path.iterdir() if path not in kept]
        assert len(mine) == 1 and mine[0].startswith(f"axft-agent-{os.getpid()}-")
        agent.supervisor.stopping = True
        agent.supervisor.run()
