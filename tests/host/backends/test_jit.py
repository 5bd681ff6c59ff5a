"""Which numba is used, what machine code is kept under, and what is said while it is made."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("numba", reason="machine code needs numba")

from llvmlite import binding

import axft_host
from axft_host.backends import jit
from axft_host.backends.jit import available


@pytest.mark.parametrize(("found", "usable"), [("0.67.9", False), ("0.69.0rc1", True), ("0.70.0", False), ("?", False)])
def test_only_versions_of_numba_that_were_tried_are_used(
    monkeypatch: pytest.MonkeyPatch, found: str, usable: bool
) -> None:
    """Others may lack what is used of it."""
    monkeypatch.setattr("axft_host.backends.jit.version", lambda name: found)
    assert available() is usable


@pytest.fixture
def directory_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[], Path | None]:
    """Return a function that asks anew for the directory of machine code."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    return jit._directory.__wrapped__


def test_another_processor_has_another_directory(
    monkeypatch: pytest.MonkeyPatch, directory_of: Callable[[], Path | None]
) -> None:
    """Machines that share a home: neither loads, nor writes over, what the other has."""
    here = directory_of()
    assert here is not None
    assert here == directory_of()
    monkeypatch.setattr(binding, "get_host_cpu_name", lambda: "other")
    assert directory_of() != here


def test_changed_source_has_another_directory(
    monkeypatch: pytest.MonkeyPatch, directory_of: Callable[[], Path | None]
) -> None:
    """Numbers of other modules are part of machine code."""
    here, read = directory_of(), Path.read_bytes
    root = Path(axft_host.__file__).parent
    for name in ("backends/lanes.py", "campaign/outcome.py"):
        with monkeypatch.context() as patch:
            patch.setattr(Path, "read_bytes", lambda path, name=name: read(path) + b" " * (path == root / name))
            assert directory_of() != here, name
    assert directory_of() == here


def test_machine_code_that_nothing_uses_any_more_is_removed(
    tmp_path: Path, directory_of: Callable[[], Path | None]
) -> None:
    """After three months; what is in use, and what others keep beside it, stays."""
    here = directory_of()
    assert here is not None
    old, recent, others = tmp_path / ("0" * 16), tmp_path / ("1" * 16), tmp_path / "others"
    for directory, days in ((old, 91), (recent, 89), (others, 91), (here, 91)):
        directory.mkdir(exist_ok=True)
        (directory / "code").write_text("")
        then = time.time() - days * 86400
        os.utime(directory, (then, then))
    assert directory_of() == here
    assert sorted(path.parent for path in tmp_path.glob("*/code")) == sorted([recent, others, here])


def test_machine_code_that_another_process_has_just_removed_does_not_matter(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, directory_of: Callable[[], Path | None]
) -> None:
    """Worker processes start together: the directory of this one is still had."""
    old, stat = tmp_path / ("0" * 16), Path.stat
    old.mkdir()

    def removed_meanwhile(path: Path, **options: bool) -> os.stat_result:
        found = stat(path, **options)
        if path == old:
            old.rmdir()
        return found

    monkeypatch.setattr(Path, "stat", removed_meanwhile)
    assert directory_of() is not None
    assert not old.exists()


def test_all_sources_of_machine_code_are_in_its_digest() -> None:
    """Every module that has compiled functions, and every one of this package that such a module imports by name."""
    root = Path(axft_host.__file__).parent
    known = {root / "backends" / name for name in jit._SOURCES} | {root / name for name in jit._SOURCES_ELSEWHERE}
    for path in root.rglob("*.py"):
        text = path.read_text()
        if re.search(r"^@(njit|inlined|intrinsic)$|^from axft_host.backends.jit import .*intrinsic", text, re.M):
            assert path.with_suffix("") in known, path
            for module in re.findall(r"^from axft_host\.([\w.]+) import", text, re.M):
                assert root.joinpath(*module.split(".")) in known, f"{path} imports {module}"


def test_directory_that_cannot_be_made_is_done_without(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, directory_of: Callable[[], Path | None]
) -> None:
    """A home that is read-only: here, a file is in its place."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "file"))
    assert directory_of() is None


def _double(value: int) -> int:
    return 2 * value


def test_compiling_is_said_whenever_it_happens(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """For the first call alone, however often the function is called, and not where machine code was kept."""
    said = []
    for directory in ("here", "here", "there", None):
        place = None if directory is None else tmp_path / directory
        monkeypatch.setattr(jit, "_directory", lambda place=place: place)
        function = jit.njit(_double)
        for call in (1, 2):
            caplog.clear()
            with caplog.at_level(logging.WARNING), jit.announced("a test"):
                assert function(call) == 2 * call
            said.append(caplog.text.count("compiling the engine for a test"))
    assert said == [1, 0, 0, 0, 1, 0, 1, 0]
    with caplog.at_level(logging.WARNING), jit.announced("a test"):
        jit.njit(_double)(3)
    assert "not kept: its directory cannot be written" in caplog.text
