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
from dataclasses import fields
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, Union, get_args, get_origin, get_type_hints

from axft_spec.errors import AxftError, ConfigError, outside_commands, unknown_name

__all__ = ["by_keywords", "check_type", "in_keywords", "made_by_keywords", "shown"]

P = ParamSpec("P")
R = TypeVar("R")
C = TypeVar("C")

#: How many characters of a value a message shows; a network has thousands of weights.
_SHOWN = 200

# Arguments that nobody writes.
_BOUND = ("self", "cls")

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
    """Return a function that checks its arguments and their types, and whose errors name its keywords.

    What Python refuses with a TypeError, such as an unknown keyword, is a ConfigError that says what is allowed.
    """
    signature = inspect.signature(function)

    @functools.cache
    def hints() -> dict[str, Any]:
        return get_type_hints(function)

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            try:
                bound = signature.bind(*args, **kwargs)
            except TypeError as error:
                raise ConfigError(_misfit(_name_of(function), signature, args, kwargs) or str(error)) from None
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


def made_by_keywords(cls: type[C]) -> type[C]:
    """Return a class whose instances are made `by_keywords`; for dataclasses, whose ``__init__`` nobody writes."""
    cls.__init__ = by_keywords(cls.__init__)  # type: ignore[method-assign]
    return cls


def _name_of(function: Callable[..., object]) -> str:
    """Return what users call a function: a class, where it makes one."""
    return function.__qualname__.rpartition("<locals>.")[2].removesuffix(".__init__")


def _misfit(called: str, signature: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str | None:
    """Return why arguments do not fit a signature."""
    kinds = inspect.Parameter
    named = {each: one for each, one in signature.parameters.items() if one.kind is not kinds.VAR_POSITIONAL}
    allowed = [each for each in named if each not in _BOUND]
    for keyword, value in kwargs.items():
        if keyword not in allowed:
            place = _in_config(signature, keyword, value, args, kwargs)
            what = unknown_name(f"keyword of {called}", keyword, allowed)
            return f"{called} has no keyword {keyword!r}: {place}" if place else what
    ordered = [each for each, one in named.items() if one.kind is kinds.POSITIONAL_OR_KEYWORD]
    ahead = sum(each in _BOUND for each in ordered)
    if len(args) > len(ordered) and len(named) == len(signature.parameters):
        taken = ", ".join(ordered[ahead:]) or "none"
        return (
            f"{called} was given {len(args) - ahead} arguments without a name; allowed: {taken}, and by name "
            f"{', '.join(each for each in allowed if each not in ordered) or 'no others'}"
        )
    twice = [each for each in ordered[: len(args)] if each in kwargs]
    if twice:
        return f"{called} was given {twice[0]} twice, the first time without its name; allowed: once"
    there = {*ordered[: len(args)], *kwargs}
    lacking = [each for each, one in named.items() if one.default is kinds.empty and each not in there]
    return f"{called} needs {' and '.join(lacking)}; allowed: {', '.join(allowed)}" if lacking else None


def _in_config(
    signature: inspect.Signature, keyword: str, value: object, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> str | None:
    """Return how to say in a configuration what a keyword says, if it is one of those and the function takes one."""
    from axft_host.api.config import Config

    names = list(signature.parameters)
    if "config" not in names or keyword not in (one.name for one in fields(Config)):
        return None
    place = names.index("config")
    given = kwargs.get("config", args[place] if place < len(args) else None)
    given = given.config if isinstance(given, Config) else given
    named = shown(given) if isinstance(given, str) else "NAME"
    return f"it is part of the configuration; allowed: Config({named}, {keyword}={shown(value)}) as config"


def shown(value: object) -> str:
    """Return a value as a message shows it: as Python writes it, cut if that is long."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}... ({len(text):,} characters)"


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
    wanted = f"{', '.join(names[:-1])}{' or ' if names[1:] else ''}{names[-1]}"
    raise ConfigError(f"{name} must be {wanted}, not {shown(value)}")


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
    return outside_commands(message, lambda part: _OPTION.sub(_keyword, part))


def _keyword(found: re.Match[str]) -> str:
    name = found[1].replace("-", "_")
    number, text = found[2], found[3] or found[4]
    if number is not None:
        return f"{name}={number}"
    return name if text is None else f"{name}={text!r}"
