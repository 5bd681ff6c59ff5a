"""From what a user says to an agent that serves."""

from __future__ import annotations

import logging
import os
import shlex
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from axft_host.agent.foreman import ForemanSettings
from axft_host.agent.peers import Listener
from axft_host.agent.supervisor import Supervisor, SupervisorSettings
from axft_host.agent.tasks import Question
from axft_host.agent.worker import WorkerSettings
from axft_host.backends.registry import BOARDS, Board
from axft_host.link.secret import read_secret
from axft_host.link.transport import BAUD, LinkAddress
from axft_spec.errors import ConfigError, check_int, unknown_name

__all__ = ["DEFAULT_PORT", "Agent", "AgentOptions", "start"]

#: TCP port of an agent, if nothing else is said: one that no service has, and that systems do not give to clients.
DEFAULT_PORT = 27182

#: What the name of a temporary directory begins with; the number of the process follows.
_TEMPORARY = "axft-agent-"


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentOptions:
    """What ``axft-hw serve`` takes; see there.

    Parameters
    ----------
    board : str
    listen : tuple of str
        ``HOST:PORT``.
    serial : tuple of str
        ``DEVICE`` or ``DEVICE,BAUD``.
    secret_file, bitstream, cache : Path or None
    physical, reboot_command : str or None
    patience : int
        In seconds.
    cache_limit : int
        In MiB.
    verbose : int
    questions : mapping of str to Question
        What clients may ask about the board.
    """

    board: str
    listen: tuple[str, ...] = ()
    serial: tuple[str, ...] = ()
    secret_file: Path | None = None
    bitstream: Path | None = None
    physical: str | None = None
    reboot_command: str | None = None
    patience: int = 900
    cache: Path | None = None
    cache_limit: int = 512
    verbose: int = 0
    questions: Mapping[str, Question] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Agent:
    """An agent that is ready, and where it can be reached."""

    supervisor: Supervisor
    addresses: list[str]


@contextmanager
def start(options: AgentOptions) -> Iterator[Agent]:
    """Make an agent; it serves when its supervisor runs.

    Raises
    ------
    AxftError
        If an option is not allowed, or a port cannot be had.
    """
    served = (*BOARDS, "pynq")
    if options.board not in served:
        raise ConfigError(unknown_name("board to serve", options.board, served))
    check_int("patience", options.patience, 1)
    check_int("cache limit", options.cache_limit, 1)
    board = Board.parse(options.board, options.physical, options.bitstream)
    secret = read_secret(options.secret_file)
    hosts = [_host(text) for text in options.listen or (() if options.serial else (f"127.0.0.1:{DEFAULT_PORT}",))]
    ports = [_serial(text) for text in options.serial]
    listeners: list[Listener] = []
    _remove_stale()
    with tempfile.TemporaryDirectory(prefix=f"{_TEMPORARY}{os.getpid()}-") as temporary:
        try:
            for host, port in hosts:
                listeners.append(Listener(host, port, has_secret=secret is not None))
            supervisor = Supervisor(
                SupervisorSettings(
                    worker=WorkerSettings(
                        board=board,
                        questions=options.questions,
                        log_level=[logging.WARNING, logging.INFO, logging.DEBUG][min(options.verbose, 2)],
                    ),
                    foreman=ForemanSettings(
                        patience_s=options.patience, reboot_command=_command(options.reboot_command)
                    ),
                    cache=options.cache or Path(temporary),
                    cache_bytes=options.cache_limit << 20,
                    secret=secret,
                ),
                listeners=listeners,
                serial=ports,
            )
        except BaseException:
            for listener in listeners:
                listener.close()
            raise
        yield Agent(supervisor, [str(each) for each in (*(listener.address for listener in listeners), *ports)])


def _remove_stale() -> None:
    """Remove the directories of agents of this user that were killed."""
    for path in Path(tempfile.gettempdir()).glob(f"{_TEMPORARY}*"):
        number, dash, _ = path.name.removeprefix(_TEMPORARY).partition("-")
        if not dash or not number.isdecimal() or path.is_symlink():
            continue
        with suppress(OSError):
            if path.stat().st_uid == os.getuid() and not _lives(int(number)):
                shutil.rmtree(path, ignore_errors=True)


def _lives(number: int) -> bool:
    try:
        os.kill(number, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


def _host(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > 65535:
        raise ConfigError(f"--listen must be HOST:PORT such as 127.0.0.1:{DEFAULT_PORT}, not {text!r}")
    return host.strip("[]"), int(port)


def _serial(text: str) -> LinkAddress:
    device, _, baud = text.partition(",")
    if not device or (baud and not baud.isdecimal()):
        raise ConfigError(f"--serial must be DEVICE or DEVICE,BAUD such as /dev/ttyUSB1,{BAUD}, not {text!r}")
    return LinkAddress(device=device, baud=check_int("baud", int(baud or BAUD), 50, 10_000_000))


def _command(text: str | None) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(text or ""))
    except ValueError as error:
        raise ConfigError(f"the reboot command must be a command, not one with {error}") from None
