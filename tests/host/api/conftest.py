"""What tests of the notebooks' functions share."""

from __future__ import annotations

from pathlib import Path

import pytest

import axft
from support.small_campaign import write_small


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the current directory, which is empty but for small.npz (a float network) and small-data.npz."""
    write_small(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def result(place: Path) -> axft.Result:
    """Return thirty faults of a small network."""
    return axft.inject(small("8P"), **SMALL, faults=30, workers=1, progress=False)


def small(config: str) -> axft.Config:
    """Return a configuration on an array of 4 x 3."""
    return axft.Config(config, array="4x3")


SMALL = {"model": "small.npz", "data": "small-data.npz"}
