"""What can be said of loading an overlay where there is no pynq; the rest is in the tier `virtual`."""

from __future__ import annotations

import os
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import IO

import pytest

from axft_host.backends import overlay
from axft_spec.errors import BackendError


@pytest.mark.parametrize(
    ("machine", "message"),
    [("x86_64", "on a PC use --board emu or rtl"), ("armv7l", "install axft-hw into the image's own environment")],
)
@pytest.mark.parametrize("found", [None, ModuleSpec("pynq", None, origin=None)])
def test_missing_pynq_is_told_for_the_machine(
    machine: str, message: str, found: ModuleSpec | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory called pynq, such as that of an image's notebooks, is no package."""
    monkeypatch.setattr(overlay, "find_spec", lambda name: found)
    monkeypatch.setattr(overlay.platform, "machine", lambda: machine)
    with pytest.raises(BackendError, match=message):
        overlay.check_pynq()


def test_board_is_used_by_one_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second one is told which has it; when that ends, the board is free."""
    mine: list[IO[str]] = []
    theirs: list[IO[str]] = []
    monkeypatch.setattr(overlay, "_lock_path", lambda: tmp_path / "lock")
    monkeypatch.setattr(overlay, "_claims", mine)
    overlay._claim(object())
    overlay._claim(object())
    assert len(mine) == 1
    monkeypatch.setattr(overlay, "_claims", theirs)
    with pytest.raises(BackendError, match=rf"in use by another process \(number {os.getpid()}\)"):
        overlay._claim(object())
    mine.pop().close()
    overlay._claim(object())
    theirs.pop().close()
