"""Backends by name."""

from __future__ import annotations

import pytest

from axft_host.backends.emulator import Emulator
from axft_host.backends.registry import open_backend
from axft_spec.errors import BackendError


def test_emu_is_the_emulator() -> None:
    """The default board."""
    assert isinstance(open_backend("emu"), Emulator)


@pytest.mark.parametrize("name", ["pynq", "link:/dev/ttyUSB1"])
def test_planned_boards_say_that_they_are_not_built_yet(name: str) -> None:
    """With what is allowed now."""
    with pytest.raises(BackendError, match="is not built yet; allowed: emu"):
        open_backend(name)


def test_unknown_board_is_named() -> None:
    """With the near name."""
    with pytest.raises(BackendError, match=r"unknown board 'emo' \(did you mean emu\?\); allowed: emu"):
        open_backend("emo")
