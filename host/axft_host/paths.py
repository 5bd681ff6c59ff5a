"""Where files go that belong to a user rather than to a project."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["user_cache_dir", "user_data_dir"]


def user_cache_dir() -> Path:
    """Return the directory for what can be computed again.

    ``$AXFT_CACHE`` if set, else ``axft-hw`` under ``$XDG_CACHE_HOME``, else ``~/.cache/axft-hw``.

    Returns
    -------
    Path
        The directory; it may not exist yet.

    Raises
    ------
    RuntimeError
        If no variable is set and the user has no home directory.
    """
    return _user_dir("AXFT_CACHE", "XDG_CACHE_HOME", Path(".cache"))


def user_data_dir() -> Path:
    """Return the directory for what was downloaded or installed on request.

    ``$AXFT_DATA`` if set, else ``axft-hw`` under ``$XDG_DATA_HOME``, else ``~/.local/share/axft-hw``.

    Returns
    -------
    Path
        The directory; it may not exist yet.

    Raises
    ------
    RuntimeError
        If no variable is set and the user has no home directory.
    """
    return _user_dir("AXFT_DATA", "XDG_DATA_HOME", Path(".local", "share"))


def _user_dir(own_variable: str, xdg_variable: str, below_home: Path) -> Path:
    own = os.environ.get(own_variable)
    if own:
        return Path(own).expanduser()
    # The XDG Base Directory Specification has relative paths ignored.
    base = Path(os.environ.get(xdg_variable, ""))
    return (base if base.is_absolute() else Path.home() / below_home) / "axft-hw"
