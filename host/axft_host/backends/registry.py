"""Backends by the name that ``--board`` takes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from axft_host.backends.base import Backend
from axft_host.backends.emulator import Emulator, choose_engine
from axft_spec.config import parse_array
from axft_spec.errors import BackendError, ConfigError, unknown_name
from axft_spec.faults import Site

__all__ = ["BOARDS", "PHYSICAL_BOARDS", "Board", "check_board", "open_backend", "with_engine"]

#: Boards that are programs: every process can have its own.
BOARDS = ("emu", "rtl")

#: Boards that are things: one process at a time has one.
PHYSICAL_BOARDS = ("pynq", "link:URL")


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """Which backend runs a campaign, and as what: small enough to be sent to every worker.

    Parameters
    ----------
    name : str
        What ``--board`` takes.
    physical : (int, int) or None
        Rows and columns of the device's array; None if it is as large as the logical one.
    sites : tuple of Site
        Fault sites that a device needs, where it is made for the purpose or chosen from several.
    bitstream : Path or None
        The .bit file that board pynq loads, no other; None to look for one of the right configuration.
    engine : str or None
        Which engine the emulator uses; see `axft_host.backends.emulator`.
    shared : str or None
        What another process shares; see `Backend.shared`.
    """

    name: str
    physical: tuple[int, int] | None = None
    sites: tuple[Site, ...] = tuple(Site)
    bitstream: Path | None = None
    engine: str | None = None
    shared: str | None = None

    @classmethod
    def parse(cls, name: str, physical: str | None = None, bitstream: str | Path | None = None) -> Board:
        """Return the board that a user states: its name, its array as in ``16x16``, and the .bit file it loads.

        Raises
        ------
        ConfigError
            If the array is none.
        """
        return cls(
            name=name,
            physical=None if physical is None else parse_array(physical),
            bitstream=None if bitstream is None else Path(bitstream),
        )

    @property
    def single(self) -> bool:
        """Whether there is only one of it, so that everything runs in one process."""
        return self.name not in BOARDS


def check_board(name: str) -> None:
    """Check that a board has a name that there is, wherever it can be opened.

    Raises
    ------
    BackendError
        If there is no such board; the message lists them.
    """
    if name not in (*BOARDS, "pynq") and not name.startswith("link:"):
        raise BackendError(unknown_name("board", name, (*BOARDS, *PHYSICAL_BOARDS)))


def with_engine(board: Board, pairs: int) -> Board:
    """Return a board that says which engine runs so many pairs (fault, image), for all workers the same.

    Raises
    ------
    ConfigError
        If the environment names an engine that there is not.
    """
    return replace(board, engine=choose_engine(pairs)) if board.name == Emulator.name else board


def _check_bitstream(board: Board) -> None:
    """Refuse a bitstream for a board that would ignore it."""
    if board.bitstream is None or board.name == "pynq":
        return
    if board.name.startswith("link:"):
        raise ConfigError(
            f"board {board.name!r} loads no bitstream itself, the agent at its other end does; leave out --bitstream, "
            f"and start the agent with `axft-hw serve --board pynq --bitstream F`"
        )
    raise ConfigError(f"board {board.name!r} loads no bitstream; allowed: --bitstream with --board pynq")


def open_backend(board: str | Board) -> Backend:
    """Open the backend that ``--board NAME`` means.

    Raises
    ------
    BackendError
        If there is no such board.
    ConfigError
        If a bitstream is named for a board that loads none.
    """
    if isinstance(board, str):
        board = Board(name=board)
    check_board(board.name)
    _check_bitstream(board)
    if board.name == Emulator.name:
        return Emulator(engine=board.engine, shared=board.shared)
    if board.name == "rtl":
        from axft_host.backends.rtl import RtlBackend

        return RtlBackend(physical=board.physical, sites=board.sites)
    if board.name == "pynq":
        from axft_host.backends.pynq import PynqBackend

        return PynqBackend(physical=board.physical, sites=board.sites, bitstream=board.bitstream)
    if board.name.startswith("link:"):
        from axft_host.backends.link import LinkBackend

        return LinkBackend(board.name.partition(":")[2], physical=board.physical)
    raise BackendError(unknown_name("board", board.name, (*BOARDS, *PHYSICAL_BOARDS)))
