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

#: With what names in a network end; two letters are a country.
_TOP_LEVEL = "com|org|net|edu|gov|local|lan|home|corp|[a-z]{2}"

_ADDRESSES = (
    (re.compile(r"\b(socket|tcp|rfc2217|serial)://[^\s'\",;)]+"), r"\1://<address>"),
    (re.compile(r"\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+\b"), "<mail>"),
    (re.compile(r"\b(?:[0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}\b"), "<mac>"),
    (re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.])"), "<address>"),
    # IPv6: two groups and a double colon at least, or all eight.
    (re.compile(r"(?<![\w:.])(?:[0-9a-fA-F]{1,4}:){7}[0-9a-fA-F]{1,4}(?![\w:])"), "<address>"),
    (re.compile(r"(?<![\w:.])(?:[0-9a-fA-F]{1,4}:){1,6}(?::[0-9a-fA-F]{1,4}){1,6}(?![\w:])"), "<address>"),
    # Names of machines in a network: three parts at least, as file names rarely have.
    (re.compile(rf"(?<![\w./-])(?:[a-zA-Z][\w-]*\.){{2,}}(?:{_TOP_LEVEL})(?![\w.-])"), "<host>"),
    # Adapters are named by their serial numbers there.
    (re.compile(r"/dev/serial/by-(?:id|path)/[^\s'\",;)]+"), "/dev/serial/<port>"),
    # A home directory whose owner is called by several words.
    (re.compile(r"/(?:home|Users)/[^/\n'\":;,()]* [^/\n'\":;,()]*(?=/)"), "/<path>"),
    (re.compile(r"\b[A-Za-z]:\\[^\s'\",;)]*"), "<path>"),
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
    if path.count("/") == 2 and path.startswith(("/home/", "/Users/")):
        return "<home>"
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
