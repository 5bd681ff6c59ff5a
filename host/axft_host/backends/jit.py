"""Numba, where there is one: boards have none, and must still import every module.

Machine code is kept in files for the next process. Numba looks only at the file of a function to tell whether it has
changed, not at those of the functions that it calls: so the code is kept in a directory whose name is a digest of all.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar

from axft_host.paths import user_cache_dir
from axft_spec.errors import how_to_install

__all__ = ["announced", "available", "inlined", "intrinsic", "njit", "unusable"]

_logger = logging.getLogger(__name__)

Function = TypeVar("Function", bound=Callable[..., Any])

#: The versions of numba that were tried, as in pyproject.toml; what is used of it may be gone in others.
_FIRST_NUMBA, _END_NUMBA = (0, 68), (0, 70)

#: Modules with compiled functions, and with what these are made of: names and numbers, which are part of the code.
_SOURCES = ("jit", "lanes", "faulty", "lines", "replay", "finish", "propagate", "state", "tables")
_SOURCES_ELSEWHERE = ("campaign/judge", "campaign/outcome")

#: Seconds after which machine code that no process has asked for is removed: of sources or processors that are gone.
_UNUSED_S = 90 * 86400.0


def available() -> bool:
    """Return whether functions can be compiled: by a numba of those that were tried."""
    try:
        found = tuple(int(part) for part in (_found_version() or "").split(".")[:2])
    except ValueError:
        return False
    return _FIRST_NUMBA <= found < _END_NUMBA


def unusable() -> str | None:
    """Return why functions cannot be compiled, or None if they can; unlike `available`, this imports numba."""
    if not available():
        found = _found_version()
        wanted = f"numba from {_dotted(_FIRST_NUMBA)} to below {_dotted(_END_NUMBA)} ({how_to_install('fast')})"
        return f"needs {wanted}" + ("" if found is None else f", not {found}")
    try:
        import numba  # noqa: F401  # it looks at numpy's version, and needs llvmlite
    except (ImportError, OSError) as error:
        return f"needs numba, which cannot be imported: {error}"
    return None


def _found_version() -> str | None:
    try:
        return version("numba")
    except PackageNotFoundError:
        return None


def _dotted(numbers: tuple[int, int]) -> str:
    return f"{numbers[0]}.{numbers[1]}"


@lru_cache(maxsize=1)
def _directory() -> Path | None:
    """Return where machine code is kept, or None if nothing can be written there."""
    from llvmlite import binding

    digest = hashlib.sha256()
    here = Path(__file__).parent
    for path in (*map(here.joinpath, _SOURCES), *map(here.parent.joinpath, _SOURCES_ELSEWHERE)):
        digest.update(path.with_suffix(".py").read_bytes())
    # Machines that share a home may differ, and would write over each other's index of a file.
    digest.update(f"{binding.get_host_cpu_name()} {binding.get_host_cpu_features().flatten()}".encode())
    try:
        base = Path(os.environ.get("NUMBA_CACHE_DIR") or user_cache_dir() / "machine-code")
        directory = base / digest.hexdigest()[:16]
        directory.mkdir(parents=True, exist_ok=True)
        os.utime(directory)
        _remove_unused(base)
    except (OSError, RuntimeError):
        return None
    return directory if os.access(directory, os.W_OK) else None


def _remove_unused(base: Path) -> None:
    """Remove what `_directory` has made and not returned for long."""
    for other in base.glob("[0-9a-f]" * 16):
        # Processes that start together all do this: what one finds, another may have removed.
        with suppress(FileNotFoundError):
            if other.is_dir() and time.time() - other.stat().st_mtime > _UNUSED_S:
                shutil.rmtree(other, ignore_errors=True)


@contextmanager
def announced(what: str) -> Iterator[None]:
    """Say that something is being compiled as soon as that begins: not where all machine code of it can be loaded."""
    try:
        from numba.core.event import Listener, install_listener
    except ImportError:
        yield
        return
    kept = "kept for the next time" if _directory() is not None else "not kept: its directory cannot be written"

    class Once(Listener):
        said = False

        def on_start(self, event: Any) -> None:
            if not self.said:
                self.said = True
                _logger.warning("compiling the engine for %s, about a minute; its machine code is %s", what, kept)

        def on_end(self, event: Any) -> None:
            pass

    with install_listener("numba:compile", Once()):
        yield


def njit(function: Function) -> Function:
    """Compile a function when it is first called, and keep the machine code in a file for the next process."""
    return _compiled(function, cache=True)


def inlined(function: Function) -> Function:
    """Make a function part of those that call it: a call would hand over every array of every argument."""
    return _compiled(function, forceinline=True)


def _compiled(function: Function, *, cache: bool = False, **options: Any) -> Function:
    try:
        import numba
    except ImportError:
        return function
    settings: Any = numba.config
    directory, before = _directory(), settings.CACHE_DIR
    decorate: Any = numba.njit
    if directory is not None:
        settings.CACHE_DIR = str(directory)
    try:
        # No references are counted (_nrt): compiled functions allocate nothing, and counting took nine tenths of the
        # time. The option is numba's own: pyproject.toml names the versions that were tried.
        compiled: Function = decorate(
            cache=cache and directory is not None, error_model="numpy", _nrt=False, **options
        )(function)
    finally:
        settings.CACHE_DIR = before
    return compiled


def intrinsic(function: Callable[..., Any]) -> Any:
    """Make a function that writes machine-independent code callable from compiled ones."""
    try:
        from numba.extending import intrinsic as numba_intrinsic
    except ImportError:
        return function
    return numba_intrinsic(function)
