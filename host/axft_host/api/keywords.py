"""Errors in the words of Python: keywords instead of options, and a sentence for a value of the wrong type.

What the functions of this package call is called by the command line as well, and names its options.
"""

from __future__ import annotations

import collections.abc
import functools
import inspect
import numbers
import os
import re
import types
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, Union, get_args, get_origin, get_type_hints

from axft_spec.errors import AxftError, ConfigError

__all__ = ["by_keywords", "check_type", "in_keywords"]

P = ParamSpec("P")
R = TypeVar("R")

# What a value is called whose type has another name in the language of users.
_CALLED: dict[Any, str] = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "True or False",
    Path: "a path",
    os.PathLike: "a path",
    collections.abc.Mapping: "a mapping",
    collections.abc.Sequence: "a sequence",
    collections.abc.Iterable: "a sequence",
    types.NoneType: "None",
}

# An option, which is no part of a name such as that of a file, with the value that stands beside it, if that is one and
# not the next word of the sentence.
_OPTION = re.compile(r"(?<![\w.-])--([a-z][a-z-]*)(?: (\d[\w.]*)|(?<=--board) ([a-z]+\b(?::\w+)?)|(?<=--site) (\S+))?")


def by_keywords(function: Callable[P, R]) -> Callable[P, R]:
    """Return a function that checks the types of its arguments, and whose errors name its keywords."""
    signature = inspect.signature(function)

    @functools.cache
    def hints() -> dict[str, Any]:
        return get_type_hints(function)

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            bound = signature.bind(*args, **kwargs)
            for name, value in bound.arguments.items():
                if name not in hints():
                    continue
                several = signature.parameters[name].kind is inspect.Parameter.VAR_POSITIONAL
                checked = [check_type(name, one, hints()[name]) for one in (value if several else (value,))]
                bound.arguments[name] = tuple(checked) if several else checked[0]
            return function(*bound.args, **bound.kwargs)
        except AxftError as error:
            error.args = (in_keywords(str(error)),)
            raise

    return call


def check_type(name: str, value: Any, hint: Any) -> Any:
    """Return a value if it has a type that an annotation allows; a number of numpy comes back as one of Python.

    What is in a sequence is left to those who read it.

    Raises
    ------
    ConfigError
        Naming the types that are allowed.
    """
    allowed = list(_types(hint))
    for kind in allowed:
        if _is(value, kind):
            return kind(value) if kind in (int, float) and type(value) not in (int, float) else value
    names = list(dict.fromkeys(_CALLED.get(kind, getattr(kind, "__name__", str(kind))) for kind in allowed))
    raise ConfigError(f"{name} must be {', '.join(names[:-1])}{' or ' if names[1:] else ''}{names[-1]}, not {value!r}")


def _types(hint: Any) -> Iterator[Any]:
    """Yield the classes that an annotation names, without what they hold."""
    if get_origin(hint) in (Union, types.UnionType):
        for part in get_args(hint):
            yield from _types(part)
    else:
        yield get_origin(hint) or hint


def _is(value: object, kind: Any) -> bool:
    if kind is Any:
        return True
    if isinstance(value, bool):
        return kind is bool
    if kind in (int, float):
        return isinstance(value, numbers.Integral if kind is int else numbers.Real)
    if kind is collections.abc.Sequence:
        # A text is one for Python, and an array is none.
        return isinstance(value, Iterable) and not isinstance(value, (str, bytes))
    return isinstance(value, kind)


def in_keywords(message: str) -> str:
    """Return a message about options as one about keywords; what stands in backticks is a command, and stays one.

    Examples
    --------
    >>> in_keywords("allowed: --bitstream with --board pynq, see `axft-hw doctor --board pynq`")
    "allowed: bitstream with board='pynq', see `axft-hw doctor --board pynq`"
    """
    parts = re.split(r"(`[^`]*`)", message)
    return "".join(part if part.startswith("`") else _OPTION.sub(_keyword, part) for part in parts)


def _keyword(found: re.Match[str]) -> str:
    name = found[1].replace("-", "_")
    number, text = found[2], found[3] or found[4]
    if number is not None:
        return f"{name}={number}"
    return name if text is None else f"{name}={text!r}"
