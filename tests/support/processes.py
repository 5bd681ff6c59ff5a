"""Other processes of this machine."""

from __future__ import annotations

import os

__all__ = ["exists"]


def exists(pid: int) -> bool:
    """Return whether there is such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
