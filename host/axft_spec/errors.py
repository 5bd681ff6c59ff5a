"""The one tree of errors that users see.

Every message says what is wrong, what was given, what is allowed and, where it helps, what to do next. The
command line prints the message as its last line and exits with code 2.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable
from pathlib import Path

__all__ = [
    "AxftError",
    "BackendError",
    "ConfigError",
    "DataError",
    "FaultError",
    "ModelError",
    "StoreError",
    "check_int",
    "exists_message",
    "how_to_install",
    "outside_commands",
    "unknown_name",
]


class AxftError(Exception):
    """Base of every error this package raises on purpose."""


class ConfigError(AxftError):
    """A parameter or a combination of parameters is not allowed."""


class FaultError(AxftError):
    """A fault, a fault list or a fault space is not valid for the configuration it is meant for."""


class ModelError(AxftError):
    """A network file cannot be used."""


class DataError(AxftError):
    """A data set cannot be used."""


class BackendError(AxftError):
    """A backend is missing, unreachable or unable to do what was asked."""


class StoreError(AxftError):
    """A result store cannot be used."""


def check_int(name: str, value: object, low: int, high: int | None = None) -> int:
    """Return `value` if it is an integer in ``[low, high]``.

    Parameters
    ----------
    name : str
        What the value is, as the user knows it.
    value : object
        The value given.
    low, high : int
        Inclusive limits; ``high=None`` means no upper limit.

    Raises
    ------
    ConfigError
        If the value is no integer or lies outside the limits.
    """
    allowed = f"between {low} and {high}" if high is not None else f"at least {low}"
    if isinstance(value, bool) or not isinstance(value, int) or value < low or (high is not None and value > high):
        raise ConfigError(f"{name} must be {allowed}, not {value!r}")
    return value


def exists_message(path: Path) -> str:
    """Return the message for an output that is in the way."""
    return f"output {path} exists and is not overwritten; name one that does not exist"


def how_to_install(extra: str | None = None) -> str:
    """Return what installs the package with all it needs, or with an extra of it; it is in no package index."""
    what = "." if extra is None else f"'.[{extra}]'"
    return f"`pip install {what}` in the directory of axft-hw's source"


def outside_commands(message: str, change: Callable[[str], str]) -> str:
    """Return a message with everything changed but what stands in backticks: a command, which stays one."""
    parts = re.split(r"(`[^`]*`)", message)
    return "".join(part if part.startswith("`") else change(part) for part in parts)


def unknown_name(what: str, given: str, allowed: Iterable[str]) -> str:
    """Return the message for an unknown name: near names first, then all that are allowed."""
    names = list(allowed)
    folded = {name.lower(): name for name in names}
    near = [folded[name] for name in difflib.get_close_matches(given.lower(), folded, n=2, cutoff=0.6)]
    hint = f" (did you mean {' or '.join(near)}?)" if near else ""
    return f"unknown {what} {given!r}{hint}; allowed: {', '.join(names)}"
