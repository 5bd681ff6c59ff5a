"""PNG figures are drawn where matplotlib is there, and asked for politely where it is not."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from axft_host.reports.figures import check_matplotlib, write_png_files
from axft_host.reports.profiles import Figures, read_figures
from axft_spec.errors import ConfigError


@pytest.fixture
def figures(drawn: Path) -> Figures:
    """Return figures to draw; skip where they cannot be."""
    pytest.importorskip("matplotlib", reason="matplotlib, which draws PNG figures, is not installed")
    return read_figures(drawn)


def test_every_figure_is_a_png(figures: Figures, transient: Path, tmp_path: Path) -> None:
    """One per figure and result; names of results become plain file names."""
    files = write_png_files([("8P", figures), ("../$x_1$ & y", read_figures(transient))], tmp_path)
    assert all(file.read_bytes().startswith(b"\x89PNG\r\n\x1a\n") for file in files)
    assert {file.parent for file in files} == {tmp_path}
    names = {file.stem for file in files}
    assert {"outcomes", "energy", "1-8P-array", "1-8P-by_bit", "2-x-1-y-by_layer", "2-x-1-y-accuracy"} <= names


def test_same_result_gives_the_same_files(figures: Figures, tmp_path: Path) -> None:
    """Byte by byte."""
    first, second = tmp_path / "first", tmp_path / "second"
    for directory in (first, second):
        directory.mkdir()
        write_png_files([("8P", figures)], directory)
    for file in first.iterdir():
        assert file.read_bytes() == (second / file.name).read_bytes()


def test_matplotlib_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With what to do."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ConfigError, match=r"`pip install '\.\[report\]'` in the directory of axft-hw's source"):
        check_matplotlib()
