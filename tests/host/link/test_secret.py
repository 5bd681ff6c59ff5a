"""The shared secret: its file, and the proofs."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from axft_host.link.secret import Handshake, read_secret
from axft_spec.errors import ConfigError


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    """Return a file as it should be."""
    path = tmp_path / "secret"
    path.write_bytes(b"0123456789abcdef0123\n")
    path.chmod(0o600)
    return path


def test_secret_is_read_without_its_line_end(secret_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By name, or by what the variable names."""
    assert read_secret(secret_file) == b"0123456789abcdef0123"
    monkeypatch.delenv("AXFT_LINK_SECRET_FILE", raising=False)
    assert read_secret() is None
    monkeypatch.setenv("AXFT_LINK_SECRET_FILE", str(secret_file))
    assert read_secret() == b"0123456789abcdef0123"


def test_file_that_others_can_read_is_refused(secret_file: Path) -> None:
    """With the command that helps."""
    secret_file.chmod(0o644)
    with pytest.raises(ConfigError, match=rf"may be read by other users; `chmod 600 {secret_file}`"):
        read_secret(secret_file)


def test_short_secret_is_refused(secret_file: Path) -> None:
    """It could be guessed by who has listened."""
    secret_file.write_bytes(b"hunter2")
    with pytest.raises(ConfigError, match="must have at least 16 bytes, not 7; make one with"):
        read_secret(secret_file)


def test_missing_file_is_named(tmp_path: Path) -> None:
    """Not a traceback."""
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        read_secret(tmp_path / "nowhere")


def slow_hmac(key: bytes, text: bytes) -> bytes:
    """Return HMAC-SHA256 as RFC 2104 writes it."""
    padded = (hashlib.sha256(key).digest() if len(key) > 64 else key).ljust(64, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in padded) + text).digest()
    return hashlib.sha256(bytes(byte ^ 0x5C for byte in padded) + inner).digest()


def test_proofs_and_key_are_what_the_reference_says() -> None:
    """Each with a purpose of its own, over both nonces and the session."""
    secret, client, agent, session = b"k" * 20, b"c" * 16, b"a" * 16, b"s" * 8
    handshake = Handshake(secret, client, agent, session)
    for purpose, found in {
        b"client": handshake.proof("client"),
        b"agent": handshake.proof("agent"),
        b"key": handshake.key,
    }.items():
        assert found == slow_hmac(secret, b"axft link 1 " + purpose + b"\0" + client + agent + session)
    assert handshake.is_proof("client", handshake.proof("client"))
    assert not handshake.is_proof("client", handshake.proof("agent"))
    assert not handshake.is_proof("client", bytes(32))


def test_without_secret_there_is_nothing_to_prove() -> None:
    """On a cable, or on this machine."""
    handshake = Handshake(None, b"c" * 16, b"a" * 16, b"s" * 8)
    assert (handshake.proof("client"), handshake.key) == (bytes(32), None)
    assert handshake.is_proof("client", b"x" * 32)
