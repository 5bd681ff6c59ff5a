"""Backends by the name that ``--board`` takes."""

from __future__ import annotations

from dataclasses import dataclass

from axft_host.backends.base import Backend
from axft_host.backends.emulator import Emulator
from axft_spec.errors import BackendError, unknown_name
from axft_spec.faults import Site

__all__ = ["BOARDS", "Board", "open_backend"]

#: Boards that can be opened now.
BOARDS = ("emu", "rtl")

#: Boards that have a name, and are not built yet.
_PLANNED = {"pynq": "a PYNQ-Z2, on the board", "link": "a board at the end of a link"}


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
        Fault sites that a device needs, where it is made for the purpose.
    """

    name: str
    physical: tuple[int, int] | None = None
    sites: tuple[Site, ...] = tuple(Site)


def open_backend(board: str | Board) -> Backend:
    """Open the backend that ``--board NAME`` means.

    Raises
    ------
    BackendError
        If there is no such board, or it is not built yet.
    """
    if isinstance(board, str):
        board = Board(name=board)
    if board.name == Emulator.name:
        return Emulator()
    if board.name == "rtl":
        from axft_host.backends.rtl import RtlBackend

        return RtlBackend(physical=board.physical, sites=board.sites)
    planned = _PLANNED.get(board.name.partition(":")[0])
    if planned is not None:
        raise BackendError(f"board {board.name!r} ({planned}) is not built yet; allowed: {', '.join(BOARDS)}")
    raise BackendError(unknown_name("board", board.name, BOARDS))
