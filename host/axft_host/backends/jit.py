"""Numba, where there is one: boards have none, and must still import every module."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["available", "inlined", "intrinsic", "njit"]

Function = TypeVar("Function", bound=Callable[..., Any])


def available() -> bool:
    """Return whether functions can be compiled."""
    try:
        import numba  # noqa: F401
    except ImportError:
        return False
    return True


def njit(function: Function) -> Function:
    """Compile a function when it is first called, and keep the machine code in a file for the next process."""
    return _compiled(function, forceinline=False)


def inlined(function: Function) -> Function:
    """Make a function part of those that call it: a call would hand over every array of every argument."""
    return _compiled(function, forceinline=True)


def _compiled(function: Function, **options: Any) -> Function:
    try:
        import numba
    except ImportError:
        return function
    # No references are counted (_nrt): compiled functions allocate nothing, and counting took nine tenths of the time.
    decorate: Any = numba.njit
    compiled: Function = decorate(cache=True, error_model="numpy", _nrt=False, **options)(function)
    return compiled


def intrinsic(function: Callable[..., Any]) -> Any:
    """Make a function that writes machine-independent code callable from compiled ones."""
    try:
        from numba.extending import intrinsic as numba_intrinsic
    except ImportError:
        return function
    return numba_intrinsic(function)
