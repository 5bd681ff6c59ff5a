"""What can be said of loading an overlay where there is no pynq; the rest is in the tier `virtual`."""

from __future__ import annotations

import os
import threading
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
    monkeypatch.setattr(overlay, "CLAIM_WAIT_S", 0.0)
    overlay._claim(object())
    overlay._claim(object())
    assert len(mine) == 1
    monkeypatch.setattr(overlay, "_claims", theirs)
    with pytest.raises(BackendError, match=rf"in use by another process \(number {os.getpid()}\)"):
        overlay._claim(object())
    mine.pop().close()
    overlay._claim(object())
    theirs.pop().close()


def test_board_that_was_let_go_is_free_while_the_process_lives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if a child of it was given the open file."""
    monkeypatch.setattr(overlay, "_lock_path", lambda: tmp_path / "lock")
    mine: list[IO[str]] = []
    monkeypatch.setattr(overlay, "_claims", mine)
    monkeypatch.setattr(overlay, "CLAIM_WAIT_S", 0.0)
    overlay._claim(object())
    inherited = os.dup(mine[0].fileno())
    overlay.release()
    overlay.release()
    assert not mine
    theirs: list[IO[str]] = []
    monkeypatch.setattr(overlay, "_claims", theirs)
    overlay._claim(object())
    overlay.release()
    os.close(inherited)


def test_board_whose_process_is_just_ending_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that was killed lets go when the kernel lets go of it."""
    theirs: list[IO[str]] = []
    monkeypatch.setattr(overlay, "_lock_path", lambda: tmp_path / "lock")
    monkeypatch.setattr(overlay, "_claims", theirs)
    overlay._claim(object())
    mine: list[IO[str]] = []
    monkeypatch.setattr(overlay, "_claims", mine)
    ending = threading.Timer(0.5, lambda: theirs.pop().close())
    ending.start()
    overlay._claim(object())
    assert len(mine) == 1 and not theirs
    ending.join()
    overlay.release()


def test_lock_is_never_a_link_to_somewhere_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its directory is everybody's, and root would write to where the link leads."""
    victim = tmp_path / "victim"
    victim.write_text("theirs")
    (tmp_path / "lock").symlink_to(victim)
    monkeypatch.setattr(overlay, "_lock_path", lambda: tmp_path / "lock")
    monkeypatch.setattr(overlay, "_claims", [])
    with pytest.raises(BackendError, match=r"lock is a symbolic link, which axft-hw does not make; remove it"):
        overlay._claim(object())
    assert victim.read_text() == "theirs"
