"""A virtual board for the tests of this tier. Without pynq all of them are skipped."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from axft_host.backends import bitstreams
from support.virtual_board import needs_pynq, virtual_board


@pytest.fixture(autouse=True)
def own_directories(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the user's data and a checkout's bitstreams out of the tests; skip them where there is no pynq."""
    needs_pynq()
    monkeypatch.setenv("AXFT_DATA", str(tmp_path_factory.mktemp("data")))
    monkeypatch.setattr(bitstreams, "_checkout", ())


@pytest.fixture
def device() -> Iterator[Any]:
    """Return the device of a virtual board, which has overlays of 34P and 8P with arrays of 4x4."""
    with virtual_board(physical=(4, 4)) as found:
        yield found
