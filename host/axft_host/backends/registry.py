"""Backends by the name that ``--board`` takes."""

from __future__ import annotations

from axft_host.backends.base import Backend
from axft_host.backends.emulator import Emulator
from axft_spec.errors import BackendError, unknown_name

__all__ = ["BOARDS", "open_backend"]

#: Boards that can be opened now.
BOARDS = ("emu",)

#: Boards that have a name, and are not built yet.
_PLANNED = {"rtl": "the simulated RTL", "pynq": "a PYNQ-Z2, on the board", "link": "a board at the end of a link"}


def open_backend(name: str) -> Backend:
    """Open the backend that ``--board NAME`` means.

    Raises
    ------
    BackendError
        If there is no such board, or it is not built yet.
    """
    if name == Emulator.name:
        return Emulator()
    planned = _PLANNED.get(name.partition(":")[0])
    if planned is not None:
        raise BackendError(f"board {name!r} ({planned}) is not built yet; allowed: {', '.join(BOARDS)}")
    raise BackendError(unknown_name("board", name, BOARDS))
