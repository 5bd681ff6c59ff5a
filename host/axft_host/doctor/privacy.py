"""Takes names of people, machines and places out of what is sent to somebody else."""

from __future__ import annotations

import contextlib
import getpass
import os
import re
import socket
from pathlib import Path
from typing import Any

__all__ = ["Scrubber"]

#: Names that every such board has: they say nothing about whose it is.
_COMMON = {"root", "xilinx", "pynq", "ubuntu", "localhost", "user", "runner", ""}

#: Directories of the system, which are the same on every machine.
_SYSTEM = ("/sys/", "/etc/", "/proc/", "/dev/", "/usr/", "/lib/", "/bin/", "/boot/")

_PATH = re.compile(r"(?<![\w./~<>-])/(?!/)(?:[^\s/:;,'\"()]+/)*[^\s/:;,'\"()]+")

_ADDRESSES = (
    (re.compile(r"\b(socket|tcp|rfc2217|serial)://[^\s'\",;)]+"), r"\1://<address>"),
    (re.compile(r"\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+\b"), "<mail>"),
    (re.compile(r"\b(?:[0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}\b"), "<mac>"),
    (re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.])"), "<address>"),
)


class Scrubber:
    """Replaces host name, user name, home directory, other paths, and network addresses.

    Parameters
    ----------
    names : dict of str to str, optional
        What to look for, and what to write instead; None for those of this machine and this user.
    """

    def __init__(self, names: dict[str, str] | None = None) -> None:
        found = _own_names() if names is None else names
        # The longest first: a home directory holds the user's name.
        self._names = sorted(
            ((name, instead) for name, instead in found.items() if name.lower() not in _COMMON and len(name) > 1),
            key=lambda pair: -len(pair[0]),
        )

    def text(self, text: str) -> str:
        """Return a text without them."""
        for pattern, instead in _ADDRESSES:
            text = pattern.sub(instead, text)
        # Directories first, whose names may say more than those of users.
        text = _PATH.sub(_place, text)
        for name, instead in self._names:
            text = re.sub(rf"(?<![A-Za-z0-9]){re.escape(name)}(?![A-Za-z0-9])", instead, text)
        return text

    def value(self, value: Any) -> Any:
        """Return a JSON value without them; keys are the program's own words, and stay."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {key: self.value(each) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(each) for each in value]
        return value


def _place(match: re.Match[str]) -> str:
    """Keep the last part of a path, and paths of the system whole."""
    path = match[0]
    if path.startswith(_SYSTEM) or path.count("/") < 2:
        return path
    return f"<path>/{path.rpartition('/')[2]}"


def _own_names() -> dict[str, str]:
    names: dict[str, str] = {}
    # Where one of them cannot be found out, there is none to take out.
    with contextlib.suppress(OSError):
        host = socket.gethostname()
        names |= {host: "<host>", host.partition(".")[0]: "<host>"}
    with contextlib.suppress(KeyError, OSError, ImportError):
        names[getpass.getuser()] = "<user>"
    for variable in ("USER", "LOGNAME", "SUDO_USER", "HOSTNAME"):
        if os.environ.get(variable):
            names[os.environ[variable]] = "<host>" if variable == "HOSTNAME" else "<user>"
    with contextlib.suppress(RuntimeError):
        names[str(Path.home())] = "<home>"
    return names
