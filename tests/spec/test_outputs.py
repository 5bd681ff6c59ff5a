"""Outputs that cannot be made, told before the work."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from axft_spec.errors import ConfigError
from axft_spec.outputs import check_new_output


def test_trial_leaves_nothing(tmp_path: Path) -> None:
    """Neither the output nor what was tried."""
    check_new_output(tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


def test_what_is_in_the_way_is_refused(tmp_path: Path) -> None:
    """A file, a directory, and a link to nowhere, which a later write would go through."""
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for path in (tmp_path / "file", tmp_path, tmp_path / "link"):
        with pytest.raises(ConfigError, match="exists and is not overwritten; name one that does not exist"):
            check_new_output(path)


def test_parent_must_be_a_directory(tmp_path: Path) -> None:
    """Missing, or a file."""
    (tmp_path / "file").touch()
    for parent in (tmp_path / "missing", tmp_path / "file"):
        with pytest.raises(ConfigError, match=r"the directory .* does not exist; make it, or name another"):
            check_new_output(parent / "new")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs a file system in which nothing can be made")
def test_directory_that_takes_nothing_is_refused() -> None:
    """Its permissions let root write."""
    message = r"^output /proc/x cannot be made in /proc: .+; name one in a directory that you can write to$"
    with pytest.raises(ConfigError, match=message):
        check_new_output(Path("/proc/x"))


def test_name_that_is_too_long_is_refused(tmp_path: Path) -> None:
    """As an error of ours."""
    with pytest.raises(ConfigError, match=r"cannot be made in .*name too long"):
        check_new_output(tmp_path / ("x" * 300))
