"""Programs that end with what has started them, however that ends."""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from axft_spec.errors import BackendError

__all__ = ["run", "running"]

#: Seconds that a program is given to end by itself.
_END_S = 5.0

_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(_END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def run(name: str, command: Sequence[str], **options: Any) -> str:
    """Run a program to its end; return what it printed.

    Parameters
    ----------
    name : str
        What errors call it.
    command : sequence of str
    **options
        As for `running`.

    Raises
    ------
    BackendError
        If it cannot be started, or fails: with the last line that it printed.
    """
    with running(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options) as process:
        stdout, stderr = process.communicate()
    if process.returncode:
        lines = (stderr.strip() or stdout.strip() or f"exit code {process.returncode}").splitlines()
        raise BackendError(f"{name} failed: {lines[-1]}")
    return stdout


@contextmanager
def running(
    command: Sequence[str], stop: Callable[[subprocess.Popen[str]], None] = _end, **options: Any
) -> Iterator[subprocess.Popen[str]]:
    """Start a program, and end it with the block if it has not ended by then.

    Parameters
    ----------
    command : sequence of str
    stop : callable
        Ends it.
    **options
        As of :class:`subprocess.Popen`; it is opened for text.

    Raises
    ------
    BackendError
        If it cannot be started.
    """
    process = None
    try:
        # An interrupt between its start and the assignment would leave a program that nobody knows of.
        with _interrupts_later():
            try:
                process = subprocess.Popen(command, text=True, **options)
            except OSError as error:
                raise BackendError(f"{command[0]} cannot be started: {error.strerror}") from None
        yield process
    finally:
        if process is not None:
            if process.poll() is None:
                stop(process)
            for stream in (process.stdout, process.stderr):
                if stream is not None:
                    stream.close()


@contextmanager
def _interrupts_later() -> Iterator[None]:
    """Handle signals that ask for an end behind the block."""
    numbers = _SIGNALS if threading.current_thread() is threading.main_thread() else []
    came: list[int] = []
    before = {number: signal.signal(number, lambda number, frame: came.append(number)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in came:
            signal.raise_signal(number)
