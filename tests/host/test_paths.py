"""Directories of the user."""

from __future__ import annotations

from pathlib import Path

import pytest

from axft_host.paths import user_cache_dir, user_data_dir


def test_own_variable_wins_over_xdg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The variables of this program name the directory itself."""
    monkeypatch.setenv("AXFT_CACHE", str(tmp_path / "c"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert user_cache_dir() == tmp_path / "c"


def test_xdg_variable_holds_a_directory_of_this_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """XDG names a directory that all programs share."""
    monkeypatch.delenv("AXFT_DATA")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert user_data_dir() == tmp_path / "axft-hw"


@pytest.mark.parametrize("xdg", ["", "relative"])
def test_home_is_used_without_a_usable_xdg_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, xdg: str) -> None:
    """A relative XDG directory is ignored, as its specification asks."""
    for variable in ("AXFT_CACHE", "AXFT_DATA"):
        monkeypatch.delenv(variable)
    monkeypatch.setenv("XDG_CACHE_HOME", xdg)
    monkeypatch.setenv("XDG_DATA_HOME", xdg)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert user_cache_dir() == tmp_path / ".cache" / "axft-hw"
    assert user_data_dir() == tmp_path / ".local" / "share" / "axft-hw"
