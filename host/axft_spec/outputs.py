"""Whether an output can be made: asked before the work that it takes, which may be hours."""

from __future__ import annotations

import tempfile
from pathlib import Path

from axft_spec.errors import ConfigError, exists_message

__all__ = ["check_new_output"]


def check_new_output(path: Path) -> None:
    """Check, before any work, that a file or directory can be made: a trial entry is made beside it, and removed.

    Permissions alone do not tell: not of root, of a file system mounted to be read, or of one such as ``/proc``.

    Parameters
    ----------
    path : Path
        Must not exist, not as a link to nowhere either; its parent must, and must be writable.

    Raises
    ------
    ConfigError
        If it cannot; the message says why, and what to do.
    """
    try:
        if path.exists() or path.is_symlink():
            raise ConfigError(exists_message(path))
        if not path.parent.is_dir():
            raise ConfigError(f"output {path}: the directory {path.parent} does not exist; make it, or name another")
        Path(tempfile.mkdtemp(prefix=".axft-", dir=path.parent)).rmdir()
    except OSError as error:
        raise ConfigError(
            f"output {path} cannot be made in {path.parent}: {error.strerror}; name one in a directory that you can "
            "write to"
        ) from None
