"""What every test of the host side needs."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def user_dirs(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the user's own cache and data out of the tests: both are empty and temporary."""
    directory = tmp_path_factory.mktemp("user")
    monkeypatch.setenv("AXFT_CACHE", str(directory / "cache"))
    monkeypatch.setenv("AXFT_DATA", str(directory / "data"))
    return directory
