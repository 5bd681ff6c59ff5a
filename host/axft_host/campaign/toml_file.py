"""TOML files whose errors name the file, the line and the key."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from axft_spec.errors import AxftError, ConfigError, unknown_name

__all__ = ["Reader", "Table", "parse_toml", "read_text"]

#: Turns a value into what it stands for, or raises `AxftError` with what is wrong about it.
Reader = Callable[[Any], Any]


def read_text(path: Path) -> str:
    """Return the text of a file.

    Raises
    ------
    ConfigError
        If it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        wrong = "it is not text"
    except OSError as error:
        wrong = str(error.strerror)
    raise ConfigError(f"{path} cannot be read: {wrong}; allowed: a campaign specification (TOML)")


def parse_toml(text: str, source: str) -> dict[str, Any]:
    """Return the tables of a TOML text.

    Raises
    ------
    ConfigError
        If it is no TOML; the message says where.
    """
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        try:
            import tomli as tomllib
        except ImportError:
            raise ConfigError("campaign specifications need tomli on this Python; `pip install tomli`") from None
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{source}: {error}") from None


class Table:
    """A table of a TOML file, read key by key; what is not asked for is an error.

    Parameters
    ----------
    value : object
        The table.
    source : str
        Name of the file.
    text : str
        Of the file, to find lines in.
    name : str
        Name of the table, empty for the top one.
    """

    def __init__(self, value: object, source: str, text: str, name: str = "") -> None:
        self.source, self.text, self.name = source, text, name
        if not isinstance(value, Mapping):
            raise ConfigError(f"{source}{self._line(None)}: [{name}] must be a table, not {value!r}")
        self._values = dict(value)

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def get(self, key: str, read: Reader, default: Any = None) -> Any:
        """Return a value as its reader has it.

        Raises
        ------
        ConfigError
            If the reader refuses it.
        """
        if key not in self._values:
            return default
        try:
            return read(self._values[key])
        except AxftError as error:
            raise self.error(key, str(error)) from None

    def table(self, key: str) -> Table:
        """Return a table inside this one; an empty one if it is not there."""
        name = f"{self.name}.{key}" if self.name else key
        return Table(self._values.get(key, {}), self.source, self.text, name)

    def only(self, *allowed: str) -> None:
        """Refuse keys that are not among those allowed."""
        for key in self._values:
            if key not in allowed:
                raise self.error(key, unknown_name("key", key, allowed))

    def error(self, key: str | None, message: str) -> ConfigError:
        """Return an error about one key, or about the table."""
        where = f"[{self.name}]" if self.name else "top level"
        named = where if key is None else (f"[{self.name}] {key}" if self.name else key)
        return ConfigError(f"{self.source}{self._line(key)}: {named}: {message}")

    def _line(self, key: str | None) -> str:
        """Return where a key, or else its table, seems to be, as text for a message; nothing if it is not found."""
        current, inside = "", f"{self.name}.{key}".lstrip(".")
        head = found = None
        for number, line in enumerate(self.text.splitlines(), start=1):
            match = re.match(r"\s*\[+\s*([^\[\]]+?)\s*\]+", line)
            if match:
                current = re.sub(r"[\s\"']", "", match[1])
                head = number if current == self.name and head is None else head
            named = current == self.name and re.match(rf"""\s*["']?{re.escape(str(key))}["']?\s*=""", line)
            # A table inside this one has a head of its own.
            if key is not None and found is None and (named or (match and current == inside)):
                found = number
        line_number = found or head
        return "" if line_number is None else f", line {line_number}"
