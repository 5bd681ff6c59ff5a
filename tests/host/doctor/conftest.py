"""Speeds are not what is tested."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def short_timing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure for a moment."""
    monkeypatch.setattr("axft_host.doctor.trial._SPEED_S", 0.01)
