"""The shared secret: where it comes from, how each end proves that it has it, and the key of a session."""

from __future__ import annotations

import hashlib
import hmac
import os
from pathlib import Path

from axft_spec.errors import ConfigError

__all__ = ["LEAST_BYTES", "SECRET_VARIABLE", "Handshake", "read_secret"]

#: Names the file with the secret.
SECRET_VARIABLE = "AXFT_LINK_SECRET_FILE"

#: A secret that is shorter can be guessed by who has listened to one handshake.
LEAST_BYTES = 16


def read_secret(path: Path | None = None) -> bytes | None:
    """Return the secret in a file, without white space around it; None if no file is named.

    Parameters
    ----------
    path : Path or None
        None for the file that ``$AXFT_LINK_SECRET_FILE`` names.

    Raises
    ------
    ConfigError
        If the file cannot be read, others may read it, or the secret is too short.
    """
    if path is None:
        named = os.environ.get(SECRET_VARIABLE)
        if not named:
            return None
        path = Path(named)
    try:
        secret = path.read_bytes().strip()
        mode = path.stat().st_mode
    except OSError as error:
        raise ConfigError(f"the secret file {path} cannot be read: {error.strerror}") from None
    if os.name == "posix" and mode & 0o077:
        raise ConfigError(f"the secret file {path} may be read by other users; `chmod 600 {path}`")
    if len(secret) < LEAST_BYTES:
        raise ConfigError(
            f"the secret in {path} must have at least {LEAST_BYTES} bytes, not {len(secret)}; make one with "
            f"`python3 -c 'import secrets; print(secrets.token_hex(32))'`"
        )
    return secret


class Handshake:
    """What both ends compute from the secret and what they have said to each other.

    Parameters
    ----------
    secret : bytes or None
        None if none is needed: then proofs are zeros, and there is no key.
    client_nonce, agent_nonce : bytes
    session : bytes
    """

    def __init__(self, secret: bytes | None, client_nonce: bytes, agent_nonce: bytes, session: bytes) -> None:
        self._secret = secret
        self._said = client_nonce + agent_nonce + session

    def _hmac(self, purpose: bytes) -> bytes:
        assert self._secret is not None
        return hmac.new(self._secret, b"axft link 1 " + purpose + b"\0" + self._said, hashlib.sha256).digest()

    def proof(self, side: str) -> bytes:
        """Return the proof of ``client`` or ``agent``."""
        return bytes(32) if self._secret is None else self._hmac(side.encode())

    def is_proof(self, side: str, proof: bytes) -> bool:
        """Return whether that is the proof of ``client`` or ``agent``, in a time that does not tell how nearly."""
        return self._secret is None or hmac.compare_digest(proof, self.proof(side))

    @property
    def key(self) -> bytes | None:
        """The key of the tags of all frames of the session; None if they have none."""
        return None if self._secret is None else self._hmac(b"key")
