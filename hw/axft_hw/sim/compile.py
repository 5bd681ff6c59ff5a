"""From C text to a loaded library: which compiler, which flags, and the cache."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import importlib.util
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from functools import lru_cache
from pathlib import Path

from axft_spec.errors import BackendError

__all__ = ["FLAGS", "cache_directory", "compile_c", "compiler_identity", "find_compiler", "load"]

FLAGS = ("-std=gnu11", "-O3", "-march=native", "-fwrapv", "-shared", "-fPIC", "-fvisibility=hidden", "-w")
"""For the machine itself: what is built is never meant for another one."""


def cache_directory() -> Path:
    """Return where compiled models are kept: ``$AXFT_CACHE``, else ``~/.cache/axft-hw/models``."""
    given = os.environ.get("AXFT_CACHE")
    return Path(given).expanduser() if given else Path.home() / ".cache" / "axft-hw" / "models"


def find_compiler() -> tuple[str, ...]:
    """Return the command of a C compiler: ``$CC``, else ``cc``, ``gcc`` or ``clang``, else that of the package ziglang.

    Raises
    ------
    BackendError
        If there is none.
    """
    named = os.environ.get("CC")
    if named:
        try:
            command = tuple(shlex.split(named))
        except ValueError as error:
            raise BackendError(f"$CC cannot be read as a command: {named!r} ({error}); correct or unset it") from None
        if not command or shutil.which(command[0]) is None:
            raise BackendError(f"$CC names the C compiler {named!r}, which is not there; correct or unset it")
        return command
    for name in ("cc", "gcc", "clang"):
        if shutil.which(name):
            return (name,)
    if importlib.util.find_spec("ziglang") is not None:
        return (sys.executable, "-m", "ziglang", "cc")
    raise BackendError(
        "no C compiler to compile the RTL model with: looked for $CC, cc, gcc, clang and the Python package ziglang; "
        "`pip install ziglang`, or install your distribution's compiler (Debian: apt install gcc)"
    )


def compile_c(
    text: str, *, compiler: tuple[str, ...] | None = None, flags: tuple[str, ...] = FLAGS, salt: str = ""
) -> Path:
    """Return the library compiled from C text, from the cache if it is there.

    Builders may run at the same time: each writes a name of its own, and the last one to finish replaces equal content.

    Parameters
    ----------
    text : str
        The whole translation unit.
    compiler : tuple of str, optional
        The command; that of `find_compiler` if left out.
    flags : tuple of str
        Options before the file names.
    salt : str
        Whatever else the content depends on.

    Raises
    ------
    BackendError
        If the compiler is missing or fails; the message has its first error line and the place of the whole log.
    """
    command = compiler or find_compiler()
    identity = "\0".join((text, salt, *flags, compiler_identity(command)))
    key = hashlib.sha256(identity.encode()).hexdigest()
    directory = cache_directory()
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BackendError(f"cannot keep compiled models in {directory}: {error.strerror}; set AXFT_CACHE") from error
    for path in directory.glob(f"{key}-*.so"):
        # Another process may take a damaged one away at the same time.
        with contextlib.suppress(OSError):
            if _digest(path) == path.stem.partition("-")[2]:
                return path
            path.unlink()
    try:
        return _build(text, command, flags, directory, key)
    except OSError as error:
        raise BackendError(f"cannot keep compiled models in {directory}: {error.strerror}; set AXFT_CACHE") from error


def compiler_identity(command: tuple[str, ...] | None = None) -> str:
    """Return what compiled code depends on besides its text and the flags: the compiler, and this machine's processor.

    Raises
    ------
    BackendError
        If there is no compiler.
    """
    command = command or find_compiler()
    return "\0".join((*command, _version(command), _processor()))


def _build(text: str, command: tuple[str, ...], flags: tuple[str, ...], directory: Path, key: str) -> Path:
    with tempfile.TemporaryDirectory(dir=directory, prefix="build-") as name:
        source, library = Path(name, "model.c"), Path(name, "model.so")
        source.write_text(text)
        try:
            done = subprocess.run(
                [*command, *flags, "-o", str(library), str(source)], capture_output=True, text=True, check=False
            )
        except OSError as error:
            raise BackendError(f"the C compiler {command[0]!r} does not run: {error.strerror}") from error
        if done.returncode or not library.is_file():
            log = directory / f"{key}.log"
            log.write_text(f"{shlex.join([*command, *flags])}\n{done.stdout}{done.stderr}")
            errors = [line for line in done.stderr.splitlines() if "error" in line] or done.stderr.splitlines()
            first = errors[0].replace(str(source), "model.c") if errors else f"exit code {done.returncode}"
            raise BackendError(f"the C compiler {shlex.join(command)} failed: {first}; all it said is in {log}")
        path = directory / f"{key}-{_digest(library)}.so"
        library.replace(path)
    return path


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:32]


@lru_cache
def _version(command: tuple[str, ...]) -> str:
    try:
        done = subprocess.run([*command, "--version"], capture_output=True, text=True, check=False)
    except OSError as error:
        raise BackendError(f"the C compiler {command[0]!r} does not run: {error.strerror}") from error
    return done.stdout + done.stderr


@lru_cache
def _processor() -> str:
    """Return what `-march=native` depends on: a home directory may be shared by different machines."""
    try:
        lines = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
    except OSError:
        return platform.machine() + platform.processor()
    return platform.machine() + "".join(
        line for line in lines if line.startswith(("model", "flags", "Features", "CPU"))
    )


@lru_cache
def load(path: Path) -> ctypes.CDLL:
    """Return a library, loaded once.

    Raises
    ------
    BackendError
        If the system does not load it, as from a directory where nothing may be executed.
    """
    try:
        return ctypes.CDLL(str(path))
    except OSError as error:
        raise BackendError(
            f"the compiled model {path} cannot be loaded: {error}; set AXFT_CACHE to another directory"
        ) from None
