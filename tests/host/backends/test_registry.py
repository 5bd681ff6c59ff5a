"""Backends by name."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from axft_host.backends.emulator import Emulator
from axft_host.backends.registry import Board, check_board, open_backend
from axft_spec.errors import BackendError, ConfigError


def test_emu_is_the_emulator() -> None:
    """The default board."""
    assert isinstance(open_backend("emu"), Emulator)


@pytest.mark.skipif(importlib.util.find_spec("pynq") is not None, reason="pynq is installed here")
def test_pynq_on_a_pc_says_what_is_missing_and_what_to_use() -> None:
    """Before anything else is done."""
    with pytest.raises(BackendError) as caught:
        open_backend("pynq")
    assert "needs the Python package pynq of a PYNQ-Z2's image (3.0.1 or 3.1), and runs on the board" in str(
        caught.value
    )
    assert str(caught.value).endswith("use --board emu or rtl, or --board link:URL for a board that serves")


@pytest.mark.parametrize("name", ["emu", "rtl", "pynq", "link:/dev/ttyUSB1"])
def test_names_of_boards_are_known_wherever_they_can_be_opened(name: str) -> None:
    """A result that a board has made is read on a PC."""
    check_board(name)
    assert Board(name=name).single == (name not in ("emu", "rtl"))


@pytest.mark.parametrize("name", ["pynq:1", "link", "", "EMU"])
def test_names_are_not_guessed(name: str) -> None:
    """What is allowed is listed."""
    with pytest.raises(BackendError, match=r"unknown board .* allowed: emu, rtl, pynq, link:URL"):
        check_board(name)


def test_bitstream_is_for_boards_that_load_one() -> None:
    """Not silently ignored."""
    with pytest.raises(ConfigError, match="board 'emu' loads no bitstream; allowed: --bitstream with --board pynq"):
        open_backend(Board(name="emu", bitstream=Path("x.bit")))


@pytest.mark.parametrize("name", ["link:board.local", "link:/dev/ttyUSB0"])
def test_bitstream_of_a_board_at_a_link_is_its_agents(name: str) -> None:
    """Told before anything is asked of the agent."""
    with pytest.raises(ConfigError, match=r"axft-hw serve --board pynq --bitstream F"):
        open_backend(Board(name=name, bitstream=Path("x.bit")))


def test_unknown_board_is_named() -> None:
    """With the near name."""
    with pytest.raises(BackendError, match=r"unknown board 'emo' \(did you mean emu\?\); allowed: emu"):
        open_backend("emo")
