"""One runner per result: a lock that dies with the process that holds it."""

from __future__ import annotations

import errno
import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from axft_spec.errors import StoreError

if sys.platform != "win32":
    import fcntl

__all__ = ["is_locked", "locked"]

_log = logging.getLogger(__name__)

#: What the system says when somebody else holds a lock.
_HELD = {errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES}

#: How often a lock that is held is tried again, and seconds in between.
_TRIES, _PAUSE_S = 3, 0.05


def _try_lock(directory: Path, *, shared: bool = False) -> tuple[int | None, bool]:
    """Return an open descriptor of the directory, and whether it has the lock; (None, True) where there are none.

    A shared one lets others look as well. The directory itself is locked: there is no lock file that could be left
    behind, or be deleted by somebody.
    """
    if sys.platform == "win32":
        _log.warning("this system has no locks: run one process at a time on %s", directory)
        return None, True
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _HELD:
            return descriptor, False
        os.close(descriptor)
        # As over some network file systems. Rows cannot be written twice even so: their places are unique.
        _log.warning("%s cannot be locked (%s): run one process at a time on it", directory, error.strerror)
        return None, True
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor, True


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold the lock of a result or campaign directory. Nobody else can, until this process leaves or is gone.

    Raises
    ------
    StoreError
        If another process has it.
    """
    try:
        descriptor, free = _try_lock(directory)
        for _ in range(_TRIES):
            if free:
                break
            # Somebody may just be looking.
            if descriptor is not None:
                os.close(descriptor)
            time.sleep(_PAUSE_S)
            descriptor, free = _try_lock(directory)
    except OSError as error:
        raise StoreError(f"{directory} cannot be opened: {error.strerror}") from None
    try:
        if not free:
            raise StoreError(
                f"another process is running the campaign in {directory}; wait for it or stop it "
                f"(`axft-hw campaign status {directory}` shows how far it is), then resume"
            )
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


def is_locked(directory: Path) -> bool:
    """Return whether some process is running the campaign in a directory."""
    try:
        descriptor, free = _try_lock(directory, shared=True)
    except OSError:
        return False
    if descriptor is not None:
        os.close(descriptor)
    return not free
