"""What can go wrong on a link."""

from __future__ import annotations

from axft_spec.errors import BackendError

__all__ = ["LinkError", "LinkLostError", "LinkRefusedError"]


class LinkError(BackendError):
    """The link cannot do what was asked."""


class LinkLostError(LinkError):
    """Nothing is heard from the other end any more. Never an outcome: the exchange is made again."""


class LinkRefusedError(LinkError):
    """The other end has answered, and will answer the same again: another version, a wrong secret, busy."""
